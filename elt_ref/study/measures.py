"""What is measured of a trained model: quality of samples, held-out loss, and how far each loop moves the state.

A measure returns entries: a ``measure``, its ``value``, and labels such as ``loops`` or ``steps``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

import tiny_datasets
from elt_ref.config import DriftingExperiment, MaskedExperiment
from elt_ref.generation import decode, denoise, draw_noise, initial_noise, step_noise
from elt_ref.model import NETWORKS, block_of
from elt_ref.model import run as run_network
from elt_ref.model.changed import with_idea
from elt_ref.objective import Batch, draw
from elt_ref.run.evaluate import Evaluator, codec_of
from elt_ref.run.folder import Run
from elt_ref.run.prepare import load_data
from elt_ref.run.sample import with_sampling
from elt_ref.schedules import time_grid
from elt_ref.training.step import CORRUPTIONS

CHUNK = 128
"""Held-out examples of one pass."""
HELD_OUT_SEED = 2**32
"""Seed of the masks, noise and times of the held-out loss: the same for every model, and no training's."""

Entries = list[dict[str, Any]]


@runtime_checkable
class Measure(Protocol):
    """Something to measure, as data: equal measures of one model have equal entries."""

    def take(self, run: Run) -> Entries:
        """Return the entries of a trained model."""
        ...


def digest(measure: Measure) -> str:
    """Return a name for a measure, from everything that it says."""
    return hashlib.sha256(repr(measure).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Quality:
    """Fréchet distance, label accuracy, valid share and cost at each of `loops`, from the same noise."""

    loops: tuple[int | str, ...]
    """Loop counts, or schedules as `elt_ref.schedules.parse_loop_schedule` reads them."""
    count: int
    """Samples for each."""
    steps: int | None = None
    """Sampling steps; the configured number by default."""

    def take(self, run: Run) -> Entries:
        """Return four or five entries for each of the loops."""
        run = with_sampling(run, steps=self.steps)
        evaluator, entries = Evaluator(run), []
        for loops in self.loops:
            result, _ = evaluator.evaluate(run, loops, count=self.count, seed=0)
            row = result.row()
            labels = {"loops": loops, "steps": run.config.sampling.steps}
            kept = ("frechet_distance", "label_accuracy", "valid_share", "motion_accuracy", "gflops_per_sample")
            entries += [{"measure": name, **labels, "value": row[name]} for name in kept if name in row]
        return entries


@dataclass(frozen=True)
class HeldOutLoss:
    """Ground-truth loss of the held-out examples after each of `loops`: the same masks or noise for every model."""

    loops: tuple[int, ...]
    repeats: int = 2
    """Draws of masks or noise for each example."""

    def take(self, run: Run) -> Entries:
        """Return an entry for each of the loops."""
        losses = held_out_losses(run, self.loops, self.repeats)
        return [
            {"measure": "held_out_loss", "loops": loops, "value": float(loss)}
            for loops, loss in zip(self.loops, losses, strict=True)
        ]


def held_out_losses(run: Run, exits: Sequence[int], repeats: int) -> Float[np.ndarray, " exits"]:
    """Return the mean loss of the held-out part after each number of loops; no labels are dropped."""
    dataset = load_data(run.config)
    examples = codec_of(run).encode(tiny_datasets.scaled(dataset.test.examples, getattr(dataset, "white", 255)))
    if isinstance(run.config, MaskedExperiment):
        examples = examples.reshape(len(examples), -1)
    else:
        examples = examples.astype(run.config.training.dtype)
    total = np.zeros(len(exits))
    starts = range(0, len(examples), CHUNK)
    for number, first in enumerate(first for _ in range(repeats) for first in starts):
        batch = Batch(examples[first : first + CHUNK], dataset.test.labels[first : first + CHUNK])
        total += len(batch.labels) * _losses(run, batch, exits, number)
    return total / (repeats * len(examples))


def _losses(run: Run, batch: Batch, exits: Sequence[int], number: int) -> np.ndarray:
    config = run.config.model_copy(
        update={
            "seed": HELD_OUT_SEED,
            "training": run.config.training.model_copy(update={"batch_size": len(batch.labels)}),
            "objective": run.config.objective.model_copy(update={"label_drop_rate": 0.0}),
        }
    )
    inputs, target = CORRUPTIONS[type(config)](config, batch, draw(config, number))
    predictions = run_network(NETWORKS[type(config)], run.parameters, config, inputs, exits=exits, idea=run.idea)
    return np.array([float(target.ground_truth(prediction)) for prediction in predictions])


@dataclass(frozen=True)
class Updates:
    """‖x_ℓ − x_ℓ−1‖ of each loop ℓ = 1 … L_max at each sampling step, mean over tokens and samples.

    x_0 is the state before the first loop. The states are those that the sampler's own forward passes go through.
    """

    count: int
    """Samples."""

    def take(self, run: Run) -> Entries:
        """Return an entry for each step and loop, and for each loop the share of its step's way."""
        norms = update_norms(run, self.count)
        shares = norms / norms.sum(axis=1, keepdims=True)
        return [
            {"measure": name, "step": step + 1, "loop": loop + 1, "value": float(table[step, loop])}
            for name, table in (("update_norm", norms), ("update_share", shares))
            for step in range(norms.shape[0])
            for loop in range(norms.shape[1])
        ]


def update_norms(run: Run, count: int) -> Float[np.ndarray, "steps loops"]:
    """Return the mean norm of each loop's update at each sampling step, with L_max loops and no guidance."""
    run = with_sampling(run, guidance_scale=1.0)
    config, network = run.config, NETWORKS[type(run.config)]
    if run.idea is not None:
        network = with_idea(network, run.idea, run.parameters)
    labels = np.resize(np.arange(config.model.classes), count)
    norms = []
    for inputs in _inputs_of_steps(run, labels):
        state, layers, _ = network.embed(run.parameters, config.model, *inputs, labels)
        row = []
        for after in network.loop_states(block_of(network, layers, config), state, config.model.max_loops):
            row.append(float(np.linalg.norm(after - state, axis=-1).mean()))
            state = after
        norms.append(row)
    return np.array(norms)


def _inputs_of_steps(run: Run, labels: np.ndarray) -> list[tuple[Any, ...]]:
    """Return what the network reads at each sampling step, without the labels."""
    config, count = run.config, len(labels)
    if isinstance(config, MaskedExperiment):
        noise = partial(draw_noise, config, 0, batch=count)
        states = [state.tokens for state in decode(run.parameters, config, labels, noise, idea=run.idea)]
        start = np.full((count, config.model.tokens), config.model.mask_token)
        return [(tokens,) for tokens in (start, *states[:-1])]
    start = initial_noise(config, 0, count)
    if isinstance(config, DriftingExperiment):
        return [(start,)]
    noise = partial(step_noise, config, 0, batch=count)
    states = [state.noisy for state in denoise(run.parameters, config, labels, start, noise, idea=run.idea)]
    times = time_grid(config.sampling.steps)
    return [(noisy, np.full(count, float(time))) for noisy, time in zip((start, *states[:-1]), times, strict=False)]
