"""Choices that the paper leaves open: their names, their alternatives, and the vectors that depend on one.

``specs/choices.toml`` lists them; the names are as in ``specs/choices.md``. A backend that declares nothing supports
every alternative, passed as a setting. An implementation with only one alternative declares it; it gets no question
about another, and must follow it in every clause.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from elt_ref.conformance.strict import Strict
from elt_ref.run.specs import read_toml


class Choice(Strict):
    """One open choice."""

    alternatives: list[str]
    """Alternatives to declare; the first is the reference's default."""
    operations: list[str]
    """Operations whose answers depend on it."""
    argument: str | None = None
    """Name of the operation's argument for it, if it is not a key of a section."""
    needed: bool = False
    """Whether it must be declared, because no operation has it as a setting."""


CHOICES: Mapping[str, Choice] = {
    name: Choice.model_validate(entry) for name, entry in read_toml("choices.toml").items()
}
"""Every choice that can be declared, by its name in ``specs/choices.md``."""


def requested(operation: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each choice that a question depends on, and the alternative that it requests.

    Args:
        operation: operation of the question.
        settings: arguments of the question other than arrays.
    """
    diffusion, sampling = settings.get("diffusion", {}), settings.get("sampling", {})
    for name, choice in CHOICES.items():
        section, _, field = name.partition(".")
        if operation not in choice.operations or choice.needed:
            continue
        if name == "diffusion.variance" and diffusion["sampler"] == "ddim":
            continue  # its steps have no masks
        if name == "sampling.guidance_schedule" and sampling.get("guidance_scale") == 1:
            continue
        value = settings.get(section, {}).get(field, settings.get(field, settings.get(choice.argument or field)))
        if value is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def declared_otherwise(declared: Mapping[str, str], operation: str, settings: Mapping[str, Any]) -> str | None:
    """Return the first choice for which a question requests another alternative than the declared one, or None."""
    return next((name for name, value in requested(operation, settings) if declared.get(name, value) != value), None)
