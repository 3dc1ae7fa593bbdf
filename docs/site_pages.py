"""What makes the same Markdown work on a code host and on the site.

* Markdown outside docs/ (`OUTSIDE`) becomes a page of the site under its own path, without a copy.
* Any other text file that a page links to, such as ``../elt_ref/paper/masked.py``, has a page of its own, ``files/…``.
* A chapter of the course shows its committed picture on a code host; on the site the picture that was just computed
  stands there instead, and takes over the description.
* Pages that may not exist yet (studies, the explorer) are left out of the first page's list until they do.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = [
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "specs").glob("*.md")),
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tiny_datasets").glob("*/SOURCE.md")),
]
EXPLORER = "<!-- the explorer, if there is one -->"
"""A line of the first page, and what stands there when there is an explorer."""
EXPLORER_LINK = (
    "Turn the loops of trained models in the browser: [digits](explore.html), [emoji](explore-emoji.html). "
    "[The explorer](explorer.md) says what there is to try."
)
PATTERN = re.compile(r"[\w/-]*\*[\w/*-]*")
"""A line of the list with a star."""
PICTURES = {".png", ".svg", ".gif", ".webp"}


def add_outside(app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set) -> list[str]:  # noqa: ARG001
    """Let Sphinx find the pages outside docs/: it asks its project where a page is, and which page a file is."""
    found = []
    for name in OUTSIDE:
        document = name.removesuffix(".md")
        env.project.docnames.add(document)
        env.project._docname_to_path[document] = Path("..") / name  # noqa: SLF001
        env.project._path_to_docname[ROOT / name] = document  # noqa: SLF001
        found.append(document)
    return found


class ShowLinkedFiles(SphinxTransform):
    """Make a link to a file or a folder lead to its page under ``files/``, before Sphinx makes it a download."""

    default_priority = 10

    def apply(self) -> None:
        """Change the links of one page."""
        for node in list(self.document.findall(nodes.Element)):
            if not isinstance(node, addnodes.download_reference | addnodes.pending_xref):
                continue
            target = str(node.get("reftarget", "")).partition("#")[0]
            if node.get("refdomain") or not target or target.startswith("#"):
                continue
            path = Path(self.env.relfn2path(target, self.env.docname)[1])
            if not path.is_relative_to(ROOT) or path.suffix == ".md" or not path.exists():
                continue
            if path.suffix in PICTURES or path in {ROOT / "docs", ROOT}:
                continue
            name = path.relative_to(ROOT).as_posix()
            extra = [Path(each).name for each in self.config.html_extra_path]
            if path.parent == ROOT / "docs" and path.name in extra:
                where = path.name.removesuffix(".html")
            else:
                where = f"files/{name}"
                shown_files(self.env).add(name)
            uri = self.app.builder.get_relative_uri(self.env.docname, where)
            link = nodes.reference("", "", *node.children, refuri=uri, internal=True)
            node.replace_self(link)


class ShowComputedFigures(SphinxTransform):
    """Take a chapter's committed picture out; the figure that the cell before it drew has its description."""

    default_priority = 11

    def apply(self) -> None:
        """Change the pictures of one page."""
        drawn = None
        for image in list(self.document.findall(nodes.image)):
            if "pictures/course-" not in image["uri"]:
                drawn = image
            elif drawn is not None and self.env.docname.startswith("course/"):
                drawn["alt"] = image["alt"]
                holder = image.parent if isinstance(image.parent, nodes.paragraph) else image
                holder.parent.remove(holder)


def list_what_exists(app: Sphinx, docname: str, source: list[str]) -> None:
    """Complete the first page's list: a line ``*`` becomes the pages that no other line names.

    A pattern without a page, which Sphinx would warn of, is left out; so is the explorer until there is one.
    """
    if docname != "index":
        return
    lines = source[0].splitlines()
    named = [line for line in lines if re.fullmatch(r"[\w/*-]+", line) and line != "*"] + ["index", "course/*", "api/*"]
    others = [page for page in sorted(app.env.found_docs) if not any(fnmatch(page, name) for name in named)]
    others = [page for page in others if f"{page}.md" not in OUTSIDE]
    lines = [each for line in lines for each in (others if line == "*" else [line])]
    lines = [line for line in lines if not PATTERN.fullmatch(line) or matches(line)]
    explorer = EXPLORER_LINK if list((ROOT / "docs").glob("explore*.html")) else ""
    source[0] = "\n".join(lines).replace(EXPLORER, explorer)


def matches(pattern: str) -> bool:
    """Whether a line of the list names a page, in docs/ or outside."""
    return any(any(base.glob(f"{pattern}.md")) for base in (ROOT / "docs", ROOT))


def shown_files(env: BuildEnvironment) -> set[str]:
    """Return the files that pages link to."""
    if not hasattr(env, "shown_files"):
        env.shown_files = set()
    return env.shown_files


def merge_shown(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:  # noqa: ARG001
    """Take over what another process has read."""
    shown_files(env).update(shown_files(other))


def file_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the page of every file, and of every folder with all its files."""
    for name in sorted(shown_files(app.env)):
        path = ROOT / name
        files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
        body = [f"<h1>{escape(name)}</h1>"]
        for file in files:
            if path.is_dir():
                body.append(f"<details><summary>{escape(file.name)}</summary>")
            body.append(highlighted(app, file))
            if path.is_dir():
                body.append("</details>")
        yield f"files/{name}", {"title": escape(name), "body": "\n".join(body)}, "page.html"


def highlighted(app: Sphinx, file: Path) -> str:
    """Return a file's text as HTML with numbered lines, in colour if its language is known."""
    text = file.read_text(encoding="utf-8")
    try:
        language = get_lexer_for_filename(file.name).aliases[0]
    except ClassNotFound:
        language = "text"
    return app.builder.highlighter.highlight_block(text, language, linenos=len(text) < 200_000)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("env-get-outdated", add_outside)
    app.connect("source-read", list_what_exists)
    app.connect("env-merge-info", merge_shown)
    app.connect("html-collect-pages", file_pages)
    app.add_transform(ShowLinkedFiles)
    app.add_transform(ShowComputedFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}
