"""Choices that the paper leaves open: their names, their alternatives, and the vectors that depend on one.

The names are as in ``specs/choices.md``. A backend that declares nothing supports every alternative, passed as a
setting. An implementation with only one alternative declares it; it gets no question about another, and must follow it
in every clause.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OBJECTIVES = ("masked_objective", "masked_gradient", "diffusion_objective", "diffusion_gradient")
TRAININGS = ("masked_training", "masked_training_across", "diffusion_training")
SAMPLINGS = ("masked_sample", "diffusion_sample")


@dataclass(frozen=True)
class Choice:
    """One open choice."""

    alternatives: tuple[str, ...]
    """Alternatives to declare; the first is the reference's default."""
    operations: tuple[str, ...]
    """Operations whose answers depend on it."""
    argument: str | None = None
    """Name of the operation's argument for it, if it is not a key of a section."""
    needed: bool = False
    """Whether it must be declared, because no operation has it as a setting."""


CHOICES: Mapping[str, Choice] = {
    "objective.reduction": Choice(("mean_per_sample", "sum"), OBJECTIVES + TRAININGS),
    # A smoothing other than none is a number, not a name.
    "objective.label_smoothing": Choice(("0.0",), ("masked_objective", "masked_gradient", *TRAININGS)),
    "model.unconditional_row": Choice(("true",), ("masked_states", "masked_forward", "count")),
    "sampling.schedule_precision": Choice(
        ("float64", "float32"), ("mask_lengths", "decode_step", "masked_sample"), needed=True
    ),
    "sampling.sampling_temperature": Choice(("plain", "elt"), ("decode_step", "masked_sample")),
    "sampling.guidance_schedule": Choice(("constant", "ramp"), ("guidance_scales", *SAMPLINGS), argument="schedule"),
    "diffusion.prediction": Choice(
        ("x0", "epsilon", "v"),
        (
            "prediction_target",
            "to_clean",
            "loss_weight",
            "diffusion_objective",
            "diffusion_gradient",
            "diffusion_sample",
            "diffusion_training",
        ),
        argument="kind",
    ),
    "diffusion.weight_derivative": Choice(
        ("true",), ("loss_weight", "diffusion_objective", "diffusion_gradient", "diffusion_training")
    ),
    "diffusion.sampler": Choice(("ancestral", "ddim"), ("denoise_step", "diffusion_sample")),
    "diffusion.variance": Choice(("small", "large", "interpolated"), ("denoise_step", "diffusion_sample")),
    "training.schedule": Choice(("cosine", "constant"), ("learning_rates", "optimizer_step", *TRAININGS)),
}


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
