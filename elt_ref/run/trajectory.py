"""The making of one sample: the answer after each loop at each sampling step, and the state that the step kept."""

import numpy as np

from elt_ref.config import DiffusionExperiment, DriftingExperiment, MaskedExperiment
from elt_ref.generation import (
    decode_step,
    denoise,
    draw_noise,
    generate,
    initial_noise,
    predict_clean,
    predict_tokens,
    step_noise,
)
from elt_ref.run.evaluate import codec_of, to_pictures
from elt_ref.run.folder import Run
from elt_ref.schedules import time_grid
from elt_ref.tokenizer import Codec

KEPT_TITLES = {"masked": "kept after the step", "diffusion": "state after the step", "drifting": "the sample"}
"""Title of the second result of `trajectory`, by family."""


def trajectory(run: Run, label: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the intermediate answers and states of one sample, with L_max loops at every step and no guidance.

    Returns:
        The answer after each of 1 … L_max loops at each step, [steps, loops, height, width, channels]; and the picture
        after each step, [steps, height, width, channels]: in the masked family NaN where masked again, in the diffusion
        family noisy except the last. Drifting has one step. A clip has an axis of frames before the height.

    Raises:
        RequestError: the run cannot decode pictures.
    """
    config, codec = run.config, codec_of(run)
    if isinstance(config, MaskedExperiment):
        return _masked(run, config, codec, label, seed)
    if isinstance(config, DriftingExperiment):
        return _drifting(run, config, codec, label, seed)
    return _diffusion(run, config, codec, label, seed)


def _masked(run: Run, config: MaskedExperiment, codec: Codec, label: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    model, sampling = config.model, config.sampling
    tokens = np.full((1, model.tokens), model.mask_token)
    start = np.array([model.tokens])
    answers, kept = [], []
    for step in range(sampling.steps):
        before = tokens
        row = []
        for loops in range(1, model.max_loops + 1):
            logits, _ = predict_tokens(
                run.parameters, config, before, np.array([label]), loops=loops, guidance_scale=1.0, idea=run.idea
            )
            tokens, answer = decode_step(
                logits,
                before,
                draw_noise(config, seed, step, 1),
                step=step,
                steps=sampling.steps,
                start=start,
                mask_token=model.mask_token,
                sampling=sampling,
            )
            row.append(to_pictures(codec, config, answer)[0])
        answers.append(row)
        known = tokens != model.mask_token
        drawn = to_pictures(codec, config, np.where(known, tokens, 0))[0]
        patch = [side // places for side, places in zip(drawn.shape[:-1], model.grid, strict=True)]
        masked = np.kron(~known.reshape(model.grid), np.ones(patch, bool))
        kept.append(np.where(masked[..., None], np.nan, drawn))
    return np.array(answers), np.array(kept)


def _diffusion(
    run: Run, config: DiffusionExperiment, codec: Codec, label: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    max_loops = config.model.max_loops
    labels = np.array([label])
    unguided = config.model_copy(
        update={"sampling": config.sampling.model_copy(update={"guidance_scale": 1.0, "loops": max_loops})}
    )
    noisy = initial_noise(config, seed, 1)
    answers, kept = [], []
    for time, state in zip(
        time_grid(config.sampling.steps)[:-1],
        denoise(run.parameters, unguided, labels, noisy, lambda step: step_noise(config, seed, step, 1), idea=run.idea),
        strict=True,
    ):
        row = []
        for loops in range(1, max_loops + 1):
            clean, _ = predict_clean(
                run.parameters, config, noisy, float(time), labels, loops=loops, guidance_scale=1.0, idea=run.idea
            )
            row.append(to_pictures(codec, config, clean)[0])
        noisy = state.noisy
        answers.append(row)
        kept.append(to_pictures(codec, config, noisy)[0])
    return np.array(answers), np.array(kept)


def _drifting(
    run: Run, config: DriftingExperiment, codec: Codec, label: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    noise, labels, drawn = initial_noise(config, seed, 1), np.array([label]), []
    for loops in range(1, config.model.max_loops + 1):
        samples, _ = generate(run.parameters, config, labels, noise, loops=loops, idea=run.idea)
        drawn.append(to_pictures(codec, config, samples)[0])
    return np.array([drawn]), np.array(drawn[-1:])
