"""The sampler of the diffusion family: from noise to a sample in K denoising steps."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree, check_integers
from elt_ref.config import DiffusionExperiment, DriftingExperiment
from elt_ref.generation.denoiser import Samples, denoise_step
from elt_ref.generation.guided_forward import guided_forward
from elt_ref.idea import Idea
from elt_ref.model import to_x0
from elt_ref.model.diffusion import DIFFUSION_NETWORK
from elt_ref.schedules import EarlyExit, LoopSchedule, guidance_scale_at, log_snr, loops_per_step, time_grid
from elt_ref.streams import stream


class DenoiseState(NamedTuple):
    """What one denoising step leaves behind."""

    noisy: Samples
    """Sample at the next time; after the last step, the result."""
    clean: Samples
    """Guided prediction of x0, before any clipping."""
    loops_used: Int[np.ndarray, " batch"]
    """Loops of each sample."""


def denoise(
    parameters: Tree,
    config: DiffusionExperiment,
    labels: Int[np.ndarray, " batch"],
    initial: Samples,
    noise: Callable[[int], Samples],
    *,
    loops: LoopSchedule | None = None,
    idea: Idea | None = None,
) -> Iterator[DenoiseState]:
    """Yield the state after each of the K steps from `initial`; ``noise(k)`` is the noise of step k.

    Other arguments and errors: see `sample`.
    """
    model, sampling, diffusion = config.model, config.sampling, config.diffusion
    schedule = loops_per_step(loops if loops is not None else sampling.loops or model.max_loops, sampling.steps)
    check_integers("labels", labels, (len(labels),), below=model.label_rows, expected=model.label_range)
    times = time_grid(sampling.steps)
    snr = log_snr(times, diffusion)
    noisy = initial
    for step in range(sampling.steps):
        scale = guidance_scale_at(
            step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule
        )
        clean, used = predict_clean(
            parameters, config, noisy, float(times[step]), labels, loops=schedule[step], guidance_scale=scale, idea=idea
        )
        noisy = denoise_step(
            noisy,
            clean,
            noise(step),
            log_snr_t=float(snr[step]),
            log_snr_s=float(snr[step + 1]),
            last=step == sampling.steps - 1,
            diffusion=diffusion,
        )
        yield DenoiseState(noisy, clean, used)


def predict_clean(
    parameters: Tree,
    config: DiffusionExperiment,
    noisy: Samples,
    time: float,
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
    idea: Idea | None = None,
) -> tuple[Samples, Int[np.ndarray, " batch"]]:
    """Return the guided prediction of x0, all channels guided, and the loops of each sample.

    Early exit measures the norm of the prediction's change from one loop to the next, relative to the prediction.
    """
    times = np.full(len(labels), time)
    prediction, used = guided_forward(
        DIFFUSION_NETWORK,
        parameters,
        config,
        (noisy, times),
        labels,
        loops=loops,
        guidance_scale=guidance_scale,
        change=relative_change,
        idea=idea,
    )
    return to_x0(config.diffusion.prediction, prediction, noisy, log_snr(times, config.diffusion)), used


def relative_change(before: Samples, after: Samples, _rows: np.ndarray) -> Float[np.ndarray, " rows"]:
    """Return ‖after − before‖ / ‖after‖ of each sample, at most 1; 0 where both are zero."""
    axes = tuple(range(1, after.ndim))
    moved = np.sqrt(np.square(after - before).sum(axis=axes))
    size = np.sqrt(np.square(after).sum(axis=axes))
    return np.minimum(1, moved / np.maximum(size, np.finfo(after.dtype).tiny))


def initial_noise(config: DiffusionExperiment | DriftingExperiment, seed: int, batch: int) -> Samples:
    """Return the noise that sampling starts from: standard normal numbers from the stream ``initial_noise``."""
    return _normal(config, seed, "initial_noise", 0, batch)


def step_noise(config: DiffusionExperiment, seed: int, step: int, batch: int) -> Samples:
    """Return the noise of one step: standard normal numbers from the stream ``step_noise``."""
    return _normal(config, seed, "step_noise", step, batch)


def _normal(config: DiffusionExperiment | DriftingExperiment, seed: int, name: str, step: int, batch: int) -> Samples:
    return stream(seed, name, step).standard_normal((batch, *config.model.shape)).astype(config.training.dtype)
