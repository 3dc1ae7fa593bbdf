"""The published pages say what their JSON holds, judged by today's criteria."""

import json
from pathlib import Path

import pytest

from elt_ref.study.claims import STUDIES
from elt_ref.study.page import index_lines, page_lines, read_document
from elt_ref.study.rows import OF_VALUES, Rows
from elt_ref.study.verdict import Verdict, all_of

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "study"
PUBLISHED = [name for name in STUDIES if (FOLDER / f"{name}.json").exists()]


def test_the_index_is_made_from_the_pages():
    documents = [read_document(FOLDER / f"{name}.json") for name in PUBLISHED]
    assert (FOLDER / "README.md").read_text("utf-8") == "\n".join(index_lines(documents)) + "\n"


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_page_is_made_from_its_json_and_judged_by_todays_criterion(name):
    document, study = read_document(FOLDER / f"{name}.json"), STUDIES[name]
    assert (FOLDER / f"{name}.md").read_text("utf-8") == "\n".join(page_lines(study, document)) + "\n"
    assert (FOLDER / f"{name}.png").exists()
    for key in ("claim", "criterion", "place", "data", "limits", "title"):
        assert document[key] == getattr(study, key), f"{key} has changed since the run"
    findings = [*study.judge(Rows(document["rows"]))]
    assert len(findings) == len(document["findings"])
    for finding, published in zip(findings, document["findings"], strict=True):
        for key, value in json.loads(json.dumps(finding.document())).items():
            number = isinstance(value, float)  # another processor rounds the last digits otherwise
            assert published[key] == (pytest.approx(value, rel=1e-9) if number else value), key
    may_fail = {arm.name for arm in study.arms(document["quick"]) if arm.may_fail}
    blocked = bool(document["unlearned"].keys() - may_fail)
    assert document["verdict"] == (Verdict.UNDECIDED if blocked else all_of(finding.verdict for finding in findings))


@pytest.mark.parametrize("name", [name for name in PUBLISHED if STUDIES[name].derive])
def test_derived_rows_are_made_of_the_measured_ones(name):
    rows, derive = read_document(FOLDER / f"{name}.json")["rows"], STUDIES[name].derive
    made = {row["measure"] for row in derive(Rows(rows))}
    measured = [row for row in rows if row["measure"] not in made]
    again = json.loads(json.dumps([*derive(Rows(measured))]))
    assert len(again) == len(rows) - len(measured)
    for found, published in zip(again, rows[len(measured) :], strict=True):
        assert found.keys() == published.keys()
        for key, value in found.items():
            assert published[key] == (pytest.approx(value, rel=1e-6) if key in OF_VALUES else value), key
