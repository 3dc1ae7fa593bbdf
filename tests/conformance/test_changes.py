"""The versions of the suite, and the difference of two reports."""

import hashlib
import json
import re

import pytest

from elt_ref.conformance.case import SUMS, read_vectors, vectors_folder
from elt_ref.conformance.clauses import clauses, suite_version
from elt_ref.conformance.document import document
from elt_ref.conformance.doors import PythonDoor
from elt_ref.conformance.judge import judge
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.run.specs import read_toml


def test_the_vectors_are_those_of_the_last_release():
    releases = read_toml("releases.toml")["release"]
    numbers = [tuple(map(int, release["version"].split("."))) for release in releases]
    assert numbers == sorted(set(numbers)), "releases go up"
    assert all(release["changes"] for release in releases)
    found = hashlib.sha256((vectors_folder() / SUMS).read_bytes()).hexdigest()
    assert releases[-1]["sums"] == found, "the vectors changed: add a release to specs/releases.toml, see VERSIONING.md"


def test_every_clause_belongs_to_a_release():
    known = {".".join(release["version"].split(".")[:2]) for release in read_toml("releases.toml")["release"]}
    assert {clause.since for clause in clauses().values()} <= known


class SwappedGuidance(ReferenceBackend):
    def guide(self, *, conditional, unconditional, scale):
        return super().guide(conditional=unconditional, unconditional=conditional, scale=scale)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, vectors = tmp_path_factory.mktemp("reports"), read_vectors()
    for name, backend in (("right", ReferenceBackend()), ("wrong", SwappedGuidance())):
        report = judge(PythonDoor(backend), vectors, only="GUIDE,PATCH,METRIC")
        (folder / f"{name}.json").write_text(document(report).model_dump_json())
    return folder


def test_a_report_says_the_version_of_the_suite(files):
    assert json.loads((files / "right.json").read_text())["suite_version"] == suite_version()
    assert re.fullmatch(r"\d+\.\d+\.\d+", suite_version())


def test_what_became_wrong_is_named_and_ends_with_1(files, command):
    code, printed, _ = command("conform", "diff", files / "right.json", files / "wrong.json")
    assert code == 1
    assert re.search(r"GUIDE-01 +PASS +FAIL +", printed)
    assert "2 worse." in printed
    assert "PATCH" not in printed
    code, printed, _ = command("conform", "diff", files / "wrong.json", files / "right.json", "--json")
    assert code == 0
    found = json.loads(printed)
    assert {row["name"]: row["kind"] for row in found["clauses"]} == {"GUIDE-01": "better", "GUIDE-02": "better"}
    assert found["worse"] is False


def test_a_report_equals_itself(files, command):
    code, printed, _ = command("conform", "diff", files / "wrong.json", files / "wrong.json")
    assert code == 0
    assert "No clause and no profile changed." in printed


def test_an_error_that_creeps_and_a_clause_that_is_new_are_shown(files, command, tmp_path):
    report = json.loads((files / "right.json").read_text())
    del report["suite_version"]  # a report of the first release
    first, second, third = report["clauses"][:3]
    third["error_over_tolerance"] = 0.01
    (tmp_path / "old.json").write_text(json.dumps({**report, "clauses": [first, third]}))
    (tmp_path / "new.json").write_text(
        json.dumps({**report, "clauses": [second, {**third, "error_over_tolerance": 0.6}], "later": "keys"})
    )
    code, printed, _ = command("conform", "diff", tmp_path / "old.json", tmp_path / "new.json", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(printed)["clauses"]}
    assert (rows[first["id"]]["new"], rows[second["id"]]["old"]) == (None, None)
    assert rows[third["id"]]["new_error"] == 0.6


@pytest.mark.parametrize(("text", "got"), [("{}", "field required at backend"), ("[", "invalid json")])
def test_what_is_no_report_is_refused_in_a_sentence(text, got, tmp_path, refused):
    path = tmp_path / "no.json"
    path.write_text(text)
    message = refused("conform", "diff", path, path)
    assert f"report {path}: expected what conform run --json prints, got {got}" in message
    assert "expected a file, got No such file" in refused("conform", "diff", tmp_path / "none.json", path)
