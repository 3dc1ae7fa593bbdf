"""Whether a training learns: what its log must hold beside the loss, and the laws that read it.

Two numbers stand beside the loss of the last exit:

* ``blind_loss``, the loss of the best prediction that sees nothing but its position, on the same batch: the frequencies
  of the codes there, or the mean of the data. On average it is the entropy of the frequencies, or the data's weighted
  variance.
* ``input_share``, how much the predictions depend on the input. Masked: the mean total variation between each example's
  probabilities and their mean over examples, in [0, 1). Diffusion: the variance of the predictions over examples, as a
  share of the variance of their targets. Drifting: the variance of generated samples over noise, as a share of the
  variance of the real ones, each within a class.

A training that has collapsed has the loss of the blind prediction, and the same prediction for every input.

The loss of drifting says little, for every field is divided by its size: nearly the same, from the first step to the
last. Its log holds the sizes instead, ``field_sizes``: the root mean square of the field of the last exit before the
division, for each temperature, over the classes of the step. No prediction is blind there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from elt_ref.arrays import Tree
from elt_ref.config import DiffusionExperiment, DriftingExperiment, Experiment
from elt_ref.idea import Idea
from elt_ref.model import NETWORKS, run
from elt_ref.objective import Batch, Draws
from elt_ref.objective.diffusion import DiffusionTarget
from elt_ref.objective.drifting import DriftingTarget
from elt_ref.objective.masked import MaskedTarget
from elt_ref.ops import softmax
from elt_ref.schedules import log_snr
from elt_ref.schedules.noise import signal_and_noise
from elt_ref.training.step import CORRUPTIONS

FEW = 8
"""Examples of a batch whose predictions are compared; a smaller batch says little about a step."""


def blind_prediction(config: Experiment, examples: Batch) -> np.ndarray | None:
    """Return what predicts best without looking: the logarithms of frequencies, or the mean sample.

    Returns:
        Logarithms of the frequencies of the codes at each position, [tokens, codes], mixed with the frequencies at all
        positions as if every code had been seen once more, for few examples say little about a position; or the mean
        [height, width, channels]; None for drifting.
    """
    if isinstance(config, DriftingExperiment):
        return None
    if isinstance(config, DiffusionExperiment):
        return examples.examples.mean(axis=0, dtype=np.float64)
    tokens, codes = examples.examples, config.model.codebook_size
    here = np.stack([np.bincount(column, minlength=codes) for column in tokens.T])
    everywhere = here.sum(axis=0) / tokens.size
    return np.log(np.maximum(here + codes * everywhere, 1e-12) / (len(tokens) + codes))


def signs(
    config: Experiment,
    parameters: Tree,
    batch: Batch,
    draws: Draws,
    blind: np.ndarray | None,
    idea: Idea | None = None,
) -> dict[str, float | list[float]]:
    """Return ``blind_loss`` and ``input_share`` of a step, for drifting ``field_sizes`` and ``input_share``.

    Args:
        config: experiment.
        parameters: parameters after the step.
        batch: examples of the step.
        draws: draws of the step.
        blind: what `blind_prediction` returned for all examples.
        idea: functions in the place of the package's.
    """
    corrupt: Callable[..., tuple[tuple[Any, ...], Any]] = CORRUPTIONS[type(config)]
    inputs, target = corrupt(config, batch, draws)
    if isinstance(target, DriftingTarget) or blind is None:
        return _signs_of_drifting(config, parameters, inputs, target, idea)
    fewer = draws._replace(
        **{name: value[:FEW] for name, value in draws._asdict().items() if isinstance(value, np.ndarray)}
    )
    inputs, seen = corrupt(config, Batch(*(array[:FEW] for array in batch)), fewer)
    exits = [config.model.max_loops]
    (prediction,) = run(NETWORKS[type(config)], parameters, config, inputs, exits=exits, idea=idea)
    return {"blind_loss": _blind_loss(target, blind), "input_share": _input_share(seen, prediction)}


def _signs_of_drifting(
    config: Experiment, parameters: Tree, inputs: tuple[Any, ...], target: DriftingTarget, idea: Idea | None
) -> dict[str, float | list[float]]:
    (samples,) = run(NETWORKS[type(config)], parameters, config, inputs, exits=[config.model.max_loops], idea=idea)
    sizes = np.stack([field.sizes for field in target.fields(samples)])
    groups = samples.reshape(len(target.positives), -1, *samples.shape[1:])
    share = groups.var(axis=1).mean() / max(float(target.positives.var(axis=1).mean()), 1e-12)
    return {"field_sizes": np.sqrt(np.square(sizes).mean(axis=0)).tolist(), "input_share": float(share)}


def _blind_loss(target: MaskedTarget | DiffusionTarget, blind: np.ndarray) -> float:
    if isinstance(target, MaskedTarget):
        return float(target.ground_truth(np.broadcast_to(blind, (len(target.tokens), *blind.shape))))
    _, noise = signal_and_noise(log_snr(target.time, target.diffusion))
    # E[x0], E[ε] = 0, and E[v] = E[α ε − σ x0] at the time of each sample.
    factor = {"x0": np.ones_like(noise), "epsilon": np.zeros_like(noise), "v": -noise}[target.diffusion.prediction]
    prediction = factor[:, None, None, None] * blind
    return float(target.ground_truth(prediction.astype(target.target.dtype)))


def _input_share(target: MaskedTarget | DiffusionTarget, prediction: np.ndarray) -> float:
    if isinstance(target, MaskedTarget):
        chance = softmax(prediction)
        return float(0.5 * np.abs(chance - chance.mean(axis=0)).sum(axis=-1).mean())
    return float(prediction.var(axis=0).mean() / max(float(target.target.var(axis=0).mean()), 1e-12))


PATIENCE = 200
"""Steps after the warm-up in which a training may look like one that does not learn."""
WINDOW = 10
"""Entries of the log that are judged together: the last ones."""
GUESSING = 0.98
"""Share of the blind loss above which a loss is no better than guessing."""
FALLS = 0.98
"""Share of the loss a window ago below which a loss still falls, so that it is too early to say before the end."""
LEARNED = 0.95
"""Share below which something was learned, which can then be lost."""
LOST = 0.5
"""Share of what was learned whose loss is a collapse."""
SAME = 1e-3
"""Share of the input below which predictions do not depend on it."""


class Notice(NamedTuple):
    """Why a training does not learn."""

    kind: str
    """``"guessing"``, ``"collapsed"`` or ``"blind"``."""
    evidence: str
    """What the log shows, as a clause."""
    falls: bool = False
    """Whether the loss still falls."""


def notice(entries: Sequence[Mapping[str, Any]], config: Experiment) -> Notice | None:
    """Return why a training does not learn, judged by its log so far; None if it does, or if it is too early to say.

    Args:
        entries: entries of the log, in order.
        config: experiment.
    """
    judged = [entry for entry in entries if "input_share" in entry]
    started = config.training.warmup_steps + PATIENCE
    if not judged or judged[-1]["step"] < started:
        return None
    if "blind_loss" not in judged[-1]:
        return _blind(judged)
    share = np.array([entry["teacher_truth"] / max(entry["blind_loss"], 1e-12) for entry in judged])
    last = judged[-WINDOW:]
    levels = np.convolve(share, np.full(len(last), 1 / len(last)), mode="valid")
    now, best = float(levels[-1]), int(levels.argmin())
    since = f"since step {last[0]['step']}"
    lowest = float(levels[best])
    if lowest < LEARNED and now > lowest + LOST * (1 - lowest):
        step = judged[best + len(last) - 1]["step"]
        fell = f"its loss fell to {lowest:.2f} of the loss of guessing by step {step}"
        return Notice("collapsed", f"{fell}, and is {now:.2f} of it {since}")
    what = "the mean of the data" if isinstance(config, DiffusionExperiment) else "the frequencies of the codes"
    falls = bool(len(levels) > WINDOW and now < FALLS * levels[-1 - WINDOW])
    if now > GUESSING and not (falls and last[-1]["step"] < config.training.steps):
        loss, blind = (float(np.mean([entry[name] for entry in last])) for name in ("teacher_truth", "blind_loss"))
        return Notice(
            "guessing", f"its loss {since} is {loss:.3f}, no better than guessing {what} ({blind:.3f})", falls
        )
    return _blind(judged)


def _blind(judged: Sequence[Mapping[str, Any]]) -> Notice | None:
    last = judged[-WINDOW:]
    differs = max(entry["input_share"] for entry in last)
    if differs < SAME:
        since = f"since step {last[0]['step']}"
        return Notice("blind", f"its predictions {since} are the same for every input, within {differs:.0e}")
    return None


def sentence(found: Notice, config: Experiment) -> str:
    """Return a notice with the settings to change."""
    training, model = config.training, config.model
    if found.falls:
        return (
            f"{config.name} has not learned: {found.evidence}, but it still falls. Try more training.steps "
            f"(now {training.steps})."
        )
    few = training.batch_size < FEW
    more = f"a larger training.batch_size (now {training.batch_size})" if few else "a longer training.warmup_steps"
    return (
        f"{config.name} does not learn: {found.evidence}. Try training.learning_rate={training.learning_rate / 3:.1g} "
        f"(now {training.learning_rate:g}), {more}{'' if few else f' (now {training.warmup_steps})'}, or fewer "
        f"model.layers or model.max_loops (now {model.layers} × {model.max_loops})."
    )
