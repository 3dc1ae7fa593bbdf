"""The making of one sample: its last answer equals sampling with the same seed, in any family."""

import numpy as np
import pytest

from elt_ref.generation import sample
from elt_ref.run.evaluate import to_pictures
from elt_ref.run.folder import open_run
from elt_ref.run.trajectory import KEPT_TITLES, trajectory


def test_of_tokens(trained):
    run = open_run(trained)
    steps, max_loops = run.config.sampling.steps, run.config.model.max_loops
    answers, kept = trajectory(run, 8, seed=0)
    assert answers.shape == (steps, max_loops, 8, 8, 1)
    assert kept.shape == (steps, 8, 8, 1)
    drawn = sample(run.parameters, run.config, np.array([8]), seed=0, loops=max_loops).samples
    np.testing.assert_array_equal(answers[-1, -1], to_pictures(run.codec, run.config, drawn)[0])
    shown = ~np.isnan(kept[0])
    assert 0 < shown.sum() < shown.size
    np.testing.assert_array_equal(kept[0][shown], answers[0, -1][shown])


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_of_noise(trained_diffusion, sampler):
    run = open_run(trained_diffusion)
    diffusion = run.config.diffusion.model_copy(update={"sampler": sampler})
    run = type(run)(run.config.model_copy(update={"diffusion": diffusion}), run.parameters, run.codec, run.step)
    steps, max_loops = run.config.sampling.steps, run.config.model.max_loops
    answers, kept = trajectory(run, 3, seed=1)
    assert answers.shape == (steps, max_loops, 8, 8, 1)
    assert kept.shape == (steps, 8, 8, 1)
    assert not np.isnan(kept).any()
    drawn = sample(run.parameters, run.config, np.array([3]), seed=1, loops=max_loops).samples
    np.testing.assert_array_equal(kept[-1], to_pictures(run.codec, run.config, drawn)[0])
    np.testing.assert_array_equal(answers[-1, -1], kept[-1], "the last step returns the last prediction")
    assert not np.array_equal(answers[0, 0], answers[0, -1]), "all loops answer alike"


def test_of_one_evaluation(trained_drifting):
    run = open_run(trained_drifting)
    answers, kept = trajectory(run, 3, seed=1)
    assert (answers.shape, kept.shape) == ((1, 2, 8, 8, 1), (1, 8, 8, 1))
    for loops in (1, 2):
        drawn = sample(run.parameters, run.config, np.array([3]), seed=1, loops=loops).samples
        np.testing.assert_array_equal(answers[0, loops - 1], to_pictures(run.codec, run.config, drawn)[0])
    np.testing.assert_array_equal(kept[0], answers[0, -1])


def test_every_family_says_what_it_keeps(trained, trained_diffusion, trained_drifting):
    runs = trained, trained_diffusion, trained_drifting
    families = {open_run(folder).config.model.family for folder in runs}
    assert families == set(KEPT_TITLES)
