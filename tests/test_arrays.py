"""Trees of parameters: dotted names, a fixed order, and round trips."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elt_ref.arrays import tree_items, tree_leaves, tree_map, tree_rebuild

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
