"""The sections of a configuration and their fields: frozen, validated, one class for each family.

An experiment is a `MaskedExperiment`, a `DiffusionExperiment` or a `DriftingExperiment`. Reading a configuration
chooses (`read.validate`); every function below that serves one family takes that family's type.
"""

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from elt_ref.errors import nearest

Fraction = Annotated[float, Field(ge=0, le=1)]

LONGEST_NAME = 100
ODD = '/\\:*?"<>|'
"""Letters that some system does not allow in a name, or takes for a path."""


def _file_name(name: str) -> str:
    """Return a name that becomes a folder: one part of a path on every system."""
    from tiny_datasets.plain_text import is_device  # noqa: PLC0415  data sets load late

    odd = sorted({letter for letter in name if letter in ODD or not letter.isprintable()})
    wrong = odd or name != name.strip(" .") or not 1 <= len(name) <= LONGEST_NAME or is_device(name)
    if wrong:
        raise ValueError(
            f"expected 1 to {LONGEST_NAME} letters that can name a folder, none of {ODD}, no dot or space at an end, "
            f"got {name[: 2 * LONGEST_NAME]!r}"
        )
    return name


FileName = Annotated[str, AfterValidator(_file_name)]


LARGEST_COUNT, LARGEST_NUMBER = 10**9, 1e6
"""Largest count and largest other number in a configuration: more is a mistake, and overflows float32 or the memory."""
MOST_LAYERS = 10_000
"""Largest number of layers: each is made by itself, and more take minutes before memory ends."""
LARGEST_LOG = 100.0
"""Largest logarithm of a signal-to-noise ratio, and its shift or bias: their exponentials stay finite in float32."""


def _short(number: int) -> str:
    """Return a number, or its size where its digits are many."""
    return f"{number:,}" if abs(number) < 10**15 else f"about 2^{number.bit_length()}"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _numbers_within_reason(self) -> "_Section":
        for key, value in self:
            for number in value if isinstance(value, tuple) else (value,):
                if type(number) is int and key != "seed" and abs(number) > LARGEST_COUNT:
                    raise ValueError(f"{key}: expected at most {LARGEST_COUNT:,}, got {_short(number)}")
                if type(number) is float and abs(number) > LARGEST_NUMBER:
                    raise ValueError(f"{key}: expected at most {LARGEST_NUMBER:,.0f}, got {number:g}")
        return self


class DataConfig(_Section):
    """The data set."""

    name: str
    """Name in ``elt-ref data list``: shipped, or imported with ``elt-ref data import``."""


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
    """Values of one latent position; at most the values of a patch."""


class _NetworkConfig(_Section):
    """What all families share: a block of N layers, applied L times."""

    layers: Annotated[int, Field(gt=0, le=MOST_LAYERS)]
    """N, the number of layers with weights of their own. An unlooped network is ``layers = depth, max_loops = 1``."""
    max_loops: PositiveInt
    """L_max, the loops of training, whose last is the teacher. Inference may use any number."""
    width: PositiveInt
    """d, the width of the residual stream."""
    heads: PositiveInt
    """Attention heads; a divisor of the width."""
    mlp_width: PositiveInt
    """Hidden width of the MLP."""
    classes: PositiveInt
    """Labels are 0 … classes − 1; `classes` itself means "no class"."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "_NetworkConfig":
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width {self.width}, got {self.heads}")
        return self

    if TYPE_CHECKING:  # each family declares it in its own place
        unconditional_row: bool

    @property
    def unconditional_class(self) -> int:
        """The label that means "no class"; its row follows the classes' rows."""
        return self.classes

    @property
    def label_rows(self) -> int:
        """Labels that the network accepts: the classes and, where it has a row, "no class"."""
        return self.classes + int(self.unconditional_row)

    @property
    def label_range(self) -> str:
        """Labels that the network accepts, in words."""
        none = f" or {self.unconditional_class} for none" if self.unconditional_row else ""
        return f"classes in 0…{self.classes - 1}{none}"


class MaskedModelConfig(_NetworkConfig):
    """The masked network: post-LN BERT layers over discrete tokens, as in MaskGIT."""

    family: Literal["masked"] = "masked"
    """Family: discrete tokens, predicted where they are masked."""
    grid: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)]
    """Token grid: rows × columns, or frames × rows × columns for clips; flattened in C order."""
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
        """Tokens in a picture or a clip, without the class token."""
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


class PatchModelConfig(_NetworkConfig):
    """What the networks of adaLN-Zero layers over patches share: of diffusion and of drifting."""

    shape: Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], Field(strict=False)]
    """Sample shape: height, width, channels."""
    patch_size: PositiveInt
    """Side of a patch; divides height and width."""
    layer_norm_epsilon: PositiveFloat = 1e-6
    """ε of every norm, inside the root."""

    @model_validator(mode="after")
    def _patches_fit(self) -> "PatchModelConfig":
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


class DiffusionModelConfig(PatchModelConfig):
    """The diffusion network: adaLN-Zero layers over patches of a noisy sample, as in DiT."""

    family: Literal["diffusion"]
    """Family: continuous samples, denoised."""
    unconditional_row: Literal[True] = True  # pyright: ignore[reportIncompatibleVariableOverride]  frozen
    """The label table always has a row for "no class"."""
    time_features: Annotated[int, Field(gt=0, multiple_of=2)] = 256
    """Number of cosines and sines that embed t before its MLP."""
    time_scale: PositiveFloat = 1000.0
    """Factor on t in [0, 1] before the cosines: 1000 gives the range of DiT's timesteps."""


class DriftingModelConfig(PatchModelConfig):
    """The drifting network: the diffusion network without time, from noise and a class to a sample."""

    family: Literal["drifting"]
    """Family: continuous samples, generated from noise in one evaluation."""
    unconditional_row: Literal[False] = False  # pyright: ignore[reportIncompatibleVariableOverride]  frozen
    """The label table has no row for "no class": nothing is trained without a class."""


def _family(section: Any) -> str | None:
    """Return the family a [model] section belongs to; one that does not say is masked."""
    return section.get("family", "masked") if isinstance(section, dict) else getattr(section, "family", None)


ModelConfig = Annotated[
    Annotated[MaskedModelConfig, Tag("masked")]
    | Annotated[DiffusionModelConfig, Tag("diffusion")]
    | Annotated[DriftingModelConfig, Tag("drifting")],
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
    found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", value)
    if found is None:
        raise ValueError(
            f"expected a number, none, or noise resolution / image resolution such as 32/64, got '{value[:80]}'"
        )
    return 2 * math.log(int(found[1]) / int(found[2]))


Shift = Annotated[float, BeforeValidator(_shift)]


class DiffusionConfig(_Section):
    """Noise schedule, loss weight and sampler of the diffusion family."""

    shift: Shift
    """Shift of the log-SNR: ``"none"``, a number, or ``"32/64"`` for 2 log(32 / 64), where the noise suits images of
    32 pixels and the images have 64. The paper names none: no default."""
    bias: Annotated[float, BeforeValidator(_bias)]
    """b of the sigmoid weight: ``"sid2_default_b0"``, ``"vdmpp_b2"`` or a number. The paper names none: no default."""
    shift_at_noise: Shift | None = None
    """Second shift of the interpolated schedule: t · shift_at_noise + (1 − t) · shift."""
    log_snr_min: float = -15.0
    """Lower bound of the schedule, at noise, before the shift."""
    log_snr_max: float = 15.0
    """Upper bound of the schedule, at the clean sample, before the shift."""
    prediction: Literal["x0", "epsilon", "v"] = "x0"
    """Quantity that the network predicts; the loss weight follows it."""
    weight_derivative: bool = True
    """Whether w(t) contains −dλ/dt."""
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    """Sampler: ancestral (DDPM, noise in every step but the last) or deterministic (DDIM)."""
    variance: Literal["small", "large", "interpolated"] = "small"
    """Variance of an ancestral step: small (the posterior's), large (β_t), or between."""
    variance_fraction: Fraction = 0.5
    """Place of the interpolated variance between small (0) and large (1)."""
    clip: PositiveFloat | None = None
    """Bound on predictions of x0, ± this; pixels lie in ±1, latents have no bound."""

    @model_validator(mode="after")
    def _finite_exponentials(self) -> "DiffusionConfig":
        for key in ("shift", "shift_at_noise", "bias", "log_snr_min", "log_snr_max"):
            if abs(getattr(self, key) or 0.0) > LARGEST_LOG:
                raise ValueError(
                    f"{key}: expected from -{LARGEST_LOG:g} to {LARGEST_LOG:g}, got {getattr(self, key):g}"
                )
        return self

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "DiffusionConfig":
        if self.log_snr_min >= self.log_snr_max:
            raise ValueError(f"log_snr_min: expected less than log_snr_max {self.log_snr_max}, got {self.log_snr_min}")
        return self

    @model_validator(mode="after")
    def _noise_grows_with_time(self) -> "DiffusionConfig":
        if self.shift_at_noise is None:
            return self
        # −dλ/dt of the cosine alone is smallest where its sine is 1 (see schedules/noise.py).
        slowest = 4 * (math.atan(math.exp(-self.log_snr_min / 2)) - math.atan(math.exp(-self.log_snr_max / 2)))
        if self.shift_at_noise - self.shift >= slowest:
            raise ValueError(
                f"shift_at_noise: expected λ to fall with t, which takes less than shift + {slowest:.2f}, "
                f"got {self.shift_at_noise}"
            )
        return self


class DriftingConfig(_Section):
    """The field of the drifting family: at which distances it looks, and at how many samples."""

    temperatures: Annotated[tuple[PositiveFloat, ...], Field(strict=False, min_length=1)] = (0.02, 0.05, 0.2)
    """τ of each kernel, in units of the mean distance; the normalised fields of all are added."""
    classes_per_step: PositiveInt
    """C, the classes of a step, without repetition; the batch holds as many generated samples of each, at least 2."""
    positives: PositiveInt
    """P, the real samples of each class in a step, without repetition; no more than the smallest class has."""


class ObjectiveConfig(_Section):
    """What the network learns."""

    kind: Literal["ilsd", "vanilla"] = "ilsd"
    """Loss: E5 with its three terms, or its first term alone (a plain looped transformer, the control)."""
    min_loops: PositiveInt = 1
    """L_min; the student draws its loops uniformly from L_min … L_max − 1 (E6)."""
    reduction: Literal["mean_per_sample", "sum"] = "mean_per_sample"
    """Reduction over a sample's masked tokens or values: mean (MaskGIT's code) or sum (the paper's formula)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Label smoothing of the ground-truth terms; the distillation target is soft already."""
    mask_ratio_per: Literal["sample", "batch"] = "sample"
    """Scope of the mask ratio r: one draw per sample, or one for the batch."""
    label_drop_rate: Fraction = 0.1
    """Share of labels that become "no class" in training, for guidance."""
    label_drop_per: Literal["sample", "batch"] = "sample"
    """Scope of label dropping: one draw per sample, or one for the batch."""


class SamplingConfig(_Section):
    """How sampling works, unless the request says otherwise."""

    steps: PositiveInt = 12
    """K, the number of sampling steps."""
    loops: PositiveInt | None = None
    """L at inference; L_max by default."""
    guidance_scale: Annotated[float, Field(ge=0)] = 1.0
    """s in u + s (c − u): 1 is conditional, 0 unconditional."""
    guidance_schedule: Literal["constant", "ramp"] = "constant"
    """Schedule of s. The ramp is s_k = 1 + (s − 1) k / (K − 1): its first step is conditional."""
    choice_temperature: Annotated[float, Field(ge=0)] = 4.5
    """Scale of the Gumbel noise on log-confidences; falls linearly to zero at the last step."""
    sampling_temperature: Literal["plain", "elt"] = "plain"
    """Divisor of the logits. plain: 1 (MaskGIT). elt: 0.5 + 0.8 (1 − (k + 1)/K), from the paper's appendix."""
    schedule_precision: Literal["float64", "float32"] = "float64"
    """Precision of the mask schedule. At (k + 1)/K = 2/3, float64 masks 128 of 256 tokens, MaskGIT's float32 127."""


class TrainingConfig(_Section):
    """How training finds the parameters."""

    steps: PositiveInt = 800
    """Steps of the whole training; λ and the learning rate depend on it."""
    batch_size: PositiveInt = 64
    """Examples per step."""
    learning_rate: PositiveFloat = 1e-3
    """η, after the warm-up."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning-rate schedule after the warm-up; the cosine would reach zero one step after the last."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps over which the learning rate rises linearly."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of Adam's first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of Adam's second moment."""
    epsilon: PositiveFloat = 1e-8
    """Adam's ε, outside the root."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (AdamW), on the kernels of linear maps only."""
    gradient_clip: PositiveFloat = 1.0
    """Largest global norm of the gradient."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the exponential moving average of the parameters, which sampling uses."""
    dtype: Literal["float32", "float64"] = "float32"
    """Dtype of parameters, states and gradients."""
    rematerialise: bool = False
    """Whether to keep one state per loop and evaluate the block again on the way back: less memory, more time."""
    checkpoint_every: PositiveInt = 100
    """Steps between checkpoints."""
    log_every: PositiveInt = 10
    """Steps between lines of ``metrics.jsonl``."""


MASKED_ONLY = (
    ("objective", "label_smoothing"),
    ("objective", "mask_ratio_per"),
    ("sampling", "choice_temperature"),
    ("sampling", "sampling_temperature"),
    ("sampling", "schedule_precision"),
)
"""Settings, by section and key, that only the masked family has."""


OWNERS = {
    "tokenizer": ("masked",),
    "latents": ("diffusion", "drifting"),
    "diffusion": ("diffusion",),
    "drifting": ("drifting",),
}
"""Families that a section of the configuration may stand for, where not all do."""


class Config(_Section):
    """A whole experiment, of any family."""

    name: FileName
    """Also names the folder in ``runs/``."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    data: DataConfig | None = None
    """Data set; none in the presets that only count (the paper's sizes)."""
    tokenizer: TokenizerConfig | None = None
    """Tokenizer; none where the data are tokens already."""
    latents: LatentsConfig | None = None
    """Autoencoder of continuous samples; none where the network works on pixels or on imported latents."""
    model: ModelConfig
    diffusion: DiffusionConfig | None = None
    """Noise schedule and sampler; the diffusion family has one, the others none."""
    drifting: DriftingConfig | None = None
    """The field; the drifting family has one, the others none."""
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
        family = self.model.family
        for name, needs in (("diffusion", "shift and bias"), ("drifting", "classes_per_step and positives")):
            if family == name and getattr(self, name) is None:
                raise ValueError(f"config.{name}: expected a [{name}] section with {needs}, got none")
        for name, owners in OWNERS.items():
            if family not in owners and getattr(self, name) is not None:
                raise ValueError(f"config.{name}: expected none in the {family} family, got one")
        for section, name in MASKED_ONLY:
            settings = getattr(self, section)
            value = getattr(settings, name)
            if family != "masked" and value != type(settings).model_fields[name].default:
                raise ValueError(f"{section}.{name}: expected its default in the {family} family, got {value!r}")
        return self

    @model_validator(mode="after")
    def _one_step_from_noise(self) -> "Config":
        drifting = self.drifting
        if drifting is None:
            return self
        of_one, classes = "in the drifting family", drifting.classes_per_step
        if self.sampling.steps != 1:
            got = self.sampling.steps
            raise ValueError(f"sampling.steps: expected 1 {of_one}, which samples in one evaluation, got {got}")
        if self.sampling.guidance_scale != 1:
            raise ValueError(
                f"sampling.guidance_scale: expected 1 {of_one}, which learns no prediction without a class, "
                f"got {self.sampling.guidance_scale:g}"
            )
        if self.objective.label_drop_rate:
            raise ValueError(
                f"objective.label_drop_rate: expected 0 {of_one}, whose field compares samples of one class, "
                f"got {self.objective.label_drop_rate:g}"
            )
        if classes > self.model.classes:
            raise ValueError(
                f"drifting.classes_per_step: expected at most the {self.model.classes} classes of the model, "
                f"got {classes}"
            )
        if self.training.batch_size % classes or self.training.batch_size < 2 * classes:
            raise ValueError(
                "training.batch_size: expected a multiple of drifting.classes_per_step "
                f"{classes}, at least twice it, got {self.training.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _dropped_labels_have_a_row(self) -> "Config":
        if not self.model.unconditional_row and (self.objective.label_drop_rate or self.sampling.guidance_scale != 1):
            raise ValueError(
                "model.unconditional_row: expected true where labels are dropped or guidance is used, got false"
            )
        return self


class MaskedExperiment(Config):
    """An experiment with masked tokens."""

    model: MaskedModelConfig  # pyright: ignore[reportIncompatibleVariableOverride]  frozen, so it may narrow
    diffusion: None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    drifting: None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class DiffusionExperiment(Config):
    """An experiment with diffusion."""

    model: DiffusionModelConfig  # pyright: ignore[reportIncompatibleVariableOverride]  frozen, so it may narrow
    diffusion: DiffusionConfig  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    drifting: None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class DriftingExperiment(Config):
    """An experiment with drifting."""

    model: DriftingModelConfig  # pyright: ignore[reportIncompatibleVariableOverride]  frozen, so it may narrow
    diffusion: None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    drifting: DriftingConfig  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]


Experiment: TypeAlias = MaskedExperiment | DiffusionExperiment | DriftingExperiment
"""A configuration that knows its family."""

EXPERIMENTS: dict[str, type[Experiment]] = {
    "masked": MaskedExperiment,
    "diffusion": DiffusionExperiment,
    "drifting": DriftingExperiment,
}
"""Experiment type by family."""
