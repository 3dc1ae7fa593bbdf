"""Errors that a person can act on: one sentence with what, where, expected and got."""

import difflib
from collections.abc import Iterable

from elt_ref.literal import sentence


class RequestError(ValueError):
    """The request was wrong: bad configuration, input, file or folder. The command line answers with exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))


class TrainingError(RuntimeError):
    """Training could not go on, for example because the loss became NaN. The command line answers with exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice closest to `word`, or an empty string."""
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def first_words(text: object, most: int = 120) -> str:
    """Return the beginning of a text of someone else, such as a library's error."""
    words = " ".join(str(text).split())
    return words if len(words) <= most else words[: most - 1] + "…"
