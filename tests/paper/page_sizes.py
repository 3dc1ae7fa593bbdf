"""The pages at any size: which setting each constant of a page is, and hypothesis strategies of small networks."""

from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from hypothesis import strategies as st
from networks import random_labels, random_parameters

from elt_ref.arrays import tree_items
from elt_ref.config import Experiment, load_preset, validate
from elt_ref.objective import Batch
from elt_ref.paper import diffusion, drifting, masked

PAGES = {"masked": masked, "diffusion": diffusion, "drifting": drifting}
FAMILIES = list(PAGES)
PRESETS = {family: load_preset(f"digits-{family}") for family in FAMILIES}


def constants(config: Experiment) -> dict[str, Any]:
    """Return the constants of a page that a configuration sets: all but the number of training steps."""
    model, training = config.model, config.training
    all_have = {
        "BATCH_SIZE": training.batch_size,
        "LEARNING_RATE": training.learning_rate,
        "WARMUP_STEPS": training.warmup_steps,
        "BETA1": training.beta1,
        "BETA2": training.beta2,
        "ADAM_EPSILON": training.epsilon,
        "GRADIENT_CLIP": training.gradient_clip,
        "AVERAGE_DECAY": training.average_decay,
    }
    if model.family == "drifting":
        return all_have | {
            "LAYERS": model.layers,
            "TEMPERATURES": config.drifting.temperatures,
            "CLASSES_PER_STEP": config.drifting.classes_per_step,
            "POSITIVES": config.drifting.positives,
        }
    both = (
        all_have
        | constants_of_network(model)
        | {"LABEL_DROP_RATE": config.objective.label_drop_rate, "SAMPLING_STEPS": config.sampling.steps}
    )
    if model.family == "masked":
        return both | {
            "TOKENS": model.tokens,
            "CODES": model.codebook_size,
            "INITIAL_DEVIATION": model.initial_deviation,
            "WEIGHT_DECAY": training.weight_decay,
            "CHOICE_TEMPERATURE": config.sampling.choice_temperature,
        }
    return both | {
        "TIME_FEATURES": model.time_features,
        "TIME_SCALE": model.time_scale,
        "LOG_SNR_MIN": config.diffusion.log_snr_min,
        "LOG_SNR_MAX": config.diffusion.log_snr_max,
        "LOG_SNR_SHIFT": config.diffusion.shift,
        "WEIGHT_BIAS": config.diffusion.bias,
    }


def constants_of_network(model: Any) -> dict[str, Any]:
    """Return the constants of a network; those of drifting, but for the layers, stand on the page of diffusion."""
    sizes = {
        "LAYERS": model.layers,
        "MAX_LOOPS": model.max_loops,
        "WIDTH": model.width,
        "HEADS": model.heads,
        "MLP_WIDTH": model.mlp_width,
        "CLASSES": model.classes,
        "NORM_EPSILON": model.layer_norm_epsilon,
    }
    return sizes if model.family == "masked" else sizes | {"SHAPE": model.shape, "PATCH_SIZE": model.patch_size}


@contextmanager
def page_of(config: Experiment):
    """The family's page, in the sizes of the configuration."""
    page = PAGES[config.model.family]
    network = (
        mock.patch.multiple(diffusion, **constants_of_network(config.model)) if page is drifting else nullcontext()
    )
    with mock.patch.multiple(page, **constants(config)), network:
        yield page


class Example(NamedTuple):
    config: Experiment
    parameters: Any
    batch: Batch
    random: np.random.Generator

    def page(self):
        """The family's page, in the sizes of the configuration."""
        return page_of(self.config)


@st.composite
def examples(draw: Any, family: str) -> Example:
    """Draw a preset in other sizes, in float64, with parameters far from their start and a batch to learn from."""
    preset, heads, batch = PRESETS[family].model_dump(), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    model = {
        "layers": draw(st.integers(1, 3)),
        "max_loops": draw(st.integers(2, 4)),
        "heads": heads,
        "mlp_width": draw(st.integers(1, 12)),
        "classes": draw(st.integers(1, 4)),
    }
    training = {
        "dtype": "float64",
        "batch_size": batch,
        "steps": draw(st.integers(5, 9)),
        "warmup_steps": draw(st.integers(1, 9)),
        # A gradient that is zero but for rounding, as of a key's bias, moves its parameter by rounding / ε.
        "epsilon": 1e-3,
    }
    settings = {"model": model, "training": training}
    if family != "drifting":
        settings["sampling"] = {"steps": draw(st.integers(1, 5))}
    if family == "masked":
        model["width"] = heads * draw(st.integers(4 if heads == 1 else 2, 4))
        model["grid"] = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        model["codebook_size"] = draw(st.integers(2, 20))
    else:
        size = model["patch_size"] = draw(st.integers(1, 3))
        model["width"] = 4 * heads * draw(st.integers(1, 2))
        model["shape"] = (size * draw(st.integers(1, 3)), size * draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    if family == "diffusion":
        model["time_features"] = 2 * draw(st.integers(1, 4))
        settings["diffusion"] = {
            "shift": draw(st.sampled_from([0.0, -1.5, 0.5])),
            "bias": draw(st.sampled_from([0.0, 2.0])),
        }
    if family == "drifting":
        classes, positives = draw(st.integers(1, model["classes"])), draw(st.integers(2, 5))
        temperatures = draw(st.lists(st.sampled_from([0.05, 0.2, 1.0]), min_size=1, max_size=3, unique=True))
        settings["drifting"] = {"classes_per_step": classes, "positives": positives, "temperatures": temperatures}
        training["batch_size"] = classes * draw(st.integers(2, 4))
    config = validate(preset | {name: preset[name] | settings[name] for name in settings}, where="test")
    seed = draw(st.integers(0, 2**32 - 1))
    random, model = np.random.default_rng(seed), config.model
    if family == "masked":
        learned = random.integers(model.codebook_size, size=(batch, model.tokens))
    else:
        learned = random.standard_normal((batch, *model.shape))
    labels = random_labels(config, batch, seed)
    if family == "drifting":
        learned, labels = random.standard_normal((classes, positives, *model.shape)), labels[:1].repeat(classes)
    return Example(config, random_parameters(config, seed), Batch(learned, labels), random)


def equal_to_1e_11(got: Any, expected: Any) -> None:
    """Compare arrays or trees of arrays; the tolerance goes by the largest value of all."""
    got, expected = dict(tree_items(got)), dict(tree_items(expected))
    assert got.keys() == expected.keys()
    size = max(np.abs(leaf).max() for leaf in expected.values())
    for name, leaf in expected.items():
        np.testing.assert_allclose(got[name], leaf, rtol=1e-11, atol=1e-11 * size, err_msg=name)
