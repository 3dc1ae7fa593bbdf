"""Mistakes in loss weights, reductions and distillation of the diffusion family."""

from typing import Any

from elt_ref.config import DiffusionConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.objective.diffusion import DiffusionTarget, loss_weight
from specs.making.wrong.altered import Altered, Change, instead


def _weighed(**changes: Any) -> tuple[Change, ...]:
    """Return the change that computes the weight with other settings; their values may depend on the right ones."""

    def weight(time: Any, diffusion: DiffusionConfig) -> Any:
        update = {name: value(diffusion) if callable(value) else value for name, value in changes.items()}
        return loss_weight(time, diffusion.model_copy(update=update))

    return instead("objective.diffusion", loss_weight=weight)


class WeightAlwaysWithDerivative(Altered, ReferenceBackend):
    """The factor −dλ/dt is present even when switched off."""

    changes = _weighed(weight_derivative=True)


class WeightOfCleanOnEpsilon(Altered, ReferenceBackend):
    """Errors of ε have the weight of x0."""

    changes = _weighed(prediction=lambda diffusion: {"epsilon": "x0"}.get(diffusion.prediction, diffusion.prediction))


class WeightOfCleanOnV(Altered, ReferenceBackend):
    """Errors of v have the weight of x0, as in EarthBridge."""

    changes = _weighed(prediction=lambda diffusion: {"v": "x0"}.get(diffusion.prediction, diffusion.prediction))


class WeightOfEpsilonOnV(Altered, ReferenceBackend):
    """Errors of v have the weight of ε."""

    changes = _weighed(prediction=lambda diffusion: {"v": "epsilon"}.get(diffusion.prediction, diffusion.prediction))


def _both(change: Any) -> tuple[Change, ...]:
    """Return the changes that make both losses ``change(loss)``."""

    class Changed(DiffusionTarget):
        ground_truth = change(DiffusionTarget.ground_truth)
        distillation = change(DiffusionTarget.distillation)

    return instead("objective.diffusion", DiffusionTarget=Changed)


def _reduced(reduction: str) -> tuple[Change, ...]:
    return _both(lambda loss: lambda target, *predictions: loss(target._replace(reduction=reduction), *predictions))


class DiffusionMeanForSum(Altered, ReferenceBackend):
    """A sample's squared errors are averaged instead of summed."""

    changes = _reduced("mean_per_sample")
