"""The check of a backend's description of itself, before anything is asked."""

from typing import Any

from elt_ref.conformance.backend import JUDGED_DTYPES, Description
from elt_ref.conformance.choices import CHOICES
from elt_ref.conformance.operations import OPERATIONS, TAPS
from elt_ref.errors import RequestError, nearest
from elt_ref.literal import visible


def checked(description: Any) -> Description:
    """Return a description with fields of the right types, from any object that has them.

    Raises:
        RequestError: a field is missing or wrong.
    """
    for names in ("operations", "dtypes"):
        if isinstance(getattr(description, names, None), str):
            raise RequestError(f"describe: expected {names} to be a tuple of names, got one text (is a comma missing?)")
    try:
        checked_description = Description(
            visible(str(description.name)),
            visible(str(description.version)),
            tuple(description.operations),
            tuple(description.dtypes),
            dict(description.choices),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise RequestError(
            f"describe: expected name, version, operations, dtypes and choices, got {type(description).__name__} "
            f"({error})"
        ) from error
    for what, declared, known in (
        ("operation", checked_description.operations, (*OPERATIONS, *TAPS)),
        ("dtype", checked_description.dtypes, JUDGED_DTYPES),
    ):
        for name in declared:
            if name not in known:
                several = ", ".join(known) if len(known) <= 2 else f"{len(known)} known ones"
                raise RequestError(
                    f"describe: expected each {what} to be one of {several}, got '{name}'{nearest(str(name), known)}"
                )
    for choice, value in checked_description.choices.items():
        if choice not in CHOICES:
            got = f"'{choice}'{nearest(str(choice), CHOICES)}"
            raise RequestError(f"describe: expected each choice to be one of {', '.join(CHOICES)}, got {got}")
        if value not in (known := CHOICES[choice].alternatives):
            raise RequestError(f"describe: expected choice '{choice}' to be one of {', '.join(known)}, got '{value}'")
    return checked_description
