"""Inputs of every side: parameters, batches and draws, sampling noise. Pure functions of a configuration."""

import numpy as np

from elt_ref.arrays import Tree, tree_map
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment
from elt_ref.generation import draw_noise, initial_noise, step_noise
from elt_ref.model import init_parameters
from elt_ref.objective import Batch, Draws, draw
from elt_ref.streams import stream

STEPS = 8
"""Number of batches, used in turn; both sides of a pair receive the same one."""


def parameters_of(config: Experiment) -> Tree:
    """Return initial parameters plus noise: gates and biases of zero would hide layers from the answers."""
    generator = stream(config.seed, "bench_parameters")

    def disturbed(leaf: np.ndarray) -> np.ndarray:
        return leaf + (0.02 * generator.standard_normal(leaf.shape)).astype(leaf.dtype)

    return tree_map(disturbed, init_parameters(config))


def training_inputs(config: Experiment) -> list[tuple[Batch, Draws]]:
    """Return `STEPS` random batches, each with the draws of its step."""
    return [(_batch(config, step), draw(config, step)) for step in range(STEPS)]


def sampling_inputs(config: Experiment) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return labels [batch], and the noise of all sampling steps by name, stacked [steps, batch, …]."""
    batch, steps = config.training.batch_size, range(config.sampling.steps)
    labels = np.arange(batch) % config.model.classes
    if isinstance(config, DriftingExperiment):
        return labels, {"initial_noise": initial_noise(config, config.seed, batch)}
    if isinstance(config, DiffusionExperiment):
        later = np.stack([step_noise(config, config.seed, step, batch) for step in steps])
        return labels, {"initial_noise": initial_noise(config, config.seed, batch), "step_noise": later}
    noise = [draw_noise(config, config.seed, step, batch) for step in steps]
    return labels, {
        "token_noise": np.stack([each.tokens for each in noise]),
        "confidence_noise": np.stack([each.confidence for each in noise]),
    }


def _batch(config: Experiment, step: int) -> Batch:
    generator, batch = stream(config.seed, "bench_batch", step), config.training.batch_size
    labels = generator.integers(config.model.classes, size=batch)
    if isinstance(config, DriftingExperiment):
        classes, positives = config.drifting.classes_per_step, config.drifting.positives
        real = generator.standard_normal((classes, positives, *config.model.shape))
        return Batch(real.astype(config.training.dtype), labels[:classes])
    if isinstance(config, DiffusionExperiment):
        return Batch(generator.standard_normal((batch, *config.model.shape)).astype(config.training.dtype), labels)
    return Batch(generator.integers(config.model.codebook_size, size=(batch, config.model.tokens)), labels)
