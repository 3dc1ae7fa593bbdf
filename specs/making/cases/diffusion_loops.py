"""DIFFLOOP: the loop of the diffusion family."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import diffusion_section, integers, normal, parameters


def network(name: str, times: tuple[float, ...], *, gates: float | None = None, **changes: Any) -> dict[str, Any]:
    """Return settings and inputs of a case that runs a network; `gates` replaces every gate by a number."""
    model = diffusion_section(**changes)
    given = parameters(model, name)
    if gates is not None:
        width = model["width"]
        for key, array in given.items():
            if ".modulation." in key and ".block." in key:
                for chunk in (2, 5):
                    array[..., chunk * width : (chunk + 1) * width] = gates if key.endswith("bias") else 0.0
    inputs: dict[str, np.ndarray] = {
        **given,
        "noisy": normal(f"{name}/noisy", len(times), *model["shape"]),
        "time": np.array(times),
        "labels": integers(f"{name}/labels", model["classes"] + 1, len(times)),
    }
    return {"settings": {"model": model, "loops": model["max_loops"]}, "inputs": inputs}


def looped(name: str, loops: int, times: tuple[float, ...], **changes: Any) -> dict[str, Any]:
    """Return a case's settings and inputs at a number of loops."""
    made = network(name, times, **changes)
    return {"settings": {**made["settings"], "loops": loops}, "inputs": made["inputs"]}


CASES = (
    Case(
        "DIFFLOOP-01",
        "beyond-training",
        "diffusion_states",
        "five loops of a block trained with three: a loop that is cut, scaled by the depth or fed its input again",
        **looped("difflayers", 5, (0.3, 0.8)),
    ),
    Case(
        "DIFFLOOP-01",
        "up-to-max",
        "diffusion_states",
        "as many loops as in training, of one layer and a batch of one: states that depend on how many follow",
        **looped("diffone", 3, (0.5,), layers=1, time_scale=10.0),
    ),
    Case(
        "DIFFLOOP-01",
        "two-of-four",
        "diffusion_states",
        "fewer loops than in training: their states are the first of more",
        **looped("difffew", 2, (0.1, 0.9), max_loops=4),
    ),
    Case(
        "DIFFLOOP-01",
        "one-loop",
        "diffusion_states",
        "a single loop of four: the block once, of the embedded patches with their positions",
        **looped("diffsingle", 1, (0.7,), max_loops=4, time_scale=10.0),
    ),
    Case(
        "DIFFLOOP-02",
        "same-conditioning",
        "diffusion_states",
        "three loops at the middle of time: conditioning that changes from loop to loop, or layers that share theirs",
        **looped("diffsame", 3, (0.4, 0.7)),
    ),
    Case(
        "DIFFLOOP-02",
        "ends-of-time",
        "diffusion_states",
        "time 0 and 1: conditioning that vanishes after the first loop or enters with the patches only",
        **looped("diffends", 2, (0.0, 1.0), heads=1),
    ),
    Case(
        "DIFFLOOP-01",
        "zero-gates",
        "diffusion_states",
        "gates of zero: every loop must return its input, with whatever else the layers would add",
        **network("diffzero", (0.2, 0.6), gates=0.0),
    ),
    Case(
        "DIFFLOOP-01",
        "half-gates",
        "diffusion_states",
        "gates of one half: an identity only where the gate says so, not by default",
        **network("diffhalf", (0.6,), gates=0.5, time_scale=10.0),
    ),
)
