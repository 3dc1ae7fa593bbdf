"""E1: one step of parallel decoding, and whole decodings by networks whose answers are known."""

import numpy as np
import pytest
from generation.scalar_decoder import decode_row
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_config, random_labels, random_parameters, random_tokens

from elt_ref.config import SamplingConfig
from elt_ref.generation import DecodeNoise, decode, decode_step, draw_noise, sample
from elt_ref.model import Embedded
from elt_ref.model.masked import MASKED_NETWORK
from elt_ref.schedules import mask_lengths
from elt_ref.streams import stream

CODES, MASK = 5, 9
seeds = st.integers(0, 2**32 - 1)
samplings = st.builds(
    SamplingConfig,
    choice_temperature=st.sampled_from([0.0, 1.0, 4.5]),
    sampling_temperature=st.sampled_from(["plain", "elt"]),
)


class Step:
    """Arguments of a decoding step."""

    def __init__(self, seed=0, *, batch=3, tokens=6, steps=4, step=1, unknown=0.7, **sampling):
        generator = np.random.default_rng(seed)
        self.logits = 2 * generator.standard_normal((batch, tokens, CODES))
        codes = generator.integers(CODES, size=(batch, tokens))
        self.tokens = np.where(generator.random((batch, tokens)) < unknown, MASK, codes)
        self.noise = DecodeNoise(generator.gumbel(size=self.logits.shape), generator.gumbel(size=codes.shape))
        self.start = (self.tokens == MASK).sum(axis=1) + generator.integers(3, size=batch)
        self.step, self.steps, self.sampling = step, steps, SamplingConfig(**sampling)

    def run(self, **changes):
        arguments = {
            name: getattr(self, name) for name in ("logits", "tokens", "noise", "step", "steps", "start", "sampling")
        }
        return decode_step(**(arguments | {"mask_token": MASK} | changes))


@given(seeds, st.integers(1, 6), st.data(), samplings)
@settings(max_examples=80)
def test_a_step_agrees_with_the_scalar_version(seed, steps, data, sampling):
    step = data.draw(st.integers(0, steps - 1))
    given_ = Step(seed, steps=steps, step=step, unknown=data.draw(st.sampled_from([0.0, 0.3, 1.0])))
    tokens, answer = given_.run(sampling=sampling)
    for row in range(len(tokens)):
        expected = decode_row(
            given_.logits[row].tolist(),
            given_.tokens[row].tolist(),
            given_.noise.tokens[row].tolist(),
            given_.noise.confidence[row].tolist(),
            step=step,
            steps=steps,
            start=int(given_.start[row]),
            mask_token=MASK,
            sampling=sampling,
        )
        assert (tokens[row].tolist(), answer[row].tolist()) == expected, f"row {row}"


@given(seeds, st.integers(1, 6), st.data())
@settings(max_examples=60)
def test_known_tokens_never_change_and_exactly_the_prescribed_number_is_masked(seed, steps, data):
    given_ = Step(seed, steps=steps, step=data.draw(st.integers(0, steps - 1)))
    known = given_.tokens != MASK
    tokens, answer = given_.run()
    assert np.array_equal(tokens[known], given_.tokens[known])
    assert np.array_equal(answer[known], given_.tokens[known])
    assert not (answer == MASK).any()
    lengths = mask_lengths(given_.start, (~known).sum(axis=1), step=given_.step, steps=steps, precision="float64")
    assert (tokens == MASK).sum(axis=1).tolist() == lengths.tolist()
    kept = tokens != MASK
    assert np.array_equal(tokens[kept], answer[kept]), "a token that stays is that of the answer"


def test_the_mask_rule_of_float32_reaches_the_step():
    wide = Step(batch=1, tokens=256, unknown=1.0, steps=3, step=1)
    for precision, masked in (("float64", 128), ("float32", 127)):
        tokens, _ = wide.run(start=np.array([256]), sampling=SamplingConfig(schedule_precision=precision))
        assert (tokens == MASK).sum() == masked


def test_of_equal_confidences_the_first_are_masked():
    equal = Step(batch=1, tokens=8, unknown=1.0, steps=4, step=1)
    still = DecodeNoise(np.zeros((1, 8, CODES)), np.zeros((1, 8)))
    tokens, _ = equal.run(logits=np.zeros((1, 8, CODES)), noise=still, start=np.array([8]))
    assert (tokens == MASK).tolist() == [[True] * 5 + [False] * 3]


def test_the_most_confident_tokens_are_kept():
    sharpness = np.array([3.0, 0.1, 2.0, 0.2, 5.0, 0.3])
    logits = np.zeros((1, 6, CODES))
    logits[0, :, 2] = sharpness
    still = DecodeNoise(np.zeros(logits.shape), np.zeros((1, 6)))
    tokens, answer = Step(batch=1).run(
        logits=logits, tokens=np.full((1, 6), MASK), noise=still, step=1, steps=3, start=np.array([6])
    )
    assert answer.tolist() == [[2] * 6]
    assert tokens.tolist() == [[2, MASK, 2, MASK, 2, MASK]]


@given(seeds)
@settings(max_examples=20)
def test_choice_noise_is_off_at_the_last_step(seed):
    last = Step(seed, steps=4, step=3)
    loud = last.noise._replace(confidence=1e6 * last.noise.confidence[::-1])
    for one, other in zip(last.run(), last.run(noise=loud), strict=True):
        assert np.array_equal(one, other)


def test_choice_noise_decides_before_the_last_step_with_a_share_that_falls_linearly():
    """One token is surer by 1 nat; noise against it of just over 1/(τ (1 − (k + 1)/K)) turns the choice."""
    logits = np.log(np.array([[[1 - np.exp(-1), np.exp(-1)], [1 - np.exp(-2), np.exp(-2)]]]))
    for step in range(3):
        share = 4.5 * (1 - (step + 1) / 4)
        gap = np.log(1 - np.exp(-2)) - np.log(1 - np.exp(-1))
        for factor, masked in ((0.99, 0), (1.01, 1)):
            noise = DecodeNoise(np.zeros((1, 2, 2)), np.array([[factor * gap / share, 0.0]]))
            tokens, _ = decode_step(
                logits,
                np.full((1, 2), MASK),
                noise,
                step=step,
                steps=4,
                start=np.array([2]),
                mask_token=MASK,
                sampling=SamplingConfig(choice_temperature=4.5),
            )
            assert np.flatnonzero(tokens[0] == MASK).tolist() == [masked], f"step {step}, noise {factor} of the gap"


def test_confidence_is_of_the_untempered_prediction():
    """Untempered, the first token (0.60 against one rival) is surer than the second (0.55 against forty-five of 0.01).

    At the temperature ½ of the last step, probabilities squared, the second would be: 0.98 against 0.69.
    """
    probabilities = np.full((1, 2, 46), 1e-30)
    probabilities[0, 0, :2] = 0.6, 0.4
    probabilities[0, 1] = [0.55, *[0.01] * 45]
    tokens, answer = decode_step(
        np.log(probabilities),
        np.full((1, 2), 99),
        DecodeNoise(np.zeros((1, 2, 46)), np.zeros((1, 2))),
        step=3,
        steps=4,
        start=np.array([2]),
        mask_token=99,
        sampling=SamplingConfig(sampling_temperature="elt"),
    )
    assert answer.tolist() == [[0, 0]]
    assert tokens.tolist() == [[0, 99]]


@pytest.mark.parametrize(("preset", "sampled"), [("plain", 0), ("elt", 1)])
def test_sampling_is_tempered(preset, sampled):
    """Logits 0 and 1 with noise 1.5 and 0: sums 1.5 and 1 as they are, 1.5 and 2 at the temperature ½."""
    _, answer = decode_step(
        np.array([[[0.0, 1.0]]]),
        np.array([[MASK]]),
        DecodeNoise(np.array([[[1.5, 0.0]]]), np.zeros((1, 1))),
        step=3,
        steps=4,
        start=np.array([1]),
        mask_token=MASK,
        sampling=SamplingConfig(sampling_temperature=preset),
    )
    assert answer.tolist() == [[sampled]]


@pytest.mark.parametrize(("preset", "temperature"), [("plain", 1.0), ("elt", 0.5 + 0.8 * 0.5)])
def test_samples_are_distributed_as_the_tempered_softmax(preset, temperature):
    """Chi-square of 4 degrees of freedom below 33.38: a right sampler fails for one seed in a million."""
    rows, logits = 8000, np.array([0.0, 1.0, -1.0, 0.5, 2.0])
    noise = DecodeNoise(stream(0, "token_noise").gumbel(size=(rows, 1, CODES)), np.zeros((rows, 1)))
    _, answer = decode_step(
        np.tile(logits, (rows, 1, 1)),
        np.full((rows, 1), MASK),
        noise,
        step=1,
        steps=4,
        start=np.ones(rows, int),
        mask_token=MASK,
        sampling=SamplingConfig(sampling_temperature=preset),
    )
    powers = np.exp(logits / temperature)
    expected = rows * powers / powers.sum()
    counts = np.bincount(answer[:, 0], minlength=CODES)
    assert ((counts - expected) ** 2 / expected).sum() < 33.38


# Whole decodings


@given(seeds, st.integers(1, 5), st.sampled_from([1.0, 0.4, 0.0]), st.sampled_from(["plain", "elt"]))
@settings(max_examples=20)
def test_a_decoding_keeps_what_it_was_given_and_ends_without_a_mask(seed, steps, unknown, temperature):
    config = make_config(grid=(2, 3), sampling={"steps": steps, "sampling_temperature": temperature})
    start = random_tokens(config, 3, seed, unknown=unknown)
    known = start != config.model.mask_token
    labels = random_labels(config, 3)
    states = list(
        decode(random_parameters(config), config, labels, lambda step: draw_noise(config, seed, step, 3), start=start)
    )
    assert len(states) == steps
    for before, after in zip([start, *[state.tokens for state in states]], states, strict=False):
        settled = before != config.model.mask_token
        assert np.array_equal(after.tokens[settled], before[settled]), "a settled token changed"
    beginning = unknown_left = (~known).sum(axis=1)
    for step, state in enumerate(states):
        unknown_left = mask_lengths(beginning, unknown_left, step=step, steps=steps, precision="float64")
        masked = (state.tokens == config.model.mask_token).sum(axis=1)
        assert masked.tolist() == unknown_left.tolist(), f"masked after step {step}"
    final = states[-1].answer
    assert np.array_equal(final[known], start[known]), "a token that was given changed"
    assert ((final >= 0) & (final < config.model.codebook_size)).all(), "the answer holds a mask or a label"


def test_the_result_is_the_last_answer_and_not_the_running_tokens():
    config = make_config(grid=(2, 3))
    parameters, labels = random_parameters(config), random_labels(config, 3)
    states = list(decode(parameters, config, labels, lambda step: draw_noise(config, 3, step, 3)))
    result = sample(parameters, config, labels, seed=3)
    assert np.array_equal(result.samples, states[-1].answer)
    assert (states[-1].tokens == config.model.mask_token).any()


def test_a_decoding_of_one_step_answers_at_once():
    config = make_config(sampling={"steps": 1})
    result = sample(random_parameters(config), config, random_labels(config, 2))
    assert result.samples.shape == (2, 4)
    assert (result.samples < config.model.codebook_size).all()


@given(seeds)
@settings(max_examples=10)
def test_a_network_that_is_sure_decodes_to_its_answer(seed):
    config = make_config(grid=(3, 3), sampling={"steps": 5})
    answer = random_tokens(config, 4, seed, unknown=0)

    logits = 1000.0 * np.eye(config.model.codebook_size)[answer]
    sure_network = MASKED_NETWORK._replace(
        embed=lambda _parameters, _model, tokens, _labels: Embedded(np.zeros((len(tokens), 1, 1)), [None], None),
        layer=lambda _tree, x, **_: x,
        head=lambda _tree, _model, _state, **_: logits.copy(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("elt_ref.generation.masked_sampler.MASKED_NETWORK", sure_network)
        result = sample({}, config, random_labels(config, 4), seed=seed, loops=2)
    assert np.array_equal(result.samples, answer)
