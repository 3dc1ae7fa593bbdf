"""E5, intra-loop self-distillation: what each term is, what it may move, and what it costs."""

from functools import partial

import numpy as np
import pytest
from autograd import make_vjp
from hypothesis import given, settings
from hypothesis import strategies as st
from ilsd_problem import Network, assert_equal_bits
from networks import make_config, random_labels, random_parameters, random_tokens
from ops.gradient_check import LARGEST_ERROR

from elt_ref.arrays import tree_items, tree_rebuild
from elt_ref.errors import RequestError
from elt_ref.objective import Batch, MaskedDraws, ilsd_loss, masked_distillation, masked_ground_truth, vanilla_loss
from elt_ref.ops import counting, value_and_gradient
from elt_ref.training import step as training_step


class Problem(Network):
    """A network, a batch with a mask, and E5 as a function of the parameters."""

    def __init__(self, *, dtype="float64", student_loops=2, **model):
        self.config = make_config(dtype=dtype, **({"max_loops": 4, "layers": 2} | model))
        self.student_loops = student_loops
        self.parameters = random_parameters(self.config)
        self.tokens = random_tokens(self.config, 3, unknown=0)
        self.labels = random_labels(self.config, 3)
        self.mask = np.random.default_rng(1).random(self.tokens.shape) < 0.7
        self.mask[:, 0] = True
        self.inputs = np.where(self.mask, self.config.model.mask_token, self.tokens), self.labels
        self.truth = partial(masked_ground_truth, tokens=self.tokens, mask=self.mask)
        self.distillation = partial(masked_distillation, mask=self.mask)

    def terms(self, parameters, truth_weight):
        network, states = self.network(parameters)
        return ilsd_loss(
            states, self.student_loops, network.head, self.truth, self.distillation, truth_weight=truth_weight
        )


PROBLEM = Problem()
SMALL_PROBLEM = Problem(layers=1, max_loops=3)  # for differences, which evaluate it often
every_student = pytest.mark.parametrize("student_loops", [1, 2, 3])
of_pictures_and_clips = pytest.mark.parametrize("grid", [(2, 2), (2, 2, 1)], ids=["pictures", "clips"])
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@every_student
@given(truth_weight=st.floats(0, 1))
@settings(max_examples=8)
def test_the_terms_are_those_of_the_equation(student_loops, truth_weight):
    problem = Problem(student_loops=student_loops)
    teacher = problem.prediction(problem.parameters, 4)
    student = problem.prediction(problem.parameters, student_loops)
    terms = problem.terms(problem.parameters, truth_weight)
    assert terms.teacher_truth == masked_ground_truth(teacher, problem.tokens, problem.mask)
    assert terms.student_truth == masked_ground_truth(student, problem.tokens, problem.mask)
    assert terms.distillation == masked_distillation(student, teacher, problem.mask)
    expected = terms.teacher_truth + truth_weight * terms.student_truth + (1 - truth_weight) * terms.distillation
    np.testing.assert_allclose(terms.total, expected, rtol=1e-15)


@of_pictures_and_clips
@both_dtypes
def test_at_lambda_one_the_distillation_term_is_off_to_the_bit(dtype, grid):
    problem = Problem(dtype=dtype, grid=grid)
    terms = problem.terms(problem.parameters, 1.0)
    assert terms.total == terms.teacher_truth + terms.student_truth

    def without(parameters):
        network, states = problem.network(parameters)
        return problem.truth(network.head(states[-1])) + problem.truth(network.head(states[1]))

    assert_equal_bits(problem.gradient(lambda p: problem.terms(p, 1.0).total), problem.gradient(without))


@of_pictures_and_clips
@both_dtypes
def test_at_lambda_zero_the_students_truth_is_off_to_the_bit(dtype, grid):
    problem = Problem(dtype=dtype, grid=grid)
    terms = problem.terms(problem.parameters, 0.0)
    assert terms.total == terms.teacher_truth + terms.distillation
    held = problem.prediction(problem.parameters, 4)

    def without(parameters):
        network, states = problem.network(parameters)
        return problem.truth(network.head(states[-1])) + problem.distillation(network.head(states[1]), held)

    assert_equal_bits(problem.gradient(lambda p: problem.terms(p, 0.0).total), problem.gradient(without))


@of_pictures_and_clips
@every_student
def test_distillation_moves_the_student_with_the_teacher_held(student_loops, grid):
    problem = Problem(student_loops=student_loops, grid=grid)
    gradient = problem.gradient(lambda p: problem.terms(p, 0.0).distillation)
    held = problem.prediction(problem.parameters, 4)

    def teacher_held(parameters):
        return problem.distillation(problem.prediction(parameters, student_loops), held)

    assert_equal_bits(gradient, problem.gradient(teacher_held))


def test_differences_with_the_teacher_held_agree_with_it_and_those_through_both_networks_do_not():
    """So the law above is no tautology: the teacher would be moved towards the student."""
    problem = SMALL_PROBLEM
    gradient = problem.gradient(lambda p: problem.terms(p, 0.0).distillation)
    held = problem.prediction(problem.parameters, 3)

    def teacher_held(parameters):
        return problem.distillation(problem.prediction(parameters, 2), held)

    assert problem.difference_error(teacher_held, gradient) <= LARGEST_ERROR
    assert problem.difference_error(lambda p: problem.terms(p, 0.0).distillation, gradient) > 1e-2


def test_the_stop_gradient_leaves_the_first_term_alone():
    """Its gradient is that of a vanilla looped network, through all loops."""

    def vanilla(parameters):
        network, states = PROBLEM.network(parameters)
        return vanilla_loss(states, network.head, PROBLEM.truth).total

    gradient = PROBLEM.gradient(lambda p: PROBLEM.terms(p, 0.3).teacher_truth)
    assert_equal_bits(gradient, PROBLEM.gradient(vanilla))


def test_the_gradient_of_the_first_term_is_that_of_differences_through_all_loops():
    problem = SMALL_PROBLEM
    gradient = problem.gradient(lambda p: problem.terms(p, 0.3).teacher_truth)
    assert problem.difference_error(lambda p: problem.terms(p, 0.3).teacher_truth, gradient) <= LARGEST_ERROR


def test_the_gradient_of_the_whole_is_the_weighted_sum_of_those_of_its_terms():
    weight = 0.3
    total, *terms = (
        PROBLEM.gradient(lambda p, term=term: getattr(PROBLEM.terms(p, weight), term))
        for term in ("total", "teacher_truth", "student_truth", "distillation")
    )
    for name, gradient in total.items():
        expected = terms[0][name] + weight * terms[1][name] + (1 - weight) * terms[2][name]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("term", ["student_truth", "distillation"])
def test_the_students_terms_reach_the_head_and_every_layer(term):
    for name, gradient in PROBLEM.gradient(lambda p: getattr(PROBLEM.terms(p, 0.5), term)).items():
        assert np.abs(gradient).max() > 1e-6, f"{term} does not move {name}"


@pytest.mark.parametrize("term", ["student_truth", "distillation"])
def test_the_students_terms_reach_its_first_loops_only(term):
    """The state that the student read is a cut: later loops are constant to it."""
    network, states = PROBLEM.network(PROBLEM.parameters)
    student_loops = 2

    def from_later_states(later):
        cut = [*states[:student_loops], *later]
        terms = ilsd_loss(cut, student_loops, network.head, PROBLEM.truth, PROBLEM.distillation, truth_weight=0.5)
        return getattr(terms, term), None

    _, _, gradients = value_and_gradient(from_later_states, states[student_loops:])
    assert not any(gradient.any() for gradient in gradients)


def batch_and_draws(config, student_loops):
    generator, batch = np.random.default_rng(0), config.training.batch_size
    return Batch(random_tokens(config, batch, unknown=0), random_labels(config, batch)), MaskedDraws(
        generator.random(batch), generator.random((batch, config.model.tokens)), generator.random(batch), student_loops
    )


@given(st.integers(1, 3), st.integers(2, 5), st.data())
@settings(max_examples=10)
def test_one_pass_serves_teacher_and_student(layers, max_loops, data):
    config = make_config(layers=layers, max_loops=max_loops)
    batch, draws = batch_and_draws(config, data.draw(st.integers(1, max_loops - 1)))
    with counting() as work:
        training_step.loss_terms(random_parameters(config), batch, draws, truth_weight=0.5, config=config)
    assert work.calls == {"layer": layers * max_loops, "head": 2}


def test_the_vanilla_objective_is_the_first_term_alone_with_one_head():
    config = make_config(max_loops=3, objective={"kind": "vanilla"})
    batch, draws = batch_and_draws(config, None)
    parameters = random_parameters(config)
    with counting() as work:
        vanilla = training_step.loss_terms(parameters, batch, draws, truth_weight=0.5, config=config)
    assert work.calls == {"layer": 2 * 3, "head": 1}
    ilsd = training_step.loss_terms(
        parameters, batch, draws._replace(student_loops=1), truth_weight=0.5, config=make_config(max_loops=3)
    )
    assert vanilla.total == vanilla.teacher_truth == ilsd.teacher_truth
    assert vanilla.student_truth == vanilla.distillation == 0


@both_dtypes
def test_terms_and_gradient_keep_the_dtype(dtype):
    problem = Problem(dtype=dtype)
    terms = problem.terms(problem.parameters, 0.3)
    assert {np.asarray(term).dtype for term in terms} == {np.dtype(dtype)}
    assert {gradient.dtype for gradient in problem.gradient(lambda p: problem.terms(p, 0.3).total).values()} == {
        np.dtype(dtype)
    }


@pytest.mark.parametrize("name", ["embedding.word", "block.0.attention.query_key_value.weight", "head.bias"])
def test_no_gradient_is_widened_on_its_way_back(name):
    """As it arrives at the parameter, before it is cast: one float64 on the way would show."""
    problem = Problem(dtype="float32")
    leaves = dict(tree_items(problem.parameters))

    def total(leaf):
        return problem.terms(tree_rebuild(problem.parameters, list((leaves | {name: leaf}).values())), 0.3).total

    backward, value = make_vjp(total)(leaves[name])
    assert backward(np.ones_like(value)).dtype == np.float32


@pytest.mark.parametrize("student_loops", [0, -1, 4, 5])
def test_student_loops_out_of_range_are_refused(student_loops):
    with pytest.raises(RequestError) as error:
        Problem(student_loops=student_loops).terms(PROBLEM.parameters, 0.5)
    assert str(error.value) == f"student_loops: expected 1 ≤ L_int < L_max = 4, got {student_loops}"


@pytest.mark.parametrize("truth_weight", [-0.1, 1.1, float("nan")])
def test_a_weight_out_of_range_is_refused(truth_weight):
    with pytest.raises(RequestError) as error:
        PROBLEM.terms(PROBLEM.parameters, truth_weight)
    assert str(error.value) == f"truth_weight: expected λ in 0…1, got {truth_weight}"
