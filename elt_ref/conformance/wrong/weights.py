"""Mistakes in loss weights, reductions and distillation of the diffusion family."""

import math
from typing import Any

import numpy as np

from elt_ref.config import DiffusionConfig
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.composed import ComposedBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, Change, instead
from elt_ref.objective.diffusion import DiffusionTarget, loss_weight
from elt_ref.objective.ilsd import LossTerms
from elt_ref.ops import stop_gradient, weighted_squared_error


def _weighed(**changes: Any) -> tuple[Change, ...]:
    """Return the change that computes the weight with other settings; their values may depend on the right ones."""

    def weight(time: Any, diffusion: DiffusionConfig) -> Any:
        update = {name: value(diffusion) if callable(value) else value for name, value in changes.items()}
        return loss_weight(time, diffusion.model_copy(update=update))

    return instead("objective.diffusion", loss_weight=weight)


class WeightBiasFlipped(Altered, ReferenceBackend):
    """The bias has the other sign; sigmoid(−λ + b) on ε and sigmoid(λ − b) on x0 are easily confused."""

    changes = _weighed(bias=lambda diffusion: -diffusion.bias)


class WeightWithoutBias(Altered, ReferenceBackend):
    """The bias is ignored: a hidden default of 0."""

    changes = _weighed(bias=0.0)


class WeightWithoutBiasFactor(Altered, ReferenceBackend):
    """The weight is sigmoid(λ − b), without the factor e^b."""

    changes = instead(
        "objective.diffusion",
        loss_weight=lambda time, diffusion: loss_weight(time, diffusion) / math.exp(diffusion.bias),
    )


class WeightInverted(Altered, ReferenceBackend):
    """Errors of x0 weigh sigmoid(b − λ), which is largest at high noise, as in denoising-diffusion PR#363."""

    changes = _weighed(prediction=lambda diffusion: {"x0": "epsilon"}.get(diffusion.prediction, diffusion.prediction))


class WeightWithoutDerivative(Altered, ReferenceBackend):
    """The factor −dλ/dt is missing, as in diffusion_distillation, whose loss is a plain mean."""

    changes = _weighed(weight_derivative=False)


class WeightOfOne(Altered, ReferenceBackend):
    """All errors weigh the same, as in DDPM's simple loss and in the unofficial port of ELT."""

    changes = instead("objective.diffusion", loss_weight=lambda time, diffusion: 0 * loss_weight(time, diffusion) + 1)


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


class DiffusionSumForMean(Altered, ReferenceBackend):
    """A sample's squared errors are summed instead of averaged."""

    changes = _reduced("sum")


class DiffusionMeanForSum(Altered, ReferenceBackend):
    """A sample's squared errors are averaged instead of summed."""

    changes = _reduced("mean_per_sample")


class DiffusionBatchSummed(Altered, ReferenceBackend):
    """The samples are summed instead of averaged."""

    changes = _both(lambda loss: lambda target, *predictions: loss(target, *predictions) * len(target.time))


class DiffusionErrorHalved(Altered, ReferenceBackend):
    """The squared error has a factor ½, as in VDM's loss."""

    changes = _both(lambda loss: lambda target, *predictions: 0.5 * loss(target, *predictions))


class _Unweighted(DiffusionTarget):
    def distillation(self, student: Any, teacher: Any) -> Any:
        values = student[0].size if self.reduction == "mean_per_sample" else 1
        weights = np.full(len(self.time), 1 / len(self.time) / values, student.dtype)
        return weighted_squared_error(student, teacher, weights)


class DiffusionDistillationUnweighted(Altered, ReferenceBackend):
    """w(t) weighs the truth but not the distillation, a plain squared error as in LoopFormer."""

    changes = instead("objective.diffusion", DiffusionTarget=_Unweighted)


class DiffusionWeightOfBatch(Altered, ReferenceBackend):
    """The whole batch has one weight, the mean of its samples' weights."""

    changes = instead(
        "objective.diffusion",
        loss_weight=lambda time, diffusion: np.full(np.shape(time), loss_weight(time, diffusion).mean()),
    )


class DiffusionStudentOtherNoise(ComposedBackend):
    """The student denoises another noise in a separate pass, as in the unofficial port of ELT."""

    def diffusion_task(self, config: Any, batch: Any, draws: Any) -> Any:
        self.other = super().diffusion_task(config, batch, draws._replace(noise=draws.noise[:, ::-1, ::-1]))
        return super().diffusion_task(config, batch, draws)

    def loss(self, config: Any, task: Any, student_loops: int | None, weight: float, parameters: Any) -> LossTerms:
        terms = super().loss(config, task, student_loops, weight, parameters)
        if config.diffusion is None or student_loops is None:
            return terms
        network = self.network(config, parameters, *self.other.inputs)
        student = network.head(self.states(network, student_loops, config)[-1])
        network = self.network(config, parameters, *task.inputs)
        teacher = network.head(self.states(network, config.model.max_loops, config)[-1])
        truth, distilled = self.other.ground_truth(student), task.distillation(student, stop_gradient(teacher))
        total = terms.teacher_truth + weight * truth + (1 - weight) * distilled
        return LossTerms(total, terms.teacher_truth, truth, distilled)


class DiffusionTeacherFollows(Altered, ReferenceBackend):
    """There is no stop-gradient: the teacher is pulled towards its student."""

    changes = instead("ops.stop_gradient", stop_gradient=lambda x: x)


class _StudentStopped(DiffusionTarget):
    def distillation(self, student: Any, teacher: Any) -> Any:
        return super().distillation(stop_gradient(student), teacher)


class DiffusionStudentStopped(Altered, ReferenceBackend):
    """The gradient of the distillation is stopped at the student instead of at the teacher."""

    changes = instead("ops.stop_gradient", stop_gradient=lambda x: x) + instead(
        "objective.diffusion", DiffusionTarget=_StudentStopped
    )
