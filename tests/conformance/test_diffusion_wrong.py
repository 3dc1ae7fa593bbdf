"""Wrong implementations of diffusion and drifting, of training, sampling and measuring: all are caught by numbers."""

from collections import defaultdict
from functools import cache

import numpy as np
import pytest

from elt_ref.conformance.backend import JUDGED_DTYPES
from elt_ref.conformance.clauses import PROFILES, clauses
from elt_ref.conformance.operations import OPERATIONS
from elt_ref.conformance.reference import ReferenceBackend
from specs.making.cases import cases
from specs.making.generate import answered, ask, rounded, undecided
from specs.making.wrong import wrong_implementations

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
    "DRIFT",
)
CLAUSES = {name: clause for name, clause in clauses().items() if name.partition("-")[0] in FAMILIES}
WRONG = sorted({name for clause in CLAUSES.values() for name in clause.wrong})


def cases_of(clause):
    return [case for case in cases().values() if case.clause == clause]


@cache
def answers(clause):
    return [answered(case) for case in cases_of(clause)]


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
    ask(wrong_implementations()[name](), case, "float64")
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
