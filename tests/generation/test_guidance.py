"""u + s (c − u): the form, its two ends to the bit, and the price."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import examples, make_config, random_labels, random_parameters, random_tokens

from elt_ref.generation import branches, guide, predict_tokens, sample
from elt_ref.model import forward, run
from elt_ref.model.masked import MASKED_NETWORK
from elt_ref.ops import counting

scales = st.floats(-2, 10)


def none_of(example):
    return np.full_like(example.labels, example.config.model.unconditional_class)


def guided(example, scale, loops=2):
    return predict_tokens(
        example.parameters, example.config, example.tokens, example.labels, loops=loops, guidance_scale=scale
    )


def predicted(example, labels, loops):
    """Return the prediction for the unknown tokens, and zeros for the others."""
    wanted = example.tokens == example.config.model.mask_token
    inputs = (example.tokens, labels)
    return run(MASKED_NETWORK, example.parameters, example.config, inputs, exits=[loops], wanted=wanted)[0]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=4), scales)
def test_the_formula_and_its_other_form(pairs, scale):
    conditional, unconditional = np.array(pairs).T
    result = guide(conditional, unconditional, scale)
    np.testing.assert_allclose(result, scale * conditional + (1 - scale) * unconditional, atol=1e-12)
    extra = scale - 1
    np.testing.assert_allclose(result, (1 + extra) * conditional - extra * unconditional, atol=1e-12)


@given(examples(), st.integers(1, 3))
@settings(max_examples=6)
def test_scale_one_is_the_conditional_prediction_to_the_bit(example, loops):
    assert np.array_equal(guided(example, 1.0, loops)[0], predicted(example, example.labels, loops))


@given(examples(), st.integers(1, 3))
@settings(max_examples=6)
def test_scale_zero_is_the_unconditional_prediction_to_the_bit(example, loops):
    assert np.array_equal(guided(example, 0.0, loops)[0], predicted(example, none_of(example), loops))


@given(examples(dtypes=("float64",)), st.sampled_from([-1.0, 0.5, 2.0, 7.5]))
@settings(max_examples=9)
def test_any_other_scale_is_the_formula_with_both_predictions_of_as_many_loops(example, scale):
    conditional, unconditional = (
        forward(example.parameters, example.config, example.tokens, labels, loops=3)
        for labels in (example.labels, none_of(example))
    )
    logits, used = guided(example, scale, 3)
    unknown = example.tokens == example.config.model.mask_token
    expected = unconditional + scale * (conditional - unconditional)
    np.testing.assert_allclose(logits[unknown], expected[unknown], rtol=1e-9, atol=1e-10)
    assert used.tolist() == [3] * len(example.labels)


@given(examples(dtypes=("float32",)), st.sampled_from([0.0, 1.0, 2.5]))
@settings(max_examples=6)
def test_guidance_keeps_float32(example, scale):
    assert guided(example, scale)[0].dtype == np.float32


def test_the_ends_cost_one_forward_pass_and_the_rest_two():
    config = make_config(layers=2)
    work = {}
    for scale in (1.0, 0.0, 3.0):
        with counting() as work[scale]:
            predict_tokens(
                random_parameters(config),
                config,
                random_tokens(config, 3),
                random_labels(config, 3),
                loops=4,
                guidance_scale=scale,
            )
        assert work[scale].calls == {"layer": 8, "head": 1}
    assert work[1.0].macs == work[0.0].macs
    assert work[3.0].macs == 2 * work[1.0].macs
    assert [branches(scale) for scale in (1.0, 0.0, 3.0)] == [1, 1, 2]


def sampled(**sampling):
    config = make_config(grid=(2, 3), sampling={"steps": 3} | sampling)
    return sample(random_parameters(config), config, random_labels(config, 4), seed=1).samples


@pytest.mark.parametrize(
    ("sampling", "scales_of_steps"),
    [
        ({}, [1, 1, 1]),
        ({"guidance_scale": 6.0}, [6, 6, 6]),
        ({"guidance_scale": 6.0, "guidance_schedule": "ramp"}, [1, 3.5, 6]),
    ],
)
def test_sampling_is_guided_by_its_settings(monkeypatch, sampling, scales_of_steps):
    module, used = sys.modules["elt_ref.generation.masked_sampler"], []

    def recorded(*arguments, guidance_scale, **settings_):
        used.append(guidance_scale)
        return predict_tokens(*arguments, guidance_scale=guidance_scale, **settings_)

    monkeypatch.setattr(module, "predict_tokens", recorded)
    sampled(**sampling)
    assert used == scales_of_steps


def test_guidance_that_is_strong_changes_what_is_sampled():
    assert not np.array_equal(sampled(guidance_scale=40.0), sampled())


def test_the_price_of_a_ramp_is_one_conditional_step_and_two_branches_after_it():
    def macs(**sampling):
        with counting() as work:
            sampled(**sampling)
        return work.macs

    # Steps differ in how many tokens they predict: the first predicts all of them, the last few.
    first = macs(steps=1)
    assert macs(guidance_scale=6.0) == 2 * macs()
    assert macs(guidance_scale=6.0, guidance_schedule="ramp") == 2 * macs() - first
    assert macs() < 3 * first
    assert macs() < macs(guidance_scale=0.0, guidance_schedule="ramp") < macs() + first


def test_scale_zero_samples_without_the_label():
    config = make_config(grid=(2, 3), sampling={"guidance_scale": 0.0})
    parameters = random_parameters(config)
    one, other = (sample(parameters, config, np.array([label, label])).samples for label in (0, 1))
    assert np.array_equal(one, other)
