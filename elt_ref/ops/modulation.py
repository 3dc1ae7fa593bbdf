"""Conditioning inside a DiT layer: modulated normalisation and gated residual; and SiLU, which precedes both.

    x̂ = (x − mean) / √(variance + ε), with no scale or bias of its own
    modulated norm   value  y = x̂ (1 + scale) + shift                FLOPs   7 · size + 5 · rows + batch · width
                     VJP    ĝ = ȳ (1 + scale),  x̄ = r (ĝ − mean(ĝ) − x̂ mean(ĝ x̂)),
                            shift̄ = Σ_tokens ȳ,  scalē = Σ_tokens ȳ x̂      FLOPs  11 · size + batch · width
    gated residual   value  y = x + gate · z                         FLOPs   2 · size
                     VJP    x̄ = ȳ,  z̄ = gate · ȳ,  gatē = Σ_tokens ȳ z    FLOPs   3 · size
    SiLU             value  y = x σ(x)                               FLOPs   4 · size
                     VJP    x̄ = ȳ σ (1 + x (1 − σ))                  FLOPs   5 · size

A modulation is [batch, chunks, width]; `part` names the chunk of an op's shift (scale is the next) or gate.
"""

import numpy as np
from jaxtyping import Float

from elt_ref.arrays import Array
from elt_ref.ops.counter import count_passes, count_work
from elt_ref.ops.fused import fused
from elt_ref.ops.logistic import SCALE, logistic
from elt_ref.ops.sums import last_axis_sum, sum_of_rows

ModulatedKept = tuple[np.ndarray, np.ndarray, np.ndarray]


def modulated_value(
    x: np.ndarray, modulation: np.ndarray, *, part: int, epsilon: float
) -> tuple[np.ndarray, ModulatedKept]:
    """Return the modulated norm, and what its way back needs."""
    width = x.shape[-1]
    count_work(elementwise_flops=7 * x.size + 5 * (x.size // width) + len(x) * width)
    count_passes(x.size, arithmetic=6)
    normalised = x - last_axis_sum(x) / width
    variance = np.einsum("...d,...d->...", normalised, normalised)[..., None] / width
    inverse_deviation = 1 / np.sqrt(variance + epsilon)
    normalised *= inverse_deviation
    factor = 1 + modulation[:, None, part + 1]
    output = normalised * factor
    output += modulation[:, None, part]
    return output, (normalised, inverse_deviation, factor)


def modulated_vjp(
    cotangent: np.ndarray, kept: ModulatedKept, modulation_gradient: np.ndarray, *, part: int
) -> np.ndarray:
    """Return the gradient of x, and write shift's and scale's into their chunks of the modulation's."""
    normalised, inverse_deviation, factor = kept
    width = cotangent.shape[-1]
    count_work(elementwise_flops=11 * cotangent.size + len(cotangent) * width)
    count_passes(cotangent.size, arithmetic=10)
    products = cotangent * normalised
    modulation_gradient[:, part] = sum_of_rows(cotangent)
    modulation_gradient[:, part + 1] = sum_of_rows(products)
    # The mean of a row times 1 + scale is a product with 1 + scale.
    column = factor.swapaxes(1, 2)
    mean, projection = cotangent @ column / width, products @ column / width
    gradient = cotangent * factor
    gradient -= mean
    gradient -= np.multiply(normalised, projection, out=products)
    gradient *= inverse_deviation
    return gradient


def gated(x: np.ndarray, update: np.ndarray, modulation: np.ndarray, *, part: int) -> np.ndarray:
    """Return ``x + gate · update``, where gate is chunk `part` of the modulation."""
    count_work(elementwise_flops=2 * x.size)
    count_passes(x.size, arithmetic=2)
    output = update * modulation[:, None, part]
    output += x
    return output


def gated_vjp(
    cotangent: np.ndarray, update: np.ndarray, modulation: np.ndarray, modulation_gradient: np.ndarray, *, part: int
) -> np.ndarray:
    """Return the gradient of the update, and write the gate's; the gradient of x is the cotangent."""
    count_work(elementwise_flops=3 * cotangent.size)
    count_passes(cotangent.size, arithmetic=2)
    modulation_gradient[:, part] = np.einsum("bnd,bnd->bd", cotangent, update)
    return cotangent * modulation[:, None, part]


def _modulated_op(
    x: np.ndarray, modulation: np.ndarray, *, part: int, epsilon: float
) -> tuple[np.ndarray, tuple[ModulatedKept, tuple[int, ...]]]:
    output, kept = modulated_value(x, modulation, part=part, epsilon=epsilon)
    return output, (kept, modulation.shape)


def _modulated_op_vjp(
    cotangent: np.ndarray, kept: tuple[ModulatedKept, tuple[int, ...]], *, part: int, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:  # settings as in the value
    del epsilon
    norm, shape = kept
    modulation_gradient = np.zeros(shape, cotangent.dtype)
    return modulated_vjp(cotangent, norm, modulation_gradient, part=part), modulation_gradient


def _silu_value(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    count_work(elementwise_flops=4 * x.size)
    count_passes(x.size, arithmetic=4, exp=1)
    sigmoid = logistic(SCALE * x)
    return x * sigmoid, (x, sigmoid)


def _silu_vjp(cotangent: np.ndarray, kept: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray]:
    x, sigmoid = kept
    count_work(elementwise_flops=5 * cotangent.size)
    return (cotangent * sigmoid * (1 + x * (1 - sigmoid)),)


_modulated_layer_norm = fused(_modulated_op, _modulated_op_vjp, name="modulated_layer_norm")
_silu = fused(_silu_value, _silu_vjp, name="silu")


def modulated_layer_norm(
    x: Float[Array, "batch tokens width"], modulation: Float[Array, "batch chunks width"], *, part: int, epsilon: float
) -> Float[Array, "batch tokens width"]:
    """Return ``norm(x) · (1 + scale) + shift``, where shift is chunk `part` of the modulation and scale the next.

    Source: `modulate` and the affine-free LayerNorm of DiT.
    """
    return _modulated_layer_norm(x, modulation, part=part, epsilon=epsilon)


def silu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return ``x · sigmoid(x)``, element by element."""
    return _silu(x)
