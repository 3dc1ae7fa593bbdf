"""Fixtures of all tests: hypothesis profiles, and calls as a user makes them."""

import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

# nohup and a script's `&` start a process with SIGINT ignored, and children inherit that; tests send it to some.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Each worker of pytest-xdist has a core; BLAS must not take them all.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A busy machine is no failure. A user's run repeats itself; continuous integration looks elsewhere every time, and
# prints what reproduces a failure.
settings.register_profile("repeat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("explore" if os.environ.get("CI") else "repeat")


# Rooms whose tests call the rooms below them thousands of times. Types are enforced in those rooms' own tests, and
# here by the tests marked `typed`; enforced everywhere, they take two thirds of the suite's time.
AS_USER = ("conformance", "bench", "learn", "report", "run")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Enforce types and shapes, except in the rooms that call as a user does; before any fixture."""
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    jaxtyping.config.update("jaxtyping_disable", room in AS_USER and item.get_closest_marker("typed") is None)


@pytest.fixture
def as_user():
    """Switch the enforcement of types and shapes off: users call without it and meet the package's own sentences."""
    jaxtyping.config.update("jaxtyping_disable", True)


class Done(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch, capsys):
    """Return ``command(*words) -> Done``: what ``elt-ref *words`` exits with and prints."""

    def run(*words):
        from elt_ref.cli import main

        monkeypatch.setattr(sys, "argv", ["elt-ref", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "240")  # tables need not wrap
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        return Done(caught.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def done(command):
    """Return ``done(*words) -> Done`` for a command that must succeed."""

    def run(*words):
        result = command(*words)
        assert result.code == 0, f"exit code {result.code}: {result.err}"
        return result

    return run


@pytest.fixture
def refused(command):
    """Return ``refused(*words) -> sentence`` for a request that must be refused in one sentence with exit code 2."""

    def run(*words):
        result = command(*words)
        assert result.code == 2, f"exit code {result.code}: {result.out}{result.err}"
        assert not result.out, f"stdout holds {result.out!r}"
        assert result.err.startswith("elt-ref: "), f"stderr holds {result.err!r}"
        assert result.err.count("\n") == 1, f"not one sentence: {result.err!r}"
        assert result.err.endswith("\n")
        return result.err.removeprefix("elt-ref: ").rstrip("\n")

    return run
