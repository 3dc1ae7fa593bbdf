"""``elt-ref learn start``, ``check`` and ``grade``."""

import shlex
from pathlib import Path

from elt_ref.errors import RequestError
from elt_ref.files import check_file, write_text
from elt_ref.learn import results
from elt_ref.learn.exercises import exercises
from elt_ref.learn.folder import read_submission
from elt_ref.learn.grader import Graded, grade
from elt_ref.learn.skeleton import start
from elt_ref.literal import visible
from elt_ref.terminal import Terminal, print_json


def start_exercises(folder: Path, console: Terminal) -> None:
    """Write the skeletons, and say how to go on.

    Raises:
        RequestError: the folder has files, or cannot be written to.
    """
    files = start(folder)
    first = next(iter(exercises().values()))
    names = " and ".join(file.name for file in files)
    console.say(
        f"Wrote {names} with {len(exercises())} functions to write into {folder}.",
        f"Begin with {first.function} in {folder / first.file}; then: elt-ref learn check {shlex.quote(str(folder))}",
    )


def check(folder: Path, timeout: float, *, as_json: bool) -> int:
    """Grade a folder and print what is done, wrong and to do; return 0 if all is done, else 1.

    Raises:
        RequestError: the folder is missing, or holds no page.
    """
    submission = read_submission(folder)
    with Terminal(stderr=True).working("grading …") as now:
        graded = grade(submission, timeout=timeout, progress=lambda name: now(f"grading {name} …"))
    if as_json:
        print_json(results.document(graded, str(folder)))
    else:
        console = Terminal()
        console.table(results.table(graded, str(folder)))
        console.say(*results.told(graded, shlex.quote(str(folder)), console.width))
    return int(graded.score < len(exercises()))


def grade_all(folder: Path, out: Path | None, timeout: float, *, as_json: bool) -> None:
    """Grade every folder in a folder; print a row for each, and write them as CSV.

    Raises:
        RequestError: there is no such folder, none in it, or the CSV cannot be written.
    """
    try:
        folders = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise RequestError(f"{folder}: expected a folder of submissions, got {error.strerror}") from error
    if not folders:
        raise RequestError(f"{folder}: expected a folder for each submission in it, got none")
    if out is not None:
        check_file(out)
    graded: dict[str, Graded | str] = {}
    with Terminal(stderr=True).working("grading …") as now:
        for each in folders:
            now(f"grading {visible(each.name)} …")
            try:
                graded[visible(each.name)] = grade(read_submission(each), timeout=timeout)
            except RequestError as error:
                graded[visible(each.name)] = str(error)
    if as_json:
        print_json(results.class_document(graded))
    else:
        Terminal().table(results.class_table(graded))
    if out is not None:
        write_text(out, results.class_csv(graded))
        Terminal(stderr=True).say(f"Wrote {out}.")
