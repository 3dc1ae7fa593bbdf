"""The site: the documented command builds it without a warning, and every page is two clicks from the first."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "_build" / "html"
pytestmark = [pytest.mark.docs, pytest.mark.timeout(1800)]


class Page(HTMLParser):
    """Links, anchors and foreign scripts of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.foreign = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        for key in ("href", "src", "action"):
            target = found.get(key) or ""
            if re.match(r"(https?:)?//", target):
                self.foreign |= (
                    {target} if tag in {"script", "link", "img"} and found.get("rel") != "canonical" else set()
                )
            elif target and not re.match(r"[a-z]+:", target):
                self.links.add(unquote(target))


@pytest.fixture(scope="module")
def site():
    """The pages by their place, after the command of CONTRIBUTING.md."""
    commands = re.findall(r"sphinx-build (-W .*?)(?:  |\n)", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert commands == ["-W --keep-going docs docs/_build/html"]
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", *commands[0].split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return {path.relative_to(SITE).as_posix(): Page(path.read_text("utf-8")) for path in SITE.rglob("*.html")}


def targets(place, page):
    """Yield where the links of a page lead inside the site, and to which anchor."""
    for link in page.links:
        target, anchor = urldefrag(link)
        target = target.partition("?")[0]
        yield urljoin(place, target) if target else place, anchor


def test_every_page_is_two_clicks_from_the_first(site):
    near = {"index.html"}
    for _ in range(2):
        near |= {target for place in near if place in site for target, _ in targets(place, site[place])}
    assert not sorted(set(site) - near)


def test_internal_links_lead_somewhere(site):
    broken = [
        f"{place}: {target}#{anchor}"
        for place, page in site.items()
        for target, anchor in targets(place, page)
        if not (SITE / target).exists() or (anchor and target in site and anchor not in site[target].anchors)
    ]
    assert not broken


@pytest.mark.parametrize(
    "place",
    [
        "course/index.html", "course/01-tokens.html", "learn.html", "mistakes.html", "port.html", "clauses.html",
        "benchmarks.html", "results.html", "specs/choices.html", "api/index.html", "search.html", "searchindex.js",
        "files/elt_ref/paper/masked.py.html",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("site")
def test_the_site_has_its_parts(place):
    assert (SITE / place).is_file()


def test_pages_that_other_rooms_write_join_by_themselves(site):
    studies = {f"study/{path.stem}.html" for path in (ROOT / "docs" / "study").glob("*.md")}
    explorers = {path.name for path in (ROOT / "docs").glob("explore*.html")}
    assert studies | explorers <= set(site)


def test_pages_need_nothing_from_elsewhere(site):
    assert not {place: page.foreign for place, page in site.items() if page.foreign}


@pytest.mark.usefixtures("site")
def test_public_names_have_their_docstrings():
    import elt_ref

    text = (SITE / "api" / "elt_ref.html").read_text("utf-8")
    for name in set(elt_ref.__all__) - {"__version__"}:
        assert f'<span class="pre">{name}</span>' in text, name


@pytest.mark.usefixtures("site")
def test_chapters_were_executed_and_show_each_figure_once():
    for chapter in sorted((ROOT / "docs" / "course").glob("[0-9]*.md")):
        html = (SITE / "course" / f"{chapter.stem}.html").read_text("utf-8")
        figures = re.findall(r"<img[^>]*>", html.partition("<article")[2].partition("</article>")[0])
        assert len(figures) == chapter.read_text("utf-8").count("\nshow(figure, "), chapter.stem
        assert all(len(re.search(r'alt="([^"]*)"', figure)[1]) > 40 for figure in figures), chapter.stem
