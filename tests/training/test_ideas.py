"""The shipped ideas: each trains and samples, and obeys its law."""

from itertools import pairwise

import numpy as np
import pytest
from networks import random_parameters
from tiny_training import batch_of, examples, tiny

from elt_ref.arrays import tree_items, tree_leaves
from elt_ref.config import load_preset
from elt_ref.generation import predict_tokens, sample
from elt_ref.idea import EXTRA, idea_of
from elt_ref.model import forward, init_parameters
from elt_ref.objective import draw
from elt_ref.run.idea import load_idea, shipped_ideas, try_idea
from elt_ref.schedules import EarlyExit
from elt_ref.training import init_state, train_step

NAMES = list(shipped_ideas())
MASKED_ONLY = {"exit_entropy", "exit_kl"}
PAIRS = [
    (name, family)
    for name in NAMES
    for family in ("masked", "diffusion", "drifting")
    if family == "masked" or name not in MASKED_ONLY
]


def trained(config, idea, steps=None):
    """The state and what happened in each step of a training on one batch."""
    state, data, infos = init_state(config, idea), batch_of(config), []
    for step in range(steps or config.training.steps):
        state, info = train_step(state, data, draw(config, step, idea), config=config, idea=idea)
        infos.append(info)
    return state, infos


def same(one, other):
    """Whether two trees hold the same bits under the same names; the tensors of an idea do not count."""
    ours, theirs = ([(n, leaf) for n, leaf in tree_items(tree) if not n.startswith(EXTRA)] for tree in (one, other))
    return all(a == b and np.array_equal(x, y) for (a, x), (b, y) in zip(ours, theirs, strict=True))


def test_ten_ideas_ship_and_are_short():
    assert len(NAMES) == 10
    for name, text in shipped_ideas().items():
        code = [line for line in text.splitlines() if line.strip() and not line.startswith('"""')]
        assert len(code) <= 12, f"{name} has {len(code)} lines of code"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MASKED_ONLY])
def test_an_idea_is_tried_in_one_step_generation_too(name):
    small = {"model.layers": 1, "model.width": 16, "model.heads": 2, "model.mlp_width": 16}
    try_idea(load_preset("digits-drifting", small), load_idea(name))


@pytest.mark.typed
@pytest.mark.few(8)
@pytest.mark.parametrize(("name", "family"), PAIRS)
def test_an_idea_trains_and_samples(name, family):
    config, idea = tiny(family=family, steps=6), load_idea(name)
    try_idea(config, idea)
    state, infos = trained(config, idea)
    assert all(np.isfinite(leaf).all() for leaf in tree_leaves(state.average))
    assert all(np.isfinite(info.terms.total) for info in infos)
    for loops in (1, 2 * config.model.max_loops, EarlyExit(0.9, 6)):
        drawn = sample(state.average, config, np.array([0, 1]), loops=loops, idea=idea)
        assert np.isfinite(drawn.samples).all()
    if idea.init is not None:
        start = init_state(config, idea).parameters[EXTRA]
        moved = zip(tree_leaves(start), tree_leaves(state.parameters[EXTRA]), strict=True)
        assert all((before != after).any() for before, after in moved), "its tensors are not trained"
        averaged = zip(tree_leaves(start), tree_leaves(state.average[EXTRA]), strict=True)
        assert all((before != after).any() for before, after in averaged), "its tensors are not averaged"


def test_the_tensors_of_an_idea_follow_the_seed_and_move_no_others():
    text = """
def init(config, generator):
    return {"a": {"weight": generator.standard_normal((2, 3))}}

def loop_states(block, x, loops, extra):
    for _ in range(loops):
        x = block(x)
        yield x
"""
    idea, plain = idea_of(text, "drawn"), init_state(tiny(seed=1)).parameters
    one, again, other = (init_state(tiny(seed=seed), idea).parameters for seed in (1, 1, 2))
    assert same(one, plain)
    drawn = one[EXTRA]["a"]["weight"]
    assert drawn.dtype == np.float32
    assert (drawn == again[EXTRA]["a"]["weight"]).all()
    assert (drawn != other[EXTRA]["a"]["weight"]).all()
    assert (
        init_parameters(tiny(seed=1), 2, idea=idea)[EXTRA]["a"]["weight"].tolist()
        == other[EXTRA]["a"]["weight"].tolist()
    )


# --- laws

PLAIN = """
from elt_ref import loop_states as plain_states
from elt_ref.objective import draw_student_loops, ilsd_loss
from elt_ref.schedules import truth_weight_at as plain_weight
from elt_ref.model import adaln_zero_layer as plain_diffusion, post_norm_layer as plain_masked

def draw_exits(generator, *, min_loops, max_loops):
    return [draw_student_loops(generator, min_loops=min_loops, max_loops=max_loops), max_loops]

def objective(target, exits, *, truth_weight):
    return ilsd_loss(target, *exits.values(), truth_weight=truth_weight).total

def truth_weight_at(step, steps):
    return plain_weight(step, steps)
"""
STATES = """
def loop_states(block, x, loops):
    return plain_states(block, x, loops)
"""
LAYERS = {
    "masked": """
def post_norm_layer(parameters, x, *, heads, epsilon):
    return plain_masked(parameters, x, heads=heads, epsilon=epsilon)
""",
    "diffusion": """
def adaln_zero_layer(tree, x, *, heads, epsilon):
    return plain_diffusion(tree, x, heads=heads, epsilon=epsilon)
""",
}


@pytest.mark.parametrize("family", ["masked", "diffusion", "drifting"])
def test_an_idea_that_says_what_the_package_says_changes_no_bit(family):
    config = tiny(family=family)
    plain, plain_infos = trained(config, None)
    ours, infos = trained(config, idea_of(PLAIN, "plain"))
    assert same(ours.parameters, plain.parameters)
    assert same(ours.average, plain.average)
    assert [info.terms.total for info in infos] == [info.terms.total for info in plain_infos]


@pytest.mark.few(1)
@pytest.mark.parametrize("rematerialise", [False, True])
@pytest.mark.parametrize("family", ["masked", "diffusion"])
def test_the_packages_own_loop_and_layer_as_an_idea(family, rematerialise):
    """Whole states round otherwise where the package computes some rows only."""
    config = tiny(family=family, dtype="float64", rematerialise=rematerialise)
    plain, _ = trained(config, None)
    ours, _ = trained(config, idea_of(PLAIN + STATES + LAYERS[family], "plain"))
    for one, other in zip(tree_leaves(ours.average), tree_leaves(plain.average), strict=True):
        assert np.allclose(one, other, rtol=1e-9, atol=1e-12)
    for loops in (1, 3, EarlyExit(0.01, 5)):
        drawn = [
            sample(plain.average, config, np.array([0, 1, 1]), loops=loops, idea=idea)
            for idea in (None, idea_of(PLAIN + STATES + LAYERS[family], "plain"))
        ]
        assert np.allclose(drawn[0].samples, drawn[1].samples, atol=1e-9)
        assert np.array_equal(drawn[0].loops_used, drawn[1].loops_used)


@pytest.mark.parametrize("family", ["masked", "diffusion"])
def test_weighted_loops_with_one_student_are_ilsd_to_the_bit(family):
    config = tiny(family=family)
    text = shipped_ideas()["weighted_loops"].replace(
        "return range(min_loops, max_loops + 1)", "return [int(generator.integers(min_loops, max_loops)), max_loops]"
    )
    assert same(trained(config, idea_of(text, "one"))[0].parameters, trained(config, None)[0].parameters)


@pytest.mark.parametrize("family", ["masked", "diffusion"])
def test_truncation_beyond_the_loops_is_plain(family):
    config = tiny(family=family, dtype="float64")
    text = shipped_ideas()["truncated_backprop"]
    plain = trained(config, None)[0].parameters
    whole = trained(config, idea_of(text.replace("K = 2", "K = 3"), "whole"))[0].parameters
    for one, other in zip(tree_leaves(whole), tree_leaves(plain), strict=True):
        assert np.allclose(one, other, rtol=1e-9, atol=1e-12)
    assert not same(trained(config, idea_of(text, "cut"))[0].parameters, plain), "K = 2 of 3 loops cuts nothing"


@pytest.mark.parametrize("name", ["input_injection", "loop_index"])
def test_what_starts_at_zero_starts_as_the_plain_network(name):
    config, idea = tiny(dtype="float64"), load_idea(name)
    parameters, data = init_state(config, idea).parameters, examples(config)
    exits = [1, 2, 3, 6]
    ours = forward(parameters, config, *data, exits=exits, idea=idea)
    plain = forward(parameters, config, *data, exits=exits)
    assert np.allclose(ours, plain, rtol=1e-12)
    parameters[EXTRA] = (
        {"inject": {"weight": np.eye(4), "bias": np.ones(4)}}
        if "inject" in parameters[EXTRA]
        else {"loop": np.ones((3, 4))}
    )
    moved = forward(parameters, config, *data, exits=exits, idea=idea)
    assert all((one != other).any() for one, other in zip(moved, plain, strict=True))


def test_random_loops_end_where_the_step_ends():
    config, idea = tiny(steps=12), load_idea("random_loops")
    draws = [draw(config, step, idea).student_loops for step in range(200)]
    assert {loops for (loops,) in draws} == {1, 2, 3}
    _, infos = trained(config, idea)
    assert all(info.terms.total == info.terms.teacher_truth for info in infos)


def test_every_loop_is_supervised():
    config, idea = tiny(dtype="float64"), load_idea("every_loop")
    _, (info, *_) = trained(config, idea)
    assert info.student_loops == (1, 2, 3)
    parts = []
    for loops in (1, 2, 3):
        text = f"def draw_exits(generator, *, min_loops, max_loops):\n    return [{loops}]\n"
        _, (alone,) = trained(config, idea_of(text, "alone"), steps=1)
        parts.append(alone.terms.total)
    assert np.isclose(info.terms.total, np.mean(parts), rtol=1e-12)


def test_without_a_stop_gradient_the_teacher_moves():
    """The loss is ILSD's; at λ = 0 its gradient with respect to the teacher is not that of the ground truth alone."""
    config, idea = tiny(dtype="float64"), load_idea("no_stop_gradient")
    state, data, draws = init_state(config), examples(config, config.training.batch_size), draw(config, 0)
    late = state._replace(step=config.training.steps - 1)
    _, plain = train_step(late, data, draws, config=config)
    _, ours = train_step(late, data, draws, config=config, idea=idea)
    assert np.isclose(ours.terms.total, plain.terms.total, rtol=1e-12)
    assert not np.isclose(ours.gradient_norm, plain.gradient_norm, rtol=1e-6)


def test_the_cosine_weight_ends_as_the_linear_one():
    weight_at = load_idea("cosine_weight").truth_weight_at
    weights = [weight_at(step, 101) for step in range(101)]
    assert (weights[0], weights[100]) == (1.0, 0.0)
    assert np.isclose(weights[50], 0.5)
    assert all(earlier >= later for earlier, later in pairwise(weights))
    assert weight_at(0, 1) == 1.0


def test_exits_measure_entropy_and_divergence():
    logits = np.log(np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.25, 0.75], [0.5, 0.5]]]))
    unknown = np.array([[True, False], [True, True]])
    entropy = lambda p: -(p * np.log(p) + (1 - p) * np.log(1 - p)) / np.log(2)  # noqa: E731
    found = load_idea("exit_entropy").early_exit([logits], unknown)
    assert np.allclose(found, [1.0, (entropy(0.25) + 1.0) / 2])
    rule = load_idea("exit_kl").early_exit
    assert np.isinf(rule([logits], unknown)).all()
    assert np.allclose(rule([logits, logits], unknown), 0)
    other = np.zeros_like(logits)
    expected = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert np.allclose(rule([other, logits], unknown), [0, expected / 2])


COUNTS = """
import numpy as np

FAMILY = "masked"

def early_exit(predictions, unknown):
    return np.where(len(predictions) >= unknown.sum(axis=1), 0.0, 1.0)
"""


@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("own_loop", [False, True])
def test_a_rule_ends_each_sample_on_its_own(scale, own_loop):
    """A rule that counts loops: a sample with i unknown tokens leaves after i, with the prediction of i loops."""
    config = tiny(dtype="float64")
    idea = idea_of(COUNTS + (PLAIN[: PLAIN.index("def")] + STATES if own_loop else ""), "counts")
    parameters, mask = random_parameters(config), config.model.mask_token
    tokens, labels = (
        np.array([[0, 1, 2, mask], [mask] * 4, [1, mask, mask, 3], [mask, 2, mask, mask]]),
        np.arange(4) % 2,
    )
    settings = {"guidance_scale": scale, "idea": idea}
    logits, used = predict_tokens(parameters, config, tokens, labels, loops=EarlyExit(0.5, 3), **settings)
    assert used.tolist() == [1, 3, 2, 3]
    for row, loops in enumerate(used):
        alone, _ = predict_tokens(parameters, config, tokens, labels, loops=int(loops), guidance_scale=scale)
        unknown = tokens[row] == mask
        assert np.allclose(logits[row, unknown], alone[row, unknown], rtol=1e-9)
