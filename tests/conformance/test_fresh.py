"""Fresh questions: determined by a seed, over the whole domain, fair to honest rounding, small where they fail."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import clauses
from elt_ref.conformance.commands import export_questions, exported_inquiry
from elt_ref.conformance.doors import FilesDoor, PythonDoor
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.fresh import ask
from elt_ref.conformance.fresh.ask import SEED, Inquiry, Question, draw, order, seed_of, with_fresh
from elt_ref.conformance.fresh.case_file import misshapen, numbers, read_case, write_case
from elt_ref.conformance.fresh.domain import quantities
from elt_ref.conformance.fresh.drawer import Drawer
from elt_ref.conformance.fresh.subjects import QUESTIONS, subjects
from elt_ref.conformance.judge import judge
from elt_ref.conformance.operations import OPERATIONS, TABLE
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.reports import badge, few, headlines
from elt_ref.errors import RequestError
from elt_ref.run.specs import specs_folder
from elt_ref.streams import stream
from specs.making.domain_page import page

VECTORS = read_vectors()
DECLARED = ReferenceBackend().describe()
CHEAP = ("guide", "decode_step", "mask_tokens", "encode_clips", "denoise_step", "log_snr", "patchify")


def sketches(operation, count):
    """Draw the choices and arrays of questions, without answers."""
    for number in range(count):
        drawer = Drawer({}, stream(7, f"fresh/{operation}", number))
        yield drawer, QUESTIONS[operation](drawer)


def judged(backend, clause):
    """Judge a clause of a backend with the fresh questions of the default draw."""
    door = PythonDoor(backend())
    report = judge(door, [vector for vector in VECTORS if vector.stored.clause == clause], only=clause)
    assert report.passed, "the stored vectors see the mistake, which is not what this test is about"
    return with_fresh(report, door, Inquiry(), Exceptions(), whole=False)


def conform(*words, folder):
    """Run the command in a process of its own, where no type is checked and the reference is fast."""
    command = [sys.executable, "-c", "from elt_ref.cli import main; main()", "conform", "run", *words, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ran.returncode, json.loads(ran.stdout), ran.stderr


def test_every_operation_has_questions_and_every_clause_is_the_subject_of_some():
    assert set(QUESTIONS) == set(OPERATIONS)
    about = set()
    for operation in OPERATIONS:
        for _, drawn in sketches(operation, 24):
            named = subjects(operation, drawn.settings, drawn.inputs)
            assert all(operation in clauses()[clause].needs for clause in named)
            about |= set(named)
    assert about == set(clauses())


@pytest.mark.whole
def test_every_value_of_the_domain_is_drawn():
    met = {}
    for operation in QUESTIONS:
        for drawer, _ in sketches(operation, 60):
            drawer.quantity("layout")
            for name, values in drawer.values.items():
                met.setdefault(name, set()).update(map(repr, values))
    for name, quantity in quantities().items():
        assert met[name] == set(map(repr, quantity.values)), name


@pytest.mark.whole
def test_the_page_of_the_domain_equals_the_generated_one():
    committed = (specs_folder() / "domain.md").read_text(encoding="utf-8")
    assert committed == page(), "run python -m specs.making.domain_page"


def test_a_seed_determines_the_questions_and_their_order():
    first, second = (list(order(DECLARED, Inquiry(), set(clauses()))) for _ in range(2))
    assert first == second != sorted(first)
    assert list(order(DECLARED, Inquiry(seed=1), set(clauses()))) != first
    for operation in CHEAP:
        one, again = (draw(operation, SEED, 3, DECLARED) for _ in range(2))
        other = draw(operation, SEED + 1, 3, DECLARED)
        assert isinstance(one, Question)
        assert isinstance(again, Question)
        assert one.vector.stored == again.vector.stored
        assert all(np.array_equal(array, again.vector.inputs[name]) for name, array in one.vector.inputs.items())
        assert other is not None
        assert other.choices != one.choices


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("operation", ["masked_states", "masked_forward", "diffusion_states", "diffusion_forward"])
def test_the_first_question_of_a_network_has_the_far_sizes_together(operation, seed):
    question = draw(operation, seed, 0, DECLARED)
    assert question is not None
    settings, rows = question.vector.stored.settings, question.vector.inputs["labels"]
    assert (settings["model"]["width"], settings["loops"], len(rows)) == (64, 9, 7)


def test_choices_are_replayed():
    for operation in CHEAP:
        for drawer, drawn in sketches(operation, 3):
            replayed = Drawer({}, None, drawer.choices)
            again = QUESTIONS[operation](replayed)
            assert replayed.choices == drawer.choices
            assert again.settings == drawn.settings
            assert all(np.array_equal(array, again.inputs[name]) for name, array in drawn.inputs.items())


@pytest.mark.parametrize("operation", ["decode_step", "denoise_step", "log_snr"])
def test_declared_alternatives_are_followed(operation):
    declared = replace(DECLARED, choices={"sampling.sampling_temperature": "elt", "diffusion.sampler": "ddim"})
    for number in range(4):
        question = draw(operation, 3, number, declared)
        assert question is not None
        settings = question.vector.stored.settings
        assert settings.get("sampling_temperature", "elt") == "elt"
        assert settings.get("diffusion", {}).get("sampler", "ddim") == "ddim"


def test_a_profile_needs_both_kinds_of_questions():
    door = PythonDoor(ReferenceBackend())
    stored = judge(door, [vector for vector in VECTORS if vector.stored.clause.startswith(("METRIC", "COUNT"))])
    none = with_fresh(stored, door, Inquiry(questions=0), Exceptions(), whole=True)
    assert none.passed
    assert not none.earned("measures")
    some = with_fresh(stored, door, Inquiry(questions=12), Exceptions(), whole=True)
    assert some.fresh is not None
    assert (some.fresh.asked, some.fresh.failed) == (12, 0)
    assert some.earned("measures")
    assert json.loads(badge(some))["message"].endswith(f"(seed {SEED})")


def test_a_profile_that_lacks_fresh_questions_alone_says_about_which_clauses():
    door = PythonDoor(ReferenceBackend())
    stored = judge(door, [vector for vector in VECTORS if vector.stored.clause.startswith(("METRIC", "COUNT"))])
    none, one, many = (
        replace(with_fresh(stored, door, Inquiry(questions=count), Exceptions(), whole=True), isolated=True)
        for count in (0, 1, 12)
    )
    lacking = one.unasked("measures")
    assert lacking
    told = (
        f"measures: not awarded for want of a fresh question about {', '.join(lacking)} (--questions asks more), 3 of 3"
    )
    assert headlines(one)[0].startswith(told)
    assert headlines(none)[0].startswith("measures: not awarded, 3 of 3"), (
        "the line on questions says it of all profiles"
    )
    assert headlines(many)[0].startswith("measures: awarded, 3 of 3")
    alone = headlines(replace(one, isolated=False))[0]
    assert alone.startswith("measures: not awarded, 3 of 3"), "more questions would not help in the judge's own process"
    failing = replace(one, verdicts=tuple(replace(verdict, status="FAIL") for verdict in one.verdicts))
    assert headlines(failing)[0].startswith("measures: not awarded, 0 of 3")


def test_many_clauses_without_a_fresh_question_are_counted():
    assert few(["A", "B", "C"]) == "A, B, C"
    assert few(["A", "B", "C", "D", "E"]) == "A, B, C and 2 more"


@pytest.mark.whole
def test_honest_rounding_passes_every_operation(tmp_path):
    reference = "elt_ref.conformance.reference:ReferenceBackend"
    code, report, _ = conform(reference, "--questions", "24", "--seed", "5", folder=tmp_path)
    assert code == 0
    assert report["seed"] == 5
    assert report["fresh"] == {"asked": 24, "failed": 0}
    shares = [row["error_over_tolerance"] for row in report["clauses"]]
    assert max(filter(None, shares)) <= 0.25, "honest rounding takes more than a quarter of the tolerance"


BEYOND = """
import numpy as np
from elt_ref.conformance.reference import ReferenceBackend

class Beyond(ReferenceBackend):
    def masked_forward(self, *, model, parameters, tokens, labels, loops):
        answer = super().masked_forward(model=model, parameters=parameters, tokens=tokens, labels=labels, loops=loops)
        if model["width"] == 64 and loops == 9 and len(tokens) == 7:
            answer["logits"].flat[-1] += 0.01 * np.abs(answer["logits"]).max()
        return answer
"""


@pytest.mark.whole
def test_one_wrong_number_beyond_every_vector_is_found_shrunk_and_asked_again(tmp_path):
    (tmp_path / "beyond.py").write_text(BEYOND, encoding="utf-8")
    code, report, told = conform("beyond.py:Beyond", "--only", "LOOP-03", folder=tmp_path)
    assert code == 1
    assert report["fresh"]["failed"] > 0
    assert "masked_forward, the smallest question that fails" in told
    case = tmp_path / "elt-conform-cases" / "masked_forward.json"
    document = json.loads(case.read_text(encoding="utf-8"))
    model, settings = document["settings"]["model"], document["settings"]
    assert (model["width"], settings["loops"], document["inputs"]["labels"]["shape"]) == (64, 9, [7])
    assert (model["layers"], model["heads"], model["codebook_size"], model["grid"]) == (1, 1, 2, [1])
    assert conform("beyond.py:Beyond", "--case", str(case), folder=tmp_path)[0] == 1
    reference = "elt_ref.conformance.reference:ReferenceBackend"
    assert conform(reference, "--case", str(case), folder=tmp_path)[0] == 0


class ByteOfCodes(ReferenceBackend):
    """Codes travel in a byte."""

    def decode_clips(self, *, tokens, **given):
        return super().decode_clips(tokens=tokens.astype(np.uint8).astype(np.int64), **given)


class UnstableSort(ReferenceBackend):
    """Ties go to the higher positions in rows of 17, 33 or 64 tokens, widths that no vector has."""

    def mask_tokens(self, *, ratio, order):
        if order.shape[1] not in (17, 33, 64):
            return super().mask_tokens(ratio=ratio, order=order)
        return {"mask": super().mask_tokens(ratio=ratio, order=order[:, ::-1])["mask"][:, ::-1]}


class ForgetsBounds(ReferenceBackend):
    """The bounds of log-SNR are the default ones in the loss weight."""

    def loss_weight(self, *, diffusion, time):
        return super().loss_weight(diffusion={**diffusion, "log_snr_min": -15.0, "log_snr_max": 15.0}, time=time)


class SecondCall(ReferenceBackend):
    """An answer is kept by the shapes of its arguments, and returned again for others."""

    def __init__(self):
        self.kept = {}

    def guide(self, **given):
        key = given["conditional"].shape, given["scale"], given["conditional"].dtype, given["conditional"].flat[0]
        answer = super().guide(**given)["guided"]
        if key in self.kept:
            answer = answer + 1e-3
        self.kept[key] = answer
        return {"guided": answer}


class InMemoryOrder(ReferenceBackend):
    """Arrays are read in the order of memory."""

    def patchify(self, *, samples, patch_size):
        return super().patchify(samples=samples.ravel(order="K").reshape(samples.shape), patch_size=patch_size)


class BatchIsTokens(ReferenceBackend):
    """Where there are as many rows as tokens, the order is read transposed."""

    def mask_tokens(self, *, ratio, order):
        square = order.shape[0] == order.shape[1]
        return super().mask_tokens(ratio=ratio, order=order.T.copy() if square else order)


class CompiledOnce(ReferenceBackend):
    """A function that is compiled for some sizes keeps the numbers that it first got."""

    def __init__(self):
        self.kept = {}

    def to_clean(self, *, kind, prediction, noisy, log_snr):
        kept = self.kept.setdefault((kind, prediction.shape, prediction.dtype), log_snr.copy())
        return super().to_clean(kind=kind, prediction=prediction, noisy=noisy, log_snr=kept)


class CountedInIntegersOfThirtyTwoBits(ReferenceBackend):
    """The work is counted modulo 2³²."""

    def count(self, **given):
        answer = super().count(**given)
        return {**answer, "looped_macs": answer["looped_macs"] % 2**32}


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("backend", "clause", "operation"),
    [
        (ByteOfCodes, "CLIP-01", "decode_clips"),
        (UnstableSort, "MASK-01", "mask_tokens"),
        (ForgetsBounds, "WEIGHT-01", "loss_weight"),
        (SecondCall, "GUIDE-01", "guide"),
        (InMemoryOrder, "PATCH-01", "patchify"),
        (BatchIsTokens, "MASK-01", "mask_tokens"),
        (CountedInIntegersOfThirtyTwoBits, "COUNT-01", "count"),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else None,
)
def test_mistakes_that_no_vector_sees_are_found_in_the_default_draw_and_shrunk(backend, clause, operation):
    report = judged(backend, clause)
    assert not report.passed
    assert report.fresh is not None
    assert report.fresh.failed
    (vector,) = report.fresh.smallest
    assert vector.stored.operation == operation
    few = 17 + 1 if operation == "mask_tokens" else 8
    assert sum(array.size for name, array in vector.inputs.items() if name != "codebook") <= few
    assert "the smallest question that fails has" in report.verdicts[0].message


def test_a_function_that_keeps_its_first_numbers_is_found():
    report = judged(CompiledOnce, "NOISE-03")
    assert not report.passed
    assert report.fresh is not None
    assert any(name.endswith("-other") for name in failed_questions(report))


def failed_questions(report):
    """Return the names of the failing fresh questions."""
    return {each.vector for verdict in report.verdicts for each in verdict.findings if each.status == "FAIL"}


def test_a_failing_question_is_a_file_that_is_asked_again(tmp_path):
    report = judged(UnstableSort, "MASK-01")
    assert report.fresh is not None
    (vector,) = report.fresh.smallest
    path = write_case(tmp_path / "cases", vector)
    read = read_case(path, DECLARED.choices)
    assert vector.answers is not None
    assert read.answers is not None
    assert read.stored.settings == vector.stored.settings
    assert all(np.array_equal(array, read.answers[name]) for name, array in vector.answers.items())
    for backend, passes in ((UnstableSort, False), (ReferenceBackend, True)):
        assert judge(PythonDoor(backend()), [read], only=read.stored.clause).passed == passes
    assert any(line.startswith("  ratio [") for line in numbers(vector))


def guide_case(**changes):
    """Return a question of one array, with something wrong in it."""
    array = {"dtype": "float64", "shape": [2], "values": [0.5, 1], **changes}
    case = {"clause": "GUIDE-01", "operation": "guide", "settings": {}, "inputs": {"conditional": array}}
    return json.dumps(case)


def test_the_arrays_of_every_stored_question_fit_the_table():
    for vector in VECTORS:
        assert misshapen(vector.stored.operation, vector.inputs) is None, vector.id
        for name, array in vector.inputs.items():
            if array.ndim == 1 and len(array) > 1 and "[" in TABLE[vector.stored.operation].arguments.get(name, ""):
                grown = {**vector.inputs, name: array[None]}
                assert f"{name}: expected shape" in str(misshapen(vector.stored.operation, grown))


def test_an_array_whose_length_differs_from_anothers():
    vector = next(each for each in VECTORS if each.stored.operation == "masked_objective")
    tokens = vector.inputs["tokens"]
    assert "with B = " in str(misshapen("masked_objective", {**vector.inputs, "labels": np.arange(len(tokens) + 1)}))


@pytest.mark.parametrize(
    "text",
    [
        '{"seed": 1e400}',
        "[" * 100_000,
        "{}",
        "5",
        "null",
        *(f'{{"seed": {each}}}' for each in ("5.7", "true", "-1", str(2**64), '"5"')),
    ],
)
def test_a_wrong_seed_of_an_export(tmp_path, text):
    (tmp_path / "fresh.json").write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=r"fresh\.json: expected (a seed from 0|the seed)"):
        exported_inquiry(tmp_path)


def test_a_wrong_case_file_is_one_sentence(tmp_path):
    path = tmp_path / "case.json"
    for content, expected in (
        ("no", "the file: invalid json"),
        (json.dumps({"clause": "GUIDE-01", "operation": "guide", "settings": {}}), "inputs: field required"),
        (
            json.dumps({"clause": "GUIDE-01", "operation": "guid", "settings": {}, "inputs": {}}),
            "expected an operation",
        ),
        (json.dumps({"clause": "GUIDE-01", "operation": "guide", "settings": {}, "inputs": {}}), "the reference"),
        (guide_case(dtype="int64"), "expected values of dtype int64 from -1e.38 to 1e.38, got 0.5"),
        (guide_case(values=[1, float("nan")]), "expected values of dtype float64 .* got nan"),
        (guide_case(values=[1, 10**400]), "expected values of dtype float64|the file"),
        (guide_case(values=[1, 1e308]), "expected values of dtype float64 .* got 1e.308"),
        (guide_case(values=[True, 1]), "got True"),
        (guide_case(values=[1]), r"expected 2 values for shape \[2\], got 1"),
        (guide_case(shape=[0], values=[]), "greater than 0"),
        ("[" * 100_000, "the file|recursion"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(RequestError, match=expected):
            read_case(path, {})


def test_seeds_are_numbers_or_random():
    assert seed_of(None) == SEED
    assert seed_of("12") == 12
    assert 0 <= seed_of("random") < 2**32
    with pytest.raises(RequestError, match="--seed: expected a number"):
        seed_of("-1")


@pytest.mark.whole
def test_exported_questions_are_judged_by_answers_that_are_computed_again(tmp_path, monkeypatch):
    few = ("guide", "mask_lengths", "denoise_step")
    monkeypatch.setattr(ask, "NOTHING_DECLARED", Description("", "", few))
    number = export_questions(tmp_path, 3)
    fresh = {path.stem for path in (tmp_path / "questions").rglob("fresh-*.json")}
    assert number == len(VECTORS) + len(fresh)
    assert exported_inquiry(tmp_path) == Inquiry(3, exported=True)
    description = {"type": "description", "name": "files", "version": "1", "operations": few, "dtypes": ["float32"]}
    description["choices"] = {"sampling.schedule_precision": "float32", "diffusion.sampler": "ddim"}
    (tmp_path / "description.json").write_text(json.dumps(description), encoding="utf-8")
    backend = ReferenceBackend()
    backend.choices = {"sampling.schedule_precision": "float32"}
    for path in (tmp_path / "questions" / "float32").rglob("*.json"):
        question = json.loads(path.read_text(encoding="utf-8"))
        if question["operation"] in few and (question["choice"] or [0, "float32"])[1] == "float32":
            given = {**question["settings"], **load_file(path.with_suffix(".safetensors"))}
            answer = getattr(backend, question["operation"])(**given)
            place = tmp_path / question["answer"]
            place.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: np.ascontiguousarray(array) for name, array in answer.items()}, place)
    report = judge(FilesDoor(tmp_path), VECTORS, only="GUIDE-01,DECODE-01,DENOISE-03")
    report = with_fresh(report, FilesDoor(tmp_path), exported_inquiry(tmp_path), Exceptions(), whole=False)
    assert report.passed, [verdict.message for verdict in report.verdicts]
    assert report.fresh is not None
    assert report.fresh.asked > 12
    assert report.fresh.failed == 0
    assert report.fresh.clauses == {"GUIDE-01", "DECODE-01", "DENOISE-03"}
    assert exported_inquiry(tmp_path / "none") == Inquiry(questions=0)


KEEPS = """
from elt_ref.conformance.reference import ReferenceBackend

class Keeps(ReferenceBackend):
    calls = 0

    def guide(self, **given):
        self.calls += 1
        return {"guided": super().guide(**given)["guided"] + 0.1 * (self.calls > 40)}

    def loss_weight(self, *, diffusion, time):
        return super().loss_weight(diffusion={**diffusion, "log_snr_min": -15.0, "log_snr_max": 15.0}, time=time)
"""


@pytest.mark.whole
def test_a_mistake_of_earlier_questions_is_told_from_one_of_a_setting(tmp_path):
    (tmp_path / "keeps.py").write_text(KEEPS, encoding="utf-8")
    code, report, _ = conform("keeps.py:Keeps", "--only", "GUIDE-01,WEIGHT-01", folder=tmp_path)
    assert code == 1
    message = {row["id"]: row["message"] for row in report["clauses"]}
    assert "asked alone, in a new process, it is right" in message["GUIDE-01"]
    assert "diffusion.log_snr_min" in message["WEIGHT-01"]
    assert [path.name for path in (tmp_path / "elt-conform-cases").iterdir()] == ["loss_weight.json"]


def test_a_question_that_cannot_be_written_does_not_change_the_verdict(command, monkeypatch, tmp_path):
    fresh = judged(UnstableSort, "MASK-01")
    monkeypatch.setattr("elt_ref.conformance.commands._judged", lambda *_: (fresh, ""))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elt-conform-cases").touch()
    code, out, err = command("conform", "run", "elt_ref.conformance.reference:ReferenceBackend")
    assert code == 1
    assert "MASK-01" in out
    assert err == "elt-ref: elt-conform-cases: expected a folder that can be written to, got File exists\n"


LAWLESS = """
import numpy as np
from elt_ref.conformance.reference import ReferenceBackend

class Lawless(ReferenceBackend):
    def masked_forward(self, *, labels, **given):
        answer = super().masked_forward(labels=labels, **given)
        return {"logits": answer["logits"] + 0.01 * (len(labels) > 1)}

    def masked_gradient(self, *, model, **given):
        answer = super().masked_gradient(model=model, **given)
        return {name: array / model["max_loops"] for name, array in answer.items()}

class Raising(ReferenceBackend):
    def masked_forward(self, **given):
        raise ArithmeticError("no")

class FollowedTeacher(ReferenceBackend):
    def diffusion_gradient(self, *, student_loops, **given):
        answer = super().diffusion_gradient(student_loops=student_loops, **given)
        return answer if student_loops is None else {name: 0.5 * array for name, array in answer.items()}

    def count(self, *, loops, **given):
        answer = super().count(loops=loops, **given)
        return {**answer, "looped_macs": answer["looped_macs"] * loops}

    def diffusion_forward(self, *, noisy, **given):
        order = 0.1 * noisy.flags.f_contiguous
        return {"prediction": super().diffusion_forward(noisy=noisy, **given)["prediction"] + order}
"""


def told_laws(backend, folder):
    """Return what the command tells of the laws of a small masked network, in one line."""
    words = ["conform", "run", backend, "--laws", "--preset", "digits-masked"]
    command = [sys.executable, "-c", "from elt_ref.cli import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return " ".join(ran.stdout.split())


@pytest.mark.whole
def test_laws_need_no_oracle(tmp_path):
    reference = "elt_ref.conformance.reference:ReferenceBackend"
    for preset, number in (("digits-masked", 14), ("digits-diffusion", 13)):
        code, report, _ = conform(reference, "--laws", "--preset", preset, folder=tmp_path)
        assert (code, report["passed"], len(report["laws"])) == (0, True, 2 * number)
    (tmp_path / "lawless.py").write_text(LAWLESS, encoding="utf-8")
    code, report, _ = conform("lawless.py:Lawless", "--laws", "--preset", "digits-masked", folder=tmp_path)
    assert code == 1
    assert {law["name"]: law["clause"] for law in report["laws"] if law["message"]} == {
        "independence": "LOOP-03",
        "held_teacher": "DISTIL-03",
        "summed_gradients": "SHARE-01",
    }
    told = told_laws("lawless.py:Raising", tmp_path)
    assert "repetition (LOOP-03), float32: A question that comes again has the same answer. BackendFailure" in told
    assert "prefix (ANYTIME-01), float64: equal to the bit" in told
    _, report, _ = conform("lawless.py:FollowedTeacher", "--laws", "--preset", "digits-diffusion", folder=tmp_path)
    broken = {law["name"] for law in report["laws"] if law["message"]}
    assert broken == {"layout", "held_teacher", "counted"}
