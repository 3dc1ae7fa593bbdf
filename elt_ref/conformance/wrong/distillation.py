"""Mistakes in intra-loop self-distillation: the terms, their weights, where gradients stop, the student's draw."""

import math
from typing import Any

import numpy as np

from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.composed import ComposedBackend, Network, Task
from elt_ref.objective import LossTerms, MaskedTarget, ilsd_loss
from elt_ref.ops import log_softmax, softmax, softmax_cross_entropy, stop_gradient
from elt_ref.ops.gradient import untraced
from elt_ref.streams import stream


class Distilling:
    """The replaceable parts of the loss of teacher and student, one method each."""

    def student_state(self, states: list[Any], student_loops: int, network: Network) -> Any:  # noqa: ARG002
        """Return the state that the student predicts from."""
        return states[student_loops - 1]

    def student_head(self, network: Network, state: Any) -> Any:
        """Return the student's prediction."""
        return network.head(state)

    def distil(self, task: Task, student: Any, teacher: Any) -> Any:
        """Return E5.3."""
        return task.distillation(student, stop_gradient(teacher))

    def total(self, teacher: Any, student: Any, distilled: Any, weight: float) -> Any:
        """Return E5."""
        return teacher + weight * student + (1 - weight) * distilled

    def passed(self, backend: ComposedBackend, network: Network, student_loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        """Return the states of the pass."""
        return backend.states(network, config.model.max_loops, config)

    def terms(self, network: Network, task: Task, student_loops: int | None, config: Any, weight: float) -> LossTerms:
        """Return the loss of one pass."""
        if student_loops is None:
            return ComposedBackend.terms(self, network, task, None, config, weight)  # pyright: ignore[reportArgumentType]  mixed in
        states = self.passed(self, network, student_loops, config)  # pyright: ignore[reportArgumentType]  mixed in
        teacher = network.head(states[-1])
        student = self.student_head(network, self.student_state(states, student_loops, network))
        truths = task.ground_truth(teacher), task.ground_truth(student)
        distilled = self.distil(task, student, teacher)
        return LossTerms(self.total(*truths, distilled, weight), *truths, distilled)


class TruthWeightReversed(Distilling, ComposedBackend):
    """λ weighs the distillation and 1 − λ the student's ground truth."""

    def total(self, teacher: Any, student: Any, distilled: Any, weight: float) -> Any:
        return teacher + (1 - weight) * student + weight * distilled


class TeacherWeighted(Distilling, ComposedBackend):
    """λ weighs the teacher's ground truth as well, so it fades during training."""

    def total(self, teacher: Any, student: Any, distilled: Any, weight: float) -> Any:
        return weight * (teacher + student) + (1 - weight) * distilled


class DistillationUnweighted(Distilling, ComposedBackend):
    """The distillation term is added without the factor 1 − λ."""

    def total(self, teacher: Any, student: Any, distilled: Any, weight: float) -> Any:
        return teacher + weight * student + distilled


class StudentLoopAhead(Distilling, ComposedBackend):
    """The list of states is indexed as if it began with the input: the student has one loop too many."""

    def student_state(self, states: list[Any], student_loops: int, network: Network) -> Any:  # noqa: ARG002
        return states[student_loops]


class StudentLoopBehind(Distilling, ComposedBackend):
    """The student's state is taken before its last loop."""

    def student_state(self, states: list[Any], student_loops: int, network: Network) -> Any:
        return [network.state, *states][student_loops - 1]


class StudentSecondForward(Distilling, ComposedBackend):
    """The student is a second forward pass with separate dropout, as in the unofficial port of ELT."""

    def student_state(self, states: list[Any], student_loops: int, network: Network) -> Any:
        state = network.state
        shape = untraced(states[0]).shape
        kept = stream(0, "student dropout").random(shape) < 0.9
        for _ in range(student_loops):
            state = network.block(state * kept)
        return state


class StudentHeadOfItsOwn(Distilling, ComposedBackend):
    """The student predicts through a separate head, here without the Dense: an auxiliary classifier."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Network:
        network = ComposedBackend.network(self, config, parameters, *inputs)
        identity = np.eye(config.model.width, dtype=untraced(network.state).dtype)
        head = parameters["head"]
        plain = {**parameters, "head": {**head, "dense": {**head["dense"], "weight": identity}}}
        self.own_head = ComposedBackend.network(self, config, plain, *inputs).head
        return network

    def student_head(self, network: Network, state: Any) -> Any:  # noqa: ARG002
        return self.own_head(state)


class TeacherNotStopped(Distilling, ComposedBackend):
    """There is no stop-gradient: the teacher is pulled towards the student."""

    def distil(self, task: Task, student: Any, teacher: Any) -> Any:
        return task.distillation(student, teacher)


class StudentStopped(Distilling, ComposedBackend):
    """The stop-gradient is on the student in the distillation term: the teacher learns from it."""

    def distil(self, task: Task, student: Any, teacher: Any) -> Any:
        return task.distillation(stop_gradient(student), teacher)


class BothStopped(Distilling, ComposedBackend):
    """Both predictions are constants in the distillation term, so it has no gradient."""

    def distil(self, task: Task, student: Any, teacher: Any) -> Any:
        return task.distillation(stop_gradient(student), stop_gradient(teacher))


class TeacherGoesOnFromConstant(Distilling, ComposedBackend):
    """The state is detached at the student: the teacher's truth does not reach the first L_int loops."""

    def passed(self, backend: ComposedBackend, network: Network, student_loops: int, config: Any) -> list[Any]:
        first = backend.states(network, student_loops, config)
        later = network._replace(state=stop_gradient(first[-1]))
        return first + backend.states(later, config.model.max_loops - student_loops, config)


class TeacherHeadFrozen(Distilling, ComposedBackend):
    """The teacher's prediction is a constant everywhere, in its own ground truth too."""

    def terms(self, network: Network, task: Task, student_loops: int | None, config: Any, weight: float) -> LossTerms:
        found = super().terms(network, task, student_loops, config, weight)
        return found._replace(total=found.total - found.teacher_truth + stop_gradient(found.teacher_truth))


class StudentLastLoopOnly(Distilling, ComposedBackend):
    """The student's gradient is cut before its last loop."""

    def student_state(self, states: list[Any], student_loops: int, network: Network) -> Any:
        if student_loops == 1:
            return network.block(stop_gradient(network.state))
        return network.block(stop_gradient(states[student_loops - 2]))


class StudentStraightThrough(Distilling, ComposedBackend):
    """The student's gradient flows through all L_max loops, like the teacher's; the value is the student's."""

    def student_state(self, states: list[Any], student_loops: int, network: Network) -> Any:  # noqa: ARG002
        return states[-1] + stop_gradient(states[student_loops - 1] - states[-1])


def _divergence(student: Any, teacher: Any, target: MaskedTarget) -> Any:
    """Return E8 less the teacher's entropy."""
    log_probabilities = log_softmax(untraced(teacher))
    entropies = -(np.exp(log_probabilities) * log_probabilities).sum(axis=-1)
    return target.distillation(student, teacher) - (entropies * target.weights(entropies.dtype)).sum()


class DivergenceOfBatch(ComposedBackend):
    """E8 is F.kl_div with the reduction batchmean: a sum over tokens too, as in the unofficial port of ELT."""

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        task = super().recovery_task(config, tokens, mask, labels)

        def divergence(student: Any, teacher: Any) -> Any:
            return _divergence(student, teacher, MaskedTarget(tokens, mask, "sum"))

        return task._replace(distillation=divergence)


class DivergenceForCrossEntropy(ComposedBackend):
    """E8 is the Kullback–Leibler divergence: smaller by the teacher's entropy, as in the unofficial port of ELT."""

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        task, reduction = super().recovery_task(config, tokens, mask, labels), config.objective.reduction

        def divergence(student: Any, teacher: Any) -> Any:
            return _divergence(student, teacher, MaskedTarget(tokens, mask, reduction))

        return task._replace(distillation=divergence)


class DistillationSwapped(ComposedBackend):
    """E8 is the teacher's cross-entropy under the student's distribution: the two roles are swapped."""

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        task = super().recovery_task(config, tokens, mask, labels)
        return task._replace(distillation=lambda student, teacher: task.distillation(teacher, student))


class DistillationOfArgmax(ComposedBackend):
    """The student learns the teacher's most likely token, not its distribution."""

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        task = super().recovery_task(config, tokens, mask, labels)
        unsmoothed = config.model_copy(
            update={"objective": config.objective.model_copy(update={"label_smoothing": 0.0})}
        )

        def hard(student: Any, teacher: Any) -> Any:
            guessed = untraced(teacher).argmax(axis=-1)
            return ComposedBackend.recovery_task(self, unsmoothed, guessed, mask, labels).ground_truth(student)

        return task._replace(distillation=hard)


class TeacherSoftened(ComposedBackend):
    """The teacher's logits are divided by a temperature of 2, as in other distillations."""

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        task = super().recovery_task(config, tokens, mask, labels)
        return task._replace(distillation=lambda student, teacher: task.distillation(student, teacher / 2))


class DistillationEverywhere(ComposedBackend):
    """The distillation term covers all tokens, the ground truth only the masked ones."""

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        task = super().recovery_task(config, tokens, mask, labels)
        weights = np.full(mask.shape, 1 / mask.size)

        def everywhere(student: Any, teacher: Any) -> Any:
            return softmax_cross_entropy(student, softmax(teacher), weights)

        return task._replace(distillation=everywhere)


class TruthWeightNeverZero(ComposedBackend):
    """λ = 1 − step / steps, which ends at 1 / steps."""

    def truth_weights(self, *, steps: int) -> Tensors:
        return {"weights": 1 - np.arange(steps) / steps}


class TruthWeightRising(ComposedBackend):
    """λ rises from 0 to 1."""

    def truth_weights(self, *, steps: int) -> Tensors:
        return {"weights": np.arange(steps) / max(1, steps - 1)}


class TruthWeightCosine(ComposedBackend):
    """λ falls along a cosine, like a learning rate."""

    def truth_weights(self, *, steps: int) -> Tensors:
        return {"weights": (1 + np.cos(math.pi * np.arange(steps) / max(1, steps - 1))) / 2}


class StudentMayBeTeacher(ReferenceBackend):
    """L_max is among the draws, as in zapabob's elastic-looped-transformer by default and as the display reads."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        return super().student_draws(min_loops=min_loops, max_loops=max_loops + 1, count=count, seed=seed)


class StudentAboveLeast(ReferenceBackend):
    """L_min is excluded from the draws, unless it is the only number."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        least = min(min_loops + 1, max_loops - 1)
        return super().student_draws(min_loops=least, max_loops=max_loops, count=count, seed=seed)


class StudentFromOne(ReferenceBackend):
    """The draw begins at 1 instead of at L_min."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:  # noqa: ARG002
        return super().student_draws(min_loops=1, max_loops=max_loops, count=count, seed=seed)


class StudentDrawRounded(ReferenceBackend):
    """A real number between L_min and L_max − 1 is drawn and rounded: the ends come up half as often."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        drawn = stream(seed, "rounded").uniform(min_loops, max_loops - 1, size=count)
        return {"loops": np.rint(drawn).astype(np.int64)}


class StudentAlwaysLeast(ReferenceBackend):
    """The student always has L_min loops."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:  # noqa: ARG002
        return {"loops": np.full(count, min_loops)}


class StudentInTurn(ReferenceBackend):
    """The student takes its loop counts in turn instead of drawing them."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        return {"loops": min_loops + (seed + np.arange(count)) % (max_loops - min_loops)}


class StudentKeptForTwoSteps(ReferenceBackend):
    """A draw serves two steps, as if it were made once for a step of accumulated gradients."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        drawn = super().student_draws(min_loops=min_loops, max_loops=max_loops, count=count, seed=seed)["loops"]
        return {"loops": np.repeat(drawn, 2)[:count]}


class StudentDrawsOfEveryEpoch(ReferenceBackend):
    """The generator is created again every hundred steps, so that every epoch has the same students."""

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        drawn = super().student_draws(min_loops=min_loops, max_loops=max_loops, count=count, seed=seed)["loops"]
        return {"loops": np.resize(drawn[:100], count)}


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
