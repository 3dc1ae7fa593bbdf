"""The paper's throughput claim on this machine: N layers looped L times against N · L layers, the same arithmetic.

The weights of the looped block may stay in a cache that the weights of the unlooped network overflow.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from elt_ref.bench.document import LoopPoint
from elt_ref.bench.loop_side import passes_a_repetition
from elt_ref.bench.measure import Request
from elt_ref.bench.pairs import interleave, quartiles, warm_up
from elt_ref.bench.worker import Worker
from elt_ref.config import Experiment, load_preset
from elt_ref.measure import parameter_count

WIDTHS = (64, 96, 128, 192, 256, 384, 512, 768, 1024)
INPUTS = ((1, 1), (1, 16), (16, 16))
"""Batch and tokens, without the class token."""
LAYERS, LOOPS, HEAD_WIDTH = 1, 12, 32
PROCESSES = 3
"""Processes of each side, one after another: memory placement is fixed for a process's life and may cost a tenth."""


def loop_cache(
    request: Request,
    progress: Callable[[str], None],
    *,
    widths: Sequence[int] = WIDTHS,
    inputs: Sequence[tuple[int, int]] = INPUTS,
) -> tuple[LoopPoint, ...]:
    """Measure every width at every (batch, tokens) of the inputs; the request sets pairs per process, and threads.

    Raises:
        DisagreementError: the two networks gave different predictions.
    """
    points = []
    for batch, tokens in inputs:
        for width in widths:
            progress(f"looped against unlooped, width {width}, batch {batch}, tokens {tokens}")
            points.append(_point(looped_network(width, batch, tokens), request))
    return tuple(points)


def looped_network(width: int, batch: int, tokens: int) -> Experiment:
    """Return a masked configuration of `LAYERS` layers looped `LOOPS` times."""
    sizes = {
        "model.grid": [tokens],
        "model.layers": LAYERS,
        "model.max_loops": LOOPS,
        "model.width": width,
        "model.heads": max(1, width // HEAD_WIDTH),
        "model.mlp_width": 4 * width,
        "training.batch_size": batch,
    }
    return load_preset("digits-masked", sizes)


def _point(config: Experiment, request: Request) -> LoopPoint:
    job = request.job("elt_ref", "forward", config)
    pairs = []
    for _ in range(PROCESSES):
        with ExitStack() as stack:
            sides = [stack.enter_context(Worker(one)) for one in (job, replace(job, side="unlooped"))]
            warm_up(sides, 1)
            pairs += zip(*interleave(sides, request.pairs), strict=True)
    low, median, high = quartiles([unlooped / looped for looped, unlooped in pairs])
    model, batch = config.model, config.training.batch_size
    size = 4 * parameter_count(config, "block.")
    return LoopPoint(
        width=model.width,
        batch=batch,
        tokens=model.tokens + 1,
        layers=model.layers,
        loops=model.max_loops,
        looped_bytes=size,
        unlooped_bytes=size * model.max_loops,
        ratio_median=median,
        ratio_low=low,
        ratio_high=high,
        samples_per_second=batch * passes_a_repetition(config) / quartiles([looped for looped, _ in pairs])[1],
    )
