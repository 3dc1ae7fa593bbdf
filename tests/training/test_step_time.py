"""What the student costs in time, by interleaved pairs because the machine is noisy, beside what it costs in FLOPs."""

import json
import subprocess
import sys

import pytest

MEASURE = """
from elt_ref.run.process import settle_process

settle_process()
import json, statistics, sys, time
from elt_ref.bench.inputs import training_inputs
from elt_ref.bench.sizes import benched
from elt_ref.ops import counting
from elt_ref.training import draw, init_state, train_step

family, layers, loops, pairs = sys.argv[1], *map(int, sys.argv[2:])
config = benched(family, "small")
model = config.model.model_copy(update={"layers": layers, "max_loops": loops})
objective = {kind: config.objective.model_copy(update={"kind": kind}) for kind in ("ilsd", "vanilla")}
configs = {kind: config.model_copy(update={"model": model, "objective": each}) for kind, each in objective.items()}
states = {kind: init_state(each) for kind, each in configs.items()}
batches = [batch for batch, _ in training_inputs(config)]


def step(kind, index):
    batch, draws = batches[index % len(batches)], draw(configs[kind], index)
    started = time.perf_counter()
    states[kind], _ = train_step(states[kind], batch, draws, config=configs[kind])
    return time.perf_counter() - started


flops = {}
for kind in configs:
    with counting() as work:
        step(kind, 0)
    flops[kind] = work.flops
ratios = []
for index in range(pairs + 5):
    seconds = {kind: step(kind, index) for kind in sorted(configs, reverse=index % 2 == 0)}
    ratios.append(seconds["ilsd"] / seconds["vanilla"])
low, median, high = statistics.quantiles(ratios[5:], n=4)
print(json.dumps({"median": median, "quartiles": [low, high], "flops": flops["ilsd"] / flops["vanilla"]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "layers", "loops", "pairs"),
    [
        ("masked", 2, 4, 60),
        ("diffusion", 4, 3, 60),
        ("video", 2, 4, 20),
        ("masked", 4, 6, 40),
        ("diffusion", 4, 6, 40),
        ("video", 6, 4, 15),
    ],
)
def test_the_student_costs_little_more_time_than_it_costs_flops(family, layers, loops, pairs):
    # In a process of its own, where no signature is enforced.
    words = [family, layers, loops, pairs]
    run = subprocess.run([sys.executable, "-c", MEASURE, *map(str, words)], capture_output=True, text=True, check=True)
    ratio = json.loads(run.stdout)
    print(words, ratio)  # noqa: T201  shown with `pytest -s`
    assert ratio["median"] <= ratio["flops"] + 0.05, f"ILSD step / vanilla step: {ratio}"
    if layers * loops >= 24:
        assert ratio["median"] <= 1.05, f"ILSD step / vanilla step: {ratio}"
