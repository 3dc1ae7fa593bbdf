"""E5 over E9 and E10: the diffusion family's three terms in numbers, what each of them moves, and what they cost."""

import numpy as np
import pytest
from autograd import make_vjp
from hypothesis import given, settings
from hypothesis import strategies as st
from ilsd_problem import Network, assert_equal_bits
from networks import make_diffusion_config, random_labels, random_parameters
from ops.gradient_check import LARGEST_ERROR

from elt_ref.arrays import tree_items, tree_rebuild
from elt_ref.config import DiffusionExperiment
from elt_ref.model import NETWORKS, forward, init_parameters
from elt_ref.objective import Batch, DiffusionDraws, Target, corrupt_diffusion
from elt_ref.ops import counting
from elt_ref.training import loss_and_gradient

TERMS = ("teacher_truth", "student_truth", "distillation")


class Problem(Network):
    """A network, a batch and draws, and E5 as a function of the parameters."""

    def __init__(self, *, student_loops=2, time=(0.15, 0.5, 0.9), label_drop=(0.0, 0.5, 0.99), **options):
        self.config = make_diffusion_config(
            diffusion={"shift": 0.7, "bias": 1.2} | options.pop("diffusion", {}),
            objective={"label_drop_rate": 0.4} | options.pop("objective", {}),
            **({"max_loops": 4, "shape": (4, 2, 3)} | options),
        )
        dtype, batch = self.config.training.dtype, len(time)
        self.parameters = random_parameters(self.config)
        samples, noise = np.random.default_rng(1).standard_normal((2, batch, *self.config.model.shape)).astype(dtype)
        self.batch = Batch(samples, random_labels(self.config, batch))
        self.draws = DiffusionDraws(np.array(time), noise, np.array(label_drop), student_loops)
        self.student_loops = student_loops
        self.inputs, self.target = corrupt_diffusion(self.config, self.batch, self.draws)

    def step_terms(self):
        """Return the terms as a training step has them."""
        return loss_and_gradient(
            self.parameters,
            self.config,
            self.inputs,
            self.target,
            student_loops=self.student_loops,
            truth_weight=0.5,
        )[0]


# The oracle: E9, E10 and what the network reads, in 80 bits, one sample after the other.


def plain_noise_level(time, diffusion):
    """Return α, σ and w(t) of the configured prediction."""
    ends = [np.arctan(np.exp(-np.longdouble(bound) / 2)) for bound in (diffusion.log_snr_max, diffusion.log_snr_min)]
    angle = ends[0] + np.longdouble(time) * (ends[1] - ends[0])
    snr = -2 * np.log(np.tan(angle)) + diffusion.shift
    alpha, sigma = np.sqrt(1 / (1 + np.exp(-snr))), np.sqrt(1 / (1 + np.exp(snr)))
    slope = 4 * (ends[1] - ends[0]) / np.sin(2 * angle)
    weight = slope * np.exp(np.longdouble(diffusion.bias)) / (1 + np.exp(diffusion.bias - snr))
    return alpha, sigma, weight * {"x0": 1, "epsilon": np.exp(-snr), "v": sigma**2}[diffusion.prediction]


def plain_inputs(problem):
    config, batch, draws = problem.config, problem.batch, problem.draws
    noisy = []
    for clean, noise, time in zip(batch.examples, draws.noise, draws.time, strict=True):
        alpha, sigma, _ = plain_noise_level(time, config.diffusion)
        noisy.append(alpha * clean + sigma * noise)
    kept = [
        label if drop >= config.objective.label_drop_rate else config.model.classes  # the row after those of classes
        for label, drop in zip(batch.labels.tolist(), draws.label_drop, strict=True)
    ]
    return np.array(noisy, config.training.dtype), draws.time, np.array(kept)


def plain_terms(problem, teacher, student):
    """Return E9 of the teacher, E9 of the student and E10."""
    config, terms = problem.config, np.zeros(3, np.longdouble)
    rows = zip(problem.batch.examples, problem.draws.noise, problem.draws.time, teacher, student, strict=True)
    for clean, noise, time, ours, early in rows:
        alpha, sigma, weight = plain_noise_level(time, config.diffusion)
        target = {"x0": clean, "epsilon": noise, "v": alpha * noise - sigma * clean}[config.diffusion.prediction]
        squares = [((one - other) ** 2).sum() for one, other in ((ours, target), (early, target), (ours, early))]
        each = weight if config.objective.reduction == "sum" else weight / clean.size
        terms += each * np.array(squares, np.longdouble) / len(teacher)
    return terms.astype(float)


PROBLEM = Problem()
SMALL_PROBLEM = Problem(layers=1, max_loops=3, width=4, heads=1)  # for differences, which evaluate it often
every_student = pytest.mark.parametrize("student_loops", [1, 2, 3])
every_prediction = pytest.mark.parametrize("prediction", ["x0", "epsilon", "v"])
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


# --- the terms


@every_prediction
@pytest.mark.parametrize("reduction", ["mean_per_sample", "sum"])
@given(st.integers(1, 3), st.floats(0, 1), st.lists(st.floats(0, 0.95), min_size=3, max_size=3))
@settings(max_examples=4)
def test_the_terms_are_those_of_the_equations_at_the_drawn_time_and_noise(prediction, reduction, loops, weight, time):
    options = {"diffusion": {"prediction": prediction}, "objective": {"reduction": reduction}}
    problem = Problem(student_loops=loops, time=time, **options)
    inputs = plain_inputs(problem)
    teacher, student = (forward(problem.parameters, problem.config, *inputs, loops=n) for n in (4, loops))
    assert np.abs(teacher - student).max() > 1e-3, "the gates are closed: this test would see nothing"
    total, *terms = problem.terms(problem.parameters, weight)
    expected = plain_terms(problem, teacher, student)
    for name, term, wanted in zip(TERMS, terms, expected, strict=True):
        np.testing.assert_allclose(term, wanted, rtol=1e-8, err_msg=name)
    wanted = expected[0] + weight * expected[1] + (1 - weight) * expected[2]
    np.testing.assert_allclose(total, wanted, rtol=1e-8, err_msg="total")


@every_prediction
@given(st.floats(0, 0.95))
@settings(max_examples=6)
def test_all_three_terms_have_the_same_weight(prediction, time):
    """Whatever w(t) is: of one sample, each term over its own squares is it."""
    problem = Problem(time=[time], label_drop=[0.5], diffusion={"prediction": prediction})
    teacher, student = (problem.prediction(problem.parameters, loops) for loops in (4, 2))
    target = problem.target.target
    pairs = ((teacher, target), (student, target), (student, teacher))
    _, *terms = problem.terms(problem.parameters, 0.3)
    weights = [term / ((one - other) ** 2).mean() for term, (one, other) in zip(terms, pairs, strict=True)]
    np.testing.assert_allclose(weights, weights[0], rtol=1e-9, err_msg=f"of {TERMS}")


def test_teacher_and_student_read_the_same_inputs_once(monkeypatch):
    """One network, one pass: what the student reads cannot differ from what the teacher reads."""
    network, read = NETWORKS[DiffusionExperiment], []

    def recorded(parameters, model, *inputs):
        read.append(inputs)
        return network.embed(parameters, model, *inputs)

    monkeypatch.setitem(NETWORKS, DiffusionExperiment, network._replace(embed=recorded))
    PROBLEM.step_terms()
    assert len(read) == 1, f"the inputs were read {len(read)} times"
    for name, got, wanted in zip(("noisy", "time", "labels"), read[0], plain_inputs(PROBLEM), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14, err_msg=name)


@every_student
def test_the_students_loops_change_nothing_of_the_teacher(student_loops):
    vanilla = Problem(student_loops=None, objective={"kind": "vanilla"})
    terms = Problem(student_loops=student_loops).terms(PROBLEM.parameters, 0.5)
    assert terms.teacher_truth == vanilla.terms(PROBLEM.parameters, 0.5).total


@both_dtypes
def test_at_lambda_one_and_zero_a_term_is_off_to_the_bit(dtype):
    problem = Problem(dtype=dtype)
    truth_only, distilled = (problem.terms(problem.parameters, weight) for weight in (1.0, 0.0))
    assert truth_only.total == truth_only.teacher_truth + truth_only.student_truth
    assert distilled.total == distilled.teacher_truth + distilled.distillation


@both_dtypes
@every_prediction
@pytest.mark.parametrize("head", ["initial", "random"])
def test_at_initial_parameters_the_student_is_the_teacher(dtype, prediction, head):
    """All gates are closed: every loop is the identity, whatever the head: nothing is distilled, nothing moves."""
    problem = Problem(dtype=dtype, student_loops=1, diffusion={"prediction": prediction})
    initial = init_parameters(problem.config)
    problem.parameters = initial | {"head": (initial if head == "initial" else problem.parameters)["head"]}
    terms = problem.terms(problem.parameters, 0.5)
    assert terms.distillation == 0
    assert terms.student_truth == terms.teacher_truth > 0
    moved = [n for n, g in problem.gradient(lambda p: problem.terms(p, 0.5).distillation).items() if g.any()]
    assert not moved, f"distillation of equals moves {moved}"
    gradient = problem.gradient(lambda p: problem.terms(p, 0.5).total)
    assert gradient["head.output.weight"].any(), "the truth moves nothing: training would never begin"


# --- the corruption


@both_dtypes
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
@settings(max_examples=12)
def test_noisy_input_is_alpha_times_sample_plus_sigma_times_noise(dtype, time):
    problem = Problem(dtype=dtype, time=time)
    noisy, read, _ = problem.inputs
    assert noisy.dtype == dtype
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(noisy, plain_inputs(problem)[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(read, time, err_msg="the network reads another time than that of the noise")


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_dropped_labels_become_the_unconditional_class(rate):
    draws = [0.0, 0.2, 0.25, 0.999]
    problem = Problem(time=[0.5] * 4, label_drop=draws, objective={"label_drop_rate": rate})
    dropped = [draw < rate for draw in draws]
    assert sum(dropped) == {0.0: 0, 0.25: 2, 1.0: 4}[rate]
    labels = problem.inputs[2]
    assert labels.dtype == np.int64
    expected = [3 if drop else label for drop, label in zip(dropped, problem.batch.labels, strict=True)]
    assert labels.tolist() == expected, "classes are 0, 1, 2; the row that means none is 3"


@pytest.mark.parametrize("term", ["total", *TERMS])
def test_only_rows_of_labels_that_were_read_are_moved(term):
    """The first sample's label was dropped: the last row is moved in its place."""
    gradient = PROBLEM.gradient(lambda p: getattr(PROBLEM.terms(p, 0.5), term))["embedding.label"]
    read = {3, *PROBLEM.batch.labels[1:].tolist()}
    assert len(gradient) == 4
    assert {row for row in range(4) if gradient[row].any()} == read


# --- what each term moves


@every_student
@every_prediction
def test_distillation_moves_the_student_with_the_teacher_held(student_loops, prediction):
    problem = Problem(student_loops=student_loops, diffusion={"prediction": prediction})
    gradient = problem.gradient(lambda p: problem.terms(p, 0.0).distillation)
    held = problem.prediction(problem.parameters, 4)

    def teacher_held(parameters):
        return problem.target.distillation(problem.prediction(parameters, student_loops), held)

    assert_equal_bits(gradient, problem.gradient(teacher_held))


def test_differences_with_the_teacher_held_agree_with_it_and_those_through_both_networks_do_not():
    problem = SMALL_PROBLEM
    gradient = problem.gradient(lambda p: problem.terms(p, 0.0).distillation)
    held = problem.prediction(problem.parameters, 3)

    def teacher_held(parameters):
        return plain_terms(problem, held, problem.prediction(parameters, 2))[2]

    assert problem.difference_error(teacher_held, gradient) <= LARGEST_ERROR
    through_both = problem.difference_error(lambda p: problem.terms(p, 0.0).distillation, gradient)
    assert through_both > 1e-2, "the teacher is not held: it moves towards the student"


@pytest.mark.parametrize("term", ["teacher_truth", "student_truth"])
def test_the_gradient_of_a_truth_is_that_of_differences_through_all_its_loops(term):
    problem = SMALL_PROBLEM
    gradient = problem.gradient(lambda p: getattr(problem.terms(p, 0.3), term))
    loops = {"teacher_truth": 3, "student_truth": 2}[term]

    def truth(parameters):
        prediction = problem.prediction(parameters, loops)
        return plain_terms(problem, prediction, prediction)[0]

    assert problem.difference_error(truth, gradient) <= LARGEST_ERROR


def test_the_stop_gradient_leaves_the_first_term_alone():
    """Its gradient is that of a vanilla looped network."""
    vanilla = Problem(student_loops=None, objective={"kind": "vanilla"})
    assert_equal_bits(
        PROBLEM.gradient(lambda p: PROBLEM.terms(p, 0.3).teacher_truth),
        vanilla.gradient(lambda p: vanilla.terms(p, 0.3).total),
    )


@every_student
@pytest.mark.parametrize("term", TERMS)
def test_the_teachers_truth_goes_back_through_all_loops_the_students_terms_through_its_own(term, student_loops):
    last = 4 if term == "teacher_truth" else student_loops
    assert Problem(student_loops=student_loops).loops_reached(term) == [loop <= last for loop in (1, 2, 3, 4)]


def test_what_the_terms_are_made_of_is_a_target():
    assert isinstance(PROBLEM.target, Target)


def test_the_gradient_of_the_whole_is_the_weighted_sum_of_those_of_its_terms():
    weight = 0.3
    total, *terms = (
        PROBLEM.gradient(lambda p, term=term: getattr(PROBLEM.terms(p, weight), term)) for term in ("total", *TERMS)
    )
    for name, gradient in total.items():
        expected = terms[0][name] + weight * terms[1][name] + (1 - weight) * terms[2][name]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("term", TERMS)
def test_every_term_reaches_conditioning_patches_every_layer_and_the_head(term):
    for name, gradient in PROBLEM.gradient(lambda p: getattr(PROBLEM.terms(p, 0.5), term)).items():
        assert np.abs(gradient).max() > 1e-6, f"{term} does not move {name}"


# --- what it costs, and dtypes


@given(st.integers(1, 3), st.integers(2, 5), st.data())
@settings(max_examples=6)
def test_one_pass_serves_teacher_and_student(layers, max_loops, data):
    problem = Problem(layers=layers, max_loops=max_loops, student_loops=data.draw(st.integers(1, max_loops - 1)))
    with counting() as work:
        problem.step_terms()
    assert work.calls == {"layer": layers * max_loops, "head": 2}


def test_the_vanilla_objective_is_the_first_term_alone_with_one_head():
    problem = Problem(student_loops=None, objective={"kind": "vanilla"})
    with counting() as work:
        vanilla = problem.step_terms()
    assert work.calls == {"layer": 2 * 4, "head": 1}
    assert vanilla.total == vanilla.teacher_truth == PROBLEM.step_terms().teacher_truth
    assert vanilla.student_truth == vanilla.distillation == 0


@both_dtypes
@every_prediction
def test_terms_and_gradient_keep_the_dtype(dtype, prediction):
    problem = Problem(dtype=dtype, diffusion={"prediction": prediction})
    assert {np.asarray(term).dtype for term in problem.terms(problem.parameters, 0.3)} == {np.dtype(dtype)}
    gradient = problem.gradient(lambda p: problem.terms(p, 0.3).total)
    assert {leaf.dtype for leaf in gradient.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "name", ["embedding.label", "embedding.time_in.weight", "block.0.modulation.weight", "head.output.bias"]
)
def test_no_gradient_is_widened_on_its_way_back(name):
    """As it arrives at the parameter, before it is cast: one float64 on the way would show."""
    problem = Problem(dtype="float32")
    leaves = dict(tree_items(problem.parameters))

    def total(leaf):
        return problem.terms(tree_rebuild(problem.parameters, list((leaves | {name: leaf}).values())), 0.3).total

    backward, value = make_vjp(total)(leaves[name])
    assert backward(np.ones_like(value)).dtype == np.float32
