"""Configurations: frozen, validated, written in TOML. An unknown key is an error that names the nearest known one."""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)

from elt_ref.errors import RequestError, nearest

Fraction = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataConfig(_Section):
    """Which data set is learned."""

    name: str
    """A name of ``elt-ref data list``: shipped, or imported with ``elt-ref data import``."""


class TokenizerConfig(_Section):
    """How pictures or clips become tokens: a codebook of square patches, learned on the training part by k-means."""

    patch_size: PositiveInt
    """Side of a patch in pixels; divides height and width."""
    patch_frames: PositiveInt = 1
    """Frames of a patch of a clip (a tubelet); divides the frames. 1 for pictures."""
    iterations: PositiveInt = 50
    """Most Lloyd iterations of k-means."""


class LatentsConfig(_Section):
    """A linear autoencoder of patches, fitted to the training pictures: the stand-in for a pretrained VAE."""

    patch_size: PositiveInt
    """Side of the patch that becomes one latent position."""
    channels: PositiveInt
    """Of the latent; at most the values of a patch."""


class _NetworkConfig(_Section):
    """What both families have in common: a block of N layers that is applied L times."""

    layers: PositiveInt
    """N, the number of layers with weights of their own. An unlooped network is ``layers = depth, max_loops = 1``."""
    max_loops: PositiveInt
    """L_max, the loops of the teacher, that is of training. Inference may use any number."""
    width: PositiveInt
    """d, the width of the residual stream."""
    heads: PositiveInt
    """Of the attention; a divisor of the width."""
    mlp_width: PositiveInt
    """Width between the two maps of the MLP."""
    classes: PositiveInt
    """Labels are 0 … classes − 1; `classes` itself means "no class"."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "_NetworkConfig":
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width {self.width}, got {self.heads}")
        return self

    @property
    def unconditional_class(self) -> int:
        """The label that means "no class"; its row follows those of the classes."""
        return self.classes


class MaskedModelConfig(_NetworkConfig):
    """The masked network: post-LN BERT layers over discrete tokens, as MaskGIT's."""

    family: Literal["masked"] = "masked"
    """Discrete tokens, predicted where they are masked."""
    grid: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
    """Token grid, rows × columns, of clips frames × rows × columns; flattened in C order."""
    codebook_size: PositiveInt
    """V, the number of codes."""
    unconditional_row: bool = True
    """Whether the embedding holds a row for "no class" (guidance needs one). MaskGIT's released layout has none."""
    layer_norm_epsilon: PositiveFloat = 1e-12
    """ε of every norm, inside the root."""
    initial_deviation: PositiveFloat = 0.02
    """Scale of the truncated normal (cut at ±2 before scaling) of every kernel and embedding."""

    @property
    def tokens(self) -> int:
        """Tokens of a picture or a clip, without the class token."""
        count = 1
        for side in self.grid:
            count *= side
        return count

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding: codes, classes, the unconditional row (if any), the mask; in this order."""
        return self.codebook_size + self.classes + int(self.unconditional_row) + 1

    @property
    def mask_token(self) -> int:
        """The id of the mask, the last row of the embedding."""
        return self.vocabulary - 1


class DiffusionModelConfig(_NetworkConfig):
    """The diffusion network: adaLN-Zero layers over patches of a noisy sample, as DiT's."""

    family: Literal["diffusion"]
    """Continuous samples, denoised."""
    shape: Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], Field(strict=False)]
    """Of a sample: height, width, channels."""
    patch_size: PositiveInt
    """Side of a patch; divides height and width."""
    unconditional_row: Literal[True] = True
    """The label table always has a row for "no class"."""
    layer_norm_epsilon: PositiveFloat = 1e-6
    """ε of every norm, inside the root."""
    time_features: Annotated[int, Field(gt=0, multiple_of=2)] = 256
    """Cosines and sines that t becomes before its MLP."""
    time_scale: PositiveFloat = 1000.0
    """Factor of t in [0, 1] before the cosines: 1000 gives DiT's range of timesteps."""

    @model_validator(mode="after")
    def _patches_fit(self) -> "DiffusionModelConfig":
        height, width, _ = self.shape
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"patch_size: expected a divisor of {height}×{width}, got {self.patch_size}")
        if self.width % 4:
            raise ValueError(f"width: expected a multiple of 4 for sine-cosine positions, got {self.width}")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        height, width, _ = self.shape
        return height // self.patch_size, width // self.patch_size

    @property
    def tokens(self) -> int:
        """Patches of a sample."""
        rows, columns = self.grid
        return rows * columns

    @property
    def patch_features(self) -> int:
        """Values of a patch."""
        return self.patch_size**2 * self.shape[2]


def _family(section: Any) -> str | None:
    """Return the family a [model] section belongs to; one that does not say is masked."""
    return section.get("family", "masked") if isinstance(section, dict) else getattr(section, "family", None)


ModelConfig = Annotated[
    Annotated[MaskedModelConfig, Tag("masked")] | Annotated[DiffusionModelConfig, Tag("diffusion")],
    Discriminator(_family),
]


BIASES = {"sid2_default_b0": 0.0, "vdmpp_b2": 2.0}
"""Named biases b of the sigmoid weight: hackable_diffusion's default, and the k = 2 of VDM++."""


def _bias(value: Any) -> Any:
    """Return the number that a named bias stands for."""
    if isinstance(value, str) and value not in BIASES:
        raise ValueError(f"expected a number or one of {', '.join(BIASES)}, got '{value}'{nearest(value, BIASES)}")
    return BIASES[value] if isinstance(value, str) else value


def _shift(value: Any) -> Any:
    """Return the number that a named shift stands for: ``"none"``, or ``"32/64"``, noise over image resolution."""
    if not isinstance(value, str):
        return value
    if value == "none":
        return 0.0
    found = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", value)
    if found is None:
        raise ValueError(
            f"expected a number, none, or noise resolution / image resolution such as 32/64, got '{value}'"
        )
    return 2 * math.log(int(found[1]) / int(found[2]))


Shift = Annotated[float, BeforeValidator(_shift)]


class DiffusionConfig(_Section):
    """Noise schedule, loss weight and sampler of the diffusion family."""

    shift: Shift
    """Of the log-SNR: ``"none"``, ``"32/64"`` for 2 log(32 / 64) where the noise is that of 32 pixels and the image has
    64, or a number; no default, for the paper does not say."""
    bias: Annotated[float, BeforeValidator(_bias)]
    """b of the sigmoid weight: ``"sid2_default_b0"``, ``"vdmpp_b2"`` or a number; no default, as of the shift."""
    shift_at_noise: Shift | None = None
    """The interpolated schedule mixes t · shift_at_noise + (1 − t) · shift."""
    log_snr_min: float = -15.0
    """Lower bound of the schedule, at noise, before the shift."""
    log_snr_max: float = 15.0
    """Upper bound of the schedule, at the clean sample, before the shift."""
    prediction: Literal["x0", "epsilon", "v"] = "x0"
    """What the network predicts; the weight is the equivalent one."""
    weight_derivative: bool = True
    """Whether w(t) contains −dλ/dt."""
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    """DDPM's, with noise in every step but the last, or the deterministic one."""
    variance: Literal["small", "large", "interpolated"] = "small"
    """Of an ancestral step: the posterior's, β_t, or between."""
    variance_fraction: Fraction = 0.5
    """Of the interpolated variance: 0 is small, 1 large."""
    clip: PositiveFloat | None = None
    """Clip predictions of x0 to ± this; pixels lie in ±1, latents are not bounded."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "DiffusionConfig":
        if self.log_snr_min >= self.log_snr_max:
            raise ValueError(f"log_snr_min: expected less than log_snr_max {self.log_snr_max}, got {self.log_snr_min}")
        return self

    @model_validator(mode="after")
    def _noise_grows_with_time(self) -> "DiffusionConfig":
        if self.shift_at_noise is None:
            return self
        # −dλ/dt of the cosine alone is smallest where its sine is 1 (see generation/noise_schedule.py).
        slowest = 4 * (math.atan(math.exp(-self.log_snr_min / 2)) - math.atan(math.exp(-self.log_snr_max / 2)))
        if self.shift_at_noise - self.shift >= slowest:
            raise ValueError(
                f"shift_at_noise: expected λ to fall with t, which takes less than shift + {slowest:.2f}, "
                f"got {self.shift_at_noise}"
            )
        return self


class ObjectiveConfig(_Section):
    """What is learned."""

    kind: Literal["ilsd", "vanilla"] = "ilsd"
    """E5 with its three terms, or its first term alone: a plain looped transformer, the control."""
    min_loops: PositiveInt = 1
    """L_min: the student's loops are drawn uniformly from L_min … L_max − 1 (E6)."""
    reduction: Literal["mean_per_sample", "sum"] = "mean_per_sample"
    """Over a sample's masked tokens: their mean (MaskGIT's code) or their sum (the paper's formula)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the ground-truth terms only; the distillation target is soft already."""
    mask_ratio_per: Literal["sample", "batch"] = "sample"
    """Whether each sample draws the ratio r of its own, or one serves the batch."""
    label_drop_rate: Fraction = 0.1
    """Share of labels that become "no class" in training, for guidance."""
    label_drop_per: Literal["sample", "batch"] = "sample"
    """Whether each sample draws, or one draw drops all labels of a batch."""


class SamplingConfig(_Section):
    """How pictures are drawn, unless the request says otherwise."""

    steps: PositiveInt = 12
    """K, the steps of parallel decoding."""
    loops: PositiveInt | None = None
    """L at inference; the model's L_max where not given."""
    guidance_scale: Annotated[float, Field(ge=0)] = 1.0
    """s in u + s (c − u): 1 is conditional, 0 unconditional."""
    guidance_schedule: Literal["constant", "ramp"] = "constant"
    """The ramp is s_k = 1 + (s − 1) k / (K − 1): its first step is conditional."""
    choice_temperature: Annotated[float, Field(ge=0)] = 4.5
    """Scale of the Gumbel noise on log-confidences; falls linearly to zero at the last step."""
    sampling_temperature: Literal["plain", "elt"] = "plain"
    """plain: logits as they are (MaskGIT). elt: divided by 0.5 + 0.8 (1 − (k + 1)/K), the paper's appendix."""
    schedule_precision: Literal["float64", "float32"] = "float64"
    """Decides the floor tie at (k + 1)/K = 2/3: 128 of 256 masked in float64, 127 in the float32 of MaskGIT's code."""


class TrainingConfig(_Section):
    """How the parameters are found."""

    steps: PositiveInt = 800
    """Of the whole training; λ and the learning rate go by it."""
    batch_size: PositiveInt = 64
    """Examples a step."""
    learning_rate: PositiveFloat = 1e-3
    """η, after the warm-up."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Of the learning rate after warm-up; the cosine would be at zero one step after the last."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps over which the learning rate rises linearly."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of Adam's first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of Adam's second moment."""
    epsilon: PositiveFloat = 1e-8
    """Adam's ε, outside the root."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled (AdamW), of the kernels of linear maps only."""
    gradient_clip: PositiveFloat = 1.0
    """Largest global norm of the gradient."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Of the exponential moving average of the parameters, which is what sampling uses."""
    dtype: Literal["float32", "float64"] = "float32"
    """Of parameters, states and gradients."""
    rematerialise: bool = False
    """Keep one state a loop and evaluate the block again on the way back: memory for time, same numbers."""
    checkpoint_every: PositiveInt = 100
    """Steps between checkpoints."""
    log_every: PositiveInt = 10
    """Steps between lines of ``metrics.jsonl``."""


OF_THE_MASKED_FAMILY = (
    ("objective", "label_smoothing"),
    ("objective", "mask_ratio_per"),
    ("sampling", "choice_temperature"),
    ("sampling", "sampling_temperature"),
    ("sampling", "schedule_precision"),
)
"""Settings, by section and key, that mean nothing in the diffusion family."""


class Config(_Section):
    """A whole experiment."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    data: DataConfig | None = None
    """None in the presets that only count (the paper's sizes)."""
    tokenizer: TokenizerConfig | None = None
    """None where the data are tokens already."""
    latents: LatentsConfig | None = None
    """None in the masked family, and where the diffusion family works on pixels or on imported latents."""
    model: ModelConfig
    diffusion: DiffusionConfig | None = None
    """Of the diffusion family."""
    objective: ObjectiveConfig = ObjectiveConfig()
    sampling: SamplingConfig = SamplingConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _a_student_exists(self) -> "Config":
        if self.objective.kind == "ilsd" and self.objective.min_loops >= self.model.max_loops:
            raise ValueError(
                f"objective.min_loops: expected L_min < L_max = {self.model.max_loops}, got {self.objective.min_loops} "
                "(the student's loops are drawn from L_min … L_max − 1; use objective.kind 'vanilla' without a student)"
            )
        return self

    @model_validator(mode="after")
    def _sections_of_the_family(self) -> "Config":
        diffusion = isinstance(self.model, DiffusionModelConfig)
        if diffusion and self.diffusion is None:
            raise ValueError("config.diffusion: expected a [diffusion] section with shift and bias, got none")
        if diffusion and self.tokenizer is not None:
            raise ValueError("config.tokenizer: expected none in the diffusion family, got one")
        for name in ("diffusion", "latents"):
            if not diffusion and getattr(self, name) is not None:
                raise ValueError(f"config.{name}: expected none in the masked family, got one")
        for section, name in OF_THE_MASKED_FAMILY:
            settings = getattr(self, section)
            value = getattr(settings, name)
            if diffusion and value != type(settings).model_fields[name].default:
                raise ValueError(f"{section}.{name}: expected its default in the diffusion family, got {value!r}")
        return self

    @model_validator(mode="after")
    def _dropped_labels_have_a_row(self) -> "Config":
        if not self.model.unconditional_row and (self.objective.label_drop_rate or self.sampling.guidance_scale != 1):
            raise ValueError(
                "model.unconditional_row: expected true where labels are dropped or guidance is used, got false"
            )
        return self


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    folder = resources.files("elt_ref") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return a preset by name.

    Args:
        name: one of `preset_names`.
        overrides: dotted keys and values that replace those of the preset, for example ``{"training.steps": 100}``.

    Raises:
        RequestError: no such preset, or an override is wrong.
    """
    if name not in preset_names():
        raise RequestError(
            f"preset: expected one of {', '.join(preset_names())}, got '{name}'{nearest(name, preset_names())}"
        )
    text = (resources.files("elt_ref") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_config(text, where=f"preset '{name}'", overrides=overrides)


def load_config(name_or_file: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the preset of that name, or the configuration in that TOML file.

    Raises:
        RequestError: neither exists, or the configuration is wrong.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml":
        return load_preset(str(name_or_file), overrides)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"configuration {path}: expected a readable TOML file, got {error}") from error
    return parse_config(text, where=str(path), overrides=overrides)


def parse_config(text: str, *, where: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """Validate the TOML `text` of a configuration, with `overrides` laid over it.

    Raises:
        RequestError: not TOML, an unknown key, or a value out of range; one sentence, beginning with `where`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{where}: expected TOML, got {error}") from error
    for key, value in (overrides or {}).items():
        _lay_over(document, key, value, where)
    return validate(document, where=where)


def _lay_over(document: dict[str, Any], key: str, value: Any, where: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise RequestError(f"{where}: expected a section at '{section}' of '{key}', got the value {document!r}")
    document[last] = value


def validate(document: Mapping[str, Any], *, where: str) -> Config:
    """Return the configuration that `document` describes.

    Raises:
        RequestError: in one sentence, the first thing that is wrong.
    """
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{where}: {_sentence(error)}") from None


Kind = TypeVar("Kind", bound=BaseModel)


def parse_section(kind: type[Kind], section: Mapping[str, Any]) -> Kind:
    """Return one section of a configuration, for example ``parse_section(DiffusionConfig, {"shift": 0.0, …})``.

    Raises:
        RequestError: in one sentence, the first thing that is wrong.
    """
    try:
        return kind.model_validate(section)
    except ValidationError as error:
        raise RequestError(f"{kind.__name__}: {_sentence(error)}") from None


def masked_model(config: Config) -> MaskedModelConfig:
    """Return the [model] section of a configuration of the masked family.

    Raises:
        RequestError: it is of the diffusion family.
    """
    if not isinstance(config.model, MaskedModelConfig):
        raise RequestError(f"{config.name}: expected a configuration of the masked family, got the diffusion family")
    return config.model


def diffusion_model(config: Config) -> DiffusionModelConfig:
    """Return the [model] section of a configuration of the diffusion family.

    Raises:
        RequestError: it is of the masked family.
    """
    if not isinstance(config.model, DiffusionModelConfig):
        raise RequestError(f"{config.name}: expected a configuration of the diffusion family, got the masked family")
    return config.model


def diffusion_of(config: Config) -> DiffusionConfig:
    """Return the [diffusion] section of a configuration of the diffusion family.

    Raises:
        RequestError: it is of the masked family, and has none.
    """
    if config.diffusion is None:
        raise RequestError(f"{config.name}: expected a configuration of the diffusion family, got the masked family")
    return config.diffusion


FAMILIES: dict[str, type[BaseModel]] = {"masked": MaskedModelConfig, "diffusion": DiffusionModelConfig}


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    # Of a section that comes in families, pydantic names the family too, as in model.masked.width.
    location = [str(part) for part in first["loc"]]
    named = location[:1] + location[2:] if location[:1] == ["model"] else location
    *sections, key = named or [""]
    place = ".".join([*sections, key])
    if first["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        return f"{place}: expected one of {', '.join(known)}, got the unknown key '{key}'{nearest(key, known)}"
    if first["type"] == "missing":
        return f"{place}: expected a value, got none"
    if first["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        if not isinstance(first["input"], dict):
            return f"{place}: expected a section, got {first['input']!r}"
        got = first["input"]["family"]
        return f"{place}.family: expected one of {', '.join(FAMILIES)}, got {got!r}{nearest(str(got), FAMILIES)}"
    if first["type"] == "value_error":  # one of our own validators
        return _placed(first["msg"].removeprefix("Value error, "), place)
    expectation = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{place}: expected {expectation}, got {first['input']!r}"


def _placed(sentence: str, place: str) -> str:
    """Return a validator's sentence, which may lack its field ("expected …") or its section ("field: expected …")."""
    if sentence.startswith("expected "):
        return f"{place}: {sentence}"
    return sentence if "." in sentence.split(":", maxsplit=1)[0] else f"{place}.{sentence}"


def _fields_at(location: Sequence[str]) -> list[str]:
    if location[:1] == ["model"]:
        return list(FAMILIES[location[1]].model_fields)
    model: type[BaseModel] = Config
    for section in location:
        annotation = model.model_fields[section].annotation
        candidates = (annotation, *getattr(annotation, "__args__", ()))
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)


def dump_config(config: Config) -> str:
    """Return the configuration as TOML that `parse_config` reads back to an equal configuration."""
    import tomli_w  # noqa: PLC0415  only needed to write

    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
