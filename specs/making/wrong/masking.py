"""Mistakes in masking, in the losses over masked tokens, and in dropping labels."""

from typing import Any

import numpy as np

from elt_ref.ops import softmax, softmax_cross_entropy
from specs.making.wrong.composed import ComposedBackend, Task


class Weighing:
    """The replaceable parts of a batch's losses: the weights of tokens, the target."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        """Return each token's weight."""
        weights = mask / len(mask)
        return weights / np.maximum(1, mask.sum(axis=1, keepdims=True)) if reduction == "mean_per_sample" else weights

    def target(self, tokens: np.ndarray, codes: int, smoothing: float) -> np.ndarray:
        """Return the distribution of the ground truth."""
        return (1 - smoothing) * np.eye(codes)[tokens] + smoothing / codes

    def teaching(self, probabilities: Any, smoothing: float) -> Any:  # noqa: ARG002  some mistakes use it
        """Return the teacher's distribution, the student's target."""
        return probabilities

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        """Return the task of recovering masked tokens."""
        task = ComposedBackend.recovery_task(self, config, tokens, mask, labels)  # pyright: ignore[reportArgumentType]  mixed in
        weights = self.weights(mask, config.objective.reduction)
        smoothing = config.objective.label_smoothing

        def truth(logits: Any) -> Any:
            return softmax_cross_entropy(logits, self.target(tokens, logits.shape[-1], smoothing), weights)

        def distil(student: Any, teacher: Any) -> Any:
            return softmax_cross_entropy(student, self.teaching(softmax(teacher), smoothing), weights)

        return task._replace(ground_truth=truth, distillation=distil)


class MeanForSum(Weighing, ComposedBackend):
    """The reduction is the mean instead of the sum."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:  # noqa: ARG002
        return super().weights(mask, "mean_per_sample")


class SumOverBatch(Weighing, ComposedBackend):
    """The sum includes the batch, so the loss grows with it."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        return mask * 1.0 if reduction == "sum" else super().weights(mask, reduction)


class SmoothingOfTeacher(Weighing, ComposedBackend):
    """The teacher's distribution is smoothed too, although it is soft already."""

    def teaching(self, probabilities: Any, smoothing: float) -> Any:
        return (1 - smoothing) * probabilities + smoothing / probabilities.shape[-1]


class SmoothingOfOthers(Weighing, ComposedBackend):
    """The smoothed share is spread over the other codes only, V − 1 of them."""

    def target(self, tokens: np.ndarray, codes: int, smoothing: float) -> np.ndarray:
        exact = np.eye(codes)[tokens]
        return (1 - smoothing) * exact + (1 - exact) * smoothing / (codes - 1)


class SmoothingIgnored(Weighing, ComposedBackend):
    """The target is one-hot: label smoothing is ignored."""

    def target(self, tokens: np.ndarray, codes: int, smoothing: float) -> np.ndarray:  # noqa: ARG002
        return super().target(tokens, codes, 0.0)
