"""E5, intra-loop self-distillation: what each term is, what it may move, and what it costs."""

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
from elt_ref.objective import Batch, MaskedDraws, MaskedTarget, Target, corrupt_masked, vanilla_loss
from elt_ref.ops import counting
from elt_ref.training import loss_and_gradient


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
        self.target = MaskedTarget(self.tokens, self.mask)

    def predictions(self, parameters):
        """Return the teacher's prediction and the student's, without `run`."""
        network, states = self.network(parameters)
        return network.head(states[-1]), network.head(states[self.student_loops - 1])


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
    assert terms.teacher_truth == problem.target.ground_truth(teacher)
    assert terms.student_truth == problem.target.ground_truth(student)
    assert terms.distillation == problem.target.distillation(student, teacher)
    expected = terms.teacher_truth + truth_weight * terms.student_truth + (1 - truth_weight) * terms.distillation
    np.testing.assert_allclose(terms.total, expected, rtol=1e-15)


@of_pictures_and_clips
@both_dtypes
def test_at_lambda_one_the_distillation_term_is_off_to_the_bit(dtype, grid):
    problem = Problem(dtype=dtype, grid=grid)
    terms = problem.terms(problem.parameters, 1.0)
    assert terms.total == terms.teacher_truth + terms.student_truth

    def without(parameters):
        teacher, student = problem.predictions(parameters)
        return problem.target.ground_truth(teacher) + problem.target.ground_truth(student)

    assert_equal_bits(problem.gradient(lambda p: problem.terms(p, 1.0).total), problem.gradient(without))


@of_pictures_and_clips
@both_dtypes
def test_at_lambda_zero_the_students_truth_is_off_to_the_bit(dtype, grid):
    problem = Problem(dtype=dtype, grid=grid)
    terms = problem.terms(problem.parameters, 0.0)
    assert terms.total == terms.teacher_truth + terms.distillation
    held = problem.prediction(problem.parameters, 4)

    def without(parameters):
        teacher, student = problem.predictions(parameters)
        return problem.target.ground_truth(teacher) + problem.target.distillation(student, held)

    assert_equal_bits(problem.gradient(lambda p: problem.terms(p, 0.0).total), problem.gradient(without))


@of_pictures_and_clips
@every_student
def test_distillation_moves_the_student_with_the_teacher_held(student_loops, grid):
    problem = Problem(student_loops=student_loops, grid=grid)
    gradient = problem.gradient(lambda p: problem.terms(p, 0.0).distillation)
    held = problem.prediction(problem.parameters, 4)

    def teacher_held(parameters):
        return problem.target.distillation(problem.prediction(parameters, student_loops), held)

    assert_equal_bits(gradient, problem.gradient(teacher_held))


def test_differences_with_the_teacher_held_agree_with_it_and_those_through_both_networks_do_not():
    """So the law above is no tautology: the teacher would be moved towards the student."""
    problem = SMALL_PROBLEM
    gradient = problem.gradient(lambda p: problem.terms(p, 0.0).distillation)
    held = problem.prediction(problem.parameters, 3)

    def teacher_held(parameters):
        return problem.target.distillation(problem.prediction(parameters, 2), held)

    assert problem.difference_error(teacher_held, gradient) <= LARGEST_ERROR
    assert problem.difference_error(lambda p: problem.terms(p, 0.0).distillation, gradient) > 1e-2


def test_the_stop_gradient_leaves_the_first_term_alone():
    """Its gradient is that of a vanilla looped network, through all loops."""

    def vanilla(parameters):
        return vanilla_loss(PROBLEM.target, PROBLEM.prediction(parameters, 4)).total

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


@every_student
@pytest.mark.parametrize("term", ["teacher_truth", "student_truth", "distillation"])
def test_the_teachers_truth_goes_back_through_all_loops_the_students_terms_through_its_own(term, student_loops):
    last = 4 if term == "teacher_truth" else student_loops
    assert Problem(student_loops=student_loops).loops_reached(term) == [loop <= last for loop in (1, 2, 3, 4)]


def test_what_the_terms_are_made_of_is_a_target():
    assert isinstance(PROBLEM.target, Target)
    assert not isinstance(PROBLEM, Target)


def batch_and_draws(config, student_loops):
    generator, batch = np.random.default_rng(0), config.training.batch_size
    return Batch(random_tokens(config, batch, unknown=0), random_labels(config, batch)), MaskedDraws(
        generator.random(batch), generator.random((batch, config.model.tokens)), generator.random(batch), student_loops
    )


def step_terms(parameters, config, batch, draws):
    """Return the terms as a training step has them."""
    inputs, target = corrupt_masked(config, batch, draws)
    terms, _ = loss_and_gradient(
        parameters, config, inputs, target, student_loops=draws.student_loops, truth_weight=0.5
    )
    return terms


@given(st.integers(1, 3), st.integers(2, 5), st.data())
@settings(max_examples=10)
def test_one_pass_serves_teacher_and_student(layers, max_loops, data):
    config = make_config(layers=layers, max_loops=max_loops)
    batch, draws = batch_and_draws(config, data.draw(st.integers(1, max_loops - 1)))
    with counting() as work:
        step_terms(random_parameters(config), config, batch, draws)
    assert work.calls == {"layer": layers * max_loops, "head": 2}


def test_the_vanilla_objective_is_the_first_term_alone_with_one_head():
    config = make_config(max_loops=3, objective={"kind": "vanilla"})
    batch, draws = batch_and_draws(config, None)
    parameters = random_parameters(config)
    with counting() as work:
        vanilla = step_terms(parameters, config, batch, draws)
    assert work.calls == {"layer": 2 * 3, "head": 1}
    ilsd = step_terms(parameters, make_config(max_loops=3), batch, draws._replace(student_loops=1))
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


@pytest.mark.parametrize("truth_weight", [-0.1, 1.1, float("nan")])
def test_a_weight_out_of_range_is_refused(truth_weight):
    with pytest.raises(RequestError) as error:
        PROBLEM.terms(PROBLEM.parameters, truth_weight)
    assert str(error.value) == f"truth_weight: expected λ in 0…1, got {truth_weight}"
