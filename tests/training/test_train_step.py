"""Draws, batches and the step itself: pure functions, all of them."""

import copy
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import examples, tiny

from elt_ref.arrays import tree_items, tree_leaves
from elt_ref.objective import MaskedDraws, truth_weight_at
from elt_ref.ops import counting
from elt_ref.streams import stream
from elt_ref.training import Batch, batch_indices, draw, init_state, loss_terms, train_step
from elt_ref.training.draws import stream_names

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


def test_draws_are_a_function_of_seed_and_step():
    config = tiny()
    assert same(draw(config, 3), draw(config, 3))
    for other in (draw(config, 4), draw(tiny(1), 3)):
        for name, one, two in zip(MaskedDraws._fields[:3], draw(config, 3), other, strict=False):
            assert not np.array_equal(one, two), f"{name} does not depend on seed or step"


def test_draws_have_the_shapes_of_the_batch():
    config = tiny(batch_size=5)
    drawn = draw(config, 0)
    assert (drawn.mask_ratio.shape, drawn.mask_order.shape, drawn.label_drop.shape) == ((5,), (5, 4), (5,))
    assert all(array.dtype == np.float64 and 0 <= array.min() <= array.max() < 1 for array in drawn[:3])
    assert isinstance(drawn.student_loops, int)


def test_every_draw_has_a_stream_of_its_own(monkeypatch):
    asked = []

    def recorded(seed, name, number):
        asked.append((seed, name, number))
        return stream(seed, name, number)

    monkeypatch.setattr("elt_ref.training.draws.stream", recorded)
    draw(tiny(9), 4)
    assert sorted(asked) == [(9, name, 4) for name in sorted(set(stream_names(tiny())) - {"order"})]


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
    pairs = [(draw(tiny(), step), draw(tiny(objective=objective), step)) for step in range(10)]
    different = {
        name
        for before, after in pairs
        for name, one, two in zip(MaskedDraws._fields, before, after, strict=True)
        if not np.array_equal(one, two)
    }
    assert different == changed


@pytest.mark.parametrize("option", ["mask_ratio", "label_drop"])
def test_draws_per_batch_are_the_same_for_all_samples(option):
    config = tiny(objective={f"{option}_per": "batch"}, batch_size=6)
    drawn = [getattr(draw(config, step), option) for step in range(5)]
    assert all(len(set(values.tolist())) == 1 and values.shape == (6,) for values in drawn)
    assert len({values[0] for values in drawn}) == 5, "every step draws anew"
    assert len(set(getattr(draw(tiny(batch_size=6), 0), option).tolist())) == 6


def test_student_loops_take_every_value_but_that_of_the_teacher():
    config = tiny(model={"max_loops": 4}, objective={"min_loops": 2})
    assert {draw(config, step).student_loops for step in range(60)} == {2, 3}
    assert draw(tiny(objective={"kind": "vanilla"}), 0).student_loops is None


# --- the step

OPTIONS = {
    "default": {},
    "vanilla": {"objective": {"kind": "vanilla"}},
    "sum": {"objective": {"reduction": "sum", "label_smoothing": 0.1}},
    "decay": {"weight_decay": 0.1, "gradient_clip": 1e-3},
    "rematerialised": {"rematerialise": True},
    "per batch": {"objective": {"mask_ratio_per": "batch", "label_drop_per": "batch", "label_drop_rate": 1.0}},
}


def batch_of(config):
    return Batch(*(array[: config.training.batch_size] for array in examples(config)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_keeps_every_dtype(options, dtype):
    config = tiny(dtype=dtype, **options)
    state = init_state(config)
    for step in range(2):
        state, _ = train_step(state, batch_of(config), draw(config, step), config=config)
    trees = (state.parameters, *state.moments, state.average)
    widened = [name for tree in trees for name, leaf in tree_items(tree) if leaf.dtype != dtype]
    assert not widened, f"no longer {dtype}: {widened}"


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_changes_nothing_it_is_given_and_repeats_to_the_bit(options):
    config = tiny(**options)
    state, batch, draws = init_state(config), batch_of(config), draw(config, 0)
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


@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
def test_rematerialising_gives_the_same_numbers(kind):
    states = []
    for rematerialise in (False, True):
        config = tiny(rematerialise=rematerialise, dtype="float64", objective={"kind": kind})
        states.append(train_step(init_state(config), batch_of(config), draw(config, 0), config=config)[0])
    for plain, again in zip(*(tree_leaves(state.moments.first) for state in states), strict=True):
        if kind == "vanilla":
            np.testing.assert_array_equal(again, plain)
        # At the student's state three gradients meet; they are summed in another order.
        np.testing.assert_allclose(again, plain, rtol=1e-9, atol=1e-15)


def test_what_a_step_reports():
    config = tiny(steps=5, gradient_clip=0.25)
    state = init_state(config)
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


@pytest.mark.parametrize(("kind", "heads"), [("ilsd", 2), ("vanilla", 1)])
def test_one_pass_serves_teacher_and_student(kind, heads):
    config = tiny(objective={"kind": kind}, model={"layers": 2})
    with counting() as work:
        train_step(init_state(config), batch_of(config), draw(config, 0), config=config)
    assert work.calls == {"layer": 2 * 3, "head": heads}


def test_the_vanilla_objective_is_the_teachers_truth_alone():
    config = tiny(objective={"kind": "vanilla"})
    _, info = train_step(init_state(config), batch_of(config), draw(config, 0), config=config)
    assert info.terms.total == info.terms.teacher_truth > 0
    assert (info.terms.student_truth, info.terms.distillation, info.student_loops) == (0.0, 0.0, None)
    ilsd = tiny()
    _, ilsd_info = train_step(init_state(ilsd), batch_of(ilsd), draw(ilsd, 0), config=ilsd)
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
