"""Any-time inference: integers, one number a step, early exit."""

import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_config, random_labels, random_parameters, random_tokens

from elt_ref.errors import RequestError
from elt_ref.generation import draw_noise, predict_tokens, sample
from elt_ref.measure import count
from elt_ref.ops import counting, softmax
from elt_ref.schedules import EarlyExit
from elt_ref.streams import stream

CONFIG = make_config(grid=(2, 3), max_loops=3, sampling={"steps": 4})
PARAMETERS = random_parameters(CONFIG)
LABELS = random_labels(CONFIG, 5)


def draw_sample(loops=None, config=CONFIG, **settings_):
    return sample(PARAMETERS, config, LABELS, seed=2, loops=loops, **settings_)


@pytest.mark.parametrize("loops", [1, 3, 7])
def test_an_integer_is_taken_at_every_step_also_above_l_max(loops):
    with counting() as work:
        result = draw_sample(loops)
    assert result.loops_used.tolist() == [[loops] * 5] * 4
    assert work.calls == {"layer": 2 * loops * 4, "head": 4}


def test_the_default_is_that_of_the_configuration_and_then_l_max():
    assert draw_sample().loops_used.max() == 3
    config = make_config(grid=(2, 3), max_loops=3, sampling={"steps": 4, "loops": 2})
    assert draw_sample(config=config).loops_used.tolist() == [[2] * 5] * 4
    assert np.array_equal(draw_sample(config=config).samples, draw_sample(2).samples)


def test_a_sequence_gives_each_step_its_own():
    result = draw_sample([1, 4, 2, 3])
    assert result.loops_used.tolist() == [[1] * 5, [4] * 5, [2] * 5, [3] * 5]
    assert np.array_equal(draw_sample([3, 3, 3, 3]).samples, draw_sample(3).samples)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    assert np.array_equal(draw_sample(2).samples, draw_sample(2).samples)
    assert not np.array_equal(draw_sample(2).samples, sample(PARAMETERS, CONFIG, LABELS, seed=3, loops=2).samples)


def test_the_noise_is_the_same_whatever_the_loops(monkeypatch):
    module = sys.modules["elt_ref.generation.masked_sampler"]
    step_of, noises = module.decode_step, []

    def recorded(logits, tokens, noise, **settings_):
        noises.append(noise)
        return step_of(logits, tokens, noise, **settings_)

    monkeypatch.setattr(module, "decode_step", recorded)
    for loops in (1, 5, [1, 2, 3, 4], EarlyExit(0.1, 6)):
        draw_sample(loops)
    for step in range(4):
        for noise in noises[step::4]:
            assert np.array_equal(noise.tokens, noises[step].tokens)
            assert np.array_equal(noise.confidence, noises[step].confidence)
    assert not np.array_equal(noises[0].tokens, noises[1].tokens), "two steps share their noise"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_noise_comes_from_the_two_named_streams(dtype):
    config = make_config(dtype=dtype)
    noise = draw_noise(config, 7, 2, 3)
    assert np.array_equal(noise.tokens, stream(7, "token_noise", 2).gumbel(size=(3, 4, 5)).astype(dtype))
    assert np.array_equal(noise.confidence, stream(7, "confidence_noise", 2).gumbel(size=(3, 4)).astype(dtype))
    assert noise.tokens.dtype == noise.confidence.dtype == dtype


# Early exit


def exits(tokens, labels, rule, scale=1.0):
    """Return the loops each sample should take, and its logits after them: from separate fixed passes."""
    config, unknown = CONFIG, tokens == CONFIG.model.mask_token

    def logits_after(loops):
        return predict_tokens(PARAMETERS, config, tokens, labels, loops=loops, guidance_scale=scale)[0]

    after = {loops: logits_after(loops) for loops in range(1, rule.max_loops + 1)}
    loops_of = []
    for sample_ in range(len(tokens)):
        taken = rule.max_loops
        for loops in range(2, rule.max_loops + 1):
            distances = np.abs(softmax(after[loops]) - softmax(after[loops - 1]))[sample_].sum(axis=-1) / 2
            if np.mean(distances[unknown[sample_]] if unknown[sample_].any() else [0]) <= rule.threshold:
                taken = loops
                break
        loops_of.append(taken)
    return loops_of, np.stack([after[loops][index] for index, loops in enumerate(loops_of)])


@pytest.mark.parametrize("scale", [1.0, 0.0, 2.5])
@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0.02, 0.6), max_loops=st.integers(1, 6))
@settings(max_examples=9)
def test_each_sample_leaves_on_its_own_with_exactly_the_logits_of_its_loops(scale, seed, threshold, max_loops):
    tokens, rule = random_tokens(CONFIG, 5, seed, unknown=0.6), EarlyExit(threshold, max_loops)
    logits, used = predict_tokens(PARAMETERS, CONFIG, tokens, LABELS, loops=rule, guidance_scale=scale)
    expected_loops, expected_logits = exits(tokens, LABELS, rule, scale)
    assert used.tolist() == expected_loops
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-12, atol=1e-12)


def test_samples_of_a_batch_do_leave_at_different_loops():
    """Otherwise the law above could be that of whole batches."""
    loops, _ = exits(random_tokens(CONFIG, 5, 0, unknown=0.6), LABELS, EarlyExit(0.2, 6))
    assert len(set(loops)) > 2


def test_a_threshold_of_one_leaves_after_two_loops():
    result = draw_sample(EarlyExit(1.0, 6))
    assert result.loops_used.tolist() == [[2] * 5] * 4
    assert np.array_equal(result.samples, draw_sample(2).samples)


def test_a_threshold_of_zero_runs_to_the_most_loops():
    with counting() as work:
        result = draw_sample(EarlyExit(0.0, 6))
    assert result.loops_used.tolist() == [[6] * 5] * 4
    assert work.calls == {"layer": 2 * 6 * 4, "head": 6 * 4}
    assert np.array_equal(result.samples, draw_sample(6).samples)


def test_a_network_that_is_settled_leaves_after_two_loops_at_threshold_zero():
    """Layers without effect: the norm of a normalised state changes nothing from the second loop on."""
    config = make_config()
    parameters = random_parameters(config)
    for layer in parameters["block"]:
        for part in (layer["attention"]["output"], layer["mlp"]["down"]):
            part["weight"][...] = 0
            part["bias"][...] = 0
        for norm in (layer["attention_norm"], layer["mlp_norm"]):
            norm["scale"][...] = 0
            norm["bias"][...] = np.arange(8.0)
    _, used = predict_tokens(
        parameters, config, random_tokens(config, 2), LABELS[:2], loops=EarlyExit(0.0, 9), guidance_scale=1.0
    )
    assert used.tolist() == [2, 2]


def test_a_sample_that_knows_everything_leaves_after_two_loops():
    tokens = random_tokens(CONFIG, 5, 0, unknown=1.0)
    tokens[2] = 0
    _, used = predict_tokens(PARAMETERS, CONFIG, tokens, LABELS, loops=EarlyExit(0.0, 4), guidance_scale=1.0)
    assert used.tolist() == [4, 4, 2, 4, 4]


def test_one_loop_at_most_is_one_loop():
    _, used = predict_tokens(
        PARAMETERS, CONFIG, random_tokens(CONFIG, 5), LABELS, loops=EarlyExit(1.0, 1), guidance_scale=2.0
    )
    assert used.tolist() == [1] * 5


def test_only_the_samples_that_still_move_are_worked_on():
    tokens, rule = random_tokens(CONFIG, 5, 0, unknown=0.6), EarlyExit(0.2, 6)
    loops, _ = exits(tokens, LABELS, rule)
    assert len(set(loops)) > 1
    model, cost = CONFIG.model, count(CONFIG, 1)
    unknown = (tokens == model.mask_token).sum(axis=1)
    head = model.width * (model.width + model.codebook_size)  # for each unknown token
    with counting() as work:
        predict_tokens(PARAMETERS, CONFIG, tokens, LABELS, loops=rule, guidance_scale=1.0)
    assert work.macs == np.dot(loops, cost.looped_macs_per_forward + unknown * head)


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (0, "loops: expected an integer of at least 1, got 0"),
        ("3", "loops: expected an integer of at least 1, got '3'"),
        ([1, 2, 3], "loops: expected one number for each of 4 sampling steps, got 3"),
        ([1, 2, 0, 4], "loops of step 2: expected an integer of at least 1, got 0"),
        ([1, 2, 3, 4.0], "loops of step 3: expected an integer of at least 1, got 4.0"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("as_user")
def test_a_schedule_that_does_not_fit_is_refused_before_anything_is_computed(schedule, sentence):
    with counting() as work, pytest.raises(RequestError, match=f"^{re.escape(sentence)}$"):
        draw_sample(schedule)
    assert work.flops == 0


def test_wrong_labels_and_starts_are_refused_in_a_sentence():
    with pytest.raises(RequestError, match=r"^labels: expected classes in 0…2 or 3 for none, got 7 at position 1$"):
        sample(PARAMETERS, CONFIG, np.array([0, 7]))
    with pytest.raises(RequestError, match=r"^tokens: expected shape \[batch, 6\], got \[2, 5\]$"):
        sample(PARAMETERS, CONFIG, np.array([0, 1]), start=np.zeros((2, 5), int))


@pytest.mark.usefixtures("as_user")
def test_a_start_of_another_batch_is_refused():
    with pytest.raises(RequestError, match=r"^labels: expected shape \[3\], got \[2\]$"):
        sample(PARAMETERS, CONFIG, np.array([0, 1]), start=np.zeros((3, 6), int))


def test_labels_for_none_are_labels():
    assert sample(PARAMETERS, CONFIG, np.array([3, 0])).samples.shape == (2, 6)
