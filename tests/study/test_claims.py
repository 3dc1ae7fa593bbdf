"""Every study in made-up worlds: a claim holds where it is true, does not where it is false, and never by noise."""

# ruff: noqa: ARG001, ARG005  a world may look at the model, the loops, the steps and the cost

import json
import math

import numpy as np
import pytest

from elt_ref.measure.interval import NAME as INTERVALS
from elt_ref.study.claims import STUDIES
from elt_ref.study.claims.convergence import steps_to
from elt_ref.study.claims.pareto import fit, front
from elt_ref.study.claims.terms import OFF
from elt_ref.study.measures import HeldOutLoss, Quality, Updates
from elt_ref.study.page import page_lines, paragraph, tally, write_page
from elt_ref.study.rows import Rows, rows_of
from elt_ref.study.verdict import all_of

COST = {"early:2": 2, "late:2": 2, "early:3": 3, "late:3": 3, "exit:0.02:8": 3.5, "exit:0.05:8": 2.5, "exit:0.1:8": 2}


def made_up(arm, seed, world, noise):
    """The entries of a model in a world: what its measures would return."""
    generator = np.random.default_rng([seed, *arm.name.encode()])

    def noisy(value):
        return float(value * math.exp(noise * generator.standard_normal()))

    config, entries = arm.config(0), []
    for measure in arm.measures:
        if isinstance(measure, Quality):
            steps = measure.steps or config.sampling.steps
            for loops in measure.loops:
                size = config.model.width**2 * config.model.layers
                cost = COST.get(loops, loops) * size * steps / 1e5
                labels = {"loops": loops, "steps": steps}
                distance = noisy(world(arm, loops=loops, steps=steps, cost=cost))
                entries += [
                    {"measure": "frechet_distance", **labels, "value": distance},
                    {"measure": "label_accuracy", **labels, "value": 0.5},
                    {"measure": "valid_share", **labels, "value": 0.1},
                    {"measure": "gflops_per_sample", **labels, "value": cost},
                ]
        elif isinstance(measure, HeldOutLoss):
            for loops in measure.loops:
                cost = loops * config.model.width**2 * config.model.layers * config.sampling.steps / 1e5
                loss = noisy(world(arm, loops=loops, steps=8, cost=cost))
                entries.append({"measure": "held_out_loss", "loops": loops, "value": loss})
        else:
            assert isinstance(measure, Updates)
            for step in range(config.sampling.steps):
                way = [world(arm, loops=loop + 1, steps=step, cost=1) for loop in range(config.model.max_loops)]
                entries += [
                    {"measure": name, "step": step + 1, "loop": loop + 1, "value": noisy(part / scale)}
                    for name, scale in (("update_norm", 1), ("update_share", sum(way)))
                    for loop, part in enumerate(way)
                ]
    return entries


def number(loops):
    return COST.get(loops, loops)


def vanilla(arm):
    return arm.settings.get("objective.kind") == "vanilla"


def unlooped(arm):
    return arm.settings.get("model.max_loops") == 1


def wide(arm, loops, steps, cost):
    return 1 + 5 * cost**-0.9


TRUE = {
    "elasticity": lambda arm, loops, **_: 5 * (4 / loops) ** (2 if vanilla(arm) else 0.2),
    "parity": lambda arm, **_: 2.0 if vanilla(arm) else 1.9,
    "equal-depth": lambda arm, **_: {1: 10.3, 2: 3.16, 4: 3.87 if unlooped(arm) else 2.83, 8: 3.43}[arm.labels["N"]],
    "pareto": wide,
    "scaling": lambda arm, **_: 1e6 / arm.labels["parameters"] / arm.labels["width"],
    "convergence": lambda arm, **_: (1.5 if unlooped(arm) else 1) * 1e4 / arm.labels["training_steps"],
    "diminishing": lambda arm, loops, **_: (1 + 2 / loops) * (0.5 if arm.name == "next scale" else 1),
    "beyond": lambda arm, loops, **_: 2.0 + (loops if vanilla(arm) else 0.01 * loops),
    "terms": lambda arm, loops, **_: 1 + 1 / loops + 0.5 * (arm.idea in OFF.values()),
    "updates": lambda arm, loops, steps, **_: 1 + loops / (1 + steps),
    "steps-and-loops": lambda arm, loops, steps, **_: 1 / (loops * steps),
    "little-data": lambda arm, **_: 2.0 if unlooped(arm) else 1.5,
    "where-loops": lambda arm, loops, **_: 1.0 if isinstance(loops, str) else 1.5,
}
FALSE = {
    "elasticity": lambda arm, loops, **_: 5 * (4 / loops) ** 2,
    "parity": lambda arm, **_: 2.0 if vanilla(arm) else 3.0,
    "equal-depth": lambda arm, **_: {1: 10.3, 2: 5.0, 4: 3.87, 8: 3.43}[arm.labels["N"]],
    "pareto": lambda arm, loops, cost, **_: 1 + cost,
    "scaling": lambda arm, **_: 1e-4 * arm.labels["parameters"],
    "convergence": lambda arm, **_: (1 if unlooped(arm) else 1.5) * 1e4 / arm.labels["training_steps"],
    "diminishing": lambda arm, loops, **_: (1 + 2 / loops) * (2 if arm.name == "next scale" else 1),
    "beyond": lambda arm, loops, **_: 2.0 * loops,
    "terms": lambda arm, loops, **_: 1 + 1 / loops + 0.5 * (arm.idea == "cosine_weight"),
    "updates": lambda arm, loops, steps, **_: 1 + loops * (1 + steps),
    "steps-and-loops": lambda arm, loops, steps, **_: 1.0 * loops * steps,
    "little-data": lambda arm, **_: 1.5 if unlooped(arm) else 2.0,
    "where-loops": lambda arm, loops, **_: 2.0 if isinstance(loops, str) else 1.5,
}


def document_of(name, world, noise):
    study = STUDIES[name]
    arms = study.arms(False)
    rows = rows_of(
        ({"model": arm.name, **arm.labels}, [made_up(arm, seed, world, noise) for seed in range(3)]) for arm in arms
    )
    if study.derive is not None:
        rows += study.derive(Rows(rows))
    findings = [*study.judge(Rows(rows))]
    return {
        "study": study.name,
        "title": study.title,
        "claim": study.claim,
        "place": study.place,
        "criterion": study.criterion,
        "verdict": str(all_of(finding.verdict for finding in findings)),
        "quick": False,
        "unlearned": {},
        "seeds": 3,
        "intervals": INTERVALS,
        "data": study.data,
        "limits": study.limits,
        "findings": [finding.document() for finding in findings],
        "models": [{"model": arm.name, "preset": arm.preset, "settings": dict(arm.settings)} for arm in arms],
        "rows": rows,
    }


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize(("worlds", "verdict"), [(TRUE, "holds here"), (FALSE, "does not")])
def test_a_claim_holds_exactly_where_it_is_true(name, worlds, verdict):
    document = document_of(name, worlds[name], 0.003)
    assert document["verdict"] == verdict, paragraph(document)


@pytest.mark.parametrize("name", STUDIES)
def test_noise_lets_no_false_claim_hold(name):
    document = document_of(name, FALSE[name], 0.5)
    assert document["verdict"] != "holds here", paragraph(document)


@pytest.mark.few(4)
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_page_and_a_figure(name, tmp_path):
    document = document_of(name, TRUE[name], 0.05)
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(document), "utf-8")
    write_page(path)
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    lines = [*page_lines(STUDIES[name], document)]
    tables = [line for line in lines if line.startswith("| ")]
    assert len(tables) > len(STUDIES[name].tables)


def test_what_does_not_hold_is_said_first(tmp_path):
    for name, worlds in (("parity", TRUE), ("beyond", FALSE)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document_of(name, worlds[name], 0.003)), "utf-8")
        write_page(tmp_path / f"{name}.json")
    index = (tmp_path / "README.md").read_text("utf-8")
    assert index.index("beyond.md") < index.index("parity.md") < index.index("Not run yet")
    found = paragraph(document_of("equal-depth", FALSE["equal-depth"], 0.003))
    assert found.index("That is not so here") < found.index("That is so")


@pytest.mark.parametrize(("worlds", "verdict"), [(TRUE, "holds here"), (FALSE, "does not")])
def test_a_page_has_a_row_for_each_condition_and_counts_them(worlds, verdict):
    document = document_of("equal-depth", worlds["equal-depth"], 0.003)
    lines = [*page_lines(STUDIES["equal-depth"], document)]
    rows = [line for line in lines if line.endswith(f"| {verdict} |")]
    right, number = sum(finding["verdict"] == verdict for finding in document["findings"]), len(document["findings"])
    assert len(rows) == right > 0
    held = sum(finding["verdict"] == "holds here" for finding in document["findings"])
    assert tally(document).startswith(f"{held} of {number} conditions ")
    assert any(tally(document) in line for line in lines)


def test_the_fit_finds_the_papers_numbers():
    costs = np.array([200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
    scale, power, offset, explained = fit(costs, 1922.5 * costs**-0.95 + 1.48)
    assert (scale, power, offset) == (
        pytest.approx(1922.5, rel=0.05),
        pytest.approx(0.95, abs=0.01),
        pytest.approx(1.48, abs=0.02),
    )
    assert explained > 0.999


def test_no_point_of_the_front_is_beaten():
    generator = np.random.default_rng(0)
    costs, distances = generator.random((2, 50))
    places = front(costs, distances)
    for place in range(50):
        beaten = (costs <= costs[place]) & (distances < distances[place])
        assert (place in places) == (not beaten.any())


def test_steps_are_read_between_lengths():
    assert steps_to([100, 200, 400], np.array([8.0, 4.0, 2.0]), 2.0) == pytest.approx(400)
    assert steps_to([100, 200, 400], np.array([8.0, 4.0, 2.0]), math.sqrt(8)) == pytest.approx(200 * math.sqrt(2))
    assert steps_to([100, 200, 400], np.array([8.0, 4.0, 2.0]), 9.0) == 100
    assert steps_to([100, 200, 400], np.array([8.0, 4.0, 2.0]), 1.0) == 800
    assert steps_to([100, 200, 400], np.array([1.0, 4.0, 2.0]), 3.0) > 200  # it must stay there
