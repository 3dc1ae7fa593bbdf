"""Every clause refuses each of its known mistakes by the published numbers, in every dtype that is judged."""

from collections import defaultdict

import numpy as np
import pytest

from elt_ref.conformance.backend import JUDGED_DTYPES
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import PROFILES, clauses
from elt_ref.conformance.operations import OPERATIONS
from elt_ref.conformance.reference import ReferenceBackend
from specs.making.cases import cases
from specs.making.generate import APART, ask, distance, rounded
from specs.making.wrong import wrong_implementations

GROUPS = defaultdict(list)
for vector in read_vectors():
    GROUPS[vector.stored.clause].append(vector)
PAIRS = [(clause.id, wrong) for clause in clauses().values() for wrong in clause.wrong]


@pytest.mark.parametrize("name", clauses())
def test_a_clause_has_two_cases_of_the_operations_that_it_needs(name):
    clause, found = clauses()[name], [case for case in cases().values() if case.clause == name]
    assert clause.profile in PROFILES
    assert len(found) >= 2
    assert {case.operation for case in found} == set(clause.needs) <= set(OPERATIONS)
    assert len(set(clause.wrong)) == len(clause.wrong)
    assert all(case.why for case in found)


@pytest.mark.few(60)
@pytest.mark.parametrize(("clause", "wrong"), PAIRS)
def test_a_clause_tells_a_wrong_implementation_by_its_numbers(clause, wrong):
    group = GROUPS[clause]
    for dtype in JUDGED_DTYPES:
        assert any(
            distance(cases()[vector.id], vector.answers, wrong, dtype) >= APART * vector.stored.tolerance[dtype]
            for vector in group
        ), dtype


@pytest.mark.few(60)
@pytest.mark.parametrize(("clause", "wrong"), PAIRS)
def test_a_wrong_implementation_leaves_the_reference_as_it_was(clause, wrong):
    case = cases()[GROUPS[clause][0].id]
    before = ask(ReferenceBackend(), case, "float64")
    ask(wrong_implementations()[wrong](), case, "float64")
    after = ask(ReferenceBackend(), case, "float64")
    assert all(np.array_equal(before[output], after[output]) for output in before)


@pytest.mark.parametrize("name", clauses())
def test_cases_are_small_and_all_of_them_are_different_questions(name):
    questions = []
    for case in (case for case in cases().values() if case.clause == name):
        inputs = rounded(case, "float64", 0)
        assert sum(array.nbytes for array in inputs.values()) < 100_000
        arrays = {key: array.tolist() for key, array in inputs.items()}
        questions.append((case.operation, case.choice, dict(case.settings), arrays))
    assert all(one != two for place, one in enumerate(questions) for two in questions[:place])
