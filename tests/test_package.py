"""The package as a whole: quick to import, its names where they are promised, its rooms in order."""

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

import elt_ref
import tiny_datasets

PACKAGES = [Path(package.__file__).parent for package in (elt_ref, tiny_datasets)]
PROJECT = PACKAGES[0].parent
SOURCES = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]
BUILD_SCRIPTS = set(PACKAGES[1].glob("*/build.py"))
"""They made what ships and are not run again."""


def in_a_fresh_process(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- how it is imported


def test_import_is_quick():
    code = "import time; start = time.perf_counter(); import elt_ref; print(time.perf_counter() - start)"
    best = min(float(in_a_fresh_process(code)) for _ in range(5))
    assert best <= 0.3, f"import elt_ref took {best:.2f} s"


def test_import_leaves_heavy_libraries_alone():
    code = "import sys, elt_ref; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(in_a_fresh_process(code).split()) & {"matplotlib", "PIL", "typer", "pydantic", "rich"}
    assert not loaded, f"import elt_ref loads {loaded}"


@pytest.mark.parametrize(
    "name",
    ["load_preset", "init_parameters", "loop_states", "forward", "ilsd_loss", "sample", "count", "stop_gradient"],
)
def test_public_names(name):
    assert callable(getattr(elt_ref, name))
    assert name in elt_ref.__all__
    assert name in dir(elt_ref)


def test_every_name_in_all_resolves():
    missing = [name for name in elt_ref.__all__ if not hasattr(elt_ref, name)]
    assert not missing, f"in __all__ but not there: {missing}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'elt_ref' has no attribute 'load_presets'"):
        _ = elt_ref.load_presets


def test_the_example_of_the_docstring():
    parameters = elt_ref.init_parameters(elt_ref.load_preset("digits-masked", {"model.width": 8}), seed=0)
    assert parameters["embedding"]["word"].shape[1] == 8


# --- rooms


def lint_imports(folder):
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_run_one_way():
    done = lint_imports(PROJECT)
    assert done.returncode == 0, f"a room imports upward:\n{done.stdout}{done.stderr}"


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("elt_ref/ops/linear.py", "import elt_ref.model"),
        ("elt_ref/errors.py", "import elt_ref.config"),
        ("elt_ref/generation/guidance.py", "import elt_ref.objective"),
        ("elt_ref/measure/frechet.py", "import elt_ref.training"),
        ("elt_ref/run/train.py", "import elt_ref.cli"),
        ("elt_ref/paper/masked.py", "import elt_ref.ops"),
        ("elt_ref/paper/diffusion.py", "import elt_ref.paper.masked"),
        ("elt_ref/conformance/judge.py", "import specs.making"),
        ("tiny_datasets/split.py", "import elt_ref.errors"),
    ],
)
def test_an_import_that_runs_upward_is_noticed(tmp_path, file, wrong):
    for package in PACKAGES:
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    path = tmp_path / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{wrong}\n", encoding="utf-8")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, f"'{wrong}' in {file} was not noticed:\n{done.stdout}{done.stderr}"


def test_every_room_has_its_place_in_the_order():
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    modules = {path.stem for path in PACKAGES[0].glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in PACKAGES[0].glob("*/__init__.py")}
    assert {f"elt_ref.{name}" for name in modules | folders} == placed


# --- what no source file may do


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "random"}
    foreign = set() if path in BUILD_SCRIPTS else {"sklearn", "torch", "jax", "scipy", "tensorflow"}
    if PACKAGES[1] in path.parents:
        foreign.add("elt_ref")
    names = list(imported(tree))
    yield from (name for name in names if name.partition(".")[0] in forbidden | foreign)
    # numpy's module-level functions share one global generator; its classes and default_rng do not.
    yield from (name for name in names if name.startswith("numpy.random.") and not name[13:14].isupper())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not node.attr[0].isupper() and node.attr != "default_rng":
            yield from {"np.random", "numpy.random"} & {ast.unparse(node.value)}
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_global_randomness_no_pickle_no_foreign_framework(path):
    assert not list(offences(path))


@pytest.mark.parametrize(
    ("line", "offence"),
    [
        ("import pickle", "pickle"),
        ("from random import random", "random.random"),
        ("from numpy.random import rand", "numpy.random.rand"),
        ("np.random.seed(0)", "np.random"),
        ("np.load(file, allow_pickle=True)", "allow_pickle"),
        ("import torch.nn", "torch.nn"),
        ("from sklearn import datasets", "sklearn.datasets"),
    ],
)
def test_offences_are_noticed(tmp_path, line, offence):
    path = tmp_path / "guilty.py"
    path.write_text(line + "\nnp.random.Generator(np.random.Philox())\nnp.random.default_rng(0)\n", encoding="utf-8")
    assert list(offences(path)) == [offence]


# --- what a test may import


def needed_by_collection(tree):
    """The packages without which pytest cannot read a file of tests."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name.partition(".")[0] for name in imported(ast.Module([node], [])))


def plain(requirement):
    """The name of what a requirement asks for, as every writing of it is compared."""
    return re.sub("[-_.]+", "-", re.match(r"[\w.-]+", requirement).group()).lower()


def installed_for_tests():
    """The distributions that the extra ``test`` brings, with all that they need."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found, waiting = set(), [plain(name) for name in project["dependencies"] + project["optional-dependencies"]["test"]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            with contextlib.suppress(PackageNotFoundError):  # what only another system needs
                waiting += [plain(needed) for needed in requires(name) or [] if "extra ==" not in needed]
    return found


def test_pytest_collects_the_tests_with_what_the_extra_test_installs():
    paths = [path for room in ("tests", "specs") for path in sorted((PROJECT / room).rglob("*.py"))]
    own = {path.stem for path in paths} | {path.parent.name for path in paths} | {"tests", "specs", "docs"}
    own |= {package.name for package in PACKAGES} | sys.stdlib_module_names
    owners, installed = packages_distributions(), installed_for_tests()
    foreign = {
        (name, path.name)
        for path in paths
        for name in needed_by_collection(ast.parse(path.read_text(encoding="utf-8")))
        if name not in own and not installed & {plain(owner) for owner in owners.get(name, [])}
    }
    assert not foreign, f"the tests import what their command does not install: {sorted(foreign)}"


# --- what a wheel has


def test_a_wheel_has_the_specifications_and_the_ports():
    """Installed, `elt_ref.ports` reads its own folder, in a checkout the folder that a wheel is made of."""
    from elt_ref.ports import PORTS

    mapped = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    mapped = mapped["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    specs = [path.name for path in (PROJECT / "specs").iterdir() if path.name != "making"]
    assert mapped == {f"specs/{name}": f"elt_ref/specs/{name}" for name in specs} | {
        "docs/ports": "elt_ref/ports",
        "docs/glossary.md": "elt_ref/specs/glossary.md",
    }
    assert PROJECT / "docs" / "ports" == PORTS
    for name in ("elt_torch", "elt_jax", "elt_torch_distributed"):
        adapter = (PORTS / f"{name}_backend.py").read_text(encoding="utf-8")
        assert "class Backend" in adapter
        assert "class Backend" not in (PORTS / f"{name}.py").read_text(encoding="utf-8")
        assert not [node for node in ast.walk(ast.parse(adapter)) if "elt_ref" in getattr(node, "module", "") or ""]
