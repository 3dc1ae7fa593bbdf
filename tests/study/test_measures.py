from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import random_parameters

import tiny_datasets
from elt_ref.config import load_preset
from elt_ref.generation import sample
from elt_ref.idea import Idea
from elt_ref.model import loop_states
from elt_ref.run.folder import Run
from elt_ref.run.prepare import prepare
from elt_ref.study.job import share_of
from elt_ref.study.measures import HeldOutLoss, Quality, Updates, digest, held_out_losses, update_norms

SMALL = {
    "model.layers": 1,
    "model.max_loops": 3,
    "model.width": 8,
    "model.heads": 2,
    "model.mlp_width": 8,
    "sampling.steps": 3,
    "training.dtype": "float64",
}
MASKED = {**SMALL, "model.codebook_size": 12, "tokenizer.iterations": 2}


def run_of(preset, tmp_path, **more):
    config = load_preset(preset, {**(MASKED if preset == "digits-masked" else SMALL), **more})
    return Run(config, random_parameters(config), prepare(config, tmp_path).codec, 0)


@pytest.mark.parametrize("preset", ["digits-masked", "digits-diffusion"])
def test_updates_are_those_of_the_samplers_own_passes(preset, tmp_path):
    run, walks = run_of(preset, tmp_path), []

    def watched(block, x, loops, *, last=None, **_):
        walk = [x]
        walks.append(walk)
        for state in loop_states(block, x, loops, last=last):
            walk.append(state)
            yield state

    sample(run.parameters, run.config, np.resize(np.arange(10), 20), idea=Idea("watched", "", loop_states=watched))
    found = update_norms(run, 20)
    assert len(walks) == len(found) == 3
    for walk, norms in zip(walks, found, strict=True):
        # the last state of the masked family holds the rows of unknown tokens only
        whole = [state for state in walk if state.shape == walk[0].shape]
        expected = [np.sqrt(((b - a) ** 2).sum(-1)).mean() for a, b in pairwise(whole)]
        assert len(expected) >= 2
        assert norms[: len(expected)] == pytest.approx(expected)


def test_shares_of_the_way_add_up_to_one(tmp_path):
    entries = Updates(10).take(run_of("digits-diffusion", tmp_path))
    shares = [entry["value"] for entry in entries if entry["measure"] == "update_share" and entry["step"] == 2]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("preset", ["digits-masked", "digits-diffusion"])
def test_the_held_out_loss_depends_on_the_network_alone(preset, tmp_path):
    run = run_of(preset, tmp_path)
    other = {"seed": 7, "objective.label_drop_rate": 0.9, "training.batch_size": 5, "objective.kind": "vanilla"}
    same = Run(run_of(preset, tmp_path, **other).config, run.parameters, run.codec, 0)
    together = held_out_losses(run, [1, 3, 5], 1)
    assert held_out_losses(same, [5], 1) == pytest.approx(together[2:])
    assert held_out_losses(same, [1], 1) == pytest.approx(together[:1])
    assert len(set(together)) == 3


def test_more_repeats_average_more_draws_of_the_same_examples(tmp_path):
    run = run_of("digits-masked", tmp_path)
    (once,), (thrice,) = held_out_losses(run, [2], 1), held_out_losses(run, [2], 3)
    assert once != thrice
    assert once == pytest.approx(thrice, rel=0.1)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 4))
def test_equal_measures_and_only_these_share_a_file(count, other, loops):
    assert (digest(Quality((loops,), count)) == digest(Quality((loops,), other))) == (count == other)
    assert digest(Quality((loops,), count)) != digest(Quality((loops,), count, 3))
    assert digest(Updates(count)) != digest(HeldOutLoss((loops,), count))


def test_a_share_keeps_classes_and_the_held_out_part_and_grows(tmp_path):
    whole = tiny_datasets.load("shapes")
    assert share_of("shapes", 1.0, tmp_path) == "shapes"
    small, larger = (tiny_datasets.load(share_of("shapes", share, tmp_path), tmp_path) for share in (0.1, 0.3))
    assert share_of("shapes", 0.1, tmp_path) == small.name  # made once
    for dataset, share in ((small, 0.1), (larger, 0.3)):
        assert np.array_equal(dataset.test.examples, whole.test.examples)
        assert np.bincount(dataset.train.labels) == pytest.approx(share * np.bincount(whole.train.labels), abs=1)
    known = {picture.tobytes() for picture in larger.train.examples}
    assert {picture.tobytes() for picture in small.train.examples} < known
    assert known < {picture.tobytes() for picture in whole.train.examples}


def test_a_share_of_shapes_has_every_patch(tmp_path):
    def patches(name, home=None):
        pictures = tiny_datasets.load(name, home).train.examples
        return {patch.tobytes() for patch in pictures.reshape(-1, 8, 2, 8, 2, 3).swapaxes(2, 3).reshape(-1, 2, 2, 3)}

    assert patches(share_of("shapes", 0.1, tmp_path), tmp_path) == patches("shapes")


def test_an_idea_is_measured_with_its_own_loops(tmp_path):
    run = run_of("digits-masked", tmp_path)

    def once(block, x, loops, **_):
        state = block(x)
        yield from [state] * loops

    changed = replace(run, idea=Idea("once", "", loop_states=once))
    assert update_norms(changed, 10)[:, 1:] == pytest.approx(0)
    first, third = held_out_losses(changed, [1, 3], 1)
    assert first == pytest.approx(third)
    assert first == pytest.approx(held_out_losses(run, [1], 1)[0])
