"""``elt-ref learn start``, ``check`` and ``grade``."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from elt_ref.errors import RequestError, nearest
from elt_ref.files import check_apart, check_file, write_text
from elt_ref.learn import results
from elt_ref.learn.exercises import exercises
from elt_ref.learn.folder import read_submission
from elt_ref.learn.grader import Graded, grade
from elt_ref.learn.skeleton import start
from elt_ref.literal import visible
from elt_ref.terminal import Terminal, print_json


def start_exercises(folder: Path, console: Terminal, *, every: bool) -> None:
    """Write the skeleton of the next page, or of all, and say how to go on.

    Raises:
        RequestError: the folder has other files, the page before is not written, or it cannot be written to.
    """
    files = start(folder, every=every)
    names = {file.name for file in files}
    new = [each for each in exercises().values() if each.file in names]
    console.say(
        f"Wrote {' and '.join(file.name for file in files)} with {len(new)} functions to write into {folder}.",
        f"Begin with {new[0].function} in {folder / new[0].file}; then: elt-ref learn check {shlex.quote(str(folder))}",
    )


def check(folder: Path, wanted: Sequence[str], timeout: float, *, as_json: bool) -> int:
    """Grade a folder, or some exercises of it, and print what is known; return 0 if all is done, else 1.

    Raises:
        RequestError: the folder is missing, or holds no page; there is no such exercise.
    """
    only = [_exercise(word) for word in wanted]
    submission = read_submission(folder)
    with Terminal(stderr=True).working("grading …") as now:
        graded = grade(submission, only=only, timeout=timeout, progress=lambda name: now(f"grading {name} …"))
    if as_json:
        print_json(results.document(graded, str(folder)))
    else:
        console = Terminal()
        console.table(results.table(graded, str(folder)))
        console.say(*results.told(graded, shlex.quote(str(folder)), console.width))
    return int(graded.score < len(graded.grades))


def exercise_words() -> list[str]:
    """Return the words that name an exercise on the command line."""
    return [each.function for each in exercises().values()]


def _exercise(word: str) -> str:
    """Return the name of an exercise that is given by its number or its function.

    Raises:
        RequestError: there is none.
    """
    for number, (name, exercise) in enumerate(exercises().items(), 1):
        if word in {str(number), exercise.function, name}:
            return name
    count, near = len(exercises()), nearest(word, exercise_words())
    raise RequestError(f"exercise: expected a number from 1 to {count} or a function, got '{word}'{near}")


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
        check_apart(out, (file for each in folders for file in each.iterdir()))
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
