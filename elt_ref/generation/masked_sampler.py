"""The sampler of the masked family: K steps of parallel decoding from masked tokens."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Config, masked_model
from elt_ref.generation.decoder import DecodeNoise, decode_step
from elt_ref.generation.guidance import guidance_scale_at
from elt_ref.generation.loop_schedule import EarlyExit, LoopSchedule, check_loop_schedule, loops_at
from elt_ref.generation.predict import predict
from elt_ref.model import check_labels, check_tokens
from elt_ref.ops import softmax
from elt_ref.streams import stream


class DecodeState(NamedTuple):
    """What one decoding step leaves behind."""

    tokens: Int[np.ndarray, "batch tokens"]
    """The running tokens, some masked again."""
    answer: Int[np.ndarray, "batch tokens"]
    """The step's full answer, none masked; that of the last step is the result."""
    loops_used: Int[np.ndarray, " batch"]


def decode(
    parameters: Tree,
    config: Config,
    labels: Int[np.ndarray, " batch"],
    noise: Callable[[int], DecodeNoise],
    *,
    loops: LoopSchedule | None = None,
    start: Int[np.ndarray, "batch tokens"] | None = None,
) -> Iterator[DecodeState]:
    """Yield the state after each of the K steps, of which step k is given ``noise(k)``.

    The other arguments and the errors are those of `sample`.
    """
    model, sampling = masked_model(config), config.sampling
    schedule = check_loop_schedule(loops if loops is not None else sampling.loops or model.max_loops, sampling.steps)
    tokens = np.full((len(labels), model.tokens), model.mask_token) if start is None else start
    check_tokens(tokens, model)
    check_labels(labels, len(tokens), model)
    unknown_at_start = (tokens == model.mask_token).sum(axis=1)
    for step in range(sampling.steps):
        scale = guidance_scale_at(
            step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule
        )
        logits, used = predict_tokens(
            parameters, config, tokens, labels, loops=loops_at(schedule, step), guidance_scale=scale
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


def draw_noise(config: Config, seed: int, step: int, batch: int) -> DecodeNoise:
    """Return the noise of one step from the streams ``token_noise`` and ``confidence_noise``."""
    model = masked_model(config)
    shape = (batch, model.tokens)
    dtype = config.training.dtype
    return DecodeNoise(
        stream(seed, "token_noise", step).gumbel(size=(*shape, model.codebook_size)).astype(dtype),
        stream(seed, "confidence_noise", step).gumbel(size=shape).astype(dtype),
    )


def predict_tokens(
    parameters: Tree,
    config: Config,
    tokens: Int[np.ndarray, "batch tokens"],
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
) -> tuple[Float[np.ndarray, "batch tokens codes"], Int[np.ndarray, " batch"]]:
    """Return guided logits and the loops each sample took.

    Early exit goes by the total variation distance ½ Σ_v |p_ℓ(v) − p_ℓ−1(v)| between successive predictions, averaged
    over a sample's unknown tokens.
    """
    unknown = tokens == masked_model(config).mask_token

    def change(before: np.ndarray, after: np.ndarray, rows: np.ndarray) -> np.ndarray:
        distance = np.abs(softmax(after) - softmax(before)).sum(axis=-1) / 2
        return (distance * unknown[rows]).sum(axis=1) / np.maximum(1, unknown[rows].sum(axis=1))

    return predict(parameters, config, (tokens,), labels, loops=loops, guidance_scale=guidance_scale, change=change)
