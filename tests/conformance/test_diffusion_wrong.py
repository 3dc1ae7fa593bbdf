"""Every wrong implementation of the diffusion family, of training, sampling and measuring is caught by its numbers."""

from collections import defaultdict
from functools import cache

import numpy as np
import pytest

from elt_ref.conformance.backend import JUDGED_DTYPES, OPERATIONS
from elt_ref.conformance.cases import cases
from elt_ref.conformance.clauses import PROFILES, clauses
from elt_ref.conformance.generate import answered, ask, rounded, undecided
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong import wrong_implementations

pytestmark = pytest.mark.usefixtures("as_user")  # shapes are enforced for no extended precision

MODULES = {
    "denoising",
    "diffusion_loops",
    "diffusion_parts",
    "distributed",
    "measures",
    "noise",
    "patches",
    "sampling",
    "training",
    "weights",
}
FAMILIES = (
    "DIFFLOOP",
    "NOISE",
    "WEIGHT",
    "DIFFDISTIL",
    "DENOISE",
    "DIFFGUIDE",
    "PATCH",
    "DIFFBLOCK",
    "STEP",
    "SAMPLE",
    "COUNT",
    "METRIC",
)
CLAUSES = {name: clause for name, clause in clauses().items() if name.partition("-")[0] in FAMILIES}
WRONG = {name: kind for name, kind in wrong_implementations().items() if kind.__module__.rpartition(".")[2] in MODULES}


def cases_of(clause):
    return [case for case in cases().values() if case.clause == clause]


@cache
def answers(clause):
    return [answered(case) for case in cases_of(clause)]


def test_every_wrong_implementation_is_listed_by_a_clause_and_none_is_listed_that_is_not_there():
    listed = {wrong for clause in CLAUSES.values() for wrong in clause.wrong}
    assert set(WRONG) <= listed
    assert listed <= set(wrong_implementations())
    assert len(WRONG) >= 40


@pytest.mark.parametrize("name", CLAUSES)
def test_a_clause_has_two_cases_of_the_operations_that_it_needs(name):
    clause, found = CLAUSES[name], cases_of(name)
    assert clause.profile in PROFILES
    assert len(found) >= 2
    assert {case.operation for case in found} == set(clause.needs) <= set(OPERATIONS)
    assert len(set(clause.wrong)) == len(clause.wrong)


@pytest.mark.parametrize("name", CLAUSES)
@pytest.mark.parametrize("dtype", JUDGED_DTYPES)
def test_a_clause_tells_each_of_its_wrong_implementations_apart(name, dtype):
    assert undecided(name, answers(name), dtype) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_implementation_leaves_the_reference_as_it_was(name):
    clause = next(clause for clause in CLAUSES.values() if name in clause.wrong)
    case = cases_of(clause.id)[0]
    before = ask(ReferenceBackend(), case, "float64")
    ask(WRONG[name](), case, "float64")
    after = ask(ReferenceBackend(), case, "float64")
    assert all(np.array_equal(before[output], after[output]) for output in before)


def test_cases_are_small_and_all_of_them_are_different_questions():
    by_clause = defaultdict(list)
    for name in CLAUSES:
        for case in cases_of(name):
            inputs = rounded(case, "float64", 0)
            assert sum(array.nbytes for array in inputs.values()) < 100_000
            by_clause[name].append((dict(case.settings), {key: array.tolist() for key, array in inputs.items()}))
    for questions in by_clause.values():
        assert all(one != two for place, one in enumerate(questions) for two in questions[:place])
