"""Mistakes in the loop of the diffusion family."""

from itertools import count
from typing import Any

import numpy as np

from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.composed import ComposedBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, instead
from elt_ref.model.positions import time_features
from elt_ref.ops import gated_residual, linear, silu


class DiffusionInputInjected(ComposedBackend):
    """The embedded patches are added before every loop, as in Leiay's looped transformer."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Any:
        network = super().network(config, parameters, *inputs)
        if config.diffusion is None:
            return network
        loop = count()
        return network._replace(block=lambda x: network.block(x + network.state if next(loop) else x))


class DiffusionLoopsTold(ComposedBackend):
    """The conditioning of every loop includes the loop's number, as in LoopViT and Universal Transformers."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Any:
        network = super().network(config, parameters, *inputs)
        if config.diffusion is None:
            return network
        noisy, time, labels = inputs
        loop = count()

        def block(x: Any) -> Any:
            return (
                super(DiffusionLoopsTold, self)
                .network(config, parameters, noisy, time / (1 + next(loop)), labels)
                .block(x)
            )

        return network._replace(block=block)


class DiffusionDepthTold(ComposedBackend):
    """Each loop's update is divided by the number of loops, so few loops are no prefix of many."""

    def states(self, network: Any, loops: int, config: Any) -> list[Any]:
        if config.diffusion is None:
            return super().states(network, loops, config)
        states = [network.state]
        for _ in range(loops):
            states.append(states[-1] + (network.block(states[-1]) - states[-1]) / loops)
        return states[1:]


class DiffusionStatesFromInput(ComposedBackend):
    """The state before the first loop counts as the state after it: one loop too few."""

    def states(self, network: Any, loops: int, config: Any) -> list[Any]:
        states = super().states(network, loops, config)
        return states if config.diffusion is None else [network.state, *states[:-1]]


class DiffusionConditionedOnce(ComposedBackend):
    """Only the first loop is conditioned on the label; the others go on without a class."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Any:
        network = super().network(config, parameters, *inputs)
        if config.diffusion is None:
            return network
        noisy, time, labels = inputs
        later = super().network(config, parameters, noisy, time, np.full_like(labels, config.model.classes))
        loop = count()
        return network._replace(block=lambda x: later.block(x) if next(loop) else network.block(x))


class DiffusionTimeAtInput(ComposedBackend):
    """Time enters only as a sum with the patches, as in the unofficial port of ELT."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Any:
        if config.diffusion is None:
            return super().network(config, parameters, *inputs)
        noisy, time, labels = inputs
        network = super().network(config, parameters, noisy, np.zeros_like(time), labels)
        tables = parameters["embedding"]
        features = time_features(time, config.model.time_features, config.model.time_scale).astype(noisy.dtype)
        hidden = silu(linear(features, tables["time_in"]["weight"], tables["time_in"]["bias"]))
        hidden = linear(hidden, tables["time_out"]["weight"], tables["time_out"]["bias"])
        return network._replace(state=network.state + hidden[:, None])


class DiffusionOneModulation(ComposedBackend):
    """All layers share the modulation weights of the first: adaLN-single without a table per layer."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Any:
        if config.diffusion is None:
            return super().network(config, parameters, *inputs)
        first = parameters["block"][0]["modulation"]
        layers = [{**layer, "modulation": first} for layer in parameters["block"]]
        return super().network(config, {**parameters, "block": layers}, *inputs)


class DiffusionStopsAtMax(ComposedBackend):
    """Loops stop at L_max: further states repeat its last."""

    def states(self, network: Any, loops: int, config: Any) -> list[Any]:
        if config.diffusion is None:
            return super().states(network, loops, config)
        states = super().states(network, min(loops, config.model.max_loops), config)
        return states + [states[-1]] * (loops - len(states))


class GatesIgnored(Altered, ReferenceBackend):
    """Attention and MLP are added without their gates: adaLN without the Zero."""

    changes = instead("ops.modulation", gated_residual=lambda x, update, *_, **__: x + update)


def _gate_plus_one(x: Any, update: Any, modulation: Any, *, part: int) -> Any:
    return gated_residual(x, update, modulation, part=part) + update


class GatesPlusOne(Altered, ReferenceBackend):
    """The gate is 1 + g, as the scale is."""

    changes = instead("ops.modulation", gated_residual=_gate_plus_one)
