"""The sampler of the masked family: K steps of parallel decoding from masked tokens."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import MaskedExperiment
from elt_ref.generation.decoder import DecodeNoise, decode_step
from elt_ref.generation.guided_forward import guided_forward
from elt_ref.idea import Idea
from elt_ref.model.masked import MASKED_NETWORK
from elt_ref.ops import softmax
from elt_ref.schedules import EarlyExit, LoopSchedule, guidance_scale_at, loops_per_step
from elt_ref.streams import stream


class DecodeState(NamedTuple):
    """What one decoding step leaves behind."""

    tokens: Int[np.ndarray, "batch tokens"]
    """Running tokens, some masked again."""
    answer: Int[np.ndarray, "batch tokens"]
    """Full answer of the step, none masked; the last step's answer is the result."""
    loops_used: Int[np.ndarray, " batch"]
    """Loops of each sample."""


def decode(
    parameters: Tree,
    config: MaskedExperiment,
    labels: Int[np.ndarray, " batch"],
    noise: Callable[[int], DecodeNoise],
    *,
    loops: LoopSchedule | None = None,
    start: Int[np.ndarray, "batch tokens"] | None = None,
    idea: Idea | None = None,
) -> Iterator[DecodeState]:
    """Yield the state after each of the K steps; ``noise(k)`` is the noise of step k.

    Other arguments and errors: see `sample`.
    """
    model, sampling = config.model, config.sampling
    schedule = loops_per_step(loops if loops is not None else sampling.loops or model.max_loops, sampling.steps)
    tokens = np.full((len(labels), model.tokens), model.mask_token) if start is None else start
    MASKED_NETWORK.check(model, tokens, labels)
    unknown_at_start = (tokens == model.mask_token).sum(axis=1)
    for step in range(sampling.steps):
        scale = guidance_scale_at(
            step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule
        )
        logits, used = predict_tokens(
            parameters, config, tokens, labels, loops=schedule[step], guidance_scale=scale, idea=idea
        )
        tokens, answer = decode_step(
            logits,
            tokens,
            noise(step),
            step=step,
            steps=sampling.steps,
            start=unknown_at_start,
            mask_token=model.mask_token,
            sampling=sampling,
        )
        yield DecodeState(tokens, answer, used)


def predict_tokens(
    parameters: Tree,
    config: MaskedExperiment,
    tokens: Int[np.ndarray, "batch tokens"],
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
    idea: Idea | None = None,
) -> tuple[Float[np.ndarray, "batch tokens codes"], Int[np.ndarray, " batch"]]:
    """Return guided logits and the loops of each sample. Known tokens have logits that mean nothing, mostly zeros.

    Early exit measures the total variation distance ½ Σ_v |p_ℓ(v) − p_ℓ−1(v)| between successive predictions, averaged
    over a sample's unknown tokens.
    """
    unknown = tokens == config.model.mask_token

    def change(before: np.ndarray, after: np.ndarray, rows: np.ndarray) -> np.ndarray:
        distance = np.abs(softmax(after) - softmax(before)).sum(axis=-1) / 2
        return (distance * unknown[rows]).sum(axis=1) / np.maximum(1, unknown[rows].sum(axis=1))

    return guided_forward(
        MASKED_NETWORK,
        parameters,
        config,
        (tokens,),
        labels,
        loops=loops,
        guidance_scale=guidance_scale,
        change=change,
        unknown=unknown,
        idea=idea,
    )


def draw_noise(config: MaskedExperiment, seed: int, step: int, batch: int) -> DecodeNoise:
    """Return the noise of one step from the streams ``token_noise`` and ``confidence_noise``."""
    shape = (batch, config.model.tokens)
    dtype = config.training.dtype
    return DecodeNoise(
        stream(seed, "token_noise", step).gumbel(size=(*shape, config.model.codebook_size)).astype(dtype),
        stream(seed, "confidence_noise", step).gumbel(size=shape).astype(dtype),
    )
