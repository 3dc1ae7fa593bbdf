"""Mistakes in layers, conditioning, heads and gradients of the diffusion family."""

import math
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import autograd.numpy
import numpy as np
from autograd.extend import defvjp, primitive

from elt_ref.conformance.backend import OPERATIONS
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.composed import ComposedBackend
from elt_ref.model.diffusion import embed_conditioning, modulate, unpatchify
from elt_ref.model.positions import time_features
from elt_ref.ops import embedding, linear, modulated_layer_norm, silu, stop_gradient

anp: Any = autograd.numpy  # its names are made at run time, invisible to a type checker

Change = tuple[str, Any, Any]
"""Name, function, and its replacement."""


def instead(module: str, **functions: Any) -> tuple[Change, ...]:
    """Return the changes that replace functions of ``elt_ref.MODULE`` by these functions of the same names."""
    place = import_module(f"elt_ref.{module}")
    return tuple((name, getattr(place, name), function) for name, function in functions.items())


class Altered:
    """Mixin that replaces functions of the package, wherever they are used, while the backend answers."""

    changes: tuple[Change, ...] = ()

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return partial(_answer, value, self.changes) if name in OPERATIONS else value


def _answer(operation: Callable[..., Any], changes: tuple[Change, ...], **arguments: Any) -> Any:
    changed: list[tuple[Any, str, Any]] = []
    for module in list(sys.modules.values()):
        if module.__name__.startswith("elt_ref.") and not module.__name__.startswith(__name__.rpartition(".")[0]):
            for name, original, replacement in changes:
                if vars(module).get(name) is original:
                    changed.append((module, name, original))
                    setattr(module, name, replacement)
    try:
        return operation(**arguments)
    finally:
        for module, name, original in changed:
            setattr(module, name, original)


def _conditioning(
    parameters: Any,
    model: Any,
    time: Any,
    labels: Any,
    dtype: Any,
    *,
    activation: Callable[[Any], Any] = silu,
    row: Callable[[Any, Any, Any], Any] = lambda table, labels, _classes: embedding(table, labels),
) -> Any:
    tables = parameters["embedding"]
    features = time_features(time, model.time_features, model.time_scale).astype(dtype)
    hidden = activation(linear(features, tables["time_in"]["weight"], tables["time_in"]["bias"]))
    hidden = linear(hidden, tables["time_out"]["weight"], tables["time_out"]["bias"])
    return hidden + row(tables["label"], labels, model.classes)


def _ordered(six: list[int], two: list[int]) -> tuple[Change, ...]:
    def reordered(parameters: Any, conditioning: Any, chunks: int) -> Any:
        return modulate(parameters, conditioning, chunks)[:, six if chunks == 6 else two]

    return instead("model.diffusion", modulate=reordered)


class ChunksScaleFirst(Altered, ReferenceBackend):
    """The six chunks hold scale before shift, the order in the formula x (1 + scale) + shift."""

    changes = _ordered([1, 0, 2, 4, 3, 5], [0, 1])


class ChunksOfMlpFirst(Altered, ReferenceBackend):
    """The first three chunks go to the MLP, the last three to the attention."""

    changes = _ordered([3, 4, 5, 0, 1, 2], [0, 1])


class ChunksByKind(Altered, ReferenceBackend):
    """Chunks are grouped by kind (both shifts, both scales, both gates) instead of by attention and MLP."""

    changes = _ordered([0, 2, 4, 1, 3, 5], [0, 1])


class FinalScaleFirst(Altered, ReferenceBackend):
    """The final layer holds scale before shift."""

    changes = _ordered([0, 1, 2, 3, 4, 5], [1, 0])


def _without_one(parameters: Any, conditioning: Any, chunks: int) -> Any:
    modulation = modulate(parameters, conditioning, chunks)
    ones = np.zeros(modulation.shape, modulation.dtype)
    ones[:, 1::3] = 1
    return modulation - ones


class ScaleWithoutOne(Altered, ReferenceBackend):
    """The modulation is x · scale + shift, without 1 +, as in older adaptive norms; it starts at zero, not at x."""

    changes = instead("model.diffusion", modulate=_without_one)


def _unmodulated(parameters: Any, conditioning: Any, chunks: int) -> Any:
    modulation = modulate(parameters, conditioning, chunks)
    return modulation if chunks == 6 else modulation * 0


class FinalUnmodulated(Altered, ReferenceBackend):
    """The last norm is not modulated: conditioning stops at the layers."""

    changes = instead("model.diffusion", modulate=_unmodulated)


class FinalUnnormed(Altered, ComposedBackend):
    """The head projects the state of the loop without a norm, as if it were normalised like the masked family's."""

    def network(self, config: Any, parameters: Any, *inputs: Any) -> Any:
        network = super().network(config, parameters, *inputs)
        if config.diffusion is None:
            return network
        output = parameters["head"]["output"]
        shape, size = config.model.shape, config.model.patch_size
        return network._replace(head=lambda x: unpatchify(linear(x, output["weight"], output["bias"]), shape, size))


class ModulationWithoutSilu(Altered, ReferenceBackend):
    """The modulations are linear in the conditioning: the SiLU at the start of each adaLN in DiT is missing."""

    changes = instead("ops.modulation", silu=lambda x: x) + instead("model.diffusion", embed_conditioning=_conditioning)


class TimeMlpWithoutSilu(Altered, ReferenceBackend):
    """The timestep MLP is two linear maps without an activation between."""

    changes = instead("model.diffusion", embed_conditioning=partial(_conditioning, activation=lambda x: x))


class LabelRowMissing(Altered, ReferenceBackend):
    """Labels are accepted and ignored, as in the unofficial port of ELT."""

    changes = instead("model.diffusion", embed_conditioning=partial(_conditioning, row=lambda *_: 0))


def _known_row(table: Any, labels: Any, classes: int) -> Any:
    return embedding(table, labels) * (labels < classes)[:, None].astype(table.dtype)


class NullClassWithoutRow(Altered, ReferenceBackend):
    """The null class adds nothing, instead of the last row of the label table."""

    changes = instead("model.diffusion", embed_conditioning=partial(_conditioning, row=_known_row))


class NullClassFirst(Altered, ReferenceBackend):
    """Row 0 of the label table means "no class", so every class is one row off."""

    changes = instead(
        "model.diffusion",
        embed_conditioning=partial(
            _conditioning, row=lambda table, labels, classes: embedding(table, (labels + 1) % (classes + 1))
        ),
    )


def _norm_with(epsilon: float) -> tuple[Change, ...]:
    def norm(x: Any, modulation: Any, *, part: int, **_: Any) -> Any:
        return modulated_layer_norm(x, modulation, part=part, epsilon=epsilon)

    return instead("ops.modulation", modulated_layer_norm=norm)


class NormWithLargeEpsilon(Altered, ReferenceBackend):
    """The norm's ε is 1e-5, PyTorch's default, instead of DiT's 1e-6."""

    changes = _norm_with(1e-5)


class NormWithBertEpsilon(Altered, ReferenceBackend):
    """The norm's ε is 1e-12, as in the masked family."""

    changes = _norm_with(1e-12)


def _textbook_norm(x: Any, modulation: Any, *, part: int, epsilon: float) -> Any:
    centred = x - anp.mean(x, axis=-1, keepdims=True)
    deviation = anp.sqrt(anp.sum(centred**2, axis=-1, keepdims=True) / (x.shape[-1] - 1))
    return centred / (deviation + epsilon) * (1 + modulation[:, None, part + 1]) + modulation[:, None, part]


class NormWithUnbiasedDeviation(Altered, ReferenceBackend):
    """The deviation divides by d − 1, and ε is outside the root: annotated-transformer #119, #122."""

    changes = instead("ops.modulation", modulated_layer_norm=_textbook_norm)


_erf: Any = primitive(lambda x: np.vectorize(math.erf)(x).astype(x.dtype))
defvjp(_erf, lambda _value, x: lambda g: g * np.exp(-x * x) * 2 / math.sqrt(math.pi))


class GeluExact(Altered, ReferenceBackend):
    """The GELU uses the error function, PyTorch's default; DiT uses the tanh form."""

    changes = instead("ops.gelu", gelu=lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))))


class DiffusionGradientOfLastLoop(ComposedBackend):
    """The gradient flows through the last loop only: truncated back-propagation (recpre)."""

    def states(self, network: Any, loops: int, config: Any) -> list[Any]:
        if config.diffusion is None:
            return super().states(network, loops, config)
        states = [network.block(network.state)]
        for _ in range(loops - 1):
            states.append(network.block(stop_gradient(states[-1])))
        return states


def _stopped_conditioning(*arguments: Any) -> Any:
    return stop_gradient(embed_conditioning(*arguments))


class ConditioningNotLearned(Altered, ReferenceBackend):
    """Time MLP and label table get no gradient, as if the conditioning were computed without recording."""

    changes = instead("model.diffusion", embed_conditioning=_stopped_conditioning)
