"""Run the chapters without Jupyter: ``python docs/course/run.py [CHAPTER …]``.

With ``--pictures`` the figures of the chapters are written to docs/pictures.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy loads: the sizes are too small for threads
COURSE = Path(__file__).resolve().parent
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)^```", re.MULTILINE | re.DOTALL)
CHAPTERS = sorted(COURSE.glob("[0-9]*.md"))


def cells(chapter: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every cell of a chapter."""
    text = chapter.read_text(encoding="utf-8")
    for cell in CELL.finditer(text):
        yield text.count("\n", 0, cell.start(1)), cell[1]


def run(chapter: Path) -> dict[str, object]:
    """Run the cells of a chapter in order, and return the names that they define."""
    names: dict[str, object] = {"__name__": chapter.stem}
    for line, cell in cells(chapter):
        exec(compile("\n" * line + cell, str(chapter), "exec"), names)  # noqa: S102  our own pages
    return names


def main() -> None:
    """Run the chapters that the command line names, or all."""
    parser = argparse.ArgumentParser(description="Run the chapters of the course without Jupyter.")
    names = [each.stem for each in CHAPTERS]
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--pictures", action="store_true", help="draw docs/pictures/course-*.png anew")
    options = parser.parse_args()
    if unknown := sorted(set(options.chapters) - set(names)):
        parser.error(f"CHAPTER: expected one of {', '.join(names)}, got {', '.join(unknown)}")
    if options.pictures:
        os.environ["ELT_COURSE_PICTURES"] = str(COURSE.parent / "pictures")
    sys.path.insert(0, str(COURSE))
    for chapter in CHAPTERS:
        if not options.chapters or chapter.stem in options.chapters:
            start, used = time.perf_counter(), time.process_time()
            run(chapter)
            took = time.perf_counter() - start, time.process_time() - used
            print(f"{chapter.stem}: {took[0]:.0f} s, {took[1]:.0f} s of processor time", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
