"""The most memory that the arrays of one training step take: looped, rematerialised, and unlooped of the same depth.

Python's tracer of allocations counts every array: parameters, moments, average, gradient and what the way back keeps.
It does not count Python itself, and what it counts is the same on every machine.
"""

import gc
import tracemalloc
from collections.abc import Callable

from elt_ref.bench.document import MemoryPoint
from elt_ref.bench.inputs import training_inputs
from elt_ref.bench.measure import Request
from elt_ref.bench.sizes import benched
from elt_ref.config import Experiment
from elt_ref.training import init_state, train_step


def training_memory(request: Request, progress: Callable[[str], None]) -> tuple[MemoryPoint, ...]:
    """Measure every family of the request at every size."""
    points = []
    for family in request.families:
        for size in request.sizes:
            progress(f"memory of training, {family} {size}")
            config = benched(family, size)
            points.append(
                MemoryPoint(
                    family=family,
                    size=size,
                    unlooped_bytes=peak_of_a_step(unlooped(config)),
                    looped_bytes=peak_of_a_step(config),
                    rematerialised_bytes=peak_of_a_step(_with(config, "training", rematerialise=True)),
                )
            )
    return tuple(points)


def unlooped(config: Experiment) -> Experiment:
    """Return the network of N · L_max layers that are not looped, trained without a student."""
    model = config.model
    deep = _with(config, "model", layers=model.layers * model.max_loops, max_loops=1)
    return _with(deep, "objective", kind="vanilla")


def peak_of_a_step(config: Experiment) -> int:
    """Return the most bytes held at once during a training step, the state before and after it included."""
    first, second, *_ = training_inputs(config)
    gc.collect()
    tracemalloc.start()
    try:
        state, _ = train_step(init_state(config), *first, config=config)  # which makes what is made once
        gc.collect()
        tracemalloc.reset_peak()
        train_step(state, *second, config=config)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _with(config: Experiment, section: str, **changes: object) -> Experiment:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=changes)})
