"""The drifting objective: laws of the field, and its losses against formulas written out pair by pair."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_drifting_config, random_parameters

from elt_ref.config import DriftingConfig
from elt_ref.errors import RequestError
from elt_ref.objective import Batch, DriftingTarget, draw, drift_field, ilsd_loss, pair_drifting
from elt_ref.ops import stop_gradient, value_and_gradient
from elt_ref.training import loss_and_gradient

TEMPERATURES = (0.02, 0.05, 0.2)


@st.composite
def sets(draw, count=2):
    """Draw queries and `count` sets of samples, of any spread and place."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values, spread = draw(st.integers(1, 9)), draw(st.sampled_from([1e-3, 1.0, 50.0]))
    sizes = [draw(st.integers(2, 6)) for _ in range(1 + count)]
    place = generator.standard_normal(values)
    return [spread * (generator.standard_normal((size, values)) + place) for size in sizes]


def raw(queries, positives, negatives=None, temperature=0.2):
    """Return V_τ before the division by its size, in units of S."""
    field = drift_field(queries, positives, negatives, temperatures=(temperature,))
    return field.drift * field.sizes


# --- laws


@given(sets(), st.sampled_from(TEMPERATURES))
def test_exchanging_positives_and_negatives_turns_the_field_round(drawn, temperature):
    queries, some, others = drawn
    there, back = raw(queries, some, others, temperature), raw(queries, others, some, temperature)
    np.testing.assert_allclose(there, -back, rtol=0, atol=1e-15 * max(1, np.abs(queries).max() / np.ptp(queries)))


@given(sets())
def test_the_sum_over_temperatures_is_anti_symmetric_too(drawn):
    queries, some, others = drawn
    there, back = (drift_field(queries, *pair, temperatures=(0.2, 1.0)) for pair in ((some, others), (others, some)))
    np.testing.assert_allclose(there.drift, -back.drift, rtol=0, atol=1e-9)


@given(sets(count=1), st.sampled_from(TEMPERATURES), st.randoms(use_true_random=False))
def test_it_is_zero_where_positives_and_negatives_are_the_same_set(drawn, temperature, random):
    queries, samples = drawn
    assert not raw(queries, samples, samples.copy(), temperature).any(), "in the same order it is zero to the bit"
    assert not drift_field(queries, samples, samples.copy(), temperatures=TEMPERATURES).drift.any()
    shuffled = samples[random.sample(range(len(samples)), len(samples))]
    size = max(1, np.abs(samples).max() / np.ptp(samples))
    assert np.abs(raw(queries, samples, shuffled, temperature)).max() <= 1e-14 * size


@given(sets(), st.sampled_from(TEMPERATURES), st.floats(-3, 3))
def test_moving_all_samples_changes_nothing(drawn, temperature, shift):
    queries, positives, negatives = drawn
    size = 1 + abs(shift) + np.abs(np.concatenate(drawn)).max() / np.abs(np.diff(queries, axis=0)).max()
    moved = [samples + shift * np.abs(queries).max() for samples in drawn]
    for given_ in ((positives, negatives), (positives, None)):
        shifted = [moved[1], moved[2] if given_[1] is not None else None]
        expected, got = raw(queries, *given_, temperature), raw(moved[0], *shifted, temperature)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * size)


@given(sets(), st.floats(0.1, 10))
def test_the_unit_scales_with_the_samples_and_the_field_does_not(drawn, factor):
    queries, positives, _ = drawn
    field = drift_field(queries, positives, temperatures=TEMPERATURES)
    larger = drift_field(factor * queries, factor * positives, temperatures=TEMPERATURES)
    assert larger.scale == pytest.approx(factor * field.scale)
    np.testing.assert_allclose(larger.drift, field.drift, atol=1e-7)


@given(sets())
def test_every_temperature_contributes_a_field_of_size_one(drawn):
    queries, positives, _ = drawn
    for temperature in TEMPERATURES:
        field = drift_field(queries, positives, temperatures=(temperature,))
        if field.sizes[0] > 0:
            assert np.sqrt(np.square(field.drift).mean()) == pytest.approx(1)


@given(sets())
def test_the_field_in_terms_of_pairs(drawn):
    """D1 to D3 for one sample and one other at a time, without a matrix."""
    queries, positives, _ = drawn
    temperature, count = 0.3, len(queries)
    others = [*queries, *positives]
    pairs = [(i, j) for i in range(count) for j in range(len(others)) if i != j]
    distance = {(i, j): math.dist(queries[i], others[j]) for i, j in pairs}
    mean = sum(distance.values()) / len(distance)
    kernel = {pair: math.exp(-d / mean / temperature) for pair, d in distance.items()}
    weight = {
        (i, j): math.sqrt(
            kernel[i, j] / sum(kernel[i, k] for k in range(len(others)) if k != i)
            * kernel[i, j] / sum(kernel[k, j] for k in range(count) if k != j)
        )
        for i, j in pairs
    }  # fmt: skip
    expected = np.zeros_like(queries)
    for i in range(count):
        for j in range(count):
            for k in range(count, len(others)):
                if i != j:
                    expected[i] += weight[i, j] * weight[i, k] * (others[k] - others[j])
    scale = mean / math.sqrt(queries.shape[1])
    field = drift_field(queries, positives, temperatures=(temperature,))
    assert field.scale == pytest.approx(scale)
    np.testing.assert_allclose(field.drift * field.sizes, expected / scale, atol=1e-9 * np.abs(expected).max() / scale)


# --- losses


CONFIG = make_drifting_config()
DRIFTING = DriftingConfig(classes_per_step=2, positives=3)


def target_and_samples(seed=0, reduction="mean_per_sample"):
    generator = np.random.default_rng(seed)
    positives = generator.standard_normal((2, 3, *CONFIG.model.shape))
    return DriftingTarget(positives, DRIFTING, reduction), generator.standard_normal((6, *CONFIG.model.shape))


def test_the_truth_is_the_mean_square_of_the_field():
    """Whatever the samples are, their target is one field away."""
    target, samples = target_and_samples()
    fields = [field.drift for field in target.fields(samples)]
    assert target.ground_truth(samples) == pytest.approx(np.square(fields).mean())
    total, _ = target_and_samples(reduction="sum")
    assert total.ground_truth(samples) == pytest.approx(np.square(fields).mean() * samples[0].size)


def test_the_gradient_points_against_the_field_and_flows_through_the_samples_alone():
    target, samples = target_and_samples()

    def loss(x):
        value = target.ground_truth(x)
        return value, value

    _, _, gradient = value_and_gradient(loss, samples)
    fields = target.fields(samples)
    expected = np.stack([-2 * field.drift / field.scale for field in fields]).reshape(samples.shape) / samples.size
    np.testing.assert_allclose(gradient, expected, rtol=1e-10)


def test_distillation_is_in_units_of_the_teachers_samples():
    target, teacher = target_and_samples()
    student = teacher + 0.5
    scales = np.repeat([field.scale for field in target.fields(teacher)], 3)
    assert target.distillation(student, stop_gradient(teacher)) == pytest.approx((0.25 / scales**2).mean())
    assert target.distillation(7 * student, 7 * teacher) != pytest.approx(49 * (0.25 / scales**2).mean())


def test_teacher_and_student_have_a_field_each():
    target, teacher = target_and_samples()
    _, student = target_and_samples(seed=1)
    terms = ilsd_loss(target, student, teacher, truth_weight=0.25)
    assert terms.student_truth == target.ground_truth(student)
    assert terms.teacher_truth == target.ground_truth(teacher)
    assert terms.total == terms.teacher_truth + 0.25 * terms.student_truth + 0.75 * terms.distillation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_and_gradients_keep_the_dtype(dtype):
    config = make_drifting_config(dtype=dtype)
    positives = np.random.default_rng(0).standard_normal((2, 3, *config.model.shape)).astype(dtype)
    inputs, target = pair_drifting(config, Batch(positives, np.array([2, 0])), draw(config, 0))
    terms, gradient = loss_and_gradient(
        random_parameters(config), config, inputs, target, student_loops=1, truth_weight=0.5
    )
    assert {np.asarray(term).dtype for term in terms} == {np.dtype(dtype)}
    assert gradient["head"]["output"]["weight"].dtype == dtype


def test_noise_is_shared_out_among_the_classes_in_order():
    positives = np.zeros((2, 3, *CONFIG.model.shape))
    (noise, labels), target = pair_drifting(CONFIG, Batch(positives, np.array([2, 0])), draw(CONFIG, 4))
    assert labels.tolist() == [2, 2, 2, 0, 0, 0]
    assert noise is not None
    assert target.positives is positives


@pytest.mark.parametrize(
    ("batch", "noise", "sentence"),
    [
        (Batch(np.zeros((6, 4, 6, 3)), np.zeros(6, int)), 6, "examples: expected floating-point samples [classes, pos"),
        (Batch(np.zeros((2, 3, 4, 6, 3), int), np.zeros(2, int)), 6, "examples: expected floating-point samples"),
        (Batch(np.full((2, 3, 4, 6, 3), np.inf), np.zeros(2, int)), 6, "examples: expected finite numbers, got inf"),
        (Batch(np.zeros((2, 3, 4, 6, 3)), np.array([0, 3])), 6, "labels: expected classes in 0…2, got 3"),
        (Batch(np.zeros((2, 3, 4, 6, 3)), np.zeros(2, int)), 5, "noise: expected as many samples of each of 2 classes"),
        (Batch(np.zeros((2, 3, 4, 6, 3)), np.zeros(2, int)), 2, "noise: expected as many samples of each of 2 classes"),
    ],
)
def test_what_does_not_fit_is_one_sentence(batch, noise, sentence):
    draws = draw(CONFIG, 0)
    with pytest.raises(RequestError, match="expected") as refused:
        pair_drifting(CONFIG, batch, draws._replace(noise=draws.noise[:noise]))
    assert str(refused.value).startswith(sentence)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_far_away_samples_have_a_finite_field(seed):
    """At the first step a generator may be anywhere: no affinity may vanish altogether."""
    generator = np.random.default_rng(seed)
    queries, positives = generator.standard_normal((4, 16)), 1e3 + generator.standard_normal((5, 16))
    field = drift_field(queries, positives, temperatures=TEMPERATURES)
    assert np.isfinite(field.drift).all()
    assert (np.sign(field.drift.sum(axis=0)) == 1).all(), "it points to the real samples"
