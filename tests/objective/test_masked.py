"""E7 and E8 against loops over single numbers, the identities between them, and what the network reads."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_config, random_labels, random_tokens
from ops.gradient_check import LARGEST_ERROR, gradient_error

from elt_ref.objective import Batch, MaskedDraws, MaskedTarget, corrupt_masked, drop_labels, mask_tokens
from elt_ref.ops import softmax, value_and_gradient

reductions = pytest.mark.parametrize("reduction", ["mean_per_sample", "sum"])
seeds = st.integers(0, 2**32 - 1)
BATCH, TOKENS, CODES = 3, 4, 5


def example(seed, batch=BATCH):
    generator = np.random.default_rng(seed)
    student, teacher = 2 * generator.standard_normal((2, batch, TOKENS, CODES))
    tokens = generator.integers(CODES, size=(batch, TOKENS))
    mask = generator.random((batch, TOKENS)) < 0.6
    mask[0, 0] = True
    return student, teacher, tokens, mask


def scalar_loss(mask, reduction, loss_at):
    """Reduce `loss_at(sample, position)` over the masked positions as the equations say."""
    total = 0.0
    for sample, row in enumerate(mask.tolist()):
        losses = [loss_at(sample, position) for position, masked in enumerate(row) if masked]
        if losses:
            total += math.fsum(losses) / (len(losses) if reduction == "mean_per_sample" else 1)
    return total / len(mask)


def log_probabilities(logits):
    normaliser = math.log(math.fsum(math.exp(logit) for logit in logits))
    return [logit - normaliser for logit in logits]


@reductions
@given(seed=seeds)
@settings(max_examples=20)
def test_e7_is_the_negative_log_probability_of_the_masked_tokens(reduction, seed):
    student, _, tokens, mask = example(seed)

    def loss_at(sample, position):
        return -log_probabilities(student[sample, position].tolist())[tokens[sample, position]]

    value = MaskedTarget(tokens, mask, reduction).ground_truth(student)
    np.testing.assert_allclose(value, scalar_loss(mask, reduction, loss_at), rtol=1e-12)


@reductions
@given(seed=seeds, smoothing=st.floats(0.01, 0.9))
@settings(max_examples=20)
def test_e7_with_label_smoothing_spreads_that_share_evenly(reduction, seed, smoothing):
    student, _, tokens, mask = example(seed)

    def loss_at(sample, position):
        logs = log_probabilities(student[sample, position].tolist())
        share = smoothing / CODES
        return -math.fsum(
            (share + (1 - smoothing if code == tokens[sample, position] else 0)) * log for code, log in enumerate(logs)
        )

    value = MaskedTarget(tokens, mask, reduction, smoothing).ground_truth(student)
    np.testing.assert_allclose(value, scalar_loss(mask, reduction, loss_at), rtol=1e-12)


@reductions
@given(seed=seeds)
@settings(max_examples=20)
def test_e8_is_the_cross_entropy_of_the_student_under_the_teacher(reduction, seed):
    student, teacher, tokens, mask = example(seed)

    def loss_at(sample, position):
        logs = log_probabilities(student[sample, position].tolist())
        weights = [math.exp(log) for log in log_probabilities(teacher[sample, position].tolist())]
        return -math.fsum(weight * log for weight, log in zip(weights, logs, strict=True))

    value = MaskedTarget(tokens, mask, reduction).distillation(student, teacher)
    np.testing.assert_allclose(value, scalar_loss(mask, reduction, loss_at), rtol=1e-12)


def divergence(target, student, teacher):
    """Return the Kullback–Leibler divergence from the student to the teacher, with plain arrays."""
    p, q = softmax(teacher), softmax(student)
    return ((p * np.log(p / q)).sum(axis=-1) * target.weights(p.dtype)).sum()


def teacher_entropy(target, teacher):
    """Return the teacher's entropy over the masked tokens, with plain arrays."""
    p = softmax(teacher)
    return -((p * np.log(p)).sum(axis=-1) * target.weights(p.dtype)).sum()


@reductions
@given(seed=seeds)
@settings(max_examples=20)
def test_e8_less_the_divergence_is_the_entropy_of_the_teacher(reduction, seed):
    student, teacher, tokens, mask = example(seed)
    target = MaskedTarget(tokens, mask, reduction)
    entropy, value = teacher_entropy(target, teacher), target.distillation(student, teacher)
    np.testing.assert_allclose(value - divergence(target, student, teacher), entropy, rtol=1e-10)
    assert value > entropy, "a cross-entropy is never below the entropy"
    np.testing.assert_allclose(target.distillation(teacher, teacher), entropy, rtol=1e-12)


@reductions
@given(seed=seeds)
@settings(max_examples=10)
def test_e8_has_the_gradient_of_the_divergence_with_respect_to_the_student(reduction, seed):
    student, teacher, tokens, mask = example(seed)
    target = MaskedTarget(tokens, mask, reduction)
    _, _, gradient = value_and_gradient(lambda logits: (target.distillation(logits, teacher), None), student)
    error = gradient_error(lambda logits: divergence(target, logits, teacher), [student], [gradient], seed=seed)
    assert error <= LARGEST_ERROR
    closed_form = target.weights(student.dtype)[..., None] * (softmax(student) - softmax(teacher))
    np.testing.assert_allclose(gradient, closed_form, rtol=1e-10, atol=1e-14)


def test_the_two_reductions_differ_by_the_count_of_masked_tokens():
    student, teacher, tokens, _ = example(0, batch=1)
    mask = np.array([[True, True, False, True]])
    mean, total = (MaskedTarget(tokens, mask, reduction) for reduction in ("mean_per_sample", "sum"))
    np.testing.assert_allclose(total.ground_truth(student), 3 * mean.ground_truth(student), rtol=1e-14)
    np.testing.assert_allclose(
        total.distillation(student, teacher), 3 * mean.distillation(student, teacher), rtol=1e-14
    )


@reductions
def test_a_sample_without_masked_tokens_adds_zero(reduction):
    student, teacher, tokens, _ = example(0, batch=2)
    mask = np.array([[True, False, True, False], [False] * 4])
    alone = MaskedTarget(tokens[:1], mask[:1], reduction).ground_truth(student[:1])
    together = MaskedTarget(tokens, mask, reduction).ground_truth(student)
    np.testing.assert_allclose(together, alone / 2, rtol=1e-14)
    nothing = MaskedTarget(tokens, np.zeros((2, 4), bool), reduction)
    assert nothing.ground_truth(student) == 0
    assert nothing.distillation(student, teacher) == 0


@reductions
def test_tokens_that_were_seen_do_not_matter(reduction):
    student, teacher, tokens, mask = example(1)
    other_student, other_teacher, other_tokens, _ = example(2)
    seen = ~mask[..., None]
    moved = np.where(seen, other_student, student), np.where(seen, other_teacher, teacher)
    target = MaskedTarget(tokens, mask, reduction)
    other = MaskedTarget(np.where(mask, tokens, other_tokens), mask, reduction)
    assert other.ground_truth(moved[0]) == target.ground_truth(student)
    assert other.distillation(*moved) == target.distillation(student, teacher)


@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_keep_float32(reduction, smoothing):
    student, teacher, tokens, mask = example(0)
    narrow = student.astype(np.float32)
    target = MaskedTarget(tokens, mask, reduction, smoothing)
    truth, _, gradient = value_and_gradient(lambda x: (target.ground_truth(x), None), narrow)
    assert (truth.dtype, gradient.dtype) == (np.float32, np.float32)
    assert target.distillation(narrow, teacher.astype(np.float32)).dtype == np.float32


# --- the corruption


def test_a_batch_is_corrupted_as_its_draws_say():
    config = make_config(objective={"label_drop_rate": 0.4, "reduction": "sum", "label_smoothing": 0.1})
    generator = np.random.default_rng(0)
    batch = Batch(random_tokens(config, 3, unknown=0), random_labels(config, 3))
    draws = MaskedDraws(generator.random(3), generator.random(batch.examples.shape), np.array([0.0, 0.4, 0.9]), 1)
    (seen, labels), target = corrupt_masked(config, batch, draws)
    mask = mask_tokens(draws.mask_ratio, draws.mask_order)
    assert np.array_equal(target.mask, mask)
    assert np.array_equal(seen, np.where(mask, config.model.mask_token, batch.examples))
    assert np.array_equal(labels, drop_labels(batch.labels, draws.label_drop, rate=0.4, unconditional=3))
    assert labels[0] == 3
    assert seen.dtype == labels.dtype == np.int64
    assert np.array_equal(target.tokens, batch.examples)
    assert (target.reduction, target.label_smoothing) == ("sum", 0.1)
