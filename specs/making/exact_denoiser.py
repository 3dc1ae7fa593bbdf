"""What keeps a diffusion model on `shapes` from valid pictures: ``python -m specs.making.exact_denoiser RUN``.

`shapes` is a finite set, so the best prediction of x0 is known: the mean of the class's members, each weighted by how
likely the noisy picture is with it. Two tables come of it, at L_max and without guidance:

* the squared error of the network and of the exact denoiser on members with noise, by log-SNR;
* the share of valid samples where the exact denoiser takes the first part of the sampling steps, and the network the
  rest. (The other way round says nothing: one step of the exact denoiser makes a member of anything.)

The members are all valid pictures, also those that the network was not trained with.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from elt_ref.run.process import settle_process

settle_process()

from elt_ref.config import DiffusionExperiment  # noqa: E402
from elt_ref.errors import RequestError  # noqa: E402
from elt_ref.generation.denoiser import denoise_step  # noqa: E402
from elt_ref.generation.diffusion_sampler import initial_noise, predict_clean, step_noise  # noqa: E402
from elt_ref.ops import softmax  # noqa: E402
from elt_ref.run.folder import Run, open_run  # noqa: E402
from elt_ref.schedules import log_snr, time_grid  # noqa: E402
from elt_ref.schedules.noise import signal_and_noise  # noqa: E402
from elt_ref.streams import stream  # noqa: E402
from tiny_datasets.errors import DatasetError  # noqa: E402
from tiny_datasets.shapes import CLASSES, is_valid, members  # noqa: E402

Pictures = Float[np.ndarray, "batch height width channels"]
Labels = Int[np.ndarray, " batch"]
Denoiser = Callable[[Pictures, float, Labels], Pictures]
"""``denoiser(noisy, time, labels)``, a prediction of x0."""

PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the sampling steps after which the exact denoiser gives way to the network."""
TIMES = 9
"""Times between 0 and 1 at which errors are told."""


def noise_at(time: float, config: DiffusionExperiment) -> tuple[float, float, float]:
    """Return log-SNR, α and σ at a time."""
    snr = float(log_snr(np.array([time]), config.diffusion)[0])
    alpha, sigma = map(float, signal_and_noise(np.asarray(snr)))
    return snr, alpha, sigma


def exact_denoiser(config: DiffusionExperiment) -> Denoiser:
    """Return E[x0 | x_t, class], over all members of the class."""
    every = np.stack([2 * (members(label) / 255) - 1 for label in range(len(CLASSES))])

    def predict(noisy: Pictures, time: float, labels: Labels) -> Pictures:
        _, alpha, sigma = noise_at(time, config)
        found = np.empty(noisy.shape)
        for row, label in enumerate(labels):
            squares = np.square(noisy[row] - alpha * every[label]).sum(axis=(1, 2, 3))
            found[row] = np.tensordot(softmax(-squares / (2 * sigma**2)), every[label], 1)
        return found.astype(noisy.dtype)

    return predict


def errors(
    config: DiffusionExperiment, denoisers: Sequence[Denoiser], count: int
) -> Iterator[tuple[float, list[float]]]:
    """Yield log-SNRs, and the mean squared errors of the denoisers on members with noise."""
    labels = np.arange(count) % len(CLASSES)
    random = stream(0, "exact_denoiser")
    clean = np.stack([2 * (random.choice(members(int(label))) / 255) - 1 for label in labels])
    for time in np.linspace(0, 1, TIMES + 2)[1:-1]:
        snr, alpha, sigma = noise_at(time, config)
        noisy = (alpha * clean + sigma * random.standard_normal(clean.shape)).astype(config.training.dtype)
        yield snr, [float(np.square(predict(noisy, time, labels) - clean).mean()) for predict in denoisers]


def valid_share(config: DiffusionExperiment, early: Denoiser, late: Denoiser, part: float, count: int) -> float:
    """Return the share of valid samples, with one denoiser in the first part of the steps and the other in the rest."""
    labels = np.arange(count) % len(CLASSES)
    return float(is_valid(np.clip((draw(config, early, late, part, labels) + 1) / 2, 0, 1), labels).mean())


def draw(config: DiffusionExperiment, early: Denoiser, late: Denoiser, part: float, labels: Labels) -> Pictures:
    """Return samples as `generation.sample` draws them with seed 0, but with one denoiser and then another."""
    steps, count = config.sampling.steps, len(labels)
    times = time_grid(steps)
    snr = log_snr(times, config.diffusion)
    noisy = initial_noise(config, 0, count)
    for step in range(steps):
        predict = early if step < part * steps else late
        noisy = denoise_step(
            noisy,
            predict(noisy, float(times[step]), labels),
            step_noise(config, 0, step, count),
            log_snr_t=float(snr[step]),
            log_snr_s=float(snr[step + 1]),
            last=step == steps - 1,
            diffusion=config.diffusion,
        )
    return noisy


def network_of(run: Run, config: DiffusionExperiment) -> Denoiser:
    """Return what the network of a run predicts at L_max, without guidance."""

    def predict(noisy: Pictures, time: float, labels: Labels) -> Pictures:
        loops = config.model.max_loops
        return predict_clean(
            run.parameters, config, noisy, time, labels, loops=loops, guidance_scale=1.0, idea=run.idea
        )[0]

    return predict


def tables(run: Run, count: int) -> Iterator[str]:
    """Yield the lines of both tables, in Markdown.

    Raises:
        RequestError: the run is none of the diffusion family on `shapes`, or the count below 1.
    """
    config = run.config
    data = None if config.data is None else config.data.name
    if not isinstance(config, DiffusionExperiment) or config.latents is not None or data != "shapes":
        got = f"{config.model.family} of '{data}'" + ("" if config.latents is None else " in latents")
        raise RequestError(f"run: expected one of the diffusion family in the pixels of 'shapes', got {got}")
    if count < 1:
        raise RequestError(f"--count: expected at least 1, got {count}")

    network, exact = network_of(run, config), exact_denoiser(config)
    yield from ("| log-SNR | network | exact |", "|---|---|---|")
    for snr, found in errors(config, (network, exact), count):
        yield f"| {snr:.1f} | {found[0]:.4f} | {found[1]:.4f} |"
    yield from ("", "| exact steps | log-SNR after them | valid |", "|---|---|---|")
    for part in PARTS:
        snr, _, _ = noise_at(1 - part, config)
        yield f"| {part:.0%} | {snr:.1f} | {valid_share(config, exact, network, part, count):.3f} |"


def main() -> None:
    """Measure a run and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m specs.making.exact_denoiser",
        description="The error of a diffusion network on shapes beside the least possible one.",
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=450, help="pictures of a figure")
    chosen = parser.parse_args()
    try:
        for line in tables(open_run(chosen.run), chosen.count):
            sys.stdout.write(f"{line}\n")
    except (RequestError, DatasetError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
