"""Mistakes as data: ``specs/mistakes/*.toml`` names each with what is wrong, and the page's lines before and after.

A mistake whose subject stands on a page changes lines of its text; the changed page runs like the right one. What no
page holds, such as clips, counts and measures, is a class that only the making of the suite needs: `Mistake.made` says
which.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

PAGES = ("masked", "diffusion", "drifting")
PARTS = {"drifting": ("network", "diffusion")}
"""Page whose functions another uses, and the name that it has there."""


class Change(NamedTuple):
    """Some lines of a page and what stands there instead."""

    page: str
    """``masked``, ``diffusion`` or ``drifting``."""
    old: str
    """Whole lines, as they stand once on the page."""
    new: str


class Mistake(NamedTuple):
    """One mistake that the judge knows."""

    name: str
    what: str
    """The mistake in one sentence."""
    seen: str
    """Where it was seen; empty if nowhere in public."""
    changes: tuple[Change, ...]
    """The changes of the pages; none if no page holds its subject."""
    made: str
    """Why it is a class of ``specs/making`` and no change of a page; empty if it is one."""

    @property
    def text(self) -> str:
        """The sentence, with where the mistake was seen."""
        return f"{self.what.rstrip('.')} ({self.seen})." if self.seen else self.what


def mistakes_folder() -> Path:
    """Return the folder of the mistakes, in the installed package or in the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "specs" / "mistakes"
    return installed if installed.is_dir() else package.parent / "specs" / "mistakes"


@cache
def mistakes() -> Mapping[str, Mistake]:
    """Return every mistake by name, in alphabetical order.

    Raises:
        ValueError: an entry is not as `read` expects it, or two have one name.
    """
    found: dict[str, Mistake] = {}
    for file in sorted(mistakes_folder().glob("*.toml")):
        for mistake in read(file):
            if mistake.name in found:
                raise ValueError(f"mistake {mistake.name} in {file.name}: expected a name of its own, got one twice")
            found[mistake.name] = mistake
    return dict(sorted(found.items()))


def read(file: Path) -> list[Mistake]:
    """Return the mistakes of a file.

    Raises:
        ValueError: an entry has an unknown key, lacks one, or has both changes and a reason for a class, or neither.
    """
    found = []
    for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
        where = f"mistake {name} in {file.name}"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"{where}: expected a name of small letters and underscores")
        if strange := sorted(set(entry) - {"what", "seen", "made", "change"}):
            raise ValueError(f"{where}: expected the keys what, seen, made and change, got {', '.join(strange)}")
        changes = tuple(_change(where, change) for change in entry.get("change", []))
        if not entry.get("what") or bool(changes) == bool(entry.get("made")):
            raise ValueError(f"{where}: expected 'what', and either changes or 'made', got {', '.join(entry)}")
        found.append(Mistake(name, entry["what"], entry.get("seen", ""), changes, entry.get("made", "")))
    return found


def _change(where: str, change: Mapping[str, str]) -> Change:
    if set(change) != {"page", "old", "new"}:
        raise ValueError(f"{where}: expected page, old and new, got {', '.join(change)}")
    if change["page"] not in PAGES:
        raise ValueError(f"{where}: expected a page of {', '.join(PAGES)}, got '{change['page']}'")
    return Change(change["page"], change["old"].strip("\n"), change["new"].strip("\n"))


def page_file(page: str) -> Path:
    """Return the file of a page."""
    return Path(__file__).resolve().parent / f"{page}.py"


def page_text(page: str, changes: Iterable[Change] = (), name: str = "") -> str:
    """Return the text of a page with some changes made.

    Args:
        page: its name.
        changes: changes of this page and of others, which are left out.
        name: the mistake's, for the message.

    Raises:
        ValueError: the old lines of a change do not stand on the page, or more than once.
    """
    text = page_file(page).read_text(encoding="utf-8")
    for change in changes:
        if change.page != page:
            continue
        number = f"\n{text}".count(f"\n{change.old}\n")
        if number != 1:
            line = change.old.strip()
            raise ValueError(f"mistake {name}, page {page}: expected the line '{line}' once, got it {number} times")
        text = f"\n{text}".replace(f"\n{change.old}\n", f"\n{change.new}\n" if change.new else "\n")[1:]
    return text


def page_with(page: str, mistake: Mistake | None = None) -> Any:
    """Return a page as a module of its own, with a mistake in it on request.

    Its constants, and the constants of a page it uses, may be set without touching the imported page.
    """
    text = page_text(page, mistake.changes, mistake.name) if mistake else page_text(page)
    module = ModuleType(f"elt_ref.paper.{page}")
    vars(module)["__file__"] = str(page_file(page))
    exec(compile(text, str(page_file(page)), "exec"), vars(module))  # noqa: S102  our own page
    if page in PARTS:
        name, part = PARTS[page]
        vars(module)[name] = page_with(part, mistake)
    return module


def diff(mistake: Mistake, only: str | None = None) -> str:
    """Return the changes of a mistake, of all pages or of one, as a unified diff with three lines around each."""
    parts = []
    for page in dict.fromkeys(change.page for change in mistake.changes if only in {None, change.page}):
        right, wrong = page_text(page), page_text(page, mistake.changes, mistake.name)
        path = f"elt_ref/paper/{page}.py"
        lines = difflib.unified_diff(right.splitlines(), wrong.splitlines(), path, path, lineterm="")
        parts += lines
    return "\n".join(parts)
