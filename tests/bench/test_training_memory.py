"""The memory of a training step: what is compared, and what is counted."""

import json

import pytest

from elt_ref.bench.sizes import FAMILIES, benched
from elt_ref.bench.training_memory import peak_of_a_step, unlooped
from elt_ref.measure import count, parameter_count


@pytest.mark.parametrize("family", FAMILIES)
def test_the_unlooped_network_is_as_deep_and_has_a_block_as_large_as_all_loops(family):
    config = benched(family, "tiny")
    deep = unlooped(config)
    assert count(deep).layer_calls == count(config).layer_calls
    assert parameter_count(deep, "block.") == config.model.max_loops * parameter_count(config, "block.")
    assert (deep.model.max_loops, deep.objective.kind) == (1, "vanilla")


def test_the_state_before_and_after_the_step_is_counted():
    config = benched("diffusion", "tiny")
    wide = config.model_copy(update={"model": config.model.model_copy(update={"width": 128, "mlp_width": 512})})
    # Parameters, two moments and average before and after, and the gradient: nine copies at least.
    assert peak_of_a_step(wide) > 9 * 4 * parameter_count(wide)


@pytest.mark.whole
@pytest.mark.parametrize("family", FAMILIES)
def test_rematerialisation_keeps_less(family):
    config = benched(family, "tiny")
    wide = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": 64})})
    lean = wide.model_copy(update={"training": wide.training.model_copy(update={"rematerialise": True})})
    assert peak_of_a_step(lean) < peak_of_a_step(wide)


@pytest.mark.whole
def test_the_command(command):
    code, out, err = command("bench", "--work", "memory", "--family", "masked", "--size", "tiny", "--json")
    assert code == 0, err
    reported = json.loads(out)
    (point,) = reported["memory"]
    assert (point["family"], point["size"]) == ("masked", "tiny")
    assert min(point[f"{kind}_bytes"] for kind in ("unlooped", "looped", "rematerialised")) > 10_000
    assert reported["results"] == []
