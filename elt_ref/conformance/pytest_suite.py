"""A test for each clause, from one line in a test file: ``test_elt = pytest_suite("mine.py:Backend")``."""

from collections.abc import Callable
from functools import cache
from typing import Any

from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.doors import PythonDoor, open_backend
from elt_ref.conformance.judge import Door, judge


def pytest_suite(backend: Any) -> Callable[[str], None]:
    """Return a parametrised test that judges `backend`, clause by clause.

    By name (``package.module:Backend`` or ``file.py:Backend``) it is judged in a process of its own, as by ``elt-ref
    conform run``: tests that all pass are what an award says. An object is judged in this process, where a debugger
    can stop, and no award follows.

    A clause is skipped with a reason if the backend does not declare its operations, or if no vector asks for all that
    the backend declares. Every other clause passes or fails.
    """
    import pytest  # noqa: PLC0415  a dependency of those who test

    vectors = read_vectors()

    @cache
    def door() -> Door:
        return open_backend(backend) if isinstance(backend, str) else PythonDoor(backend)

    @pytest.mark.parametrize("clause", list(clauses()))
    def test_elt(clause: str) -> None:
        (verdict,) = judge(door(), vectors, only=clause).verdicts
        if verdict.status in {"UNSUPPORTED", "NOT RUN"}:
            pytest.skip(f"{clause}: {verdict.message}")
        assert verdict.status == "PASS", f"{clause}: {verdict.message}\n{verdict.clause.text}"  # noqa: S101  a test

    return test_elt
