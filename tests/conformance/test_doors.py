"""The other two doors: a program that speaks JSON lines, and a folder of answers."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from elt_ref.cli import main
from elt_ref.conformance.case import arguments, read_vectors
from elt_ref.conformance.commands import export_questions
from elt_ref.conformance.doors import FilesDoor, ProcessDoor, export, open_backend
from elt_ref.conformance.judge import judge
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.errors import RequestError

PROGRAM = Path(__file__).with_name("program.py")
FEW = [vector for vector in read_vectors() if vector.stored.clause in {"GUIDE-01", "NOISE-01", "STEP-04"}]


def through_a_program(behaviour="", timeout=30.0, only=""):
    door = ProcessDoor(shlex.join([sys.executable, str(PROGRAM), behaviour]), timeout)
    try:
        report = judge(door, FEW, only=only)
    finally:
        door.close()
    return {verdict.clause.id: verdict for verdict in report.verdicts if verdict.findings}


def test_a_right_program_passes():
    found = through_a_program()
    assert {id_: verdict.status for id_, verdict in found.items()} == dict.fromkeys(
        ("GUIDE-01", "NOISE-01", "STEP-04"), "PASS"
    )


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("behaviour", "status", "expected"),
    [
        ("hang", "ERROR", "TimeoutError: no answer within 3 s"),
        ("die", "ERROR", "the program died (exit code 7) without answering"),
        ("half-a-line", "ERROR", "reply:"),
        ("unsupported", "FAIL", "declared and answered 'unsupported' (not today)"),
        ("empty", "ERROR", "expected a safetensors file at 'outputs'"),
        ("other-id", "ERROR", "expected the reply to call"),
        ("extra-field", "ERROR", "reply: note: extra inputs are not permitted"),
    ],
)
def test_a_program_that_misbehaves_never_passes(behaviour, status, expected):
    few = FEW[:2] if behaviour == "hang" else FEW
    door = ProcessDoor(shlex.join([sys.executable, str(PROGRAM), behaviour]), 3.0 if behaviour == "hang" else 30.0)
    try:
        report = judge(door, few, only="GUIDE-01")
    finally:
        door.close()
    (verdict,) = report.verdicts
    assert verdict.status == status
    assert expected in verdict.message, verdict.message


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [("no-hello", "died (exit code 1)"), ("bad-description", "version: input should be a valid string")],
)
def test_a_program_that_cannot_be_talked_to_is_refused(behaviour, expected):
    with pytest.raises(RequestError) as error:
        judge(ProcessDoor(shlex.join([sys.executable, str(PROGRAM), behaviour])), FEW)
    assert expected in str(error.value)


def test_a_program_that_is_not_there():
    with pytest.raises(RequestError, match=r"expected a description, got .*No such file"):
        judge(ProcessDoor("/no/such/program"), FEW)
    with pytest.raises(RequestError, match="expected a command, got nothing"):
        ProcessDoor("")


def test_a_program_ends_well_or_the_run_fails():
    with pytest.raises(RuntimeError, match="exit code 0 after 'bye', got 3"):
        through_a_program("bad-end", only="GUIDE-01")


def test_a_bad_end_is_told_by_the_command_in_a_sentence(monkeypatch, capsys):
    words = shlex.join([sys.executable, str(PROGRAM), "bad-end"])
    monkeypatch.setattr(sys, "argv", ["elt-ref", "conform", "run", "--exec", words, "--only", "GUIDE-01", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    document = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in document["clauses"]] == ["PASS"]
    assert document["complaints"] == ["--exec: expected the program to end with exit code 0 after 'bye', got 3"]


def answer_questions(folder, backend):
    """Answer as an implementation that only reads and writes files."""
    described = backend.describe()
    fields = ("name", "version", "operations", "dtypes", "choices")
    document = {"type": "description", **{field: getattr(described, field) for field in fields}}
    (folder / "description.json").write_text(json.dumps(document), encoding="utf-8")
    for path in (folder / "questions").rglob("*.json"):
        question = json.loads(path.read_text(encoding="utf-8"))
        assert "tolerance" not in question
        inputs = load_file(path.with_suffix(".safetensors"))
        given = arguments(question["settings"], inputs, question["dtype"])
        out = folder / question["answer"]
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: np.array(v, order="C") for k, v in getattr(backend, question["operation"])(**given).items()}, out)


def test_a_folder_of_answers(tmp_path):
    export(FEW, tmp_path)
    assert not list(tmp_path.rglob("*answers*")), "the answers went along"
    answer_questions(tmp_path, ReferenceBackend())
    report = judge(FilesDoor(tmp_path), FEW)
    ran = {verdict.clause.id: verdict.status for verdict in report.verdicts if verdict.findings}
    assert set(ran.values()) == {"PASS"}
    (tmp_path / "float32" / f"{FEW[0].id}.safetensors").unlink()
    damaged = tmp_path / "float64" / f"{FEW[-1].id}.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:20])
    again = {verdict.clause.id: verdict for verdict in judge(FilesDoor(tmp_path), FEW).verdicts}
    assert "expected the answer float32/" in again[FEW[0].stored.clause].message
    assert "expected a safetensors file" in again[FEW[-1].stored.clause].message
    with pytest.raises(RequestError, match="expected a new or empty folder"):
        export_questions(tmp_path, None)
    (tmp_path / "description.json").unlink()
    with pytest.raises(RequestError, match="expected the description of a backend"):
        judge(FilesDoor(tmp_path), FEW)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nothing", "expected package.module:Backend or file.py:Backend"),
        ("no.such.module:Backend", "ModuleNotFoundError"),
        ("elt_ref.conformance.reference:Nothing", "expected 'Nothing' in elt_ref.conformance.reference, got none"),
        ("nowhere.py:Backend", "no file nowhere.py"),
        ("math:pi", "TypeError"),
    ],
)
def test_backends_that_are_not_there(name, expected):
    with pytest.raises(RequestError) as error:
        open_backend(name)
    assert expected in str(error.value)


def test_a_backend_in_a_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "from elt_ref.conformance.reference import ReferenceBackend\n"
        "class Backend(ReferenceBackend):\n    name = 'mine'\n"
    )
    monkeypatch.setattr(
        sys,
        "argv",
        ["elt-ref", "conform", "run", f"{path}:Backend", "--only", "GUIDE-01", "--questions", "2", "--json"],
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["backend"]["name"] == "mine"
    assert {row["status"] for row in document["clauses"]} == {"PASS"}
