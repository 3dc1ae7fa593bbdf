"""The masked family's half of the suite catches every known mistake by numbers, and no decision is close."""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from elt_ref.conformance.clauses import Clause, Family
from elt_ref.conformance.compare import difference
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.schedules import masked_fraction
from specs.making import generate
from specs.making.case import Case
from specs.making.cases import cases
from specs.making.wrong import decoding
from specs.making.wrong.composed import ComposedBackend

FAMILIES = ("ANYTIME", "BLOCK", "CLIP", "DECODE", "DISTIL", "DROP", "GRAD", "GUIDE", "LOOP", "MASK", "SHARE")
FOLDER = Path(__file__).parents[2] / "specs" / "clauses"
MARGIN = 1e-3


def read_clauses() -> dict[str, Clause]:
    texts = ((FOLDER / f"{family}.toml").read_text(encoding="utf-8") for family in FAMILIES)
    return {clause.id: clause for text in texts for clause in Family.model_validate(tomllib.loads(text)).clause}


CLAUSES = read_clauses()
CASES = [case for case in cases().values() if case.clause in CLAUSES]
PAIRS = [(clause.id, wrong) for clause in CLAUSES.values() for wrong in clause.wrong]


def with_choice(backend: type[ReferenceBackend], case: Case) -> ReferenceBackend:
    """Return an implementation that follows the case's choice."""
    made = backend()
    if case.choice is not None:
        name, alternative = case.choice
        made.choices = {**made.choices, name: alternative}
    return made


@cache
def answered(clause: str) -> list[tuple[Case, dict[str, np.ndarray], float]]:
    """Return the cases of a clause with their answers and tolerances, in float64."""
    group = []
    for case in CASES:
        if case.clause != clause:
            continue
        answer = generate.ask(with_choice(ReferenceBackend, case), case, "float64")
        trials = [generate.ask(with_choice(ReferenceBackend, case), case, "float64", each) for each in range(1, 4)]
        noise = max(difference(case.operation, case.settings, trial, answer)[0] for trial in trials)
        assert np.isfinite(noise), case.id
        group.append((case, answer, max(generate.ROOM * noise, generate.LEAST * np.finfo(np.float64).eps / 2)))
    return group


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_clause_has_two_cases_at_least_and_every_operation_it_needs(clause):
    group = [case for case in CASES if case.clause == clause]
    assert len(group) >= 2
    assert {case.operation for case in group} == set(CLAUSES[clause].needs)
    assert all(case.why for case in group)


@pytest.mark.parametrize(("clause", "wrong"), PAIRS)
def test_a_clause_tells_a_wrong_implementation_by_its_numbers(clause, wrong):
    group = answered(clause)
    shares = [generate.distance(case, answer, wrong, "float64") / tolerance for case, answer, tolerance in group]
    assert max(shares) >= generate.APART


class Margins(decoding.Decoding, ComposedBackend):
    """The reference's decoding, which records the smallest margin of its decisions."""

    def __init__(self) -> None:
        self.smallest = np.inf

    def drawn(self, logits, noise, temperature):
        scores = np.sort(logits / temperature + noise, axis=-1)
        self.draws = scores[..., -1] - scores[..., -2]
        return super().drawn(logits, noise, temperature)

    def certain(self, confidence, unknown):
        self.smallest = min(self.smallest, self.draws[unknown].min(initial=np.inf))
        return super().certain(confidence, unknown)

    def hidden(self, confidence, lengths):
        for row, length in zip(np.sort(confidence, axis=1), lengths, strict=True):
            if 0 < length < len(row) and np.isfinite(row[length]):
                self.smallest = min(self.smallest, row[length] - row[length - 1])
        return super().hidden(confidence, lengths)


@pytest.mark.parametrize("case", [case for case in CASES if case.operation in {"decode_step", "masked_sample"}])
def test_no_decision_of_decoding_is_close_but_declared_ties(case):
    margins = Margins()
    found = generate.ask(margins, case, "float64")
    for name, value in generate.ask(ReferenceBackend(), case, "float64").items():
        assert np.array_equal(found[name], value)
    if case.clause != "DECODE-07":
        assert margins.smallest > MARGIN


def test_counts_of_masked_tokens_are_not_close_to_the_next():
    products = []
    for case in CASES:
        if case.operation == "mask_tokens":
            products.append(case.inputs["order"].shape[1] * masked_fraction(case.inputs["ratio"]))
        if case.operation == "mask_lengths" and case.choice is None:
            steps = case.settings["steps"]
            products += [case.inputs["start"] * masked_fraction(np.full(1, k / steps)) for k in range(1, steps)]
    for product in products:
        away = np.abs(product - np.rint(product))
        assert ((away > MARGIN) | (away == 0)).all()


def test_draws_of_dropped_labels_are_not_close_to_the_rate():
    for case in CASES:
        if case.operation == "drop_labels":
            away = np.abs(case.inputs["draws"] - case.settings["rate"])
            assert ((away > MARGIN) | (away == 0)).all()


def test_the_floor_tie_has_an_answer_for_each_choice():
    answers = {case.slug: answer for case, answer, _ in answered("DECODE-02")}
    double, single = (answers[name]["lengths"] for name in ("double", "single"))
    assert double[7].tolist() == [128, 512, 127]
    assert single[7].tolist() == [127, 511, 127]
    assert (double != single).any(axis=1).sum() == 1
    steps = [answers[f"{name}-step"]["tokens"] for name in ("double", "single")]
    assert [(tokens == tokens.max()).sum(axis=1).tolist() for tokens in steps] == [[4, 4], [3, 3]]
