"""Draws, batches and the step itself: pure functions, all of them."""

import copy
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_parameters
from tiny_training import FAMILIES, examples, tiny

from elt_ref.arrays import tree_items, tree_leaves
from elt_ref.objective import Batch, batch_indices, draw, stream_names
from elt_ref.ops import counting
from elt_ref.schedules import truth_weight_at
from elt_ref.streams import stream
from elt_ref.training import init_state, loss_terms, train_step

every_family = pytest.mark.parametrize("family", FAMILIES)

# --- which examples a step learns from


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 3))
@settings(max_examples=50)
def test_every_epoch_visits_every_example_once(batch_size, count, seed):
    config = tiny(seed, batch_size=batch_size)
    steps = 3 * count
    visited = np.concatenate([batch_indices(config, step, count) for step in range(steps)])
    assert len(visited) == steps * batch_size
    for epoch in range(len(visited) // count):
        part = visited[epoch * count : (epoch + 1) * count]
        assert sorted(part) == list(range(count)), f"epoch {epoch} visits {part}"


def test_every_epoch_has_an_order_of_its_own():
    config = tiny(batch_size=20)
    orders = [tuple(batch_indices(config, step, 20)) for step in range(10)]
    assert len(set(orders)) == 10
    assert orders != [tuple(batch_indices(tiny(1, batch_size=20), step, 20)) for step in range(10)]


def test_a_batch_depends_on_its_step_alone():
    config = tiny()
    forward = [batch_indices(config, step, 8).tolist() for step in range(20)]
    backward = [batch_indices(config, step, 8).tolist() for step in reversed(range(20))]
    assert forward == backward[::-1]
    assert batch_indices(config, 10**12, 8).shape == (3,)


def test_a_batch_larger_than_the_data_takes_several_epochs():
    assert Counter(batch_indices(tiny(batch_size=20), 0, 8).tolist()).most_common(1)[0][1] == 3


# --- draws


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@every_family
def test_draws_are_a_function_of_seed_and_step(family):
    config = tiny(family=family)
    drawn = draw(config, 3)
    for other in (draw(config, 4), draw(tiny(1, family=family), 3)):
        for name, one, two in zip(drawn._fields[:3], drawn, other, strict=False):
            assert not np.array_equal(one, two), f"{name} does not depend on seed or step"
    assert same(draw(config, 3), drawn), "other draws in between changed those of the step"


def test_draws_have_the_shapes_of_the_batch():
    config = tiny(batch_size=5)
    drawn = draw(config, 0)
    assert (drawn.mask_ratio.shape, drawn.mask_order.shape, drawn.label_drop.shape) == ((5,), (5, 4), (5,))
    assert all(array.dtype == np.float64 and 0 <= array.min() <= array.max() < 1 for array in drawn[:3])
    assert isinstance(drawn.student_loops, int)


def test_draws_of_the_diffusion_family_have_the_shapes_of_the_batch_and_their_distributions():
    config = tiny(batch_size=400, family="diffusion")
    drawn = draw(config, 0)
    assert (drawn.time.shape, drawn.noise.shape, drawn.label_drop.shape) == ((400,), (400, 4, 2, 3), (400,))
    for uniform in (drawn.time, drawn.label_drop):
        assert uniform.dtype == np.float64
        assert 0 <= uniform.min() < 0.05, "no draw is small"
        assert 0.95 < uniform.max() < 1, "no draw is large"
        assert abs(uniform.mean() - 0.5) < 0.075, "five deviations"
    assert abs(drawn.noise.mean()) < 0.06, "noise is not centred"
    assert abs(drawn.noise.std() - 1) < 0.04, "noise is not of unit variance"
    assert isinstance(drawn.student_loops, int)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_diffusion_draws_are_those_of_the_streams_of_their_names(dtype):
    drawn = draw(tiny(9, dtype=dtype, family="diffusion"), 4)
    np.testing.assert_array_equal(drawn.time, stream(9, "time", 4).random(3))
    np.testing.assert_array_equal(drawn.label_drop, stream(9, "label_drop", 4).random(3))
    assert drawn.noise.dtype == dtype
    np.testing.assert_array_equal(drawn.noise, stream(9, "noise", 4).standard_normal((3, 4, 2, 3)).astype(dtype))
    assert drawn.student_loops == stream(9, "student_loops", 4).integers(1, 3)


@every_family
def test_every_draw_has_a_stream_of_its_own(monkeypatch, family):
    asked = []

    def recorded(seed, name, number):
        asked.append((seed, name, number))
        return stream(seed, name, number)

    monkeypatch.setattr("elt_ref.training.draws.stream", recorded)
    drawn = draw(tiny(9, family=family), 4)
    assert sorted(asked) == [(9, name, 4) for name in sorted(drawn._fields)]
    assert stream_names(tiny(family=family)) == ("order", *drawn._fields), "a checkpoint names other streams"


@pytest.mark.parametrize(
    ("objective", "changed"),
    [
        ({"mask_ratio_per": "batch"}, {"mask_ratio"}),
        ({"label_drop_per": "batch"}, {"label_drop"}),
        ({"min_loops": 2}, {"student_loops"}),
        ({"kind": "vanilla"}, {"student_loops"}),
        ({"label_drop_rate": 0.5}, set()),
        ({"reduction": "sum"}, set()),
        ({"label_smoothing": 0.1}, set()),
    ],
)
def test_one_option_changes_no_other_draw(objective, changed):
    assert changed_draws(tiny(), tiny(objective=objective)) == changed


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"objective": {"label_drop_per": "batch"}}, {"label_drop"}),
        ({"objective": {"min_loops": 2}}, {"student_loops"}),
        ({"objective": {"kind": "vanilla"}}, {"student_loops"}),
        ({"objective": {"label_drop_rate": 0.5}}, set()),
        ({"objective": {"reduction": "sum"}}, set()),
        ({"diffusion": {"shift": -1.0, "bias": 2.0, "prediction": "v"}}, set()),
        ({"model": {"shape": [2, 4, 3]}}, {"noise"}),
    ],
)
def test_one_option_changes_no_other_draw_of_the_diffusion_family(options, changed):
    assert changed_draws(tiny(family="diffusion"), tiny(family="diffusion", **options)) == changed


def changed_draws(config, other):
    pairs = [(draw(config, step), draw(other, step)) for step in range(10)]
    return {
        name
        for before, after in pairs
        for name, one, two in zip(before._fields, before, after, strict=True)
        if not np.array_equal(one, two)
    }


@pytest.mark.parametrize("option", ["mask_ratio", "label_drop"])
def test_draws_per_batch_are_the_same_for_all_samples(option):
    config = tiny(objective={f"{option}_per": "batch"}, batch_size=6)
    drawn = [getattr(draw(config, step), option) for step in range(5)]
    assert all(len(set(values.tolist())) == 1 and values.shape == (6,) for values in drawn)
    assert len({values[0] for values in drawn}) == 5, "every step draws anew"
    assert len(set(getattr(draw(tiny(batch_size=6), 0), option).tolist())) == 6


@every_family
def test_student_loops_take_every_value_but_that_of_the_teacher(family):
    config = tiny(model={"max_loops": 4}, objective={"min_loops": 2}, family=family)
    assert {draw(config, step).student_loops for step in range(60)} == {2, 3}
    assert draw(tiny(objective={"kind": "vanilla"}, family=family), 0).student_loops is None


# --- the step

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
    **{
        f"diffusion {name}": {"family": "diffusion", **options}
        for name, options in (OF_BOTH_FAMILIES | OF_THE_DIFFUSION_FAMILY).items()
    },
}


def started(config):
    """Return a state whose parameters all matter: at a diffusion network's own start every layer is the identity."""
    parameters = random_parameters(config)
    return init_state(config)._replace(parameters=parameters, average=parameters)


def batch_of(config):
    return Batch(*(array[: config.training.batch_size] for array in examples(config)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_keeps_every_dtype(options, dtype):
    config = tiny(dtype=dtype, **options)
    state = started(config)
    for step in range(2):
        state, _ = train_step(state, batch_of(config), draw(config, step), config=config)
    trees = (state.parameters, *state.moments, state.average)
    widened = [name for tree in trees for name, leaf in tree_items(tree) if leaf.dtype != dtype]
    assert not widened, f"no longer {dtype}: {widened}"


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
        again = loss_terms(state.parameters, batch_of(config), draws, truth_weight=weight, config=config)
        assert terms == tuple(map(float, again))
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
