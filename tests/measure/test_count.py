"""The closed formulas of `count` against the work that the ops report, and against the paper's models."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.arrays import tree_leaves
from elt_ref.config import load_preset, validate
from elt_ref.errors import RequestError
from elt_ref.generation import sample
from elt_ref.measure import count, forwards_per_sample, parameter_count
from elt_ref.model import forward, init_parameters
from elt_ref.ops import counting


def build(sampling=None, **model):
    sizes = {
        "layers": 2,
        "max_loops": 3,
        "width": 6,
        "heads": 2,
        "mlp_width": 5,
        "grid": [2, 3],
        "codebook_size": 7,
        "classes": 2,
    }
    document = {
        "name": "small",
        "model": {**sizes, **model},
        "objective": {"kind": "vanilla"},
        "sampling": sampling or {},
    }
    return validate(document, where="test")


@st.composite
def configs(draw):
    heads = draw(st.integers(1, 3))
    return build(
        layers=draw(st.integers(1, 3)),
        max_loops=draw(st.integers(1, 4)),
        heads=heads,
        width=heads * draw(st.integers(1, 4)),
        mlp_width=draw(st.integers(1, 9)),
        grid=draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)),
        codebook_size=draw(st.integers(1, 7)),
        classes=draw(st.integers(1, 4)),
    )


@given(configs(), st.integers(1, 6))
@settings(deadline=None, max_examples=24)
def test_a_forward_pass_costs_to_the_digit_what_is_counted(config, loops):
    parameters = init_parameters(config)
    with counting() as work:
        forward(parameters, config, np.zeros((1, config.model.tokens), np.int64), np.zeros(1, np.int64), loops=loops)
    counted = count(config, loops)
    assert counted.macs_per_forward == work.macs
    assert counted.flops_per_forward == work.flops
    assert counted.layer_calls == work.calls["layer"] == config.model.layers * loops
    assert work.calls["head"] == 1


@given(configs(), st.integers(1, 50))
@settings(deadline=None, max_examples=18)
def test_the_cost_is_affine_in_the_loops(config, loops):
    at = [count(config, loops + more) for more in range(3)]
    for name in ("macs_per_forward", "flops_per_forward", "flops_per_sample", "layer_calls", "looped_macs_per_sample"):
        first, second, third = (getattr(counted, name) for counted in at)
        assert third - second == second - first > 0, f"{name} is not affine in L: {first}, {second}, {third}"
    for name in ("looped_parameters", "total_parameters"):
        assert len({getattr(counted, name) for counted in at}) == 1, f"{name} depends on the loops"


@given(configs())
@settings(deadline=None, max_examples=18)
def test_parameters_are_counted_without_making_them(config):
    parameters = init_parameters(config)
    counted = count(config)
    assert counted.total_parameters == sum(leaf.size for leaf in tree_leaves(parameters))
    assert counted.looped_parameters == sum(leaf.size for leaf in tree_leaves(parameters["block"]))
    assert parameter_count(config, "head.") == sum(leaf.size for leaf in tree_leaves(parameters["head"]))


@pytest.mark.parametrize(
    ("scale", "schedule", "expected"),
    [
        (1.0, "constant", 5),
        (0.0, "constant", 5),
        (3.0, "constant", 10),
        (1.0, "ramp", 5),
        (3.0, "ramp", 9),  # the first step is conditional
        (0.0, "ramp", 8),  # and the last is unconditional
    ],
)
def test_a_guided_step_takes_two_passes(scale, schedule, expected):
    config = build({"steps": 5, "guidance_scale": scale, "guidance_schedule": schedule})
    assert forwards_per_sample(config) == count(config).forwards_per_sample == expected


@given(
    configs(),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.sampled_from(["constant", "ramp"]),
)
@settings(deadline=None, max_examples=18)
def test_a_sample_costs_to_the_digit_what_is_counted(config, loops, steps, scale, schedule):
    config = build(
        {"steps": steps, "guidance_scale": scale, "guidance_schedule": schedule}, **config.model.model_dump()
    )
    with counting() as work:
        sample(init_parameters(config), config, np.zeros(1, np.int64), loops=loops)
    counted = count(config, loops)
    assert counted.macs_per_sample == work.macs
    assert counted.flops_per_sample == work.flops
    assert work.calls["layer"] == steps * counted.layer_calls, "both branches of guidance go through in one batch"


@given(configs(), st.integers(1, 6))
@settings(deadline=None, max_examples=18)
def test_looping_multiplies_the_arithmetic_of_a_fetched_byte(config, loops):
    """Against as many layers that are not looped; and a parameter is four bytes."""
    looped = count(config, loops)
    model = config.model.model_dump()
    unlooped = count(build(**model | {"layers": model["layers"] * loops, "max_loops": 1}))
    assert unlooped.looped_macs_per_forward == looped.looped_macs_per_forward
    assert math.isclose(looped.arithmetic_intensity, loops * unlooped.arithmetic_intensity)
    assert math.isclose(looped.arithmetic_intensity * 4 * looped.looped_parameters, 2 * looped.looped_macs_per_forward)


def test_loops_are_those_of_sampling_and_else_the_models():
    assert count(build()).loops == 3
    assert count(build({"loops": 5})).loops == 5
    assert count(build({"loops": 5}), 2).loops == 2


@pytest.mark.parametrize("loops", [0, -1])
def test_loops_below_one(loops):
    with pytest.raises(RequestError, match=f"loops: expected an integer of at least 1, got {loops}"):
        count(build(), loops)


# --- the paper's models, computed here once more by hand

LAYERS_AND_MILLIONS = {
    "elt-l-8x3": (8, 3, 1024, 100.77),
    "elt-l-12x2": (12, 2, 1024, 151.15),
    "elt-xl-7x4": (7, 4, 1152, 111.58),
    "maskgit-l": (24, 1, 1024, 302.31),
    "maskgit-xl": (28, 1, 1152, 446.33),
}


@pytest.mark.parametrize("name", LAYERS_AND_MILLIONS)
def test_parameters_of_the_papers_models(name):
    layers, loops, d, millions = LAYERS_AND_MILLIONS[name]
    counted = count(load_preset(name))
    assert (counted.layers, counted.loops) == (layers, loops)
    looped = layers * (12 * d * d + 13 * d)
    assert counted.looped_parameters == looped
    assert round(looped / 1e6, 2) == millions
    # Rows for 1024 codes, 1000 classes, no class, the mask; 257 positions; and the head with its codebook bias.
    embedding = (1024 + 1000 + 1 + 1) * d + 257 * d + 2 * d
    head = d * d + d + 2 * d + 1024
    assert counted.total_parameters == embedding + looped + head


@pytest.mark.parametrize(
    ("name", "layers", "loops", "steps", "looped_millions", "millions", "giga_a_forward", "giga_a_sample"),
    [
        ("elt-video-6x4", 6, 4, 12, 75.58, 78.84, 361.180, 4334),
        ("elt-video-6x6", 6, 6, 24, 75.58, 78.84, 541.770, 13002),
        ("magvit-l", 24, 1, 12, 302.31, 305.57, 361.180, 4334),
    ],
)
def test_the_papers_video_models(name, layers, loops, steps, looped_millions, millions, giga_a_forward, giga_a_sample):
    counted = count(load_preset(name))
    assert (counted.layers, counted.loops, counted.forwards_per_sample) == (layers, loops, steps)
    d, n = 1024, 4 * 16 * 16 + 1
    looped = layers * (12 * d * d + 13 * d)
    # Rows for 1024 codes, 101 classes, no class, the mask; 1025 positions; and the head with its codebook bias.
    outside = (1024 + 101 + 1 + 1) * d + n * d + 2 * d + d * d + d + 2 * d + 1024
    assert (counted.looped_parameters, counted.total_parameters) == (looped, looped + outside)
    assert (round(looped / 1e6, 2), round((looped + outside) / 1e6, 2)) == (looped_millions, millions)
    forward = layers * loops * (n * 12 * d * d + 2 * n * n * d)
    assert counted.looped_macs_per_forward == forward
    assert round(forward / 1e9, 3) == giga_a_forward
    assert round(counted.looped_macs_per_sample / 1e9) == giga_a_sample


@pytest.mark.parametrize(
    ("name", "giga_a_forward", "giga_a_sample"),
    [
        ("elt-l-8x3", 80.858, 3881),
        ("elt-l-12x2", 80.858, 3881),
        ("maskgit-l", 80.858, 3881),
        ("elt-xl-7x4", 118.859, 5705),
        ("maskgit-xl", 118.859, 5705),
    ],
)
def test_multiply_adds_of_the_papers_models(name, giga_a_forward, giga_a_sample):
    counted = count(load_preset(name))
    assert counted.forwards_per_sample == 48
    assert round(counted.looped_macs_per_forward / 1e9, 3) == giga_a_forward
    assert round(counted.looped_macs_per_sample / 1e9) == giga_a_sample


BASELINES = {
    "elt-l-8x3": "maskgit-l",
    "elt-l-12x2": "maskgit-l",
    "elt-xl-7x4": "maskgit-xl",
    "elt-video-6x4": "magvit-l",
}


def test_the_looped_models_cost_what_their_baselines_cost():
    for looped, baseline in BASELINES.items():
        ours, theirs = count(load_preset(looped)), count(load_preset(baseline))
        assert ours.flops_per_sample == theirs.flops_per_sample
        assert ours.layer_calls == theirs.layer_calls
        assert math.isclose(theirs.looped_parameters / ours.looped_parameters, ours.loops)
