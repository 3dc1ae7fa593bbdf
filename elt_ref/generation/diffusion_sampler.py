"""The sampler of the diffusion family: from noise to a sample in T denoising steps."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Config, diffusion_model, diffusion_of
from elt_ref.generation.denoiser import denoise_step, time_grid
from elt_ref.generation.guidance import guidance_scale_at
from elt_ref.generation.loop_schedule import EarlyExit, LoopSchedule, check_loop_schedule, loops_at
from elt_ref.generation.noise_schedule import log_snr
from elt_ref.generation.predict import predict
from elt_ref.generation.prediction import Samples, to_x0
from elt_ref.model import check_labels
from elt_ref.streams import stream


class DenoiseState(NamedTuple):
    """What one denoising step leaves behind."""

    noisy: Samples
    """The sample at the next time; after the last step, the result."""
    clean: Samples
    """The step's guided prediction of x0, before any clipping."""
    loops_used: Int[np.ndarray, " batch"]


def denoise(
    parameters: Tree,
    config: Config,
    labels: Int[np.ndarray, " batch"],
    initial: Samples,
    noise: Callable[[int], Samples],
    *,
    loops: LoopSchedule | None = None,
) -> Iterator[DenoiseState]:
    """Yield the state after each of the T steps from `initial`, of which step k is given ``noise(k)``.

    The other arguments and the errors are those of `sample`.
    """
    model, sampling, diffusion = diffusion_model(config), config.sampling, diffusion_of(config)
    schedule = check_loop_schedule(loops if loops is not None else sampling.loops or model.max_loops, sampling.steps)
    check_labels(labels, len(labels), model)
    times = time_grid(sampling.steps)
    snr = log_snr(times, diffusion)
    noisy = initial
    for step in range(sampling.steps):
        scale = guidance_scale_at(
            step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule
        )
        clean, used = predict_clean(
            parameters, config, noisy, float(times[step]), labels, loops=loops_at(schedule, step), guidance_scale=scale
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
    config: Config,
    noisy: Samples,
    time: float,
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
) -> tuple[Samples, Int[np.ndarray, " batch"]]:
    """Return the guided prediction of x0, all channels guided, and the loops each sample took.

    Early exit goes by the norm of the prediction's change from one loop to the next, relative to the prediction.
    """
    diffusion = diffusion_of(config)
    times = np.full(len(labels), time)
    prediction, used = predict(
        parameters,
        config,
        (noisy, times),
        labels,
        loops=loops,
        guidance_scale=guidance_scale,
        change=relative_change,
    )
    return to_x0(diffusion.prediction, prediction, noisy, log_snr(times, diffusion)), used


def relative_change(before: Samples, after: Samples, _rows: np.ndarray) -> Float[np.ndarray, " rows"]:
    """Return ‖after − before‖ / ‖after‖ of each sample, at most 1; 0 where both are zero."""
    axes = tuple(range(1, after.ndim))
    moved = np.sqrt(np.square(after - before).sum(axis=axes))
    size = np.sqrt(np.square(after).sum(axis=axes))
    return np.minimum(1, moved / np.maximum(size, np.finfo(after.dtype).tiny))


def initial_noise(config: Config, seed: int, count: int) -> Samples:
    """Return what sampling begins with: standard normal numbers from the stream ``initial_noise``."""
    return _normal(config, seed, "initial_noise", 0, count)


def step_noise(config: Config, seed: int, step: int, count: int) -> Samples:
    """Return the noise of one step: standard normal numbers from the stream ``step_noise``."""
    return _normal(config, seed, "step_noise", step, count)


def _normal(config: Config, seed: int, name: str, step: int, count: int) -> Samples:
    shape = (count, *diffusion_model(config).shape)
    return stream(seed, name, step).standard_normal(shape).astype(config.training.dtype)
