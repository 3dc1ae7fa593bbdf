"""Configurations: what is valid survives a round trip, what is not is told in one sentence."""

import math
import tomllib
from pathlib import Path
from typing import get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from elt_ref.config import (
    Config,
    DiffusionConfig,
    DiffusionExperiment,
    DiffusionModelConfig,
    DriftingConfig,
    DriftingExperiment,
    DriftingModelConfig,
    LatentsConfig,
    MaskedExperiment,
    MaskedModelConfig,
    dump_config,
    load_config,
    load_preset,
    parse_config,
    preset_names,
    validate,
)
from elt_ref.config.schema import LARGEST_COUNT, LARGEST_NUMBER, MOST_LAYERS
from elt_ref.errors import RequestError

SMALL = """
name = "small"
[model]
layers = 1
max_loops = 3
width = 4
heads = 2
mlp_width = 8
grid = [2, 3]
codebook_size = 5
classes = 2
"""


SMALL_DIFFUSION = """
name = "small"
[model]
family = "diffusion"
layers = 1
max_loops = 3
width = 4
heads = 2
mlp_width = 8
shape = [4, 4, 1]
patch_size = 2
classes = 2
[diffusion]
shift = 0.0
bias = 0.0
"""


SMALL_DRIFTING = """
name = "small"
[model]
family = "drifting"
layers = 1
max_loops = 3
width = 4
heads = 2
mlp_width = 8
shape = [4, 4, 1]
patch_size = 2
classes = 2
[drifting]
classes_per_step = 2
positives = 3
[objective]
label_drop_rate = 0.0
[sampling]
steps = 1
[training]
batch_size = 6
"""


def small(**overrides):
    return parse_config(
        SMALL, where="small.toml", overrides={key.replace("__", "."): v for key, v in overrides.items()}
    )


def refusal(overrides, text=SMALL):
    """Return the sentence by which a configuration is refused, after checking that it is one."""
    with pytest.raises(RequestError) as caught:
        parse_config(text, where="small.toml", overrides=overrides)
    sentence = str(caught.value)
    assert "\n" not in sentence, f"not one sentence: {sentence!r}"
    assert sentence.startswith("small.toml: "), f"does not say in which file: {sentence}"
    assert "expected " in sentence, f"does not say what was expected: {sentence}"
    assert "got " in sentence, f"does not say what it got: {sentence}"
    return sentence


# --- what is valid


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_under_its_own_name_and_survives_a_round_trip(name):
    config = load_preset(name)
    assert config.name == name, f"the preset {name} calls itself {config.name}"
    assert parse_config(dump_config(config), where="dump") == config


def test_the_promised_presets_of_the_masked_family_exist():
    promised = {"digits-masked", "elt-l-8x3", "elt-l-12x2", "elt-xl-7x4", "maskgit-l", "maskgit-xl"}
    promised |= {"digits-video", "elt-video-6x4", "elt-video-6x6", "magvit-l", "emoji-masked"}
    promised |= {"elt-b-6x2", "elt-h-8x4", "elt-g-8x3", "maskgit-b", "maskgit-h", "maskgit-g"}
    assert promised <= set(preset_names()), f"missing: {promised - set(preset_names())}"


counts = st.integers(1, LARGEST_COUNT)
fractions = st.floats(0, 1)
positive = st.floats(0, LARGEST_NUMBER, exclude_min=True)
weights = st.floats(0, LARGEST_NUMBER)
below_one = st.floats(0, 1, exclude_max=True)
# TOML holds any Unicode text but surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(
    st.characters(categories=["L", "N", "S", "P"], exclude_characters='/\\:*?"<>|.'), min_size=1, max_size=20
)


@st.composite
def documents(draw):
    heads = draw(st.integers(1, 99))
    row = draw(st.booleans())
    max_loops = draw(st.integers(1, 9))
    kind = draw(st.sampled_from(["ilsd", "vanilla"] if max_loops > 1 else ["vanilla"]))
    some = {
        "seed": draw(st.integers(0, 2**64 - 1)),
        "data": draw(st.fixed_dictionaries({"name": texts})),
        "tokenizer": draw(
            st.fixed_dictionaries({"patch_size": counts}, optional={"patch_frames": counts, "iterations": counts})
        ),
    }
    kept = draw(st.sets(st.sampled_from(sorted(some))))
    return {
        "name": draw(names),
        **{key: some[key] for key in sorted(kept)},
        "model": {
            "family": "masked",
            "layers": draw(st.integers(1, MOST_LAYERS)),
            "max_loops": max_loops,
            "width": heads * draw(st.integers(1, 99)),
            "heads": heads,
            "mlp_width": draw(counts),
            "grid": draw(st.lists(counts, min_size=1, max_size=4)),
            "codebook_size": draw(counts),
            "classes": draw(counts),
            "unconditional_row": row,
            "layer_norm_epsilon": draw(positive),
            "initial_deviation": draw(positive),
        },
        "objective": {
            "kind": kind,
            "min_loops": draw(st.integers(1, max_loops - 1) if kind == "ilsd" else counts),
            "reduction": draw(st.sampled_from(["mean_per_sample", "sum"])),
            "label_smoothing": draw(below_one),
            "mask_ratio_per": draw(st.sampled_from(["sample", "batch"])),
            "label_drop_rate": draw(fractions) if row else 0.0,
            "label_drop_per": draw(st.sampled_from(["sample", "batch"])),
        },
        "sampling": draw(
            st.fixed_dictionaries(
                {"steps": counts, "guidance_scale": weights if row else st.just(1.0)},
                optional={
                    "loops": counts,
                    "guidance_schedule": st.sampled_from(["constant", "ramp"]),
                    "choice_temperature": weights,
                    "sampling_temperature": st.sampled_from(["plain", "elt"]),
                    "schedule_precision": st.sampled_from(["float64", "float32"]),
                },
            )
        ),
        "training": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "steps": counts,
                    "batch_size": counts,
                    "learning_rate": positive,
                    "schedule": st.sampled_from(["constant", "cosine"]),
                    "warmup_steps": st.integers(0, LARGEST_COUNT),
                    "beta1": below_one,
                    "beta2": below_one,
                    "epsilon": positive,
                    "weight_decay": weights,
                    "gradient_clip": positive,
                    "average_decay": below_one,
                    "dtype": st.sampled_from(["float32", "float64"]),
                    "rematerialise": st.booleans(),
                    "checkpoint_every": counts,
                    "log_every": counts,
                },
            )
        ),
    }


@given(documents())
@settings(deadline=None, max_examples=60)
def test_any_valid_configuration_survives_a_round_trip_through_toml(document):
    config = validate(document, where="drawn")
    text = dump_config(config)
    again = parse_config(text, where="dump")
    assert again == config, f"the round trip changed the configuration: {again} is not {config}"
    assert dump_config(again) == text


def test_what_is_written_in_the_file_is_what_comes_out():
    config = small(training__learning_rate=0.25, objective__reduction="sum")
    assert (config.training.learning_rate, config.objective.reduction) == (0.25, "sum")
    assert config.model.grid == (2, 3)
    assert (config.model.tokens, config.model.vocabulary, config.model.mask_token) == (6, 5 + 2 + 1 + 1, 8)
    assert config.model.unconditional_class == 2


EXPERIMENT_TYPES = {
    "masked": (MaskedExperiment, MaskedModelConfig, type(None)),
    "diffusion": (DiffusionExperiment, DiffusionModelConfig, DiffusionConfig),
    "drifting": (DriftingExperiment, DriftingModelConfig, type(None)),
}


def types_of(config):
    return type(config), type(config.model), type(config.diffusion)


@pytest.mark.parametrize("name", preset_names())
def test_reading_a_preset_chooses_the_type_of_its_family(name):
    config = load_preset(name)
    assert types_of(config) == EXPERIMENT_TYPES[config.model.family]
    assert type(load_preset(name, {"seed": 5})) is type(load_config(name)) is type(config)


@pytest.mark.parametrize(
    ("text", "family"), [(SMALL, "masked"), (SMALL_DIFFUSION, "diffusion"), (SMALL_DRIFTING, "drifting")]
)
def test_every_way_of_reading_chooses_the_type_of_the_family(text, family, tmp_path):
    """A section [model] that names no family is masked."""
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    document = tomllib.loads(text)
    for config in (parse_config(text, where="test"), load_config(file), validate(document, where="test")):
        assert types_of(config) == EXPERIMENT_TYPES[family]
        assert parse_config(dump_config(config), where="test") == config
        assert type(config.model_copy(update={"seed": 5})) is EXPERIMENT_TYPES[family][0]


def test_the_type_changes_no_setting():
    document = tomllib.loads(SMALL)
    config, untyped = validate(document, where="test"), Config.model_validate(document)
    assert dict(config) == dict(untyped)
    assert config.model_fields_set == untyped.model_fields_set
    assert config.model_dump(mode="json") == untyped.model_dump(mode="json")


def test_without_an_unconditional_row_the_vocabulary_is_one_smaller():
    config = small(model__unconditional_row=False, objective__label_drop_rate=0.0)
    assert (config.model.vocabulary, config.model.mask_token) == (5 + 2 + 1, 7)


@pytest.mark.parametrize("section", ["name", "model", "objective", "sampling", "training"])
def test_configurations_are_frozen(section):
    config = small()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, section, None)
    part = getattr(config, section)
    if isinstance(part, BaseModel):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, next(iter(type(part).model_fields)), 1)


def test_a_configuration_can_be_a_key():
    assert hash(small()) == hash(small())


def test_a_student_may_be_missing_in_the_vanilla_objective_only():
    for overrides in ({"model__max_loops": 1}, {"objective__min_loops": 3}, {"objective__min_loops": 99}):
        assert small(objective__kind="vanilla", **overrides).objective.kind == "vanilla"
    for overrides in ({"model.max_loops": 1}, {"objective.min_loops": 3}, {"objective.min_loops": 99}):
        sentence = refusal(overrides)
        assert "objective.min_loops: expected L_min < L_max" in sentence
        assert "vanilla" in sentence, f"the way out is not told: {sentence}"


# --- what is not


@given(
    st.one_of(
        st.sampled_from(
            [
                "",
                ".",
                "..",
                "../../esc",
                "/esc",
                "a/b",
                "a\\b",
                "C:x",
                "~/..",
                "a\0b",
                "a\nb",
                " a",
                "a.",
                "nul",
                "COM1.x",
                "LPT².y",
                "conin$",
            ]
        ),
        st.tuples(st.text(), st.sampled_from('/\\:*?"<>|\0\n\x7f\u2028'), st.text()).map("".join),
        st.text(min_size=101),
    )
)
def test_a_name_that_is_a_path_is_refused(name):
    with pytest.raises(RequestError, match="name: expected 1 to 100 letters that can name a folder, ") as caught:
        parse_config(SMALL, where="small.toml", overrides={"name": name})
    assert "\n" not in str(caught.value)


@given(names)
def test_any_other_name_names_a_folder(name):
    try:
        config = parse_config(SMALL, where="small.toml", overrides={"name": name})
    except RequestError:
        assert name.lower() in {"con", "prn", "aux", "nul", "conin$", "conout$"} or name.lower()[:3] in {"com", "lpt"}
    else:
        assert Path("runs", config.name).parts == ("runs", name)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(
        RequestError, match=r"preset: expected one of .*, got 'digit-masked'; did you mean 'digits-mask"
    ):
        load_preset("digit-masked")
    with pytest.raises(RequestError, match=r"got 'zzzzzz'$"):
        load_config("zzzzzz")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("objectiv", "objective"),
        ("sede", "seed"),
        ("training.stepss", "steps"),
        ("training.lerning_rate", "learning_rate"),
        ("model.max_loop", "max_loops"),
        ("sampling.guidance", "guidance_scale"),
        ("data.nme", "name"),
        ("tokenizer.patchsize", "patch_size"),
    ],
)
def test_an_unknown_key_names_the_nearest(key, meant):
    overrides = {"data.name": "digits", "tokenizer.patch_size": 2, key: 1}
    assert f"{key}: expected one of " in refusal(overrides)
    assert refusal(overrides).endswith(f"got the unknown key '{key.split('.')[-1]}'; did you mean '{meant}'?")


@pytest.mark.parametrize(
    ("key", "value", "got"),
    [
        ("model.max_loops", 2.0, "expected integer, got 2.0"),
        ("model.max_loops", "3", "expected integer, got '3'"),
        ("model.max_loops", True, "expected integer, got True"),
        ("training.steps", 1e3, "got 1000.0"),
        ("training.learning_rate", "fast", "expected number, got 'fast'"),
        ("training.learning_rate", False, "got False"),
        ("model.unconditional_row", 1, "got 1"),
        ("name", 5, "got 5"),
        ("model.grid", 4, "got 4"),
        ("model.grid", [2, 2.5], "model.grid.1: expected integer, got 2.5"),
        ("model", 3, "got 3"),
        ("data", "digits", "data: expected a section, got 'digits'"),
        ("model.grid", [], "model.grid: expected from 1 to "),
        ("training.schedule", "linear", "expected 'constant' or 'cosine', got 'linear'"),
    ],
)
def test_a_wrong_type_is_refused_and_never_coerced(key, value, got):
    sentence = refusal({key: value})
    assert f"{key}" in sentence
    assert got in sentence, sentence


OUT_OF_RANGE = {
    "seed": [-1, 2**64],
    "tokenizer.patch_size": [0, -2],
    "tokenizer.patch_frames": [0, -2],
    "tokenizer.iterations": [0],
    "model.family": ["recurrent"],
    "model.layers": [0, 10_001],
    "model.max_loops": [0, -1],
    "model.width": [0],
    "model.heads": [0, 3],
    "model.mlp_width": [0],
    "model.grid": [[], [0, 2], [2, -1]],
    "model.codebook_size": [0],
    "model.classes": [0],
    "model.layer_norm_epsilon": [0.0, -1e-9],
    "model.initial_deviation": [0.0],
    "objective.kind": ["elt"],
    "objective.min_loops": [0, 3],
    "objective.reduction": ["mean"],
    "objective.label_smoothing": [-0.1, 1.0],
    "objective.mask_ratio_per": ["token"],
    "objective.label_drop_rate": [-0.1, 1.1],
    "objective.label_drop_per": ["epoch"],
    "sampling.steps": [0],
    "sampling.loops": [0],
    "sampling.guidance_scale": [-0.5],
    "sampling.guidance_schedule": ["cosine"],
    "sampling.choice_temperature": [-1.0],
    "sampling.sampling_temperature": ["hot"],
    "sampling.schedule_precision": ["float16"],
    "training.steps": [0],
    "training.batch_size": [0],
    "training.learning_rate": [0.0, -1e-3],
    "training.schedule": ["linear"],
    "training.warmup_steps": [-1],
    "training.beta1": [-0.1, 1.0],
    "training.beta2": [-0.1, 1.0],
    "training.epsilon": [0.0],
    "training.weight_decay": [-0.1],
    "training.gradient_clip": [0.0],
    "training.average_decay": [-0.1, 1.0],
    "training.dtype": ["float16"],
    "training.checkpoint_every": [0],
    "training.log_every": [0],
}


OUT_OF_RANGE_DIFFUSION = {
    "latents.patch_size": [0],
    "latents.channels": [0],
    "model.shape": [[8, 8], [0, 8, 1], [6, 5, 1]],
    "model.patch_size": [0, 3],
    "model.width": [0, 6],
    "model.unconditional_row": [False],
    "model.layer_norm_epsilon": [0.0],
    "model.time_features": [0, 3],
    "model.time_scale": [0.0],
    "diffusion.shift": ["some", "32/0", "32", f"1/{'9' * 400}", f"{'9' * 5000}/1"],
    "diffusion.bias": ["none", "b0"],
    "diffusion.shift_at_noise": ["some", 7.0],
    "diffusion.log_snr_min": [15.0],
    "diffusion.log_snr_max": [-15.0, "high"],
    "diffusion.prediction": ["score"],
    "diffusion.weight_derivative": [1],
    "diffusion.sampler": ["euler"],
    "diffusion.variance": ["medium"],
    "diffusion.variance_fraction": [-0.1, 1.1],
    "diffusion.clip": [0.0],
}


def fields(model=Config, prefix=""):
    """Yield every leaf of a configuration of the masked family: its dotted key and its annotation."""
    for name, field in model.model_fields.items():
        if name == "model":
            yield from fields(MaskedModelConfig, "model.")
            continue
        if name in {"diffusion", "drifting", "latents"}:
            continue
        section = next(
            (
                kind
                for kind in (field.annotation, *get_args(field.annotation))
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            ),
            None,
        )
        if section is not None and get_origin(field.annotation) is not tuple:
            yield from fields(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.annotation


def test_every_constrained_field_is_tried_below():
    free = {"name", "data.name", "model.unconditional_row", "training.rematerialise"}
    assert {key for key, _ in fields()} - free == set(OUT_OF_RANGE)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in OUT_OF_RANGE.items() for value in values])
def test_a_value_out_of_range_is_refused(key, value):
    section, _, _ = key.partition(".")
    sentence = refusal({**({"tokenizer.patch_size": 2} if section == "tokenizer" else {}), key: value})
    assert key.split(".")[-1] in sentence, f"does not say which field: {sentence}"


def test_every_field_of_the_diffusion_family_is_tried_below():
    free = {"model.family", "model.layers", "model.max_loops", "model.heads", "model.mlp_width", "model.classes"}
    sections = {"latents": LatentsConfig, "model": DiffusionModelConfig, "diffusion": DiffusionConfig}
    keys = {f"{section}.{name}" for section, model in sections.items() for name in model.model_fields}
    assert keys - free == set(OUT_OF_RANGE_DIFFUSION)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in OUT_OF_RANGE_DIFFUSION.items() for value in values]
)
def test_a_value_out_of_range_is_refused_in_the_diffusion_family(key, value):
    latents = {"latents.patch_size": 2, "latents.channels": 1} if key.startswith("latents.") else {}
    sentence = refusal({**latents, key: value}, SMALL_DIFFUSION)
    named = {"model.shape": "model.", "diffusion.log_snr_max": "diffusion.log_snr"}.get(key, key)
    assert named in sentence, f"does not say which field: {sentence}"


OUT_OF_RANGE_DRIFTING = {
    "model.shape": [[8, 8], [6, 5, 1]],
    "model.patch_size": [0, 3],
    "model.width": [6],
    "model.unconditional_row": [True],
    "model.layer_norm_epsilon": [0.0],
    "drifting.temperatures": [[], [0.0], [0.1, -1.0]],
    "drifting.classes_per_step": [0, 3],
    "drifting.positives": [0],
    "objective.label_drop_rate": [0.1],
    "sampling.steps": [0, 2],
    "sampling.guidance_scale": [0.0, 3.0],
    "training.batch_size": [2, 7],
}


def test_every_field_of_the_drifting_family_is_tried_below():
    free = {"model.family", "model.layers", "model.max_loops", "model.heads", "model.mlp_width", "model.classes"}
    sections = {"model": DriftingModelConfig, "drifting": DriftingConfig}
    keys = {f"{section}.{name}" for section, model in sections.items() for name in model.model_fields}
    assert keys - free <= set(OUT_OF_RANGE_DRIFTING)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in OUT_OF_RANGE_DRIFTING.items() for value in values]
)
def test_a_value_out_of_range_is_refused_in_the_drifting_family(key, value):
    named = {"model.shape": "model."}.get(key, key)
    assert named in refusal({key: value}, SMALL_DRIFTING)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"diffusion.shift": 0.0, "diffusion.bias": 0.0}, "config.diffusion: expected none in the drifting family"),
        ({"tokenizer.patch_size": 2}, "config.tokenizer: expected none in the drifting family, got one"),
        ({"sampling.steps": 4}, "sampling.steps: expected 1 in the drifting family, which samples in one evaluation"),
        ({"sampling.choice_temperature": 1.0}, "expected its default in the drifting family, got 1.0"),
    ],
)
def test_what_the_drifting_family_has_not(overrides, sentence):
    assert sentence in refusal(overrides, SMALL_DRIFTING)


def test_a_section_for_drifting_belongs_to_it_alone():
    section = {"drifting.classes_per_step": 1, "drifting.positives": 2}
    for text, family in ((SMALL, "masked"), (SMALL_DIFFUSION, "diffusion")):
        assert f"config.drifting: expected none in the {family} family, got one" in refusal(section, text)
    without = SMALL_DRIFTING.replace("[drifting]\nclasses_per_step = 2\npositives = 3\n", "")
    assert "config.drifting: expected a [drifting] section with classes_per_step and" in refusal({}, without)


@pytest.mark.parametrize("key", ["shift", "bias"])
def test_what_the_paper_does_not_say_of_diffusion_has_no_default(key):
    text = SMALL_DIFFUSION.replace(f"{key} = 0.0\n", "")
    assert f"diffusion.{key}: expected a value, got none" in refusal({}, text)


def test_biases_and_shifts_have_names():
    named = {"diffusion.bias": "vdmpp_b2", "diffusion.shift": "32/64"}
    config = parse_config(SMALL_DIFFUSION, where="test", overrides=named)
    assert (config.diffusion.bias, config.diffusion.shift) == (2.0, 2 * math.log(0.5))
    assert parse_config(dump_config(config), where="again") == config
    sentence = refusal({"diffusion.bias": "vdmpp_b3"}, SMALL_DIFFUSION)
    assert "diffusion.bias: expected a number or one of sid2_default_b0, vdmpp_b2, got 'vdmpp_b3'" in sentence
    assert "did you mean" in sentence
    sentence = refusal({"diffusion.shift": "64"}, SMALL_DIFFUSION)
    assert "diffusion.shift: expected a number, none, or noise resolution / image resolution such as 32/64" in sentence


def test_each_family_refuses_the_sections_and_settings_of_the_other():
    assert "diffusion: expected a [diffusion] section with shift and bias" in refusal(
        {}, SMALL_DIFFUSION.split("[diffusion]", maxsplit=1)[0]
    )
    assert "tokenizer: expected none" in refusal({"tokenizer.patch_size": 2}, SMALL_DIFFUSION)
    assert "latents: expected none" in refusal({"latents.patch_size": 2, "latents.channels": 1})
    assert "diffusion: expected none" in refusal({"diffusion.shift": 0.0, "diffusion.bias": 0.0})
    for key, value in {"objective.label_smoothing": 0.1, "sampling.choice_temperature": 1.0}.items():
        assert f"{key}: expected its default" in refusal({key: value}, SMALL_DIFFUSION)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", [key for key, kind in fields() if kind is float])
def test_numbers_that_are_none_are_refused(key, value):
    assert f"got {value}" in refusal({key: value})


def test_heads_divide_the_width():
    assert "expected a divisor of width 4, got 3" in refusal({"model.heads": 3})


@pytest.mark.parametrize(
    "overrides",
    [
        {"objective.label_drop_rate": 0.1},
        {"objective.label_drop_rate": 0.0, "sampling.guidance_scale": 3.0},
        {"objective.label_drop_rate": 0.0, "sampling.guidance_scale": 0.0},
    ],
)
def test_dropped_labels_and_guidance_need_the_unconditional_row(overrides):
    assert "model.unconditional_row: expected true" in refusal({"model.unconditional_row": False, **overrides})


def test_a_missing_value_is_named():
    assert "model.heads: expected a value, got none" in refusal({}, SMALL.replace("heads = 2", ""))
    assert "name: expected a value, got none" in refusal({}, SMALL.replace('name = "small"', ""))


def test_what_is_no_toml_is_refused():
    assert "expected TOML, got " in refusal({}, SMALL + "layers == 2")


def test_an_override_of_what_is_no_section_is_refused():
    assert "expected a section at 'name' of 'name.first', got the value 'small'" in refusal({"name.first": 1})
    assert "expected a section at 'layers'" in refusal({"model.layers.more": 1})


def test_an_override_may_open_a_section():
    assert small(data__name="digits").data.name == "digits"


def test_files(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL, encoding="utf-8")
    assert load_config(path) == small()
    assert load_config(str(path), {"model.layers": 3}).model.layers == 3


def test_files_that_cannot_be_read(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.toml").mkdir()
    for path in (tmp_path / "missing.toml", binary, tmp_path / "folder.toml"):
        with pytest.raises(RequestError, match=r"expected a readable TOML file, got [^\n]+$") as caught:
            load_config(path)
        assert str(path) in str(caught.value)


def test_a_dump_is_plain_toml_with_every_setting():
    document = tomllib.loads(dump_config(small()))
    assert document["training"]["beta2"] == 0.999
    assert "data" not in document, "what is not given must not be written"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sampling.guidance_scale", 1e39),
        ("sampling.guidance_scale", math.nan),
        ("sampling.choice_temperature", 1e300),
        ("sampling.steps", 10**30),
        ("model.width", 10**12),
        ("training.learning_rate", 1e9),
        ("training.batch_size", 10**400),
    ],
)
def test_numbers_at_the_edge_are_refused_in_one_sentence(key, value):
    with pytest.raises(RequestError, match=rf"{key}: expected ") as caught:
        load_preset("digits-masked", {key: value})
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("key", ["shift", "bias", "shift_at_noise", "log_snr_min", "log_snr_max"])
@pytest.mark.parametrize("value", [1e5, -1e5, math.inf])
def test_logarithms_whose_exponentials_overflow_are_refused(key, value):
    with pytest.raises(RequestError, match=rf"diffusion.{key}: expected "):
        load_preset("digits-diffusion", {f"diffusion.{key}": value})


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_of_any_editor(tmp_path, ends, encoding):
    text = dump_config(load_preset("digits-masked"))
    path = tmp_path / "mine.toml"
    path.write_bytes(text.replace("\n", ends).encode(encoding))
    assert load_config(path) == load_preset("digits-masked")


def test_a_file_of_another_encoding_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "mine.toml").write_bytes('name = "grün"\n'.encode("cp1252"))
    with pytest.raises(RequestError, match=r"mine\.toml: expected a readable TOML file, got"):
        load_config(tmp_path / "mine.toml")
