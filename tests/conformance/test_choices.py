"""Open choices: a backend can declare a single alternative, must then follow it, and loses no profile."""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest

from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import Vector, arguments, read_vectors
from elt_ref.conformance.choices import CHOICES, requested
from elt_ref.conformance.clauses import PROFILES, clauses
from elt_ref.conformance.judge import Report, judge, profiles
from elt_ref.conformance.operations import FAMILIES, OPERATIONS
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.reports import badge, headlines
from elt_ref.errors import RequestError
from specs.making.wrong import wrong_implementations

VECTORS = read_vectors()
GROUPS: dict[tuple[str, str], list[Vector]] = defaultdict(list)
for each in VECTORS:
    GROUPS[each.stored.clause, each.stored.operation].append(each)
OFFERED = {name: choice for name, choice in CHOICES.items() if not choice.needed}
ALTERNATIVES = [(name, alternative) for name, choice in OFFERED.items() for alternative in choice.alternatives]
DECLARED = {"sampling.schedule_precision": "float64"}


@cache
def answer_of(backend: type[ReferenceBackend], id_: str, dtype: str):
    vector = next(vector for vector in VECTORS if vector.id == id_)
    given = arguments(vector.stored.settings, vector.inputs, dtype)
    return getattr(backend(), vector.stored.operation)(**given)


class Narrow:
    """A door to a backend that declares alternatives and must not get questions about others."""

    isolated = True

    def __init__(self, backend=ReferenceBackend, operations=OPERATIONS, **declared):
        self.backend, self.operations, self.declared = backend, operations, DECLARED | declared

    def describe(self):
        return Description("narrow", "1", tuple(self.operations), choices=self.declared)

    def call(self, vector, dtype, given):
        assert given
        for choice, value in requested(vector.stored.operation, vector.stored.settings):
            assert self.declared.get(choice, value) == value, f"{vector.id} asks for {choice} = {value}"
        return answer_of(self.backend, vector.id, dtype)


def test_the_names_are_those_of_the_page_of_choices():
    page = (Path(__file__).parents[2] / "specs" / "choices.md").read_text(encoding="utf-8")
    assert set(CHOICES) <= set(re.findall(r"^### `(\S+)`$", page, flags=re.MULTILINE))


@pytest.mark.parametrize(("name", "alternative"), ALTERNATIVES)
def test_every_clause_has_vectors_for_each_alternative_beside_the_defaults(name, alternative):
    """A backend can declare one departure from the defaults, and every clause is still judged."""
    for (id_, operation), group in GROUPS.items():
        only = clauses()[id_].only
        if only.get(name, alternative) != alternative:
            continue
        defaults = {other: choice.alternatives[0] for other, choice in OFFERED.items()} | only | {name: alternative}
        fitting = [
            vector
            for vector in group
            if all(defaults[choice] == value for choice, value in requested(operation, vector.stored.settings))
        ]
        assert fitting, f"{id_} has no vector of {operation} with {name} = {alternative} and defaults"


@pytest.mark.few(1)
@pytest.mark.parametrize(("name", "alternative"), ALTERNATIVES)
def test_who_has_one_alternative_declares_it_and_is_awarded_every_profile(name, alternative):
    report = judge(Narrow(**{name: alternative}), VECTORS)
    assert report.passed
    assert profiles(report) == dict.fromkeys(PROFILES, True)
    assert any(f"{name} = {alternative}" in line for line in headlines(report)), "the award does not say for what"
    assert f"{name} = {alternative}" in badge(report)


@pytest.mark.whole
def test_either_precision_of_the_schedule_is_awarded_everything():
    class Single(ReferenceBackend):
        choices: ClassVar = {"sampling.schedule_precision": "float32"}

    report = judge(Narrow(Single, **{"sampling.schedule_precision": "float32"}), VECTORS)
    assert report.passed, [verdict.message for verdict in report.failed]
    assert profiles(report) == dict.fromkeys(PROFILES, True)


@pytest.mark.parametrize(
    ("clause", "wrong", "name", "alternative"),
    [
        ("MASK-03", "mean_for_sum", "objective.reduction", "sum"),
        ("MASK-03", "mean_over_batch", "objective.reduction", "mean_per_sample"),
        ("DECODE-05", "temperature_rising", "sampling.sampling_temperature", "elt"),
        ("NOISE-03", "v_sign_flipped", "diffusion.prediction", "v"),
        ("DENOISE-03", "ddim_with_noise", "diffusion.sampler", "ddim"),
        ("STEP-03", "cosine_ends_early", "training.schedule", "cosine"),
    ],
)
def test_a_declared_alternative_is_held_to(clause, wrong, name, alternative):
    report = judge(Narrow(wrong_implementations()[wrong], **{name: alternative}), VECTORS, only=clause)
    assert [verdict.status for verdict in report.verdicts] == ["FAIL"], report.verdicts


def test_a_clause_about_another_alternative_is_not_run_and_counts_for_nothing():
    report = judge(Narrow(**{"diffusion.sampler": "ddim"}), VECTORS, only="DENOISE")
    found = {verdict.clause.id: verdict for verdict in report.verdicts}
    assert found["DENOISE-01"].status == "NOT RUN"
    assert "diffusion.sampler = ancestral" in found["DENOISE-01"].message
    assert found["DENOISE-03"].status == "PASS"


def test_alternatives_that_no_vector_has_together_are_not_awarded():
    odd = {"diffusion.prediction": "v", "objective.reduction": "sum", "training.schedule": "constant"}
    report = judge(Narrow(**odd), VECTORS, only="STEP")
    found = {verdict.clause.id: verdict for verdict in report.verdicts}
    assert found["STEP-06"].status == "NOT RUN"
    assert not report.awarded("trainer")


def part(*names: str) -> Report:
    return judge(Narrow(operations=names), VECTORS)


def of_one_family(family):
    """Return the operations of a family, and what all share."""
    others = {name for other, names in FAMILIES.items() if other != family for name in names}
    return [name for name in OPERATIONS if name not in others]


def test_who_has_drifting_alone_is_awarded_nothing_of_the_other_families():
    report = part(*of_one_family("drifting"))
    assert report.families == ("drifting",)
    assert {name for name, awarded in profiles(report).items() if awarded} == {"drifting", "measures"}


@pytest.mark.parametrize("family", ["masked", "diffusion"])
def test_who_has_one_family_is_awarded_the_profiles_of_that_family(family):
    report = part(*of_one_family(family))
    assert report.families == (family,)
    lacking = {"masked": {"diffusion"}, "diffusion": {"masked", "distributed", "clips"}}[family]
    assert {name for name, awarded in profiles(report).items() if not awarded} == lacking | {"drifting"}
    assert f"sampler: awarded for the {family} family" in "\n".join(headlines(report))


def test_what_both_families_share_wins_no_profile_of_networks():
    shared = [op for _, op in GROUPS if not any(op in own for own in FAMILIES.values())]
    awarded = {name for name, won in profiles(part(*shared)).items() if won}
    assert awarded == {"measures"}


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"objective.reductoin": "sum"}, "got 'objective.reductoin'; did you mean 'objective.reduction'"),
        ({"objective.reduction": "max"}, "expected choice 'objective.reduction' to be one of mean_per_sample, sum"),
    ],
)
def test_an_unknown_choice_is_one_sentence(choices, sentence):
    with pytest.raises(RequestError) as raised:
        judge(Narrow(**choices), VECTORS)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
