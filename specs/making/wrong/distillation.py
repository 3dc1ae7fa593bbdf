"""Mistakes in intra-loop self-distillation: the terms, their weights, where gradients stop, the student's draw."""

from typing import Any

from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.objective import LossTerms, ilsd_loss
from specs.making.wrong.composed import ComposedBackend, Network, Task


class StudentFromOne(ReferenceBackend):
    """The draw begins at 1 instead of at L_min."""

    def student_draws(self, *, min_loops, max_loops, count, seed) -> Tensors:  # noqa: ARG002
        return super().student_draws(min_loops=1, max_loops=max_loops, count=count, seed=seed)


class VanillaAtEveryLoop(ComposedBackend):
    """The vanilla objective supervises the state after every loop, the mean over all of them."""

    def terms(self, network: Network, task: Task, student_loops: int | None, config: Any, weight: float) -> LossTerms:
        found = super().terms(network, task, student_loops, config, weight)
        if student_loops is not None:
            return found
        states = self.states(network, config.model.max_loops, config)
        truths = [task.ground_truth(network.head(state)) for state in states]
        return found._replace(total=sum(truths[1:], truths[0]) / len(truths))


class VanillaDistils(ComposedBackend):
    """The vanilla objective keeps a student after one loop."""

    def terms(self, network: Network, task: Task, student_loops: int | None, config: Any, weight: float) -> LossTerms:
        if student_loops is not None or config.model.max_loops == 1:
            return super().terms(network, task, student_loops, config, weight)
        states = self.states(network, config.model.max_loops, config)
        target: Any = task
        return ilsd_loss(target, network.head(states[0]), network.head(states[-1]), truth_weight=weight)
