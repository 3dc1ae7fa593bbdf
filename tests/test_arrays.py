"""Trees of parameters: dotted names, a fixed order, and round trips; marks and checks of arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.arrays import check_integers, cut, join, lowest, tree_items, tree_leaves, tree_map, tree_rebuild
from elt_ref.errors import RequestError

keys = st.text("abcxyz_", min_size=1, max_size=4)
leaves = st.integers(0, 9).map(float)
trees = st.recursive(
    leaves, lambda node: st.lists(node, max_size=3) | st.dictionaries(keys, node, max_size=3), max_leaves=8
)


def test_names_are_joined_by_dots_and_kept_in_order():
    tree = {"b": [{"weight": 1, "bias": 2}, 3], "a": {"x": 4}}
    assert list(tree_items(tree)) == [("b.0.weight", 1), ("b.0.bias", 2), ("b.1", 3), ("a.x", 4)]


@given(trees)
@settings(max_examples=50)
def test_rebuilding_from_the_leaves_gives_the_tree_again(tree):
    assert tree_rebuild(tree, tree_leaves(tree)) == tree


@given(trees)
@settings(max_examples=50)
def test_names_are_unique_and_in_the_order_of_the_leaves(tree):
    names = [name for name, _ in tree_items(tree)]
    assert len(set(names)) == len(names)
    assert [leaf for _, leaf in tree_items(tree)] == tree_leaves(tree)


@given(trees)
@settings(max_examples=50)
def test_mapping_keeps_the_structure_and_changes_the_leaves(tree):
    doubled = tree_map(lambda one, other: one + other, tree, tree)
    assert [name for name, _ in tree_items(doubled)] == [name for name, _ in tree_items(tree)]
    assert tree_leaves(doubled) == [2 * leaf for leaf in tree_leaves(tree)]


def test_rebuilding_makes_a_new_tree():
    tree = {"a": [1, 2]}
    rebuilt = tree_rebuild(tree, [3, 4])
    assert rebuilt == {"a": [3, 4]}
    assert tree == {"a": [1, 2]}


def test_mapping_over_trees_of_different_size_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        tree_map(lambda one, _: one, {"a": 1, "b": 2}, {"a": 1})


@given(st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_the_lowest_are_marked_and_among_equals_the_first(batch, tokens, seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(3, size=(batch, tokens)) / 2  # with ties
    count = generator.integers(tokens + 2, size=batch)
    for row, marked, wanted in zip(scores.tolist(), lowest(scores, count), count.tolist(), strict=True):
        by_score_then_place = sorted(range(tokens), key=lambda place: (row[place], place))
        assert np.flatnonzero(marked).tolist() == sorted(by_score_then_place[:wanted])


def test_lowest_by_hand():
    scores = np.array([[2.0, 1.0, 1.0, np.inf], [0.0, -1.0, 5.0, -1.0]])
    marked = lowest(scores, np.array([1, 3]))
    assert marked.dtype == bool
    assert marked.tolist() == [[False, True, False, False], [True, True, False, True]]
    assert not lowest(scores, np.array([0, 0])).any()


def check(array, shape=("batch", 2)):
    check_integers("codes", array, shape, below=5, also=9, expected="codes in 0…4 or 9")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int16])
def test_integers_in_range_pass_whatever_their_width(dtype):
    check(np.array([[0, 4], [9, 1]], dtype))
    check(np.zeros((0, 2), dtype))
    check_integers("labels", np.array([0, 4], dtype), (2,), below=5, expected="classes")


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        ([[0, 1]], "codes: expected an array of integers, got list"),
        (3, "codes: expected an array of integers, got int"),
        (np.zeros((1, 2)), "codes: expected an array of integers, got float64"),
        (np.zeros((1, 2), bool), "codes: expected an array of integers, got bool"),
        (np.zeros((1, 3), int), "codes: expected shape [batch, 2], got [1, 3]"),
        (np.zeros(2, int), "codes: expected shape [batch, 2], got [2]"),
        (np.array([[0, 1], [5, -1]]), "codes: expected codes in 0…4 or 9, got 5 at [1, 0]"),
        (np.array([[0, -9]]), "codes: expected codes in 0…4 or 9, got -9 at [0, 1]"),
        (np.array([[8, 10]]), "codes: expected codes in 0…4 or 9, got 8 at [0, 0]"),
    ],
    ids=str,
)
def test_integers_that_do_not_fit_are_refused_in_a_sentence(array, sentence):
    with pytest.raises(RequestError) as error:
        check(array)
    assert str(error.value) == sentence


def test_of_a_vector_the_position_is_named_and_without_another_value_none_is_allowed():
    with pytest.raises(RequestError) as error:
        check_integers("labels", np.array([0, 9]), (2,), below=5, expected="classes in 0…4")
    assert str(error.value) == "labels: expected classes in 0…4, got 9 at position 1"


# --- pieces


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3), st.integers(1, 3))
def test_pieces_join_to_the_samples_they_were_cut_from(sides, channels):
    sizes = [size for size, _ in sides]
    shape = (2, *(size * places for size, places in sides), channels)
    samples = np.arange(np.prod(shape)).reshape(shape)
    pieces = cut(samples, sizes)
    assert pieces.shape == (2, *(places for _, places in sides), *sizes, channels)
    assert np.array_equal(join(pieces), samples)
    last = (-1, *(slice(-size, None) for size in sizes))
    assert np.array_equal(pieces[(-1, *[-1] * len(sides))], samples[last]), "the last piece is the last corner"
