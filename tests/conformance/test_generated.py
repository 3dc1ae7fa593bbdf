"""The committed schemas, page of clauses, kill matrix and vectors equal the generated ones."""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elt_ref.conformance import alike
from elt_ref.conformance.case import SUMS, read_vectors, vectors_folder
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.compare import difference
from elt_ref.errors import RequestError
from elt_ref.run.specs import specs_folder
from specs.making import clause_page, matrix, ports_page, schemas
from specs.making.case import sums
from specs.making.cases import cases
from specs.making.wrong import wrong_implementations

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", schemas.SCHEMAS)
def test_a_schema_is_that_of_the_code(name):
    committed = (specs_folder() / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    assert committed == schemas.schema(name), "run python -m specs.making.schemas"


def test_the_page_of_clauses_is_that_of_the_specification():
    committed = (ROOT / "docs" / "clauses.md").read_text(encoding="utf-8")
    assert committed == clause_page.page(), "run python -m specs.making.clause_page"


def test_the_results_of_the_ports_are_those_of_their_reports():
    reports = ports_page.read_reports(ROOT / ports_page.REPORTS)
    assert (ROOT / "docs" / "ports.md").read_text(encoding="utf-8") == ports_page.page(reports)
    assert all(report.passed for report in reports)


def test_the_kill_matrix_is_of_these_clauses_and_these_wrong_implementations():
    text = (ROOT / "docs" / "kill-matrix.md").read_text(encoding="utf-8")
    by_clause, by_wrong = text.split("| wrong implementation |")
    rows = re.findall(r"^\| ([A-Z]+-\d\d) \| (\d+) \|", by_clause, re.MULTILINE)
    assert [id_ for id_, _ in rows] == sorted(clauses()), "run python -m specs.making.matrix"
    assert all(int(number) for _, number in rows), "a clause refuses nobody"
    refused = dict(re.findall(r"^\| (\w+) \|.*\| ([A-Z][A-Z0-9, -]*) \|$", by_wrong, re.MULTILINE))
    assert set(refused) == set(wrong_implementations()), "a wrong implementation is refused by nobody"
    for id_, clause in clauses().items():
        for name in clause.wrong:
            assert id_ in refused[name].split(", "), f"{id_} lists {name} and does not refuse it"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_kill_matrix_is_what_is_measured():
    vectors = matrix.read_vectors()
    measured = {name: matrix.refused_by(name, vectors) for name in sorted(wrong_implementations())}
    assert {name: set(row) for name, row in alike.refusals().items()} == {
        name: set(row) for name, row in measured.items()
    }


def test_the_kill_matrix_and_the_refusals_by_case_are_of_one_measurement():
    assert (ROOT / "docs" / "kill-matrix.md").read_text(encoding="utf-8") == matrix.page(alike.refusals())
    assert {case for row in alike.refusals().values() for case in row} <= set(cases())


def test_every_case_is_stored_and_nothing_else_is():
    stored = {f"{path.parent.name}/{path.stem}" for path in vectors_folder().glob("*/*.json")}
    assert stored == set(cases()), "run python -m specs.making.generate"
    assert sum(path.stat().st_size for path in vectors_folder().rglob("*.*")) < 8e6, "the vectors take over 8 MB"


@pytest.mark.whole
def test_generating_a_few_clauses_again_changes_nothing_but_rounding(tmp_path):
    generated_again(tmp_path, random.sample(sorted(clauses()), 5))  # others at every run: pytest-randomly seeds it


@pytest.mark.slow
def test_generating_all_clauses_again_changes_nothing_but_rounding(tmp_path):
    generated_again(tmp_path, sorted(clauses()))


def generated_again(folder, chosen):
    """Generate the vectors of some clauses and compare them with the published ones."""
    # A matrix product rounds by the processor and its BLAS, so the last bits of answers and the measured tolerances
    # are not the same everywhere. The questions are.
    # In a process of its own, where shapes are not enforced: extended precision is no dtype of theirs.
    program = (
        "import sys, pathlib; from specs.making.generate import generate\n"
        "for clause in sys.argv[2:]: generate(pathlib.Path(sys.argv[1]), clause)"
    )
    subprocess.run([sys.executable, "-c", program, folder, *chosen], check=True, capture_output=True)
    made = read_vectors(folder)
    kept = [vector for vector in read_vectors() if vector.stored.clause in chosen]
    assert [vector.id for vector in made] == [vector.id for vector in kept]
    for again, stored in zip(made, kept, strict=True):
        stated = f"{stored.id}: run python -m specs.making.generate"
        assert declared(again) == declared(stored), stated
        assert again.inputs.keys() == stored.inputs.keys(), stated
        assert all(np.array_equal(again.inputs[name], array) for name, array in stored.inputs.items()), stated
        assert difference(stored.stored.operation, stored.stored.settings, again.answers, stored.answers)[0] < 1e-14, (
            stated
        )
        for dtype, tolerance in stored.stored.tolerance.items():
            assert 1 / 4 < again.stored.tolerance[dtype] / tolerance < 4, stated


def test_every_tolerance_leaves_room_for_what_rounding_does_and_for_the_other_oracle():
    # An honest port was refused: it computes the schedule like the second oracle, closer to the truth.
    for stored in (vector.stored for vector in read_vectors()):
        for dtype, tolerance in stored.tolerance.items():
            error = max(stored.noise[dtype], stored.agreement)
            # What is stored is rounded, the agreement to two digits.
            assert 15 * error <= tolerance, f"{stored.clause}/{stored.slug}, {dtype}: {tolerance} leaves no room"


def declared(vector):
    """Return the fields of a vector that are not measured; of the tolerances, only the dtypes."""
    stated = vector.stored.model_dump(exclude={"noise", "agreement"})
    return stated | {"tolerance": sorted(stated["tolerance"])}


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "vectors"
    shutil.copytree(vectors_folder() / "GUIDE-01", folder / "GUIDE-01")
    (folder / SUMS).write_text(sums(folder), encoding="ascii")
    return folder


@pytest.mark.parametrize("part", ["three.json", "three.inputs.safetensors", "three.answers.safetensors"])
def test_an_edited_vector_is_refused_in_a_sentence(copied, part):
    """A tolerance made wide by hand would let anything pass."""
    assert len(read_vectors(copied)) == 3
    path = copied / "GUIDE-01" / part
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(RequestError, match="expected the published bytes, got others"):
        read_vectors(copied)
    path.unlink()
    with pytest.raises(RequestError, match="expected a file, got No such file"):
        read_vectors(copied)


def test_a_vector_of_somebody_else_is_refused(copied):
    (copied / "GUIDE-01" / "mine.json").write_text("{}")
    with pytest.raises(RequestError, match="expected a published file, got another"):
        read_vectors(copied)
    (copied / SUMS).unlink()
    with pytest.raises(RequestError, match="expected the hashes of all vectors"):
        read_vectors(copied)
