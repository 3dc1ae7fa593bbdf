"""The training step: a pure function of state, batch and draws."""

import copy

import numpy as np
import pytest
from networks import random_parameters
from tiny_training import FAMILIES, batch_of, tiny

from elt_ref.arrays import tree_items, tree_leaves
from elt_ref.errors import RequestError
from elt_ref.model import forward
from elt_ref.objective import Batch, draw, ilsd_loss, vanilla_loss
from elt_ref.ops import counting, value_and_gradient
from elt_ref.schedules import truth_weight_at
from elt_ref.training import init_state, loss_and_gradient, train_step
from elt_ref.training.step import CORRUPTIONS

every_family = pytest.mark.parametrize("family", FAMILIES)

OF_BOTH_FAMILIES = {
    "default": {},
    "vanilla": {"objective": {"kind": "vanilla"}},
    "decay": {"weight_decay": 0.1, "gradient_clip": 1e-3},
    "rematerialised": {"rematerialise": True},
}
OF_THE_DIFFUSION_FAMILY = {
    "sum": {"objective": {"reduction": "sum"}},
    "per batch": {"objective": {"label_drop_per": "batch", "label_drop_rate": 1.0}},
    "epsilon": {"diffusion": {"prediction": "epsilon"}},
    "v": {"diffusion": {"prediction": "v", "shift_at_noise": -1.0}},
}
OPTIONS = {
    **OF_BOTH_FAMILIES,
    "sum": {"objective": {"reduction": "sum", "label_smoothing": 0.1}},
    "per batch": {"objective": {"mask_ratio_per": "batch", "label_drop_per": "batch", "label_drop_rate": 1.0}},
    **{f"drifting {name}": {"family": "drifting", **options} for name, options in OF_BOTH_FAMILIES.items()},
    "drifting sum": {"family": "drifting", "objective": {"reduction": "sum"}},
    **{
        f"diffusion {name}": {"family": "diffusion", **options}
        for name, options in (OF_BOTH_FAMILIES | OF_THE_DIFFUSION_FAMILY).items()
    },
}


def started(config):
    """Return a state whose parameters all matter: at a diffusion network's own start every layer is the identity."""
    parameters = random_parameters(config)
    return init_state(config)._replace(parameters=parameters, average=parameters)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def corrupted(config, draws):
    """Return the inputs and the target of a step."""
    return CORRUPTIONS[type(config)](config, batch_of(config), draws)


@pytest.mark.few(10)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_keeps_every_dtype(options, dtype):
    config = tiny(dtype=dtype, **options)
    state = started(config)
    for step in range(2):
        state, info = train_step(state, batch_of(config), draw(config, step), config=config)
    assert {term.dtype for term in info.terms} == {np.dtype(dtype)}
    trees = (state.parameters, *state.moments, state.average)
    widened = [name for tree in trees for name, leaf in tree_items(tree) if leaf.dtype != dtype]
    assert not widened, f"no longer {dtype}: {widened}"


@pytest.mark.few(6)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_changes_nothing_it_is_given_and_repeats_to_the_bit(options):
    config = tiny(**options)
    state, batch, draws = started(config), batch_of(config), draw(config, 0)
    state, _ = train_step(state, batch, draws, config=config)
    before = copy.deepcopy((state, batch, draws))
    first, first_info = train_step(state, batch, draws, config=config)
    again, again_info = train_step(state, batch, draws, config=config)
    leaves = [tree_leaves([s.parameters, *s.moments, s.average]) for s in (state, before[0], first, again)]
    assert all(map(np.array_equal, leaves[0], leaves[1])), "the given state was changed"
    assert same(batch, before[1]), "the given batch was changed"
    assert same(draws, before[2]), "the given draws were changed"
    assert all(map(np.array_equal, leaves[2], leaves[3])), "the same step gave another state"
    assert first_info == again_info
    assert (state.step, first.step) == (1, 2)


@every_family
@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
def test_rematerialising_gives_the_same_numbers(kind, family):
    states = []
    for rematerialise in (False, True):
        config = tiny(rematerialise=rematerialise, dtype="float64", objective={"kind": kind}, family=family)
        states.append(train_step(started(config), batch_of(config), draw(config, 0), config=config)[0])
    for plain, again in zip(*(tree_leaves(state.moments.first) for state in states), strict=True):
        if kind == "vanilla":
            np.testing.assert_array_equal(again, plain)
        # At the student's state three gradients meet; they are summed in another order.
        np.testing.assert_allclose(again, plain, rtol=1e-9, atol=1e-15)


@every_family
@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
def test_the_gradient_is_that_of_e5_over_two_exits_of_one_pass(kind, family):
    config = tiny(objective={"kind": kind}, family=family, dtype="float64")
    parameters, draws = random_parameters(config), draw(config, 0)
    inputs, target = corrupted(config, draws)

    def loss(parameters):
        if kind == "vanilla":
            terms = vanilla_loss(target, forward(parameters, config, *inputs))
        else:
            student, teacher = forward(parameters, config, *inputs, exits=(draws.student_loops, 3))
            terms = ilsd_loss(target, student, teacher, truth_weight=0.3)
        return terms.total, terms

    _, expected_terms, expected = value_and_gradient(loss, parameters)
    terms, gradient = loss_and_gradient(
        parameters, config, inputs, target, student_loops=draws.student_loops, truth_weight=0.3
    )
    # Known tokens are left out of the last layer, so its products have fewer rows.
    np.testing.assert_allclose(terms, expected_terms, rtol=1e-13)
    for (name, leaf), wanted in zip(tree_items(gradient), tree_leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, wanted, rtol=1e-10, atol=1e-14, err_msg=f"gradient of {name}")


@pytest.mark.parametrize("student_loops", [0, -1, 3, 4])
@every_family
def test_student_loops_out_of_range_are_refused(family, student_loops):
    config = tiny(family=family)
    draws = draw(config, 0)._replace(student_loops=student_loops)
    sentence = f"^student_loops: expected 1 ≤ L_int < L_max = 3, got {student_loops}$"
    with counting() as work, pytest.raises(RequestError, match=sentence):
        loss_and_gradient(
            started(config).parameters,
            config,
            *corrupted(config, draws),
            student_loops=student_loops,
            truth_weight=0.5,
        )
    assert work.flops == 0
    with pytest.raises(RequestError, match=sentence):
        train_step(started(config), batch_of(config), draws, config=config)


@every_family
def test_what_a_step_reports(family):
    config = tiny(steps=5, gradient_clip=0.25, family=family)
    state = started(config)
    for step in range(5):
        draws = draw(config, step)
        after, info = train_step(state, batch_of(config), draws, config=config)
        terms = info.terms
        weight = 1 - step / 4
        assert info.truth_weight == truth_weight_at(step, 5) == weight
        expected = terms.teacher_truth + weight * terms.student_truth + (1 - weight) * terms.distillation
        assert terms.total == pytest.approx(expected, rel=1e-6)
        assert info.student_loops == draws.student_loops
        again, _ = loss_and_gradient(
            state.parameters, config, *corrupted(config, draws), student_loops=draws.student_loops, truth_weight=weight
        )
        assert terms == again
        state = after
    assert info.gradient_norm > 0.25, "the norm is that before clipping"


def test_the_average_follows_the_parameters_after_the_step():
    config = tiny(average_decay=0.75, dtype="float64")
    state = init_state(config)
    after, _ = train_step(state, batch_of(config), draw(config, 0), config=config)
    for before, theta, mean in zip(*map(tree_leaves, (state.average, after.parameters, after.average)), strict=True):
        np.testing.assert_allclose(mean, 0.75 * before + 0.25 * theta, rtol=1e-12, atol=1e-15)


@every_family
@pytest.mark.parametrize(("kind", "heads"), [("ilsd", 2), ("vanilla", 1)])
def test_one_pass_serves_teacher_and_student(kind, heads, family):
    config = tiny(objective={"kind": kind}, model={"layers": 2}, family=family)
    with counting() as work:
        train_step(started(config), batch_of(config), draw(config, 0), config=config)
    assert work.calls == {"layer": 2 * 3, "head": heads}


@every_family
def test_the_vanilla_objective_is_the_teachers_truth_alone(family):
    config = tiny(objective={"kind": "vanilla"}, family=family)
    _, info = train_step(started(config), batch_of(config), draw(config, 0), config=config)
    assert info.terms.total == info.terms.teacher_truth > 0
    assert (info.terms.student_truth, info.terms.distillation, info.student_loops) == (0.0, 0.0, None)
    ilsd = tiny(family=family)
    _, ilsd_info = train_step(started(ilsd), batch_of(ilsd), draw(ilsd, 0), config=ilsd)
    assert ilsd_info.terms.teacher_truth == info.terms.teacher_truth
    assert ilsd_info.terms.student_truth > 0
    assert ilsd_info.terms.distillation > 0


@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
def test_the_loss_falls_where_there_is_little_to_learn(kind):
    """Two examples of one class each: the class and any token tell the rest."""
    config = tiny(
        model={"width": 8, "mlp_width": 16, "initial_deviation": 0.2},
        objective={"kind": kind, "label_drop_rate": 0.0},
        steps=40,
        batch_size=4,
        learning_rate=2e-2,
        schedule="constant",
    )
    known = Batch(np.array([[0, 1, 2, 3], [4, 3, 2, 1]] * 2), np.array([0, 1] * 2))
    state = init_state(config)
    losses = []
    for step in range(config.training.steps):
        state, info = train_step(state, known, draw(config, step), config=config)
        losses.append(info.terms.teacher_truth)
    first, last = np.mean(losses[:5]), np.mean(losses[-10:])
    assert last < first / 2, f"after 40 steps the loss is {last:.3f}, it was {first:.3f}"
