"""With the same parameters and draws, in float64 and at any size, a page and the package compute the same numbers."""

import numpy as np
import pytest
from autograd import grad
from autograd.misc import flatten
from hypothesis import given, settings
from hypothesis import strategies as st
from page_sizes import FAMILIES, equal_to_1e_11, examples

import elt_ref
from elt_ref.generation import DecodeNoise, decode, decode_step, denoise, denoise_step, generate
from elt_ref.objective import Batch, draw, drift_field, drop_labels, mask_tokens
from elt_ref.paper import masked
from elt_ref.schedules import log_snr, masked_count
from elt_ref.training import Moments, TrainState, loss_and_gradient, train_step, zero_moments
from elt_ref.training.step import CORRUPTIONS

every_family = pytest.mark.parametrize("family", FAMILIES)


def inputs_of(example):
    """Return what the network reads: some tokens masked, noisy pictures, or noise; and some labels missing."""
    config, batch, random = example.config, example.batch, example.random
    if config.model.family == "drifting":
        return draw(config, 0).noise, random.integers(config.model.classes, size=config.training.batch_size)
    labels = np.where(random.random(len(batch.labels)) < 0.3, config.model.classes, batch.labels)
    if config.model.family == "masked":
        mask = random.random(batch.examples.shape) < 0.5
        return np.where(mask, config.model.mask_token, batch.examples), labels
    return batch.examples, random.random(len(labels)), labels


@every_family
@given(st.data(), st.integers(1, 6))
@settings(max_examples=15)
def test_predictions_after_any_number_of_loops(family, data, loops):
    example = data.draw(examples(family))
    inputs = inputs_of(example)
    with example.page() as page:
        got = page.forward(example.parameters, *inputs, loops)
    equal_to_1e_11(got, elt_ref.forward(example.parameters, example.config, *inputs, loops=loops))


def page_loss(page, example, draws, student_loops, truth_weight, parameters):
    """Return the page's loss of the package's draws."""
    config, batch = example.config, example.batch
    if config.model.family == "drifting":
        return page.ilsd_loss(parameters, *batch, draws.noise, student_loops, truth_weight)
    labels = drop_labels(
        batch.labels,
        draws.label_drop,
        rate=config.objective.label_drop_rate,
        unconditional=config.model.classes,
    )
    if config.model.family == "masked":
        mask = mask_tokens(draws.mask_ratio, draws.mask_order)
        return page.ilsd_loss(parameters, batch.examples, labels, mask, student_loops, truth_weight)
    return page.ilsd_loss(parameters, batch.examples, draws.noise, draws.time, labels, student_loops, truth_weight)


@every_family
@given(st.data(), st.floats(0.1, 0.9))
@settings(max_examples=6)
def test_every_term_of_the_loss_and_its_gradient(family, data, truth_weight):
    """Three weights λ separate E5.2 and E5.3; where the student is the teacher, E5.1 + E5.2 is twice E5.1."""
    example = data.draw(examples(family))
    config, parameters = example.config, example.parameters
    draws = draw(config, 0)

    inputs, target = CORRUPTIONS[type(config)](config, example.batch, draws)
    terms, gradient = loss_and_gradient(
        parameters, config, inputs, target, student_loops=draws.student_loops, truth_weight=truth_weight
    )
    with example.page() as page:

        def loss(student_loops, truth_weight):
            return page_loss(page, example, draws, student_loops, truth_weight, parameters)

        teacher_truth = loss(config.model.max_loops, 1) / 2
        equal_to_1e_11(teacher_truth, terms.teacher_truth)
        equal_to_1e_11(loss(draws.student_loops, 1) - teacher_truth, terms.student_truth)
        equal_to_1e_11(loss(draws.student_loops, 0), terms.teacher_truth + terms.distillation)
        equal_to_1e_11(loss(draws.student_loops, truth_weight), terms.total)
        got = grad(lambda tree: page_loss(page, example, draws, draws.student_loops, truth_weight, tree))(parameters)
    equal_to_1e_11(got, gradient)


@every_family
@given(st.data())
@settings(max_examples=3)
def test_the_state_after_five_training_steps(family, data):
    example = data.draw(examples(family))
    config, random = example.config, example.random
    state = TrainState(0, example.parameters, zero_moments(example.parameters), example.parameters)
    theta, unflatten = flatten(example.parameters)
    vectors = theta, 0 * theta, 0 * theta, theta
    with example.page() as page:
        for step in range(5):
            chosen = random.permutation(len(example.batch.labels))
            batch, draws = Batch(*(array[chosen] for array in example.batch)), draw(config, step)
            state, info = train_step(state, batch, draws, config=config)
            vectors, loss = page.train_step(vectors, unflatten, *batch, *draws, step, config.training.steps)
            equal_to_1e_11(loss, info.terms.total)
    parameters, first, second, average = map(unflatten, vectors)
    equal_to_1e_11(parameters, state.parameters)
    equal_to_1e_11(average, state.average)
    equal_to_1e_11(Moments(first, second)._asdict(), state.moments._asdict())


@every_family
@given(st.data())
@settings(max_examples=10)
def test_draws_are_in_the_order_and_shapes_of_the_package(family, data):
    example = data.draw(examples(family))
    with example.page() as page:
        drawn, expected = page.draw(example.random), draw(example.config, 0)
    assert [np.shape(array) for array in drawn] == [np.shape(array) for array in expected]
    assert 1 <= drawn[-1] < example.config.model.max_loops


# --- generating


@given(st.data(), st.integers(1, 6), st.sampled_from([1.0, 0.0, 0.5, 3.0]), st.integers(0, 9))
@settings(max_examples=10)
def test_decoded_tokens(data, loops, guidance, seed):
    """The package is handed the page's noise, in the order in which the page draws it."""
    example = data.draw(examples("masked"))
    config = example.config.model_copy(
        update={"sampling": example.config.sampling.model_copy(update={"guidance_scale": guidance})}
    )
    model, labels, random = config.model, example.batch.labels, np.random.default_rng(seed)
    shape = (len(labels), model.tokens)

    def noise(_step):
        return DecodeNoise(random.gumbel(size=(*shape, model.codebook_size)), random.gumbel(size=shape))

    *_, last = decode(example.parameters, config, labels, noise, loops=loops)
    with example.page() as page:
        got = page.sample(example.parameters, labels, loops, guidance, steps=config.sampling.steps, seed=seed)
    assert np.array_equal(got, last.answer)


@given(st.data())
@settings(max_examples=20)
def test_a_decoding_step(data):
    example = data.draw(examples("masked"))
    config, random = example.config, example.random
    model, steps = config.model, config.sampling.steps
    tokens = np.where(random.random(example.batch.examples.shape) < 0.5, model.mask_token, example.batch.examples)
    logits = random.standard_normal((*tokens.shape, model.codebook_size))
    noise = DecodeNoise(random.gumbel(size=logits.shape), random.gumbel(size=tokens.shape))
    step = int(random.integers(steps))
    expected = decode_step(
        logits,
        tokens,
        noise,
        step=step,
        steps=steps,
        start=np.full(len(tokens), model.tokens),
        mask_token=model.mask_token,
        sampling=config.sampling,
    )
    with example.page() as page:
        seen = np.where(tokens == model.mask_token, page.MASK, tokens)
        running, answer = page.decode_step(logits, seen, *noise, step, steps)
    assert np.array_equal(np.where(running == masked.MASK, model.mask_token, running), expected[0])
    assert np.array_equal(answer, expected[1])


def test_the_floor_tie_of_the_mask_schedule(monkeypatch):
    monkeypatch.setattr(masked, "TOKENS", 256)
    assert masked.masked_count(8 / 12) == masked_count(256, np.array([8 / 12])) == 128


@given(st.data(), st.integers(1, 6), st.sampled_from([1.0, 0.0, 0.5, 3.0]), st.integers(0, 9))
@settings(max_examples=10)
def test_denoised_pictures(data, loops, guidance, seed):
    example = data.draw(examples("diffusion"))
    config = example.config.model_copy(
        update={"sampling": example.config.sampling.model_copy(update={"guidance_scale": guidance})}
    )
    labels, random = example.batch.labels, np.random.default_rng(seed)
    shape = (len(labels), *config.model.shape)
    initial = random.standard_normal(shape)
    *_, last = denoise(
        example.parameters, config, labels, initial, lambda _step: random.standard_normal(shape), loops=loops
    )
    with example.page() as page:
        got = page.sample(example.parameters, labels, loops, guidance, steps=config.sampling.steps, seed=seed)
    equal_to_1e_11(got, last.noisy)


@given(st.data(), st.floats(0.2, 1), st.floats(0, 0.9))
@settings(max_examples=20)
def test_a_denoising_step(data, time, share):
    example = data.draw(examples("diffusion"))
    then, diffusion = time * share, example.config.diffusion
    noisy, clean, noise = example.random.standard_normal((3, *example.batch.examples.shape))
    now, after = log_snr(np.array([time, then]), diffusion)
    expected = denoise_step(
        noisy, clean, noise, log_snr_t=float(now), log_snr_s=float(after), last=False, diffusion=diffusion
    )
    with example.page() as page:
        equal_to_1e_11(page.denoise_step(noisy, clean, noise, time, then), expected)


@given(st.data(), st.integers(1, 6), st.integers(0, 9))
@settings(max_examples=10)
def test_pictures_of_one_evaluation(data, loops, seed):
    example = data.draw(examples("drifting"))
    config = example.config
    labels, noise = example.random.integers(config.model.classes, size=5), np.random.default_rng(seed)
    noise = noise.standard_normal((5, *config.model.shape))
    expected, used = generate(example.parameters, config, labels, noise, loops=loops)
    with example.page() as page:
        equal_to_1e_11(page.sample(example.parameters, labels, loops, seed=seed), expected)
    assert used.tolist() == [loops] * 5


@given(st.data())
@settings(max_examples=20)
def test_the_field_and_its_unit(data):
    example = data.draw(examples("drifting"))
    config, random = example.config, example.random
    positives = example.batch.examples.reshape(*example.batch.examples.shape[:2], -1)
    queries = random.standard_normal((len(positives), 4, positives.shape[-1]))
    with example.page() as page:
        drift, unit = page.drift(queries, positives)
    for place, pair in enumerate(zip(queries, positives, strict=True)):
        expected = drift_field(*pair, temperatures=config.drifting.temperatures)
        equal_to_1e_11(drift[place], expected.drift)
        equal_to_1e_11(unit[place], np.full((1, 1), expected.scale))


@pytest.mark.parametrize("family", ["masked", "diffusion"])
@given(st.data())
@settings(max_examples=10)
def test_a_scale_of_one_is_the_conditional_prediction_to_the_bit(family, data):
    """The page's default; nothing is computed for "no class", whose embedding may be NaN."""
    example = data.draw(examples(family))
    table, row = ("word", -2) if family == "masked" else ("label", -1)
    labels = example.batch.labels
    with example.page() as page:
        before = page.sample(example.parameters, labels, 2, steps=2)
        example.parameters["embedding"][table][row] = np.nan
        assert np.array_equal(page.sample(example.parameters, labels, 2, steps=2), before)
