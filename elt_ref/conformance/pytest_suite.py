"""A test for each clause, from one line in a test file: ``test_elt = pytest_suite(MyBackend())``."""

from collections.abc import Callable
from typing import Any

from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.doors import PythonDoor
from elt_ref.conformance.judge import judge


def pytest_suite(backend: Any) -> Callable[[str], None]:
    """Return a parametrised test that judges `backend`, clause by clause.

    A clause is skipped with a reason if the backend does not declare its operations, or if no vector asks for all that
    the backend declares. Every other clause passes or fails.
    """
    import pytest  # noqa: PLC0415  a dependency of those who test

    vectors = read_vectors()

    @pytest.mark.parametrize("clause", list(clauses()))
    def test_elt(clause: str) -> None:
        (verdict,) = judge(PythonDoor(backend), vectors, only=clause).verdicts
        if verdict.status in {"UNSUPPORTED", "NOT RUN"}:
            pytest.skip(f"{clause}: {verdict.message}")
        assert verdict.status == "PASS", f"{clause}: {verdict.message}\n{verdict.clause.text}"  # noqa: S101  a test

    return test_elt
