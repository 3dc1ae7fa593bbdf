"""E7 and E8 against loops over single numbers, and the identities between them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops.gradient_check import LARGEST_ERROR, gradient_error

from elt_ref.objective import masked_distillation, masked_ground_truth, teacher_entropy, token_weights
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

    value = masked_ground_truth(student, tokens, mask, reduction=reduction)
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

    value = masked_ground_truth(student, tokens, mask, reduction=reduction, label_smoothing=smoothing)
    np.testing.assert_allclose(value, scalar_loss(mask, reduction, loss_at), rtol=1e-12)


@reductions
@given(seed=seeds)
@settings(max_examples=20)
def test_e8_is_the_cross_entropy_of_the_student_under_the_teacher(reduction, seed):
    student, teacher, _, mask = example(seed)

    def loss_at(sample, position):
        logs = log_probabilities(student[sample, position].tolist())
        weights = [math.exp(log) for log in log_probabilities(teacher[sample, position].tolist())]
        return -math.fsum(weight * log for weight, log in zip(weights, logs, strict=True))

    value = masked_distillation(student, teacher, mask, reduction=reduction)
    np.testing.assert_allclose(value, scalar_loss(mask, reduction, loss_at), rtol=1e-12)


def divergence(student, teacher, mask, reduction):
    """Return the Kullback–Leibler divergence from the student to the teacher, with plain arrays."""
    p, q = softmax(teacher), softmax(student)
    return ((p * np.log(p / q)).sum(axis=-1) * token_weights(mask, reduction, p.dtype)).sum()


@reductions
@given(seed=seeds)
@settings(max_examples=20)
def test_e8_less_the_divergence_is_the_entropy_of_the_teacher(reduction, seed):
    student, teacher, _, mask = example(seed)
    entropy = teacher_entropy(teacher, mask, reduction=reduction)
    value = masked_distillation(student, teacher, mask, reduction=reduction)
    np.testing.assert_allclose(value - divergence(student, teacher, mask, reduction), entropy, rtol=1e-10)
    assert value > entropy, "a cross-entropy is never below the entropy"
    np.testing.assert_allclose(masked_distillation(teacher, teacher, mask, reduction=reduction), entropy, rtol=1e-12)


@reductions
@given(seed=seeds)
@settings(max_examples=10)
def test_e8_has_the_gradient_of_the_divergence_with_respect_to_the_student(reduction, seed):
    student, teacher, _, mask = example(seed)
    _, _, gradient = value_and_gradient(
        lambda logits: (masked_distillation(logits, teacher, mask, reduction=reduction), None), student
    )
    error = gradient_error(
        lambda logits: divergence(logits, teacher, mask, reduction), [student], [gradient], seed=seed
    )
    assert error <= LARGEST_ERROR
    closed_form = token_weights(mask, reduction, student.dtype)[..., None] * (softmax(student) - softmax(teacher))
    np.testing.assert_allclose(gradient, closed_form, rtol=1e-10, atol=1e-14)


def test_the_two_reductions_differ_by_the_count_of_masked_tokens():
    student, teacher, tokens, _ = example(0, batch=1)
    mask = np.array([[True, True, False, True]])
    for loss, target in ((masked_ground_truth, tokens), (masked_distillation, teacher)):
        mean, total = (loss(student, target, mask, reduction=reduction) for reduction in ("mean_per_sample", "sum"))
        np.testing.assert_allclose(total, 3 * mean, rtol=1e-14)


@reductions
def test_a_sample_without_masked_tokens_adds_zero(reduction):
    student, teacher, tokens, _ = example(0, batch=2)
    mask = np.array([[True, False, True, False], [False] * 4])
    alone = masked_ground_truth(student[:1], tokens[:1], mask[:1], reduction=reduction)
    np.testing.assert_allclose(masked_ground_truth(student, tokens, mask, reduction=reduction), alone / 2, rtol=1e-14)
    none = np.zeros((2, 4), bool)
    assert masked_ground_truth(student, tokens, none, reduction=reduction) == 0
    assert masked_distillation(student, teacher, none, reduction=reduction) == 0
    assert teacher_entropy(teacher, none, reduction=reduction) == 0


@reductions
def test_tokens_that_were_seen_do_not_matter(reduction):
    student, teacher, tokens, mask = example(1)
    other_student, other_teacher, other_tokens, _ = example(2)
    seen = ~mask[..., None]
    moved = np.where(seen, other_student, student), np.where(seen, other_teacher, teacher)
    truth = np.where(mask, tokens, other_tokens)
    assert masked_ground_truth(moved[0], truth, mask, reduction=reduction) == masked_ground_truth(
        student, tokens, mask, reduction=reduction
    )
    assert masked_distillation(*moved, mask, reduction=reduction) == masked_distillation(
        student, teacher, mask, reduction=reduction
    )


@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_keep_float32(reduction, smoothing):
    student, teacher, tokens, mask = example(0)
    narrow = student.astype(np.float32)
    truth, _, gradient = value_and_gradient(
        lambda x: (masked_ground_truth(x, tokens, mask, reduction=reduction, label_smoothing=smoothing), None), narrow
    )
    assert (truth.dtype, gradient.dtype) == (np.float32, np.float32)
    assert masked_distillation(narrow, teacher.astype(np.float32), mask, reduction=reduction).dtype == np.float32
