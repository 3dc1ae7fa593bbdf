"""Mistakes in training across processes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from elt_ref.arrays import Tree, tree_map
from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.training import clip_gradient
from specs.making.wrong.composed import ComposedBackend


class GradientsSummedAcross(ComposedBackend):
    """The gradients of the processes are summed, not averaged, as in an all-reduce by default."""

    def together(self, totals: Sequence[Any], gradients: Sequence[Tree]) -> tuple[Any, Tree]:
        total, gradient = super().together(totals, gradients)
        return total, tree_map(lambda leaf: len(totals) * leaf, gradient)


class ClippedBeforeAveraging(ComposedBackend):
    """Each process clips its own gradient before the average."""

    def masked_training_across(self, **arguments) -> Tensors:
        self.largest = arguments["training"]["gradient_clip"]
        return super().masked_training_across(**arguments)

    def together(self, totals: Sequence[Any], gradients: Sequence[Tree]) -> tuple[Any, Tree]:
        if len(totals) == 1:
            return super().together(totals, gradients)
        return super().together(totals, [clip_gradient(gradient, self.largest)[0] for gradient in gradients])


class FirstProcessAlone(ComposedBackend):
    """The processes do not communicate, as if the bare network were called instead of its wrapper."""

    def together(self, totals: Sequence[Any], gradients: Sequence[Tree]) -> tuple[Any, Tree]:
        return super().together(totals[:1], gradients[:1])


class SameRowsEverywhere(ReferenceBackend):
    """Every process learns from the first rows, as if the sampler ignored its rank."""

    def masked_training_across(self, *, processes, **arguments) -> Tensors:
        return super().masked_training_across(
            processes=processes, **_of_first(arguments, processes, ("tokens", "labels"))
        )


class DrawsOfFirstProcess(ReferenceBackend):
    """Every process has its own rows, but the masks and dropped labels of the first: one seed for all."""

    def masked_training_across(self, *, processes, **arguments) -> Tensors:
        names = ("mask_ratio", "mask_order", "label_drop")
        return super().masked_training_across(processes=processes, **_of_first(arguments, processes, names))


def _of_first(arguments: dict[str, Any], processes: int, names: tuple[str, ...]) -> dict[str, Any]:
    firsts = {name: np.split(arguments[name], processes, axis=1)[0] for name in names}
    return arguments | {name: np.concatenate([first] * processes, axis=1) for name, first in firsts.items()}


class StudentsApart(ComposedBackend):
    """Every process draws its own L_int."""

    def masked_training_across(self, *, student_loops, **arguments) -> Tensors:
        self.calls, self.most = 0, arguments["model"]["max_loops"] - 1
        return super().masked_training_across(student_loops=student_loops, **arguments)

    def loss(self, config: Any, task: Any, student_loops: Any, weight: Any, parameters: Any) -> Any:
        if not hasattr(self, "calls"):
            return super().loss(config, task, student_loops, weight, parameters)
        self.calls += 1
        return super().loss(config, task, 1 + (student_loops + self.calls) % self.most, weight, parameters)


class WeighedByMaskedTokens(ComposedBackend):
    """Each process's gradient is weighted by its number of masked tokens, as if sums were divided at the end."""

    def masked_training_across(self, *, processes, **arguments) -> Tensors:
        ratios = np.cos(np.pi / 2 * np.asarray(arguments["mask_ratio"], np.float64))
        counts = np.maximum(1, np.floor(arguments["tokens"].shape[2] * ratios))
        shares = [part.sum(axis=1) for part in np.split(counts, processes, axis=1)]
        self.shares = iter(np.stack(shares, axis=1) / np.sum(shares, axis=0)[:, None])
        return super().masked_training_across(processes=processes, **arguments)

    def together(self, totals: Sequence[Any], gradients: Sequence[Tree]) -> tuple[Any, Tree]:
        if len(totals) == 1:
            return super().together(totals, gradients)
        weights = [float(share) * len(totals) for share in next(self.shares)]
        weighed = [
            tree_map(lambda leaf, weight=weight: weight * leaf, gradient)
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
        return super().together(totals, weighed)
