"""The page of configuration sections agrees with the code and with the sections of every question."""

import re

import pytest

from elt_ref.config import Config, DiffusionConfig, MaskedModelConfig, parse_section
from elt_ref.conformance.case import read_vectors
from elt_ref.errors import RequestError
from elt_ref.run.specs import specs_folder
from specs.making import configuration_page

PAGE = (specs_folder() / "configuration.md").read_text(encoding="utf-8")


def keys(heading):
    """Return the rows of a section by their key."""
    (section,) = (text for text in PAGE.split("\n## ")[1:] if text.startswith(f"{heading}\n"))
    return {
        row[0]: row[1:]
        for row in re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) ?\|$", section, re.MULTILINE)
    }


def test_the_page_is_that_of_the_code():
    assert configuration_page.page() == PAGE, "run python -m specs.making.configuration_page"


def test_the_sections_of_every_question_have_the_keys_of_the_page_and_no_other():
    asked = 0
    for vector in read_vectors(answers=False):
        for name in ("model", "diffusion", "objective", "sampling", "training"):
            if (section := vector.stored.settings.get(name)) is None:
                continue
            heading = f"`model`, {section['family']} family" if name == "model" else f"`{name}`"
            heading += ", diffusion family" if name == "diffusion" else ""
            without = {"loops"} if name == "sampling" else set()
            assert set(section) == set(keys(heading)) - without, f"{vector.id}: {name}"
            asked += 1
    assert asked > 100


def test_who_receives_a_section_is_what_the_questions_ask():
    received = {}
    for heading, names in re.findall(r"^## (`.*)\n\n.*Received by (.*)\.$", PAGE, re.MULTILINE):
        received[heading] = set(re.findall(r"`(\w+)`", names))
    for vector in read_vectors(answers=False):
        stored = vector.stored
        if "training" in stored.settings:
            assert stored.operation in received["`training`"], vector.id
        if "model" in stored.settings:
            family = stored.settings["model"]["family"]
            assert stored.operation in received[f"`model`, {family} family"], vector.id
    assert not [name for name in received["`model`, masked family"] if name.startswith("diffusion_")]


def test_values_defaults_and_families_are_told():
    masked, sampling = keys("`model`, masked family"), keys("`sampling`")
    assert masked["width"] == ("integer > 0", "required", "masked", "d, the width of the residual stream.")
    assert masked["grid"][0] == "[integer > 0, …]"
    assert keys("`model`, diffusion family")["shape"][0] == "[integer > 0, integer > 0, integer > 0]"
    assert keys("`diffusion`, diffusion family")["clip"][:2] == ("number > 0 or null", "`null`")
    assert sampling["sampling_temperature"][:3] == ('`"plain"`, `"elt"`', '`"plain"`', "masked")
    assert sampling["guidance_scale"][:3] == ("number ≥ 0", "`1.0`", "all")
    assert keys("`training`")["beta1"][0] == "number ≥ 0, < 1"
    assert keys("`drifting`, drifting family")["positives"][:2] == ("integer > 0", "required")


def test_every_section_is_on_the_page():
    sections = {name for name, field in Config.model_fields.items() if name not in ("name", "seed")}
    assert set(re.findall(r"^## `(\w+)`", PAGE, re.MULTILINE)) == sections


@pytest.mark.parametrize(
    ("kind", "heading"),
    [(DiffusionConfig, "`diffusion`, diffusion family"), (MaskedModelConfig, "`model`, masked family")],
)
def test_what_must_be_given_is_refused_when_it_is_not(kind, heading):
    needed = [key for key, row in keys(heading).items() if row[1] == "required"]
    assert needed
    with pytest.raises(RequestError, match=f"{needed[0]}: expected a value, got none"):
        parse_section(kind, {})
