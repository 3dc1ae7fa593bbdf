"""Differentiation of a function of a tree of parameters: one traced pass forward, one sweep back.

`rematerialise` trades time for memory: it keeps no intermediate results and evaluates a function again in the backward
pass. (`autograd.checkpoint` of autograd 1.9 traces in the forward pass, so it keeps what it should drop.)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from autograd.core import VJPNode, add_outgrads
from autograd.tracer import getval, isbox, new_box, toposort, trace_stack

from elt_ref.arrays import Tree, tree_leaves, tree_rebuild
from elt_ref.ops.fused import fused


def pull_back(
    function: Callable[..., Any], arguments: list[np.ndarray]
) -> tuple[Any, Callable[[np.ndarray], list[np.ndarray]]]:
    """Evaluate ``function(*arguments)`` once; return its output and its backward pass.

    Args:
        function: returns an array, or a pair (array, information that is not differentiated).
        arguments: the arrays to differentiate with respect to.

    Returns:
        The output, untraced, and ``backward(cotangent) -> gradients``, one for each argument and in its dtype.
        Gradients are cast here and nowhere else.

    Raises:
        NotImplementedError: an outer differentiation surrounds this call; its zero would be silently wrong.
    """
    with trace_stack.new_trace() as trace:
        roots = [VJPNode.new_root() for _ in arguments]
        output = function(*(new_box(array, trace, root) for array, root in zip(arguments, roots, strict=True)))
    end = output[0] if isinstance(output, tuple) else output
    if any(map(isbox, arguments)) or (isbox(end) and (end._trace != trace or isbox(end._value))):  # noqa: SLF001  autograd has no public name
        raise NotImplementedError("value_and_gradient: this defines first derivatives only")

    def backward(cotangent: np.ndarray) -> list[np.ndarray]:
        arrived: dict[VJPNode, np.ndarray] = {}
        flowing = {end._node: (cotangent, False)} if isbox(end) else {}  # noqa: SLF001  autograd has no public name
        for node in toposort(end._node) if flowing else ():  # noqa: SLF001
            arrived[node], _ = flowing.pop(node)
            for parent, share in zip(node.parents, node.vjp(arrived[node]), strict=True):
                flowing[parent] = add_outgrads(flowing.get(parent), share)
            if node.parents:
                del arrived[node]
        return [
            np.asarray(arrived[root], dtype=array.dtype) if root in arrived else np.zeros_like(array)
            for root, array in zip(roots, arguments, strict=True)
        ]

    return untraced(output), backward


def untraced(output: Any) -> Any:
    """Return the numbers behind a traced array, or behind each field of a (named) tuple of them."""
    if isinstance(output, tuple):
        fields = [untraced(field) for field in output]
        return type(output)(*fields) if hasattr(output, "_fields") else tuple(fields)
    return getval(output)


def value_and_gradient(function: Callable[[Tree], tuple[Any, Any]], parameters: Tree) -> tuple[Any, Any, Tree]:
    """Evaluate ``function(parameters) -> (scalar, information)`` and the gradient of the scalar.

    Returns:
        The scalar, the untraced information, and the gradient: a tree like `parameters`, each leaf in the dtype of its
        parameter.
    """
    (value, information), backward = pull_back(
        lambda *leaves: function(tree_rebuild(parameters, list(leaves))), tree_leaves(parameters)
    )
    return value, information, tree_rebuild(parameters, backward(np.ones_like(value)))


def rematerialise(function: Callable[[Any, Tree], Any]) -> Callable[[Any, Tree], Any]:
    """Return ``function(x, tree) -> y`` that keeps only its arguments and is evaluated again in the backward pass.

    Everything that is differentiated must come in through `x` and the leaves of `tree`. Value and gradient equal the
    function's own, bit for bit; between the two passes only the arguments take memory.

    Raises:
        NotImplementedError: `function` closes over a differentiated array (raised by the call).
    """

    def apply(x: Any, tree: Tree) -> Any:
        def rebuilt(x: Any, *leaves: Any) -> Any:
            return function(x, tree_rebuild(tree, list(leaves)))

        def vjp(cotangent: np.ndarray, arguments: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            _, backward = pull_back(rebuilt, list(arguments))
            return tuple(backward(cotangent))

        def value(*arguments: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
            output = rebuilt(*arguments)
            if isbox(output):
                raise NotImplementedError("rematerialise: differentiated arrays must come in through x and the tree")
            return output, arguments

        return fused(value, vjp, name="rematerialise")(x, *tree_leaves(tree))

    return apply
