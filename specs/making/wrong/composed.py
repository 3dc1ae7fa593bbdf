"""A second composition of the reference, out of joints that a wrong implementation can replace one at a time.

It is right: the judge awards it everything, so each wrong implementation is wrong in its own joint alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from elt_ref.arrays import Tree, tree_items, tree_map
from elt_ref.config import DiffusionExperiment, Experiment, MaskedExperiment, TrainingConfig
from elt_ref.conformance.backend import Parameters, Section, Tensors
from elt_ref.conformance.reference import (
    ReferenceBackend,
    configuration,
    kind_of,
    of_family,
    prefixed,
    scalars,
    tree,
)
from elt_ref.model import NETWORKS, block_of, loop_states
from elt_ref.objective import (
    Batch,
    DiffusionDraws,
    LossTerms,
    MaskedDraws,
    MaskedTarget,
    corrupt_diffusion,
    corrupt_masked,
    ilsd_loss,
    vanilla_loss,
)
from elt_ref.ops import value_and_gradient
from elt_ref.schedules import learning_rate_at
from elt_ref.training import Moments, adamw, clip_gradient, moving_average, zero_moments


class Network(NamedTuple):
    """A network that has read its inputs."""

    state: Any
    """State before the first loop, [batch, tokens, width]."""
    block: Callable[[Any], Any]
    """g_Θ, from state to state."""
    head: Callable[[Any], Any]
    """Head, from state to prediction."""


class Task(NamedTuple):
    """A corrupted batch, and the losses of a prediction."""

    inputs: tuple[Any, ...]
    """Inputs of the network."""
    ground_truth: Callable[[Any], Any]
    """L_GT of a prediction."""
    distillation: Callable[[Any, Any], Any]
    """L_dist of the student's and the teacher's predictions."""


class ComposedBackend(ReferenceBackend):
    """The reference, put together from joints."""

    def network(self, config: Experiment, parameters: Tree, *inputs: Any) -> Network:
        """Return the network that has read its inputs."""
        functions = NETWORKS[type(config)]
        functions.check(config.model, *inputs)
        state, layers, head = functions.embed(parameters, config.model, *inputs)
        return Network(state, block_of(functions, layers, config), partial(functions.head, head, config.model))

    def states(self, network: Network, loops: int, config: Experiment) -> list[Any]:  # noqa: ARG002  wrong ones look at it
        """Return the states after 1 … `loops` loops."""
        return list(loop_states(network.block, network.state, loops))

    def terms(
        self, network: Network, task: Task, student_loops: int | None, config: Experiment, weight: float
    ) -> LossTerms:
        """Return the loss of one pass."""
        states = self.states(network, config.model.max_loops, config)
        target: Any = task
        if student_loops is None:
            return vanilla_loss(target, network.head(states[-1]))
        student, teacher = network.head(states[student_loops - 1]), network.head(states[-1])
        return ilsd_loss(target, student, teacher, truth_weight=weight)

    def loss(
        self, config: Experiment, task: Task, student_loops: int | None, weight: float, parameters: Tree
    ) -> LossTerms:
        """Return the loss of these parameters at a task."""
        return self.terms(self.network(config, parameters, *task.inputs), task, student_loops, config, weight)

    def masked_task(self, config: Any, batch: Batch, draws: MaskedDraws) -> Task:
        """Return the task of a training step."""
        return task_of(corrupt_masked(config, batch, draws))

    def diffusion_task(self, config: Any, batch: Batch, draws: DiffusionDraws) -> Task:
        """Return the task of a training step."""
        return task_of(corrupt_diffusion(config, batch, draws))

    def recovery_task(self, config: Any, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        """Return the task of predicting masked tokens."""
        seen = np.where(mask, config.model.mask_token, tokens.astype(np.int64))
        target = MaskedTarget(tokens, mask, config.objective.reduction, config.objective.label_smoothing)
        return task_of(((seen, labels), target))

    def masked_states(self, *, model, parameters, tokens, labels, loops) -> Tensors:
        return {"states": self._states(configuration(model), parameters, loops, tokens, labels)}

    def masked_forward(self, *, model, parameters, tokens, labels, loops) -> Tensors:
        return {"logits": self.predict(configuration(model), parameters, loops, tokens, labels)}

    def diffusion_states(self, *, model, parameters, noisy, time, labels, loops) -> Tensors:
        return {"states": self._states(configuration(model), parameters, loops, noisy, time, labels)}

    def diffusion_forward(self, *, model, parameters, noisy, time, labels, loops) -> Tensors:
        return {"prediction": self.predict(configuration(model), parameters, loops, noisy, time, labels)}

    def masked_layers(self, *, model, parameters, tokens, labels, loops) -> Tensors:
        return {"layers": self._layers(configuration(model), parameters, loops, tokens, labels)}

    def diffusion_layers(self, *, model, parameters, noisy, time, labels, loops) -> Tensors:
        return {"layers": self._layers(configuration(model), parameters, loops, noisy, time, labels)}

    def _layers(self, config: Experiment, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
        """Return the state after each layer of each loop: networks of a single layer, one after the other."""
        whole = tree(config, parameters)
        layers = [self.network(config, {**whole, "block": [layer]}, *inputs) for layer in whole["block"]]
        state, taps = layers[0].state, []
        for _ in range(loops):
            for layer in layers:
                state = layer.block(state)
                taps.append(state)
        return np.stack(taps).reshape(loops, len(layers), *state.shape)

    def _states(self, config: Experiment, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
        network = self.network(config, tree(config, parameters), *inputs)
        return np.stack(self.states(network, loops, config))

    def predict(self, config: Experiment, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
        """Return the prediction after `loops` loops."""
        network = self.network(config, tree(config, parameters), *inputs)
        return np.asarray(network.head(self.states(network, loops, config)[-1]))

    # --- objectives

    def masked_objective(self, *, parameters, student_loops, **arguments) -> Tensors:
        config, task, weight = self._masked(student_loops=student_loops, **arguments)
        return scalars(self.loss(config, task, student_loops, weight, tree(config, parameters)), student_loops)

    def masked_gradient(self, *, parameters, student_loops, **arguments) -> Tensors:
        config, task, weight = self._masked(student_loops=student_loops, **arguments)
        return self.gradient(config, task, student_loops, weight, tree(config, parameters))

    def _masked(
        self,
        *,
        model: Section,
        tokens: np.ndarray,
        mask: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
        label_smoothing: float,
    ) -> tuple[Experiment, Task, float]:
        objective = {
            "kind": kind_of(student_loops),
            "reduction": reduction,
            "label_smoothing": label_smoothing,
        }
        config = of_family(MaskedExperiment, model, objective=objective)
        return config, self.recovery_task(config, tokens, mask, labels), truth_weight

    def diffusion_objective(self, *, parameters, student_loops, **arguments) -> Tensors:
        config, task, weight = self._diffusion(student_loops=student_loops, **arguments)
        return scalars(self.loss(config, task, student_loops, weight, tree(config, parameters)), student_loops)

    def diffusion_gradient(self, *, parameters, student_loops, **arguments) -> Tensors:
        config, task, weight = self._diffusion(student_loops=student_loops, **arguments)
        return self.gradient(config, task, student_loops, weight, tree(config, parameters))

    def _diffusion(
        self,
        *,
        model: Section,
        diffusion: Section,
        clean: np.ndarray,
        noise: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
    ) -> tuple[Experiment, Task, float]:
        objective = {
            "kind": kind_of(student_loops),
            "reduction": reduction,
            "label_drop_rate": 0.0,
        }
        config = of_family(DiffusionExperiment, model, diffusion=diffusion, objective=objective)
        draws = DiffusionDraws(np.asarray(time, np.float64), noise, np.ones(len(time)), student_loops)
        return config, self.diffusion_task(config, Batch(clean, labels), draws), truth_weight

    def gradient(
        self, config: Experiment, task: Task, student_loops: int | None, weight: float, parameters: Tree
    ) -> Tensors:
        """Return the gradient of the loss, by name."""

        def objective(parameters: Tree) -> tuple[Any, LossTerms]:
            terms = self.loss(config, task, student_loops, weight, parameters)
            return terms.total, terms

        return dict(tree_items(value_and_gradient(objective, parameters)[2]))

    def masked_training(
        self, *, tokens, labels, mask_ratio, mask_order, label_drop, student_loops, **sections
    ) -> Tensors:
        def task(config: Experiment, step: int) -> Task:
            ratio = np.asarray(mask_ratio[step], np.float64)
            draws = MaskedDraws(ratio, mask_order[step], label_drop[step], int(student_loops[step]))
            return self.masked_task(config, Batch(tokens[step], labels[step]), draws)

        return self._train(student_loops, [task], **sections)

    def masked_training_across(self, *, processes, student_loops, **arguments) -> Tensors:
        # One process does the work of all in turn; what they say to one another is what counts.
        sections = {name: arguments.pop(name) for name in ("model", "objective", "training", "parameters")}
        parts = {name: np.split(array, processes, axis=1) for name, array in arguments.items()}

        def task(rank: int, config: Experiment, step: int) -> Task:
            own = {name: shares[rank][step] for name, shares in parts.items()}
            ratio = np.asarray(own["mask_ratio"], np.float64)
            draws = MaskedDraws(ratio, own["mask_order"], own["label_drop"], int(student_loops[step]))
            return self.masked_task(config, Batch(own["tokens"], own["labels"]), draws)

        return self._train(student_loops, [partial(task, rank) for rank in range(processes)], **sections)

    def diffusion_training(self, *, clean, labels, time, noise, label_drop, student_loops, **sections) -> Tensors:
        def task(config: Experiment, step: int) -> Task:
            moment = np.asarray(time[step], np.float64)
            draws = DiffusionDraws(moment, noise[step], label_drop[step], int(student_loops[step]))
            return self.diffusion_task(config, Batch(clean[step], labels[step]), draws)

        return self._train(student_loops, [task], **sections)

    def _train(
        self,
        student_loops: np.ndarray,
        tasks: Sequence[Callable[[Experiment, int], Task]],
        *,
        parameters: Parameters,
        **sections: Section,
    ) -> Tensors:
        """Train by the tasks of as many processes, each of which has a share of the batch."""
        config = configuration(**sections)
        training = config.training
        current = average = tree(config, parameters)
        moments, totals = zero_moments(current), []
        for step, loops in enumerate(map(int, student_loops)):
            weight = float(self.truth_weights(steps=training.steps)["weights"][step])

            shares = [self._share(config, task(config, step), loops, weight, current) for task in tasks]
            total, gradient = self.together([share[0] for share in shares], [share[1] for share in shares])
            current, moments, average = self.update(current, gradient, moments, average, step, training)
            totals.append(total)
        return {**prefixed(parameters=current, average=average), "total": np.stack(totals)}

    def _share(self, config: Experiment, task: Task, loops: int, weight: float, parameters: Tree) -> tuple[Any, Tree]:
        """Return loss and gradient of one process's share of a batch."""

        def objective(parameters: Tree) -> Any:
            terms = self.loss(config, task, loops, weight, parameters)
            return terms.total, terms

        total, _, gradient = value_and_gradient(objective, parameters)
        return total, gradient

    def together(self, totals: Sequence[Any], gradients: Sequence[Tree]) -> tuple[Any, Tree]:
        """Return loss and gradient of the whole batch: the means over its equal shares."""
        count = len(totals)
        return sum(totals) / count, tree_map(lambda *leaves: sum(leaves) / count, *gradients)

    def update(
        self, parameters: Tree, gradient: Tree, moments: Moments, average: Tree, step: int, training: TrainingConfig
    ) -> tuple[Tree, Moments, Tree]:
        """Return parameters, moments and average after a step: clip, AdamW, then the average."""
        gradient, _ = clip_gradient(gradient, training.gradient_clip)
        parameters, moments = adamw(
            parameters, gradient, moments, step=step, rate=learning_rate_at(step, training), training=training
        )
        return parameters, moments, moving_average(average, parameters, training.average_decay)


def task_of(corrupted: tuple[tuple[Any, ...], Any]) -> Task:
    """Return the task of a corrupted batch."""
    inputs, target = corrupted
    return Task(inputs, target.ground_truth, target.distillation)
