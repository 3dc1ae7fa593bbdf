"""The cost of loops: FLOPs exactly affine in L, memory as the algorithm predicts, time affine in L."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_config, make_diffusion_config, random_parameters

from elt_ref.bench.inputs import training_inputs
from elt_ref.model import forward
from elt_ref.ops import counting
from elt_ref.training import init_state, train_step

FAMILIES = {
    "masked": make_config,
    "diffusion": make_diffusion_config,
    "video": lambda **settings: make_config(grid=(2, 2, 3), **settings),
}


def differences(costs):
    return {after - before for before, after in pairwise(costs)}


# --- FLOPs


def forward_work(config, loops):
    (batch, _), labels = training_inputs(config)[0], np.zeros(3, np.int64)
    inputs = (batch.examples, labels) if config.model.family == "masked" else (batch.examples, np.full(3, 0.5), labels)
    with counting() as work:
        forward(random_parameters(config), config, *inputs, loops=loops)
    return work


def training_work(config):
    batch, draws = training_inputs(config)[0]
    with counting() as work:
        train_step(init_state(config), batch, draws, config=config)
    return work


@pytest.mark.parametrize("family", FAMILIES)
@given(layers=st.integers(1, 3), heads=st.sampled_from([1, 2, 4]))
@settings(max_examples=4)
def test_the_flops_of_a_forward_pass_are_exactly_affine_in_the_loops(family, layers, heads):
    config = FAMILIES[family](layers=layers, heads=heads)
    works = [forward_work(config, loops) for loops in (1, 2, 3, 5, 6)]
    for kind in ("macs", "flops"):
        costs = [getattr(work, kind) for work in works]
        (one,) = differences(costs[:3]) | differences(costs[3:])
        assert costs[3] == costs[2] + 2 * one
        assert one > 0


@pytest.mark.few(4)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["ilsd", "vanilla"])
@pytest.mark.parametrize("rematerialise", [False, True])
def test_the_flops_of_a_training_step_are_exactly_affine_in_the_loops(family, kind, rematerialise):
    works = [
        training_work(
            FAMILIES[family](max_loops=loops, objective={"kind": kind}, training={"rematerialise": rematerialise})
        )
        for loops in (2, 3, 4, 5)
    ]
    (macs,) = differences([work.macs for work in works])
    assert len(differences([work.flops for work in works])) == 1
    forward_macs = differences([forward_work(FAMILIES[family](), loops).macs for loops in (1, 2)])
    assert {macs} == {(4 if rematerialise else 3) * each for each in forward_macs}, "once forward, twice back"


# --- memory

MEMORY = """
import gc, json, sys, tracemalloc
from elt_ref.bench.inputs import parameters_of, sampling_inputs, training_inputs
from elt_ref.bench.sizes import benched
from elt_ref.generation import sample
from elt_ref.training import loss_and_gradient
from elt_ref.training.step import CORRUPTIONS

family, = sys.argv[1:]
tiny = benched(family, "tiny")
size = 2048 // tiny.model.tokens  # arrays that dwarf the objects of Python
training = tiny.training.model_copy(update={"batch_size": size})
config = tiny.model_copy(update={"training": training})
parameters, (labels, _), (batch, draws) = parameters_of(config), sampling_inputs(config), training_inputs(config)[0]


def peak(work):
    work()  # what is made once is made
    gc.collect()
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def trained(loops, rematerialise):
    model = config.model.model_copy(update={"max_loops": loops})
    settings = training.model_copy(update={"rematerialise": rematerialise})
    looped = config.model_copy(update={"model": model, "training": settings})

    def gradient():
        inputs, target = CORRUPTIONS[type(looped)](looped, batch, draws)
        return loss_and_gradient(parameters, looped, inputs, target, student_loops=1, truth_weight=0.5)

    return peak(gradient)


print(json.dumps({
    "state": size * (config.model.tokens + (config.model.family == "masked")) * config.model.width * 4,
    # With two loops no whole block starts from a state of its own: the last loop leaves out what nobody reads.
    "sampling": [peak(lambda: sample(parameters, config, labels, loops=loops)) for loops in (3, 6, 12)],
    # With fewer loops the head's way back holds the most; over four the moments of the garbage collector even out.
    "plain": [trained(loops, False) / 4 for loops in (4, 8, 12)],
    "lean": [trained(loops, True) / 4 for loops in (4, 8, 12)],
}))
"""


@pytest.mark.whole
@pytest.mark.parametrize("family", FAMILIES)
def test_sampling_holds_the_same_at_any_loops_and_training_the_same_more_each_loop(family):
    # In a process of its own, where no signature is enforced.
    done = subprocess.run([sys.executable, "-c", MEMORY, family], capture_output=True, text=True, check=True)
    reported = json.loads(done.stdout)
    state = reported["state"]
    assert max(reported["sampling"]) - min(reported["sampling"]) < 0.5 * state, f"{reported}: sampling keeps states"
    for kind in ("plain", "lean"):
        one, other = np.diff(reported[kind])
        assert one == pytest.approx(other, rel=0, abs=0.15 * state), f"{reported}: {kind} training is not affine"
    assert np.diff(reported["plain"]).mean() > 8 * state
    assert np.diff(reported["lean"]).mean() == pytest.approx(state, rel=0.15), f"{reported}: not one state a loop"


# --- time

MEASURE = """
from elt_ref.run.process import settle_process

settle_process()
import json, statistics, sys, time
from elt_ref.bench.inputs import parameters_of, training_inputs
from elt_ref.bench.sizes import benched
from elt_ref.model import forward
from elt_ref.training import init_state, train_step
import numpy as np

family, work = sys.argv[1:]
config = benched(family, "small")
parameters, inputs = parameters_of(config), training_inputs(config)
batch, labels = inputs[0][0].examples, inputs[0][0].labels
reads = (batch, labels) if config.model.family == "masked" else (batch, np.full(len(labels), 0.5), labels)


def looped(loops):
    model = config.model.model_copy(update={"max_loops": loops})
    objective = config.objective.model_copy(update={"kind": "vanilla"})
    return config.model_copy(update={"model": model, "objective": objective})


configs = {loops: looped(loops) for loops in range(1, 17)}
draws = inputs[0][1]._replace(student_loops=None)
states = {loops: init_state(each) for loops, each in configs.items()}
once = {
    "forward": lambda loops: forward(parameters, config, *reads, loops=loops),
    "training": lambda loops: train_step(states[loops], inputs[0][0], draws, config=configs[loops]),
}[work]
seconds = {loops: [] for loops in configs}
order = list(configs)
for repetition in range(10):
    for loops in order:
        started = time.perf_counter()
        once(loops)
        seconds[loops].append(time.perf_counter() - started)
    order.reverse()
print(json.dumps([statistics.median(each[1:]) for each in seconds.values()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("work", ["forward", "training"])
@pytest.mark.parametrize("family", FAMILIES)
def test_time_is_affine_in_the_loops(family, work):
    # In a process of its own, where no signature is enforced.
    done = subprocess.run([sys.executable, "-c", MEASURE, family, work], capture_output=True, text=True, check=True)
    seconds = np.array(json.loads(done.stdout))
    loops = np.arange(1, len(seconds) + 1)
    slope, start = np.polyfit(loops, seconds, 1)
    unexplained = np.square(seconds - start - slope * loops).sum() / np.square(seconds - seconds.mean()).sum()
    print(f"{family} {work}: {1e3 * start:.2f} + {1e3 * slope:.2f} L ms, R² = {1 - unexplained:.5f}")  # noqa: T201
    assert 1 - unexplained >= 0.99
    assert slope > 0
