"""Mistakes in masking, in the losses over masked tokens, and in dropping labels."""

import math
from typing import Any

import numpy as np

from elt_ref.arrays import Tree
from elt_ref.config import MaskedModelConfig
from elt_ref.conformance.backend import Parameters, Section, Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.composed import ComposedBackend, Task
from elt_ref.conformance.wrong.masked_parts import Parts, head_of
from elt_ref.ops import softmax, softmax_cross_entropy
from elt_ref.ops.gradient import untraced


class Masking:
    """The replaceable parts of masking a batch."""

    def fraction(self, ratio: np.ndarray) -> np.ndarray:
        """Return γ."""
        return np.clip(np.cos(math.pi / 2 * ratio), 1e-6, 1)

    def counted(self, tokens: int, fraction: np.ndarray) -> np.ndarray:
        """Return the number of masked tokens."""
        return np.maximum(1, np.floor(tokens * fraction))

    def chosen(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Return the mask."""
        return np.argsort(np.argsort(order, axis=1, kind="stable"), axis=1) < count[:, None]

    def mask_tokens(self, *, ratio: np.ndarray, order: np.ndarray) -> Tensors:
        fraction = self.fraction(np.asarray(ratio, np.float64))
        return {"mask": self.chosen(order, self.counted(order.shape[1], fraction))}


class CountRounded(Masking, ReferenceBackend):
    """The count is rounded, as in open-muse and diffusers, not floored."""

    def counted(self, tokens: int, fraction: np.ndarray) -> np.ndarray:
        return np.maximum(1, np.rint(tokens * fraction))


class CountMayBeZero(Masking, ReferenceBackend):
    """A sample may have no masked token, so its loss is NaN or empty (soundstorm-pytorch#36)."""

    def counted(self, tokens: int, fraction: np.ndarray) -> np.ndarray:
        return np.floor(tokens * fraction)


class CountLinear(Masking, ReferenceBackend):
    """The masked share falls linearly with the ratio, not along a cosine."""

    def fraction(self, ratio: np.ndarray) -> np.ndarray:
        return 1 - ratio


class CountIsRatio(Masking, ReferenceBackend):
    """The ratio itself is the masked share, without a schedule (as in BERT and in the unofficial port of ELT)."""

    def fraction(self, ratio: np.ndarray) -> np.ndarray:
        return ratio


class CountArccos(Masking, ReferenceBackend):
    """The masked share is 2/π · arccos(ratio), Halton-MaskGIT's schedule."""

    def fraction(self, ratio: np.ndarray) -> np.ndarray:
        return np.arccos(ratio) * 2 / math.pi


class HighestMasked(Masking, ReferenceBackend):
    """The tokens highest in the order are masked."""

    def chosen(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        return super().chosen(-order, count)


class MaskedByCoin(Masking, ReferenceBackend):
    """Every token is masked independently if its draw is below γ, as in Halton-MaskGIT: the count is not exact."""

    def mask_tokens(self, *, ratio: np.ndarray, order: np.ndarray) -> Tensors:
        return {"mask": order < self.fraction(np.asarray(ratio, np.float64))[:, None]}


class MaskedByCoinOfHalfOrMore(Masking, ReferenceBackend):
    """Every token is masked with a probability between a half and one, without γ, as in the unofficial port of ELT."""

    def mask_tokens(self, *, ratio: np.ndarray, order: np.ndarray) -> Tensors:
        return {"mask": order < 0.5 + 0.5 * ratio[:, None]}


class MaskedTiesTogether(Masking, ReferenceBackend):
    """Every token at or below the threshold is masked, so ties mask more than the count (MAGVIT's rule)."""

    def chosen(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        threshold = np.take_along_axis(np.sort(order, axis=1), count[:, None].astype(np.int64) - 1, axis=1)
        return order <= threshold


class MaskedTiesOfLongRowsFromTheEnd(Masking, ReferenceBackend):
    """Ties beyond sixteen tokens go to the higher positions, as a sort may do that is not stable."""

    def chosen(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        backwards = order.shape[1] > 16
        ranks = np.argsort(np.argsort(order[:, ::-1] if backwards else order, axis=1, kind="stable"), axis=1)
        return (ranks[:, ::-1] if backwards else ranks) < count[:, None]


class MaskedInARun(Masking, ReferenceBackend):
    """The first tokens of the picture are masked; the order is ignored."""

    def chosen(self, order: np.ndarray, count: np.ndarray) -> np.ndarray:
        return np.arange(order.shape[1]) < count[:, None]


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


class LossOnAllTokens(Weighing, ComposedBackend):
    """The loss covers all tokens (Halton-MaskGIT#3, dome272/MaskGIT-pytorch#14, MAGVIT's UCF-101 configuration)."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        return super().weights(np.ones_like(mask), reduction)


class LossOnVisibleTokens(Weighing, ComposedBackend):
    """The mask is inverted in the loss, which covers the tokens that the network sees."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        return super().weights(~mask, reduction)


class VisibleTokensCountALittle(Weighing, ComposedBackend):
    """Tokens that the network sees have weight one tenth (the ignore index was replaced by a small weight)."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        weights = super().weights(mask, reduction)
        return np.where(mask, weights, 0.1 * weights.max())


class MeanOverBatch(Weighing, ComposedBackend):
    """The mean is over all masked tokens of the batch at once, as in the unofficial port of ELT."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        return mask / mask.sum() if reduction == "mean_per_sample" else super().weights(mask, reduction)


class MeanOverAllPositions(Weighing, ComposedBackend):
    """The sum over masked tokens is divided by the number of all tokens, not of masked ones."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:
        return mask / mask.size if reduction == "mean_per_sample" else super().weights(mask, reduction)


class SumForMean(Weighing, ComposedBackend):
    """The reduction is the sum instead of the mean."""

    def weights(self, mask: np.ndarray, reduction: str) -> np.ndarray:  # noqa: ARG002
        return super().weights(mask, "sum")


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


def _widened(parameters: Tree, model: MaskedModelConfig, state: Any, rows: int) -> Any:
    own = untraced(parameters["head"]["bias"])
    bias = np.concatenate([own, np.zeros(rows - len(own), own.dtype)])
    return head_of({**parameters, "head": {**parameters["head"], "bias": bias}}, model, state)


class SoftmaxOverVocabulary(Parts, ComposedBackend):
    """The softmax covers every row of the embedding, so classes and the mask can be predicted."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        return _widened(parameters, model, state, model.vocabulary)


class SoftmaxOverCodesAndMask(Parts, ComposedBackend):
    """The softmax covers the codes and one more row."""

    def head(self, parameters: Tree, model: MaskedModelConfig, state: Any) -> Any:
        return _widened(parameters, model, state, model.codebook_size + 1)


class DroppedToClassZero(ReferenceBackend):
    """A dropped label becomes class 0, a class like any other."""

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:  # noqa: ARG002
        return super().drop_labels(labels=labels, draws=draws, rate=rate, classes=0)


class DroppedToLastClass(ReferenceBackend):
    """A dropped label becomes the last class: classes − 1 for classes."""

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        return super().drop_labels(labels=labels, draws=draws, rate=rate, classes=classes - 1)


class DroppedAtRate(ReferenceBackend):
    """A draw equal to the rate drops the label too, so rate 0 drops some."""

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        return {"labels": np.where(draws <= rate, classes, labels)}


class DroppedAboveRate(ReferenceBackend):
    """The comparison is inverted: the rate is the share of kept labels."""

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        return {"labels": np.where(draws < rate, labels, classes)}


class DroppedByFirstDraw(ReferenceBackend):
    """The first draw decides for the whole batch."""

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        return super().drop_labels(labels=labels, draws=np.full_like(draws, draws[0]), rate=rate, classes=classes)


class NobodyReadsClassZero(ReferenceBackend):
    """The network reads "no class" as class 0."""

    def masked_forward(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        labels = np.where(labels == model["classes"], 0, labels)
        return super().masked_forward(model=model, parameters=parameters, tokens=tokens, labels=labels, loops=loops)


class NobodyReadsMask(Parts, ComposedBackend):
    """The network reads the mask's row for "no class": the two last rows of the embedding are swapped."""

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        tables = parameters["embedding"]
        order = np.arange(model.vocabulary)
        order[-2:] = order[-1:-3:-1]
        return super().embed(
            {**parameters, "embedding": {**tables, "word": tables["word"][order]}}, model, tokens, labels
        )
