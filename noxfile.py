"""Where the package runs: interpreters, and the lowest and the newest versions of every dependency.

`nox` runs the short matrix of continuous integration: Python 3.11 with the lowest versions. `nox --session whole` runs
every interpreter from `INTERPRETERS` that is installed with the newest versions, and 3.11 with the lowest; it names the
interpreters that are missing. `nox --session archives` tries the wheel, the sdist and a checkout; `nox --session docs`
builds the site.
"""

import re
import shutil
import tomllib
from pathlib import Path

import nox

INTERPRETERS = ("3.11", "3.12", "3.13", "3.14")
LOWEST = INTERPRETERS[0]
"""The lowest versions have wheels for this interpreter; pip chooses newer ones for the others by itself."""
SHORT = ("tests/test_terminal.py", "tests/test_literal.py", "tests/test_where_it_runs.py", "tests/test_config.py")
"""What depends on the versions of others most: the terminal, figures, the configuration, files."""

nox.options.sessions = ["lowest"]
nox.options.default_venv_backend = "venv"


def lowest_versions() -> str:
    """Return constraints that pin every dependency to the lower bound that pyproject.toml declares."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [re.match(r"([\w.-]+)>=([\w.]+)", each) for each in project["dependencies"]]
    if None in bounds:
        raise ValueError(f"pyproject.toml: expected a lower bound of every dependency, got {project['dependencies']}")
    return "".join(f"{bound[1]}=={bound[2]}\n" for bound in bounds if bound)


def test_tools() -> list[str]:
    """Return the tools of the extra `test` that run tests; the linter of imports needs a newer rich than we do."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [each for each in project["optional-dependencies"]["test"] if not each.startswith("import-linter")]


def _tried(session: nox.Session, *, lowest: bool, tests: tuple[str, ...]) -> None:
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text(lowest_versions() if lowest else "", encoding="utf-8")
    session.install("--constraint", str(constraints), "--editable", ".", *test_tools())
    session.run("python", "-m", "pip", "check")
    session.run("pytest", "-n", "2", *tests)


@nox.session(python=LOWEST)
def lowest(session: nox.Session) -> None:
    """Try the lowest version of every dependency."""
    _tried(session, lowest=True, tests=SHORT)


@nox.session(python=INTERPRETERS)
def newest(session: nox.Session) -> None:
    """Try the newest version of every dependency, also what takes longer: flags, homes, locales, streams."""
    _tried(session, lowest=False, tests=(*SHORT, "--whole", "-m", "not ports and not browser and not docs"))


@nox.session(python=False)
def whole(session: nox.Session) -> None:
    """Try everything that can be tried here, and say what is missing."""
    found = [version for version in INTERPRETERS if shutil.which(f"python{version}")]
    session.notify("lowest")
    for version in found:
        session.notify(f"newest-{version}")
    session.notify("archives")
    missing = ", ".join(version for version in INTERPRETERS if version not in found)
    if missing:
        session.warn(f"not tried, because there is no such interpreter: Python {missing}")


@nox.session(python=LOWEST)
def docs(session: nox.Session) -> None:
    """Build the site from a fresh environment, execute the course, and walk through the pages."""
    session.install("--editable", ".[test,docs]")
    session.run("pytest", "-m", "docs")


@nox.session(python=LOWEST)
def archives(session: nox.Session) -> None:
    """Try the wheel, the sdist and a checkout, and build both archives twice."""
    session.install("--editable", ".[dev]")
    session.run("pytest", "-m", "slow", "tests/test_archives.py")
