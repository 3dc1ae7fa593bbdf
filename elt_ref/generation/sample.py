"""Sampling tokens from a trained network at any number of loops."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from elt_ref.arrays import Tree
from elt_ref.config import Config
from elt_ref.generation.decoder import DecodeNoise, decode_step
from elt_ref.generation.guidance import branches, combine, guidance_scale_at
from elt_ref.generation.loop_schedule import EarlyExit, LoopSchedule, check_loop_schedule, loops_at
from elt_ref.model import check_labels, check_tokens, last_state, open_network
from elt_ref.ops import softmax
from elt_ref.streams import stream


class DecodeState(NamedTuple):
    """What one decoding step leaves behind."""

    tokens: Int[np.ndarray, "batch tokens"]
    """The running tokens, some masked again."""
    answer: Int[np.ndarray, "batch tokens"]
    """The step's full answer, none masked; that of the last step is the result."""
    loops_used: Int[np.ndarray, " batch"]


class Sampled(NamedTuple):
    """The result of sampling."""

    tokens: Int[np.ndarray, "batch tokens"]
    loops_used: Int[np.ndarray, "steps batch"]
    """Loops of each step and sample; they differ under early exit."""


def sample(
    parameters: Tree,
    config: Config,
    labels: Int[np.ndarray, " batch"],
    *,
    seed: int = 0,
    loops: LoopSchedule | None = None,
    start: Int[np.ndarray, "batch tokens"] | None = None,
) -> Sampled:
    """Draw tokens for `labels`. The same seed gives the same noise, whatever the loops.

    Args:
        parameters: as from `init_parameters`, or the average of a trained run.
        config: network and sampling settings (steps, guidance, temperatures).
        labels: classes, or ``config.model.unconditional_class``.
        seed: of the noise.
        loops: an integer, one a sampling step, or an `EarlyExit`; the configuration's where not given.
        start: tokens to start from, ``config.model.mask_token`` where unknown (inpainting); all unknown by default.

    Raises:
        RequestError: labels, tokens or loops are not what they should be.
    """
    states = list(decode(parameters, config, labels, seed=seed, loops=loops, start=start))
    return Sampled(states[-1].answer, np.stack([state.loops_used for state in states]))


def decode(
    parameters: Tree,
    config: Config,
    labels: Int[np.ndarray, " batch"],
    *,
    seed: int = 0,
    loops: LoopSchedule | None = None,
    start: Int[np.ndarray, "batch tokens"] | None = None,
) -> Iterator[DecodeState]:
    """Yield the state after each of the K steps; arguments and errors are those of `sample`."""
    model, sampling = config.model, config.sampling
    schedule = check_loop_schedule(loops if loops is not None else sampling.loops or model.max_loops, sampling.steps)
    tokens = np.full((len(labels), model.tokens), model.mask_token) if start is None else start
    check_tokens(tokens, model)
    check_labels(labels, len(tokens), model)
    unknown_at_start = (tokens == model.mask_token).sum(axis=1)
    for step in range(sampling.steps):
        scale = guidance_scale_at(
            step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule
        )
        logits, used = predict(parameters, config, tokens, labels, loops=loops_at(schedule, step), guidance_scale=scale)
        tokens, answer = decode_step(
            logits,
            tokens,
            draw_noise(config, seed, step, len(tokens)),
            step=step,
            steps=sampling.steps,
            start=unknown_at_start,
            mask_token=model.mask_token,
            sampling=sampling,
        )
        yield DecodeState(tokens, answer, used)


def draw_noise(config: Config, seed: int, step: int, batch: int) -> DecodeNoise:
    """Return the noise of one step from the streams ``token_noise`` and ``confidence_noise``."""
    model = config.model
    shape = (batch, model.tokens)
    dtype = config.training.dtype
    return DecodeNoise(
        stream(seed, "token_noise", step).gumbel(size=(*shape, model.codebook_size)).astype(dtype),
        stream(seed, "confidence_noise", step).gumbel(size=shape).astype(dtype),
    )


def predict(
    parameters: Tree,
    config: Config,
    tokens: Int[np.ndarray, "batch tokens"],
    labels: Int[np.ndarray, " batch"],
    *,
    loops: int | EarlyExit,
    guidance_scale: float,
) -> tuple[Float[np.ndarray, "batch tokens codes"], Int[np.ndarray, " batch"]]:
    """Return guided logits and the loops each sample took. Both branches of guidance take the same loops."""
    batch = len(labels)
    unconditional = np.full(labels.shape, config.model.unconditional_class)
    sides = [side for side, used in zip((labels, unconditional), branches(guidance_scale), strict=True) if used]
    network = open_network(parameters, config, np.concatenate([tokens] * len(sides)), np.concatenate(sides))

    if isinstance(loops, EarlyExit):
        return _predict_until_settled(network, loops, tokens == config.model.mask_token, len(sides), guidance_scale)
    prediction = network.head(last_state(network.block, network.state, loops))
    return combine(np.split(prediction, len(sides)), guidance_scale), np.full(batch, loops)


def _predict_until_settled(network, rule, unknown, sides, guidance_scale):  # noqa: ANN001, ANN202  as `predict`
    batch = len(unknown)
    state = network.state.reshape(sides, batch, *network.state.shape[1:])
    active = np.arange(batch)
    used = np.zeros(batch, dtype=np.int64)
    logits = np.empty(0)
    for loop in range(1, rule.max_loops + 1):
        flat = network.block(state.reshape(-1, *state.shape[2:]))
        state = flat.reshape(state.shape)
        new = combine(np.split(network.head(flat), sides), guidance_scale)
        used[active] = loop
        if loop == 1:
            logits = new
            continue
        change = _mean_change(logits[active], new, unknown[active])
        logits[active] = new
        moving = change > rule.threshold
        active, state = active[moving], state[:, moving]
        if not active.size:
            break
    return logits, used


def _mean_change(
    before: Float[np.ndarray, "batch tokens codes"],
    after: Float[np.ndarray, "batch tokens codes"],
    unknown: np.ndarray,
) -> Float[np.ndarray, " batch"]:
    distance = np.abs(softmax(after) - softmax(before)).sum(axis=-1) / 2
    return (distance * unknown).sum(axis=1) / np.maximum(1, unknown.sum(axis=1))
