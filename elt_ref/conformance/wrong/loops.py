"""Mistakes in the loop: its content, order and number, and the gradient through it."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from elt_ref.arrays import Tree, tree_map
from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend, tree
from elt_ref.conformance.wrong.composed import ComposedBackend, Network, Task
from elt_ref.objective import LossTerms
from elt_ref.ops import gelu, layer_norm, linear, stop_gradient


def signal(number: float, like: Any) -> Any:
    """Return the embedding of a loop's number: one cosine per feature."""
    width = like.shape[-1]
    return np.cos(number * np.arange(1, width + 1)).astype(like.dtype)


class Layers:
    """A block whose layers can be called one by one."""

    def __init__(self, layers: list[Callable[[Any], Any]]) -> None:
        self.layers = layers

    def __call__(self, x: Any) -> Any:
        """Apply them in order."""
        for layer in self.layers:
            x = layer(x)
        return x


class Taken:
    """Mixin with a network whose layers can be called one by one."""

    def layers(self, backend: ComposedBackend, config: Any, parameters: Tree, *inputs: Any) -> Network:
        """Return the reference's network with a block of separate layers."""
        alone = [
            ComposedBackend.network(backend, config, {**parameters, "block": [layer]}, *inputs)
            for layer in parameters["block"]
        ]
        return alone[0]._replace(block=Layers([network.block for network in alone]))


class LoopsUntied(ComposedBackend):
    """Every loop has its own weights: sharing was lost when a module was replaced (mixture_of_recursions#17)."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        numbers = count()

        def block(x: Any) -> Any:
            share = 0.98 ** next(numbers)
            drifted = tree_map(lambda leaf: leaf * share, parameters)
            return super(LoopsUntied, self).network(config, drifted, *inputs).block(x)

        return super().network(config, parameters, *inputs)._replace(block=block)


class InputReinjected(ComposedBackend):
    """The embedded input is added before every loop, as in Leiay's looped_transformer and in recurrent-pretraining."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        states = [network.block(network.state)]
        for _ in range(loops - 1):
            states.append(network.block(states[-1] + network.state))
        return states


class LoopIndexEmbedded(ComposedBackend):
    """Each loop receives its number, as in Universal Transformers and LoopViT."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        states = [network.state]
        for loop in range(loops):
            states.append(network.block(states[-1] + signal(float(loop), states[-1])))
        return states[1:]


class NormInsideLoop(ComposedBackend):
    """Every loop ends with a norm; if anywhere, a norm belongs in the head."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        states = [network.state]
        unit = np.ones(states[0].shape[-1], states[0].dtype)
        for _ in range(loops):
            states.append(layer_norm(network.block(states[-1]), unit, 0 * unit, epsilon=1e-6))
        return states[1:]


class LoopResidual(ComposedBackend):
    """The loop's input is added to its output: a residual around the whole block."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        states = [network.state]
        for _ in range(loops):
            states.append(states[-1] + network.block(states[-1]))
        return states[1:]


class LoopsOffByOne(ComposedBackend):
    """One loop too few: the embedded input counts as the state after the first."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:
        return [network.state, *super().states(network, loops, config)[:-1]]


class LayersReversed(ComposedBackend):
    """The block applies its layers from the last to the first."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        return super().network(config, {**parameters, "block": parameters["block"][::-1]}, *inputs)


class LayersRepeatedInPlace(Taken, ComposedBackend):
    """Every layer is repeated L times before the next (AABB), not the block L times (ABAB)."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        return self.layers(self, config, parameters, *inputs)

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        def repeated(loops: int) -> Any:
            x = network.state
            for layer in network.block.layers:  # pyright: ignore[reportFunctionMemberAccess]  of the network above
                for _ in range(loops):
                    x = layer(x)
            return x

        return [repeated(number) for number in range(1, loops + 1)]


class LoopsMirrored(Taken, ComposedBackend):
    """Every second loop runs the layers backwards."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        network, numbers = self.layers(self, config, parameters, *inputs), count()
        layers = network.block.layers  # pyright: ignore[reportFunctionMemberAccess]  of the network above

        def block(x: Any) -> Any:
            return Layers(layers[::-1] if next(numbers) % 2 else layers)(x)

        return network._replace(block=block)


class OneLayerForAll(ComposedBackend):
    """All layers share the weights of the first, as in ALBERT: sharing across depth instead of across loops."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        layers = parameters["block"]
        return super().network(config, {**parameters, "block": [layers[0]] * len(layers)}, *inputs)


class UnloopedRunsTwice(ComposedBackend):
    """Every network is looped at least twice, even with one loop."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        network = super().network(config, parameters, *inputs)
        if config.model.max_loops > 1:
            return network
        return network._replace(block=lambda x: network.block(network.block(x)))


class HeadInsideLoop(ComposedBackend):
    """The head's Dense, GELU and norm are applied in every loop, so the next loop reads their output."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        network, head = super().network(config, parameters, *inputs), parameters["head"]

        def block(x: Any) -> Any:
            hidden = gelu(linear(network.block(x), head["dense"]["weight"], head["dense"]["bias"]))
            return layer_norm(hidden, head["norm"]["scale"], head["norm"]["bias"], epsilon=1e-12)

        return network._replace(block=block)


class StatesAveraged(ComposedBackend):
    """The head reads the mean of the states of all loops, an ensemble, instead of the last state."""

    def predict(self, config: Any, parameters: Any, loops: int, *inputs: Any) -> np.ndarray:
        network = self.network(config, tree(config, parameters), *inputs)
        return np.asarray(network.head(np.mean(self.states(network, loops, config), axis=0)))


class PredictionsAveraged(ComposedBackend):
    """The head is applied after every loop and its logits are averaged."""

    def predict(self, config: Any, parameters: Any, loops: int, *inputs: Any) -> np.ndarray:
        network = self.network(config, tree(config, parameters), *inputs)
        return np.mean([network.head(state) for state in self.states(network, loops, config)], axis=0)


class LoopsClipped(ComposedBackend):
    """Loops beyond L_max are not run: the state stays as after L_max loops."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:
        states = super().states(network, min(loops, config.model.max_loops), config)
        return states + [states[-1]] * (loops - len(states))


class LoopsStartAgain(ComposedBackend):
    """The loop after L_max begins at the embedded input again, as with a table of L_max entries indexed modulo."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:
        states = super().states(network, min(loops, config.model.max_loops), config)
        return [states[number % len(states)] for number in range(loops)]


class ProgressEmbedded(ComposedBackend):
    """Each loop receives its share of the pass, as in LoopFormer, so short passes are no prefixes."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        states = [network.state]
        for loop in range(loops):
            states.append(network.block(states[-1] + 0.5 * signal((loop + 1) / loops, states[-1])))
        return states[1:]


class StepsDivided(ComposedBackend):
    """A loop moves the state by 1/L of the block's update, like a solver with L steps: L changes every state."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:  # noqa: ARG002
        states = [network.state]
        for _ in range(loops):
            states.append(states[-1] + (network.block(states[-1]) - states[-1]) / loops)
        return states[1:]


class LoopsAlwaysAll(ComposedBackend):
    """A prediction always takes L_max loops."""

    def predict(self, config: Any, parameters: Any, loops: int, *inputs: Any) -> np.ndarray:  # noqa: ARG002
        return super().predict(config, parameters, config.model.max_loops, *inputs)


class LastLoopGradient(ComposedBackend):
    """Back-propagation is cut before the last loop (truncated, as recurrent-pretraining trains)."""

    def states(self, network: Network, loops: int, config: Any) -> list[Any]:
        states = super().states(network, loops, config)
        before = states[-2] if loops > 1 else network.state
        return [*states[:-1], network.block(stop_gradient(before)) if loops > 1 else states[-1]]


class FirstLoopGradient(ComposedBackend):
    """The weights are differentiated only in the first loop: they are constants in the others."""

    def loss(self, config: Any, task: Task, student_loops: int | None, weight: float, parameters: Tree) -> LossTerms:
        network = self.network(config, parameters, *task.inputs)
        constants = self.network(config, tree_map(stop_gradient, parameters), *task.inputs)
        numbers = count()

        def block(x: Any) -> Any:
            return (constants if next(numbers) else network).block(x)

        return self.terms(network._replace(block=block), task, student_loops, config, weight)


class LoopGradientsAveraged(ComposedBackend):
    """The gradient of the shared weights is the mean over the loops, not the sum."""

    def gradient(self, config: Any, task: Task, student_loops: int | None, weight: float, parameters: Tree) -> Any:
        gradient: Tensors = super().gradient(config, task, student_loops, weight, parameters)
        loops = config.model.max_loops
        return {name: leaf / loops if name.startswith("block.") else leaf for name, leaf in gradient.items()}


class MaskedScheduleReversed(ReferenceBackend):
    """The loop schedule of a sampling is read from the last step to the first."""

    def masked_sample(self, *, loops: list[int], **arguments: Any) -> Tensors:
        return super().masked_sample(loops=loops[::-1], **arguments)


class MaskedScheduleOfFirstStep(ReferenceBackend):
    """Every sampling step takes the first step's number of loops."""

    def masked_sample(self, *, loops: list[int], **arguments: Any) -> Tensors:
        return super().masked_sample(loops=[loops[0]] * len(loops), **arguments)


class MaskedScheduleMean(ReferenceBackend):
    """Every sampling step takes the rounded mean number of loops."""

    def masked_sample(self, *, loops: list[int], **arguments: Any) -> Tensors:
        return super().masked_sample(loops=[round(sum(loops) / len(loops))] * len(loops), **arguments)


class MaskedScheduleIgnored(ReferenceBackend):
    """Every sampling step takes L_max loops."""

    def masked_sample(self, *, model: Any, loops: list[int], **arguments: Any) -> Tensors:
        return super().masked_sample(model=model, loops=[model["max_loops"]] * len(loops), **arguments)


class MaskedScheduleClipped(ReferenceBackend):
    """No sampling step takes more than L_max loops."""

    def masked_sample(self, *, model: Any, loops: list[int], **arguments: Any) -> Tensors:
        return super().masked_sample(model=model, loops=[min(each, model["max_loops"]) for each in loops], **arguments)
