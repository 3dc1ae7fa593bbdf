"""The code in the documentation runs, and its configurations are valid."""

import re
from pathlib import Path

import numpy as np
import pytest

import tiny_datasets
from elt_ref.config import parse_config

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "course").glob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ],
    key=lambda page: page.name,
)


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page):
    namespace = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)  # noqa: S102  our own pages


EXCERPTS = [
    pytest.param(name, block, id=f"{page.name}, {block.split(chr(10))[0].strip()}")
    for page in PAGES
    for name, block in re.findall(
        r"^```python (\S+)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
]


def test_learning_shows_the_lines_of_all_pages():
    assert {param.values[0] for param in EXCERPTS} == {
        f"elt_ref/paper/{page}.py" for page in ("masked", "diffusion", "drifting")
    }


@pytest.mark.parametrize(("name", "block"), EXCERPTS)
def test_an_excerpt_stands_in_its_file_word_for_word(name, block):
    assert f"\n{block}" in (ROOT / name).read_text(encoding="utf-8"), f"{name} has other lines now"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.name)
def test_the_configurations_of_a_page_are_valid(page):
    for block in blocks(page, "toml"):
        parse_config(block, where=page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def snippets(page):
    """The blocks of Python of a page that need what they do not define."""
    return re.findall(r"^```py\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_latents_written_as_the_page_says_come_back(tmp_path, monkeypatch):
    """Safetensors writes memory as it lies: a column of a table, or every other row, would come back wrong."""
    monkeypatch.chdir(tmp_path)
    latents = np.arange(10 * 4 * 2 * 3, dtype=np.float32).reshape(10, 4, 2, 3)[::2]
    labels = np.array([[0, 7], [0, 7], [1, 7], [1, 7], [2, 7]])[:, 0]
    (snippet,) = (each for each in snippets("docs/data.md") if "save_file" in each)
    exec(snippet, {"latents": latents, "labels": labels})  # noqa: S102  the page's own lines
    dataset = tiny_datasets.import_latents("imagenet-latents.safetensors", "mine", home=tmp_path / "home")
    found = np.concatenate([dataset.train.examples, dataset.test.examples])
    order = np.argsort(found[:, 0, 0, 0])
    assert np.array_equal(found[order], latents.transpose(0, 2, 3, 1))
    assert np.array_equal(np.concatenate([dataset.train.labels, dataset.test.labels])[order], labels)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_save_every_array_in_order(page):
    for saved in re.findall(r"save(?:_file)?\(\{(.*?)\}", page.read_text(encoding="utf-8")):
        assert saved.count(": ") == saved.count(": np.ascontiguousarray("), saved
