"""Fixtures of all tests: hypothesis profiles, and calls as a user makes them."""

import os
import random
import signal
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

# nohup and a script's `&` start a process with SIGINT ignored, and children inherit that; tests send it to some.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Each worker of pytest-xdist has a core; BLAS must not take them all. In a run without workers a plugin has loaded it
# already, and more threads round otherwise than the commands, which tests compare with what they do themselves.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
threadpool_limits(int(os.environ["OPENBLAS_NUM_THREADS"]), user_api="blas")

# A busy machine is no failure. A user's run repeats itself; continuous integration looks elsewhere every time, and
# prints what reproduces a failure.
settings.register_profile("repeat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("explore" if os.environ.get("CI") else "repeat")


# Rooms and files whose tests call the rooms below them thousands of times. Types are enforced in the tests of the rooms
# below, and here by the tests marked `typed`; enforced everywhere, they take two thirds of the suite's time.
AS_USER = {"bench", "conformance", "explore", "learn", "paper", "report", "run", "study", "test_walk.py"}
AS_USER |= {"training/test_ideas.py", "training/test_trainer.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Enforce types and shapes, except in the rooms that call as a user does; before any fixture."""
    file = item.path.relative_to(Path(__file__).parent)
    as_user = not AS_USER.isdisjoint({file.parts[0], file.as_posix()})
    jaxtyping.config.update("jaxtyping_disable", as_user and item.get_closest_marker("typed") is None)


def pytest_addoption(parser):
    """Add ``--whole``."""
    parser.addoption(
        "--whole", action="store_true", help="run every test marked whole, and every case of those marked few"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave a draw of the cases of each test marked `few`, by the run's seed, so every worker draws the same.

    Tests marked `whole` run if they are named.
    """
    if config.getoption("whole"):
        return
    alike = defaultdict(list)
    for item in items:
        if item.get_closest_marker("few"):
            alike[item.nodeid.partition("[")[0]].append(item)
    named = any("::" in word for word in config.args)
    left_out = {item for item in items if item.get_closest_marker("whole") and not named}
    for name, cases in alike.items():
        (number,) = cases[0].get_closest_marker("few").args
        draw = random.Random(f"{config.getoption('randomly_seed', 0)} {name}")  # noqa: S311  no secret
        left_out.update(draw.sample(sorted(cases, key=lambda item: item.nodeid), max(0, len(cases) - number)))
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


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
