"""The judge: right backends pass everything, backends without knowledge pass nothing, and messages are useful."""

import dataclasses
import datetime as dt
import json
import signal
import time
from typing import ClassVar

import numpy as np
import pytest
from degenerate import ALL, half_precision

from elt_ref.arrays import tree_map
from elt_ref.conformance.alike import refusals, suggestions
from elt_ref.conformance.backend import Description, Unsupported
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import PROFILES, clauses
from elt_ref.conformance.document import document
from elt_ref.conformance.doors import PythonDoor, open_backend
from elt_ref.conformance.exceptions import Exceptions, draft
from elt_ref.conformance.judge import Finding, judge, profiles
from elt_ref.conformance.operations import OPERATIONS, TAPS
from elt_ref.conformance.pytest_suite import pytest_suite
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.reports import advice, badge, headlines
from elt_ref.conformance.smoke import smoke
from elt_ref.errors import RequestError
from specs.making.scalar import ScalarBackend
from specs.making.wrong import wrong_implementations
from specs.making.wrong.composed import ComposedBackend

VECTORS = read_vectors()
FEW = [vector for vector in VECTORS if vector.stored.operation in {"guide", "log_snr", "mask_lengths"}]


def verdicts(backend, **options):
    return {found.clause.id: found for found in judge(PythonDoor(backend), VECTORS, **options).verdicts}


@pytest.mark.whole
@pytest.mark.typed
def test_the_reference_is_awarded_every_profile_with_room_to_spare():
    door = open_backend("elt_ref.conformance.reference:ReferenceBackend")
    report = judge(door, VECTORS)
    door.close()
    assert report.passed
    assert profiles(report) == dict.fromkeys(PROFILES, True)
    shares = [found.error for verdict in report.verdicts for found in verdict.findings if found.error is not None]
    assert max(shares) <= 0.25, "honest rounding takes more than a quarter of the tolerance"


def test_an_object_in_the_judges_process_earns_profiles_without_an_award():
    members = ",".join(id_ for id_, clause in clauses().items() if clause.profile == "measures")
    report = judge(PythonDoor(ReferenceBackend()), VECTORS, only=members)
    assert report.passed
    assert report.earned("measures")
    assert not report.awarded("measures")
    assert json.loads(badge(report))["message"] == "no profile"
    assert headlines(report)[0].startswith("measures: no award in the judge's own process, 3 of 3 clauses passed")


@pytest.mark.whole
def test_scalar_python_is_right_in_all_that_it_does_quickly():
    slow = ("training", "gradient", "sample")
    quick = [vector for vector in VECTORS if not vector.stored.operation.endswith(slow)]
    report = judge(PythonDoor(ScalarBackend()), quick)
    wrong = [verdict.message for verdict in report.verdicts if verdict.status not in {"PASS", "NOT RUN"}]
    assert not wrong


@pytest.mark.few(3)
@pytest.mark.parametrize("backend", ALL, ids=lambda backend: backend.__name__)
def test_a_backend_that_knows_nothing_wins_no_clause(backend):
    won = [id_ for id_, verdict in verdicts(backend()).items() if verdict.status == "PASS"]
    assert not won, f"{backend.__name__} wins {won}"


@pytest.mark.whole
def test_the_right_answers_in_half_precision_win_nothing_that_is_a_number():
    floats = {
        vector.stored.clause for vector in VECTORS if any(o.dtype == "float64" for o in vector.stored.outputs.values())
    }
    won = [id_ for id_, verdict in verdicts(half_precision(ReferenceBackend())).items() if verdict.status == "PASS"]
    assert not floats & set(won)


def test_unsupported_is_for_what_was_declared_absent():
    class Part(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), operations=("log_snr", "guide"))

    class Lying(ReferenceBackend):
        def guide(self, **given):
            raise Unsupported("no guidance today")

    found = verdicts(Part())
    assert found["NOISE-01"].status == "PASS"
    assert found["LOOP-01"].status == "UNSUPPORTED"
    assert "masked_states" in found["LOOP-01"].message
    expected = verdicts(Lying(), only="GUIDE-01")["GUIDE-01"]
    assert expected.status == "FAIL"
    assert "declared and answered 'unsupported'" in expected.message


def test_a_profile_is_whole_or_nothing():
    class NoDoubleGuidance(ReferenceBackend):
        def guide(self, *, conditional, unconditional, scale):
            return {"guided": conditional + scale * (conditional - unconditional)}

    report = judge(PythonDoor(NoDoubleGuidance()), VECTORS, only="sampler,loop-core")
    assert not report.earned("sampler")
    assert report.earned("loop-core")
    assert not report.passed


def test_a_part_of_a_profile_awards_nothing():
    report = judge(PythonDoor(ReferenceBackend()), VECTORS, only="DISTIL")
    assert report.passed
    assert not any(profiles(report).values())
    assert json.loads(badge(report))["message"] == "no profile"
    assert any("loop-core: not awarded, 8 of 8 clauses run (16 in all) passed" in line for line in headlines(report))


def test_errors_changed_arguments_and_wrong_forms_are_told():
    class Broken(ReferenceBackend):
        def log_snr(self, **given):
            raise ZeroDivisionError("a detail\nand more")

        def add_noise(self, *, clean, noise, log_snr):
            clean += 1
            return super().add_noise(clean=clean, noise=noise, log_snr=log_snr)

        def prediction_target(self, **given):
            return {"target": super().prediction_target(**given)["target"][:1]}

        def to_clean(self, **given):
            return super().to_clean(**given)["clean"]

    found = verdicts(Broken(), only="NOISE")
    assert (found["NOISE-01"].status, found["NOISE-02"].status) == ("ERROR", "ERROR")
    assert "ZeroDivisionError: a detail" in found["NOISE-01"].message
    assert "got another 'clean'" in found["NOISE-02"].message
    assert found["NOISE-03"].status == "FAIL"
    assert "expected 'target' of shape" in found["NOISE-03"].message
    expected = [finding.message for finding in found["NOISE-03"].findings if "/back-" in finding.vector]
    assert all("expected a dict of arrays by name" in message for message in expected)
    assert expected


def test_a_backend_that_ends_the_process_is_an_error_and_no_pass():
    class Quits(ReferenceBackend):
        def guide(self, **given):
            raise SystemExit(0)

    report = judge(PythonDoor(Quits()), VECTORS, only="GUIDE-01")
    assert report.verdicts[0].status == "ERROR"
    assert not report.passed
    assert "SystemExit" in {found.operation: found.fault for found in smoke(PythonDoor(Quits()), FEW)}["guide"]


def test_where_nothing_was_judged_nothing_has_passed():
    class Silent(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), operations=())

    report = judge(PythonDoor(Silent()), VECTORS)
    assert {verdict.status for verdict in report.verdicts} == {"UNSUPPORTED"}
    assert not report.passed, "an implementation that declares nothing ends with exit code 0"


def test_the_first_loop_that_differs_is_named():
    class ThirdLoopWrong(ComposedBackend):
        def states(self, network, loops, config):
            states = super().states(network, loops, config)
            return [state + (0.5 if number >= 2 else 0.0) for number, state in enumerate(states)]

    found = verdicts(ThirdLoopWrong(), only="LOOP")
    expected = [finding.message for verdict in found.values() for finding in verdict.findings if finding.message]
    assert any("the numbers part after loop 3 of" in message for message in expected), expected


def test_taps_name_the_first_layer_that_differs():
    class SecondLayerOfSecondLoop(ComposedBackend):
        def states(self, network, loops, config):
            states = super().states(network, loops, config)
            return [state + 0.5 * (number > 0) for number, state in enumerate(states)]

        def _layers(self, config, parameters, loops, *inputs):
            taps = super()._layers(config, parameters, loops, *inputs)
            taps[1:, 1:] += 0.5
            return taps

    for clause in ("LOOP-02", "DIFFLOOP-01"):
        (verdict,) = verdicts(SecondLayerOfSecondLoop(), only=clause).values()
        expected = [found.message for found in verdict.findings if found.message]
        assert any("the numbers part in loop 2, layer 2" in message for message in expected), expected

    told, *_ = advice(judge(PythonDoor(SecondLayerOfSecondLoop()), VECTORS, only="LOOP,BLOCK"), "run mine:Backend")
    assert told.startswith("Start with loop 2, layer 2: there the taps part first, in case LOOP-"), told

    class BrokenTap(SecondLayerOfSecondLoop):
        def _layers(self, config, parameters, loops, *inputs):
            raise KeyError("gone")

    (verdict,) = verdicts(BrokenTap(), only="LOOP-02").values()
    assert "its tap masked_layers fails: KeyError: 'gone'" in verdict.message

    class OnlyTheHeadIsWrong(ComposedBackend):
        def predict(self, config, parameters, loops, *inputs):
            return super().predict(config, parameters, loops, *inputs) * 2

    (verdict,) = verdicts(OnlyTheHeadIsWrong(), only="LOOP-03").values()
    assert "the mistake is after the last loop" in verdict.message, verdict.message


def test_a_list_is_no_array():
    class Lists(ReferenceBackend):
        def guide(self, **given):
            return {"guided": super().guide(**given)["guided"].tolist()}

    verdict = verdicts(Lists(), only="GUIDE-01")["GUIDE-01"]
    assert verdict.status == "ERROR"
    assert "expected 'guided' to be an array, got list" in verdict.message
    broken = {one.operation: one.fault for one in smoke(PythonDoor(Lists()), FEW) if one.fault}
    assert set(broken) == {"guide"}


def test_smoke_asks_every_declared_dtype_and_names_methods_that_are_not_declared():
    class Widens(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), operations=("guide",))

        def guide(self, **given):
            return {"guided": super().guide(**given)["guided"].astype(np.float64)}

    (found,) = smoke(PythonDoor(Widens()), VECTORS)
    assert found.fault.startswith("GUIDE-01/")
    assert found.fault.endswith(", float32: expected 'guided' in float32, got float64")
    assert "masked_layer" in PythonDoor(Widens()).undeclared()
    assert "guide" not in PythonDoor(Widens()).undeclared()


def test_what_is_declared_is_judged_also_where_the_rest_of_a_clause_is_not():
    class Part(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), operations=("guidance_scales",))

    class WrongPart(Part):
        def guidance_scales(self, **given):
            return {"scales": super().guidance_scales(**given)["scales"] + 1}

    right = verdicts(Part(), only="GUIDE-03")["GUIDE-03"]
    assert right.status == "UNSUPPORTED"
    assert "its cases of guidance_scales pass; needs masked_sample" in right.message
    assert verdicts(WrongPart(), only="GUIDE-03")["GUIDE-03"].status == "FAIL"


def test_clauses_families_profiles_and_operations_can_be_asked_for():
    assert set(verdicts(ReferenceBackend(), only="GUIDE-01,DISTIL-06")) == {"GUIDE-01", "DISTIL-06"}
    assert set(verdicts(ReferenceBackend(), only="clips")) == {"CLIP-01", "CLIP-02", "CLIP-03"}
    assert set(verdicts(ReferenceBackend(), only="guide,METRIC")) == {"GUIDE-01", "GUIDE-02", "METRIC-01", "METRIC-02"}


class Alone(PythonDoor):
    """A door that stands for a process of its own, which alone is awarded."""

    isolated = True


class OneSampler(ReferenceBackend):
    """One family in one dtype with one alternative."""

    def describe(self):
        operations = ("denoise_step", "time_grid", "guide", "guidance_scales", "diffusion_sample", "log_snr")
        return Description("one", "1", operations, ("float32",), choices={"diffusion.sampler": "ddim"})


def test_an_award_is_told_in_full_and_only_profiles_that_are_offered():
    report = judge(Alone(OneSampler()), VECTORS)
    text = "\n".join(headlines(report))
    assert not any(f"{profile}:" in text for profile in set(PROFILES) - {"sampler", "diffusion"}), text
    assert "diffusion: not awarded, 1 of 13 clauses of the diffusion family passed" in text
    expected = "sampler: awarded for the diffusion family in float32 only with diffusion.sampler = ddim, 6 of 6 clauses"
    assert expected in text, text


def test_an_award_for_one_family_and_one_dtype_says_so():
    class Single(ReferenceBackend):
        def describe(self):
            operations = ("encode_clips", "decode_clips", "masked_states", "given_frames", "masked_sample")
            return dataclasses.replace(super().describe(), operations=operations, dtypes=("float32",))

    report = judge(Alone(Single()), VECTORS, only="clips")
    (line,) = (line for line in headlines(report) if line.startswith("clips"))
    assert "clips: awarded for the masked family in float32 only, 3 of 3 clauses of the masked family passed" in line


@pytest.mark.parametrize("every", [False, True])
def test_the_tables_of_a_report_can_be_read_on_a_terminal_of_80_columns(capsys, every):
    from rich.cells import cell_len

    from elt_ref.conformance.commands import list_clauses
    from elt_ref.conformance.reports import table
    from elt_ref.terminal import Terminal

    report = judge(PythonDoor(SwappedGuidance()), VECTORS, only="sampler")
    Terminal(width=80).table(table(report, every=every))
    list_clauses(Terminal(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= 80
    text = [line[32:].strip() for line in lines if line.startswith(" GUIDE-01")]
    assert max(map(cell_len, text)) >= 35, "the text is squeezed into a column that nobody reads"


def test_the_clause_that_others_build_on_is_named_first():
    class PreNorm(ComposedBackend):
        def masked_layer(self, **given):
            return {"x": super().masked_layer(**given)["x"] + 1}

        def states(self, network, loops, config):
            return [state + 1 for state in super().states(network, loops, config)]

    report = judge(PythonDoor(PreNorm()), VECTORS, only="BLOCK,LOOP,ANYTIME,DISTIL")
    assert report.failed[0].clause.id == "BLOCK-01"
    expected = advice(report, "run mine:Backend")
    assert expected[0].startswith("Start with BLOCK-01; the other")
    assert "elt-ref conform run mine:Backend --only BLOCK-01" in expected[1]


def test_a_wrong_second_layer_does_not_put_the_embedding_first():
    class WithoutSecondLayer(ComposedBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), operations=("masked_states", "masked_forward"))

        def network(self, config, parameters, *inputs):
            if len(parameters["block"]) > 1:
                second = {
                    **parameters["block"][1],
                    "mlp": tree_map(lambda leaf: leaf * 0, parameters["block"][1]["mlp"]),
                }
                parameters = {**parameters, "block": [parameters["block"][0], second, *parameters["block"][2:]]}
            return super().network(config, parameters, *inputs)

    report = judge(PythonDoor(WithoutSecondLayer()), VECTORS)
    assert len(report.failed) > 5
    assert report.failed[0].clause.id == "LOOP-02", [verdict.clause.id for verdict in report.failed]


@pytest.mark.parametrize("name", ["norm_inside_loop", "guidance_rescaled", "count_linear"])
def test_a_known_mistake_is_among_the_suggestions(name):
    mistaken = wrong_implementations()[name]()
    description = dataclasses.replace(mistaken.describe(), dtypes=("float32",))
    mistaken.describe = lambda: description
    report = judge(PythonDoor(mistaken), VECTORS, only="LOOP-01,BLOCK-01,GUIDE-01,GUIDE-02,MASK-01")
    told = advice(report, "run mine:Backend")
    assert any(line.startswith(f"  {name}: ") for line in told[-3:]), told
    assert name in report.failed[0].clause.wrong
    assert document(report).alike[0].name == name


OPERATION_OF = {vector.id: vector.stored.operation for vector in VECTORS}


def findings_of(row):
    """Return what a port gets that is wrong in the cases of a row: its rounding moves the last digits of a distance."""
    wrong = [Finding(case, "float32", "FAIL", 1.0, "", "", OPERATION_OF[case], gap * 1.02) for case, gap in row.items()]
    right = OPERATION_OF.keys() - row.keys()
    return wrong + [Finding(case, "float32", "PASS", 0.1, "", "", OPERATION_OF[case]) for case in right]


def test_nine_of_ten_known_mistakes_can_be_told_apart_by_where_and_how_far_they_fail():
    every_fourth = list(refusals().items())[::4]
    named = sum(name in {each.name for each in suggestions(findings_of(row))} for name, row in every_fourth)
    assert named >= 0.9 * len(every_fourth)


def test_a_mistake_in_one_of_the_operations_that_could_have_it_is_told_too():
    named = []
    for name, row in list(refusals().items())[::4]:
        for operation in {OPERATION_OF[case] for case in row}:
            part = {case: gap for case, gap in row.items() if OPERATION_OF[case] == operation}
            named.append(name in {each.name for each in suggestions(findings_of(part))})
    assert sum(named) >= 0.9 * len(named)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32",)])
def test_judging_names_nine_of_ten_known_mistakes(dtypes):
    named = 0
    for name, kind in wrong_implementations().items():
        mistaken = kind()
        description = dataclasses.replace(mistaken.describe(), dtypes=dtypes)
        mistaken.describe = lambda description=description: description
        named += name in {each.name for each in suggestions(judge(PythonDoor(mistaken), VECTORS).findings)}
    assert named >= 0.9 * len(wrong_implementations())


def test_an_exception_is_placed_in_the_backends_own_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from elt_ref.conformance.reference import ReferenceBackend\n"
        "class Backend(ReferenceBackend):\n"
        "    def truth_weights(self, *, steps):\n"
        "        return {'weights': 1 / 0}\n"
    )
    report = judge(open_backend(f"{path}:Backend"), VECTORS, only="DISTIL-06")
    assert "ZeroDivisionError: division by zero (mine.py:4)" in report.verdicts[0].message


def test_a_backend_that_hangs_is_stopped_and_the_alarms_of_others_go_on():
    class Hanging(ReferenceBackend):
        def truth_weights(self, *, steps):
            time.sleep(30)

    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        report = judge(PythonDoor(Hanging(), timeout=0.05), VECTORS, only="DISTIL-06")
        (verdict,) = report.verdicts
        assert verdict.status == "ERROR"
        assert "TimeoutError: no answer within 0.05 s" in verdict.message
        time.sleep(1.1)
        assert rung, "the alarm that was set before was lost"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_declared_choice_is_demanded_and_an_undeclared_one_refused():
    class SinglePrecision(ReferenceBackend):
        choices: ClassVar = {"sampling.schedule_precision": "float32"}

    assert verdicts(SinglePrecision(), only="DECODE-02")["DECODE-02"].status == "PASS"

    class SaysOneDoesTheOther(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), choices={"sampling.schedule_precision": "float32"})

    assert verdicts(SaysOneDoesTheOther(), only="DECODE-02")["DECODE-02"].status == "FAIL"

    class Silent(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), choices={})

    assert (
        "declare the choice 'sampling.schedule_precision'" in verdicts(Silent(), only="DECODE-02")["DECODE-02"].message
    )


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (None, "expected name, version, operations, dtypes and choices, got NoneType"),
        (Description("x", "1", ("guides",)), "got 'guides'; did you mean 'guide'"),
        (Description("x", "1", ("guide",), ("float16",)), "got 'float16'"),
        (
            Description("x", "1", ("guide",), choices={"sampling.schedule_precision": "float16"}),
            "expected choice 'sampling.schedule_precision' to be one of",
        ),
        (
            Description("x", "1", ("guide",), choices={"tie": "left"}),
            "expected each choice to be one of objective.reduction,",
        ),
    ],
)
def test_a_wrong_description_is_refused_in_a_sentence(description, expected):
    class Odd(ReferenceBackend):
        def describe(self):
            return description

    with pytest.raises(RequestError) as error:
        judge(PythonDoor(Odd()), VECTORS)
    assert expected in str(error.value)


class SwappedGuidance(ReferenceBackend):
    def guide(self, *, conditional, unconditional, scale):
        return super().guide(conditional=unconditional, unconditional=conditional, scale=scale)


def test_known_failures_are_strict():
    entry = {"clause": "GUIDE-01", "reason": "seen", "until": dt.date(2999, 1, 1)}
    report = judge(PythonDoor(SwappedGuidance()), VECTORS, only="GUIDE-01", exceptions=Exceptions(known=[entry]))
    assert report.verdicts[0].status == "KNOWN"
    assert (
        judge(PythonDoor(SwappedGuidance()), VECTORS, only="GUIDE", exceptions=Exceptions(known=[entry])).complaints
        == ()
    )
    assert not report.earned("sampler")
    passing = judge(PythonDoor(ReferenceBackend()), VECTORS, only="GUIDE-01", exceptions=Exceptions(known=[entry]))
    assert not passing.passed, "an entry whose clause passes is kept"
    assert "remove the entry" in passing.complaints[0]
    late = Exceptions(known=[entry | {"until": dt.date(2020, 1, 1)}])
    expired = judge(PythonDoor(SwappedGuidance()), VECTORS, only="GUIDE-01", exceptions=late)
    assert expired.verdicts[0].status == "FAIL"
    assert not expired.passed
    strange = Exceptions(known=[entry | {"clause": "GUIDE-99"}])
    few = [vector for vector in VECTORS if vector.stored.clause == "GUIDE-01"]
    stranger = judge(PythonDoor(ReferenceBackend()), few, exceptions=strange)
    assert stranger.complaints == ("GUIDE-99: expected the id of a clause, got no such",)


def test_a_waiver_shows_and_awards_nothing():
    class Slack(ReferenceBackend):
        def guide(self, **given):
            guided = super().guide(**given)["guided"]
            unit = np.finfo(guided.dtype).eps / 2
            return {"guided": guided * (1 + 200 * unit).astype(guided.dtype)}

    assert verdicts(Slack(), only="GUIDE-01")["GUIDE-01"].status == "FAIL"
    waived = Exceptions(waiver=[{"clause": "GUIDE-01", "factor": 50.0, "reason": "half of our hardware"}])
    report = judge(PythonDoor(Slack()), VECTORS, only="GUIDE-01", exceptions=waived)
    assert report.verdicts[0].status == "WAIVED"
    assert not report.earned("sampler")


def test_a_draft_of_known_failures_can_be_read_back(tmp_path):
    from elt_ref.conformance.exceptions import read_exceptions

    path = tmp_path / "known.toml"
    text = draft({"GUIDE-01": "FAIL", "LOOP-01": "PASS"}, dt.date(2999, 1, 1))
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match="reason: string should have at least 1 character"):
        read_exceptions(path)
    path.write_text(text.replace('reason = ""', 'reason = "a known bug"'), encoding="utf-8")
    assert [entry.clause for entry in read_exceptions(path).known_failures] == ["GUIDE-01"]
    path.write_text("[[known]]\nclause = 'GUIDE-01'\n", encoding="utf-8")
    with pytest.raises(RequestError, match="reason: field required"):
        read_exceptions(path)
    for until in ("4070908800", '"2099-01-01"', "2099-01-01T00:00:00"):
        path.write_text(f"[[known]]\nclause = 'GUIDE-01'\nreason = 'x'\nuntil = {until}\n", encoding="utf-8")
        with pytest.raises(RequestError, match="until: "):
            read_exceptions(path)
    path.write_text("[[waiver]]\nclause = 'GUIDE-01'\nreason = 'x'\nfactor = '4'\n", encoding="utf-8")
    with pytest.raises(RequestError, match="factor: "):
        read_exceptions(path)


def test_smoke_tells_a_broken_harness_from_wrong_numbers():
    right = smoke(PythonDoor(ReferenceBackend()), VECTORS)
    assert all(not found.fault for found in right)
    assert {found.operation for found in right} == {*OPERATIONS, *TAPS}
    guidance = [vector for vector in VECTORS if vector.stored.operation == "guide"]
    assert all(not found.fault for found in smoke(PythonDoor(SwappedGuidance()), guidance)), (
        "numbers are not its business"
    )

    class Restless(ReferenceBackend):
        calls = 0

        def guide(self, **given):
            self.calls += 1
            return {"guided": super().guide(**given)["guided"] + self.calls}

    expected = {found.operation: found.fault for found in smoke(PythonDoor(Restless()), guidance)}
    assert "expected the same question to get the same answer" in expected["guide"]


def test_smoke_asks_taps_and_every_form_of_an_operation():
    class Partial(ReferenceBackend):
        def describe(self):
            return dataclasses.replace(super().describe(), operations=("masked_objective", "diffusion_layers"))

        def masked_objective(self, *, student_loops, **given):
            return super().masked_objective(student_loops=student_loops or 1, **given)

        def diffusion_layers(self, **given):
            return {"layers": super().diffusion_layers(**given)["layers"][-1]}

    found = {one.operation: one.fault for one in smoke(PythonDoor(Partial()), VECTORS) if one.fault}
    assert set(found) == {"masked_objective", "diffusion_layers"}
    assert "got also distillation, student_truth" in found["masked_objective"]
    assert "expected 'layers' of shape [" in found["diffusion_layers"]


def test_draws_must_be_those_of_the_seed():
    class Unseeded(ReferenceBackend):
        calls = 0

        def student_draws(self, *, seed, **given):
            self.calls += 1
            return super().student_draws(seed=self.calls, **given)

    (verdict,) = verdicts(Unseeded(), only="DISTIL-07").values()
    assert verdict.status == "FAIL"
    assert "expected the same seed to give the same draws, got others" in verdict.message


test_by_one_line = pytest_suite("elt_ref.conformance.reference:ReferenceBackend")


def test_the_one_line_fails_where_a_clause_does():
    with pytest.raises(AssertionError, match="GUIDE-01"):
        pytest_suite(SwappedGuidance())("GUIDE-01")


def test_the_one_line_skips_what_was_not_run():
    with pytest.raises(pytest.skip.Exception, match="DENOISE-01: is about diffusion"):
        pytest_suite(OneSampler())("DENOISE-01")


def test_every_clause_has_cases_and_every_case_a_clause():
    counts = dict.fromkeys(clauses(), 0)
    for vector in VECTORS:
        counts[vector.stored.clause] += 1
    assert min(counts.values()) >= 2
    assert {clause.profile for clause in clauses().values()} == set(PROFILES)


def test_reports_hold_what_the_judge_found(tmp_path, capsys):
    from elt_ref.conformance.commands import run

    names = ("report.json", "report.md", "report.html", "badge.json")
    code = run(
        PythonDoor(SwappedGuidance()),
        called="run mine:Backend",
        only="GUIDE",
        known=None,
        write_known=tmp_path / "known.toml",
        outputs=[tmp_path / name for name in names],
        as_json=True,
        every=False,
    )
    assert code == 1
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "report.json").read_text()) == printed
    assert {"suite", "backend", "profiles", "clauses"} <= set(printed)
    row = next(row for row in printed["clauses"] if row["id"] == "GUIDE-01")
    assert row["status"] == "FAIL"
    assert set(row) == {"id", "status", "dtype", "error_over_tolerance", "cases", "message"}
    assert "elt-ref conform run mine:Backend --only GUIDE-01" in (tmp_path / "report.html").read_text()
    assert "| GUIDE-01 | FAIL |" in (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "badge.json").read_text())["message"] == "no profile"
    assert "GUIDE-01" in (tmp_path / "known.toml").read_text()
