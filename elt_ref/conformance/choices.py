"""What the paper leaves open and an implementation may declare: its names, its alternatives, which vectors ask for one.

The names are those of ``specs/choices.md``. Nothing declared means every alternative: they come as settings. An
implementation that has one alternative alone declares it, is asked for no other, and is held to it in every clause.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OBJECTIVES = ("masked_objective", "masked_gradient", "diffusion_objective", "diffusion_gradient")
TRAININGS = ("masked_training", "masked_training_across", "diffusion_training")
SAMPLINGS = ("masked_sample", "diffusion_sample")


@dataclass(frozen=True)
class Choice:
    """One thing that is open."""

    alternatives: tuple[str, ...]
    """That can be declared; the first is the reference's default."""
    operations: tuple[str, ...]
    """For whose answers it matters."""
    argument: str | None = None
    """What such an operation calls it where it comes as an argument of its own and not in its section."""
    needed: bool = False
    """Whether it must be declared, because it is no setting of any operation."""


CHOICES: Mapping[str, Choice] = {
    "objective.reduction": Choice(("mean_per_sample", "sum"), OBJECTIVES + TRAININGS),
    # A smoothing other than none is a number, and no name.
    "objective.label_smoothing": Choice(("0.0",), ("masked_objective", "masked_gradient", *TRAININGS)),
    "model.unconditional_row": Choice(("true",), ("masked_states", "masked_forward", "count")),
    "sampling.schedule_precision": Choice(("float64", "float32"), ("mask_lengths",), needed=True),
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


def asked(operation: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each choice that matters to a question, and the alternative that the question asks for.

    Args:
        operation: of the question.
        settings: its arguments that are no arrays.
    """
    diffusion, sampling = settings.get("diffusion", {}), settings.get("sampling", {})
    for name, choice in CHOICES.items():
        section, _, field = name.partition(".")
        if operation not in choice.operations or choice.needed:
            continue
        if name == "diffusion.variance" and diffusion["sampler"] == "ddim":
            continue  # its steps have none
        if name == "sampling.guidance_schedule" and sampling.get("guidance_scale") == 1:
            continue
        value = settings.get(section, {}).get(field, settings.get(field, settings.get(choice.argument or field)))
        if value is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def declared_otherwise(declared: Mapping[str, str], operation: str, settings: Mapping[str, Any]) -> str | None:
    """Return the choice, if there is one, of which a question asks for another alternative than the declared one."""
    return next((name for name, value in asked(operation, settings) if declared.get(name, value) != value), None)
