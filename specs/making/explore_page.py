"""The ready explorers, ``docs/explore*.html``: ``python -m specs.making.explore_page`` gives them the present code.

The runs inside stay. ``python -m specs.making.explore_page --runs FOLDER`` puts others in: runs of ``elt-ref demo`` in
FOLDER/digits, and of ``elt-ref train emoji-diffusion`` in FOLDER/emoji/ilsd and, with objective.kind=vanilla, in
FOLDER/emoji/vanilla. It trains what the folder lacks, which takes about half an hour.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from elt_ref.explore.page import explore, page_text
from elt_ref.files import write_text

DOCS = Path("docs")
PAGES = {"digits": "explore.html", "emoji": "explore-emoji.html"}
"""Page of the runs in each part of the folder."""
KINDS = ("ilsd", "vanilla")


def rewritten(page: str) -> str:
    """Return a page with the runs that it has, and the styles, texts and modules of this checkout."""
    found = re.search(r'<script type="application/json" id="runs">(.*?)</script>', page)
    if found is None:
        raise ValueError("expected a page of elt-ref explore, got another")
    return page_text(json.loads(found[1]))


def missing(folder: Path) -> list[list[str]]:
    """Return the commands, without ``elt-ref``, that train the runs which a folder lacks."""

    def lacks(run: str) -> bool:
        return not (folder / run / "checkpoint.safetensors").is_file()

    commands = [["demo", "--out", str(folder / "digits")]] if any(lacks(f"digits/{kind}") for kind in KINDS) else []
    for kind in KINDS:
        if lacks(f"emoji/{kind}"):
            out = str(folder / "emoji" / kind)
            commands.append(["train", "emoji-diffusion", "--set", f"objective.kind={kind}", "--out", out])
    return commands


def write_pages(folder: Path, docs: Path) -> None:
    """Write the pages of the runs in a folder, and train those that it lacks."""
    for command in missing(folder):
        subprocess.run([sys.executable, "-m", "elt_ref", *command], check=True)  # noqa: S603
    for part, name in PAGES.items():
        explore([folder / part / kind for kind in KINDS], docs / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, help="folder of runs to put into the pages")
    asked = parser.parse_args()
    if asked.runs is not None:
        write_pages(asked.runs, DOCS)
    else:
        for name in PAGES.values():
            write_text(DOCS / name, rewritten((DOCS / name).read_text(encoding="utf-8")))
