"""How to define an op: its value, and an explicit vector-Jacobian product that shares intermediate results.

HIPS autograd hands a VJP only the op's inputs and output, so a plain VJP recomputes intermediate results
(a variance, a softmax). `fused` lets the value return ``(output, kept)`` and passes `kept` to the VJP.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from autograd.core import defvjp_argnums
from autograd.extend import primitive
from autograd.tracer import isbox


def fused(
    value: Callable[..., tuple[Any, Any]],
    vjp: Callable[..., tuple[Any, ...]],
    *,
    name: str,
    alone: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Make a differentiable op of a value and its VJP.

    Args:
        value: ``value(*arrays, **settings) -> (output, kept)``; only positional arguments are differentiated.
        vjp: ``vjp(cotangent, kept, **settings) -> (gradient of each positional argument, ...)``; the gradient of an
            argument that is never differentiated (integer targets) is None.
        name: name of the op, for the error.
        alone: ``alone(*arrays, **settings) -> output``, which keeps nothing; by default `value` without what it keeps.
            It computes the output where nothing is differentiated.

    Returns:
        The op ``op(*arrays, **settings) -> output``. It can be differentiated once: autograd does not trace `kept`, so
        a second derivative would be silently wrong. It raises NotImplementedError.
    """

    @primitive
    def traced(*arrays: Any, residuals: list[Any], **settings: Any) -> Any:
        output, kept = value(*arrays, **settings)
        residuals.append(kept)
        return output

    def make_vjp(argnums: tuple[int, ...], _output: Any, arrays: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        (kept,) = keywords["residuals"]
        settings = {name: setting for name, setting in keywords.items() if name != "residuals"}
        nested = any(isbox(array) for array in arrays)
        return partial(backward, argnums=argnums, kept=kept, settings=settings, nested=nested)

    def backward(
        cotangent: Any, *, argnums: tuple[int, ...], kept: Any, settings: dict[str, Any], nested: bool
    ) -> list[Any]:
        if nested or isbox(cotangent):
            raise NotImplementedError(f"{name}: this op defines first derivatives only")
        gradients = vjp(cotangent, kept, **settings)
        return [gradients[argnum] for argnum in argnums]

    defvjp_argnums(traced, make_vjp)

    def op(*arrays: Any, **settings: Any) -> Any:
        if alone is not None and not any(isbox(array) for array in arrays):
            return alone(*arrays, **settings)
        return traced(*arrays, residuals=[], **settings)

    return op
