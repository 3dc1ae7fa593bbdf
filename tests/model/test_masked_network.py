"""The masked network against a version of one number at a time, and what it must not look at."""

import numpy as np
import oracle_of_model as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import examples, make_config, open_network, random_labels, random_parameters, random_tokens

from elt_ref.arrays import tree_items, tree_leaves, tree_map
from elt_ref.config import MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.model import NETWORKS, forward, loop_states, post_norm_layer
from elt_ref.objective import MaskedTarget
from elt_ref.ops import counting, value_and_gradient

close = {"rtol": 1e-9, "atol": 1e-10}


@given(examples(dtypes=("float64",), max_loops=2))
@settings(max_examples=8)
def test_logits_are_those_of_the_scalar_version(example):
    config, parameters, tokens, labels = example
    for loops in range(1, config.model.max_loops + 1):
        expected = oracle.forward(parameters, config.model, tokens, labels, loops)
        np.testing.assert_allclose(forward(parameters, config, tokens, labels, loops=loops), expected, **close)


@given(examples(dtypes=("float64",), layer_norm_epsilon=0.1))
@settings(max_examples=8)
def test_each_part_is_that_of_the_scalar_version(example):
    """With an ε that shows."""
    config, parameters, tokens, labels = example
    model = config.model
    network = open_network(parameters, config, tokens, labels)
    embedded = [
        oracle.embed(parameters, model, *picture) for picture in zip(tokens.tolist(), labels.tolist(), strict=True)
    ]
    np.testing.assert_allclose(network.state, embedded, **close, err_msg="embedding")
    after = post_norm_layer(parameters["block"][0], network.state, heads=model.heads, epsilon=0.1)
    expected = [oracle.layer(parameters["block"][0], picture, model.heads, 0.1) for picture in embedded]
    np.testing.assert_allclose(after, expected, **close, err_msg="layer")
    logits = [oracle.head(parameters, model, picture) for picture in expected]
    np.testing.assert_allclose(network.head(after), logits, **close, err_msg="head")


@given(examples())
@settings(max_examples=8)
def test_every_part_keeps_the_dtype(example):
    config, parameters, tokens, labels = example
    network = open_network(parameters, config, tokens, labels)
    (state,) = loop_states(network.block, network.state, 1)
    assert {network.state.dtype, state.dtype, network.head(state).dtype} == {np.dtype(config.training.dtype)}


@given(examples())
@settings(max_examples=8)
def test_only_columns_of_the_codebook_are_logits(example):
    config, parameters, tokens, labels = example
    shape = forward(parameters, config, tokens, labels).shape
    assert shape == (len(tokens), config.model.tokens, config.model.codebook_size)


@given(examples())
@settings(max_examples=8)
def test_the_output_of_the_class_token_is_ignored(example):
    network = open_network(example.parameters, example.config, example.tokens, example.labels)
    moved = network.state.copy()
    moved[:, 0] = np.nan
    assert np.array_equal(network.head(moved), network.head(network.state))


def network_of(**changes):
    config = make_config(**changes)
    return config, random_parameters(config), random_tokens(config, 3, unknown=0.4), random_labels(config, 3)


def test_the_label_is_seen_through_the_class_token():
    config, parameters, tokens, labels = network_of()
    logits = forward(parameters, config, tokens, labels)
    other = forward(parameters, config, tokens, (labels + 1) % config.model.classes)
    none = forward(parameters, config, tokens, np.full_like(labels, config.model.unconditional_class))
    assert not np.allclose(logits, other)
    assert not np.allclose(logits, none)


def test_pictures_of_a_batch_do_not_see_each_other():
    config, parameters, tokens, labels = network_of()
    alone = forward(parameters, config, tokens[1:2], labels[1:2])
    np.testing.assert_allclose(forward(parameters, config, tokens, labels)[1:2], alone, rtol=1e-12, atol=1e-13)


def test_positions_are_told_apart():
    config, parameters, tokens, labels = network_of()
    swapped = forward(parameters, config, tokens[:, [1, 0, 2, 3]], labels)
    assert not np.allclose(swapped[:, [1, 0, 2, 3]], forward(parameters, config, tokens, labels))


def test_a_token_of_a_clip_has_the_learned_position_of_its_frame_row_and_column():
    config, parameters, tokens, labels = network_of(grid=(2, 3, 2))
    before = open_network(parameters, config, tokens, labels).state
    for place, (frame, row, column) in enumerate(np.ndindex(2, 3, 2)):
        moved = tree_map(np.copy, parameters)
        moved["embedding"]["position"][1 + 6 * frame + 2 * row + column] += np.linspace(-0.5, 0.8, config.model.width)
        changed = (open_network(moved, config, tokens, labels).state != before).any(axis=(0, 2))
        assert np.flatnonzero(changed).tolist() == [1 + place], "after the class token, in C order"


@pytest.mark.parametrize("kind", ["code", "class", "mask"])
def test_words_are_tied_so_a_row_is_both_an_embedding_and_a_column_of_logits(kind):
    """Moving a code's row moves its column of logits whatever was read; a class or the mask has no column."""
    config, parameters, _, _ = network_of(classes=3, codebook_size=5)
    model = config.model
    row = {"code": 2, "class": model.codebook_size + 1, "mask": model.mask_token}[kind]
    moved = tree_map(np.copy, parameters)
    moved["embedding"]["word"][row] += np.linspace(-0.5, 0.8, model.width)
    without, label = np.array([[0, 1, 3, 4]]), np.array([0])
    change = forward(moved, config, without, label) - forward(parameters, config, without, label)
    columns = np.abs(change).max(axis=(0, 1)) > 1e-6
    assert columns.tolist() == [column == row for column in range(5)], "columns of logits that moved"
    reads_it = {"code": (np.array([[0, 1, 3, 2]]), label), "class": (without, np.array([1])), "mask": None}[kind]
    tokens, labels = reads_it or (np.array([[0, 1, 3, model.mask_token]]), label)
    change = forward(moved, config, tokens, labels) - forward(parameters, config, tokens, labels)
    assert (np.abs(change).max(axis=(0, 1)) > 1e-6).all(), "the embedding of the row does not move the state"


def test_no_bias_or_head_is_tied_to_the_mask_row():
    config, parameters, _, _ = network_of()
    assert parameters["head"]["bias"].shape == (config.model.codebook_size,)
    assert parameters["embedding"]["word"].shape[0] == config.model.codebook_size + config.model.classes + 2


def test_without_an_unconditional_row_the_mask_follows_the_classes():
    config = make_config(unconditional_row=False, objective={"label_drop_rate": 0.0})
    assert config.model.mask_token == config.model.codebook_size + config.model.classes
    tokens = np.full((1, 4), config.model.mask_token)
    assert forward(random_parameters(config), config, tokens, np.array([2])).shape == (1, 4, 5)


@given(examples(max_loops=3))
@settings(max_examples=6)
def test_rematerialising_the_block_changes_no_bit_of_loss_or_gradient(example):
    def of(rematerialise):
        training = example.config.training.model_copy(update={"rematerialise": rematerialise})
        config = example.config.model_copy(update={"training": training})

        def objective(parameters):
            logits = forward(parameters, config, example.tokens, example.labels)
            truth = np.zeros_like(example.tokens)
            return MaskedTarget(truth, np.ones(truth.shape, bool)).ground_truth(logits), None

        return value_and_gradient(objective, example.parameters)

    plain, again = of(rematerialise=False), of(rematerialise=True)
    assert again[0] == plain[0]
    for (name, one), other in zip(tree_items(again[2]), tree_leaves(plain[2]), strict=True):
        assert np.array_equal(one, other), f"{name}: the gradient differs"


@pytest.mark.parametrize(("rematerialise", "calls"), [(False, 2 * 3), (True, 2 * 2 * 3)])
def test_the_setting_evaluates_the_block_again_on_the_way_back(rematerialise, calls):
    config = make_config(layers=2, max_loops=3, training={"rematerialise": rematerialise})
    tokens, labels = random_tokens(config, 2), random_labels(config, 2)

    def objective(parameters):
        logits = forward(parameters, config, tokens, labels)
        return MaskedTarget(np.zeros_like(tokens), np.ones(tokens.shape, bool)).ground_truth(logits), None

    with counting() as work:
        value_and_gradient(objective, random_parameters(config))
    assert work.calls == {"layer": calls, "head": 1}


@given(st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64]))
@pytest.mark.usefixtures("as_user")
def test_the_width_of_the_integers_does_not_matter(dtype):
    """Codebook and label together exceed what a byte holds."""
    config = make_config(codebook_size=120, classes=100)
    parameters = random_parameters(config)
    tokens, labels = np.array([[0, 1, 119, 5]]), np.array([99])
    expected = forward(parameters, config, tokens, labels)
    narrow = forward(parameters, config, tokens.astype(dtype), labels.astype(dtype))
    assert np.array_equal(narrow, expected)


check = NETWORKS[MaskedExperiment].check
MODEL = make_config().model  # 4 tokens; codes 0…4, classes 0…2 (or 3 for none), mask 9
TOKENS = {
    "float": (np.zeros((2, 4)), "tokens: expected an array of integers, got float64"),
    "bool": (np.zeros((2, 4), bool), "tokens: expected an array of integers, got bool"),
    "list": ([[0, 0, 0, 0]], "tokens: expected an array of integers, got list"),
    "short": (np.zeros((2, 3), int), "tokens: expected shape [batch, 4], got [2, 3]"),
    "flat": (np.zeros(4, int), "tokens: expected shape [batch, 4], got [4]"),
    "grid": (np.zeros((1, 2, 2), int), "tokens: expected shape [batch, 4], got [1, 2, 2]"),
    "negative": (
        np.array([[0, 0, 0, 0], [0, -1, 0, 0]]),
        "tokens: expected codes in 0…4 or the mask 9, got -1 at [1, 1]",
    ),
    "class": (np.array([[0, 0, 0, 5]]), "tokens: expected codes in 0…4 or the mask 9, got 5 at [0, 3]"),
    "beyond": (np.array([[10, 0, 0, 0]]), "tokens: expected codes in 0…4 or the mask 9, got 10 at [0, 0]"),
}
LABELS = {
    "float": (np.zeros(2), "labels: expected an array of integers, got float64"),
    "list": ([0, 1], "labels: expected an array of integers, got list"),
    "short": (np.zeros(1, int), "labels: expected shape [2], got [1]"),
    "column": (np.zeros((2, 1), int), "labels: expected shape [2], got [2, 1]"),
    "negative": (np.array([0, -1]), "labels: expected classes in 0…2 or 3 for none, got -1 at position 1"),
    "beyond": (np.array([4, 0]), "labels: expected classes in 0…2 or 3 for none, got 4 at position 0"),
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.usefixtures("as_user")
def test_wrong_tokens_are_refused_in_a_sentence(kind):
    tokens, sentence = TOKENS[kind]
    with pytest.raises(RequestError) as error:
        check(MODEL, tokens, np.zeros(len(tokens), int))
    assert str(error.value) == sentence
    config = make_config()
    with pytest.raises(RequestError) as error:
        forward(random_parameters(config), config, tokens, np.zeros(len(tokens), int))
    assert str(error.value) == sentence


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.usefixtures("as_user")
def test_wrong_labels_are_refused_in_a_sentence(kind):
    labels, sentence = LABELS[kind]
    with pytest.raises(RequestError) as error:
        check(MODEL, np.zeros((2, 4), int), labels)
    assert str(error.value) == sentence
    config = make_config()
    with pytest.raises(RequestError) as error:
        forward(random_parameters(config), config, np.zeros((2, 4), int), labels)
    assert str(error.value) == sentence


def test_the_edges_of_the_ranges_are_allowed():
    check(MODEL, np.array([[0, 4, 9, 9], [9, 0, 0, 4]]), np.array([0, 3]))


def test_without_an_unconditional_row_there_is_no_label_for_none():
    model = make_config(unconditional_row=False, objective={"label_drop_rate": 0.0}).model
    tokens = np.zeros((1, 4), int)
    check(model, tokens, np.array([2]))
    with pytest.raises(RequestError) as error:
        check(model, tokens, np.array([3]))
    assert str(error.value) == "labels: expected classes in 0…2, got 3 at position 0"
