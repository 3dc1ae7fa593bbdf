"""The block g_Θ (E3) and the loop F_(N,L) (E4), a generator of states.

    E3   g_Θ(x) = f_θN(f_θN−1(… f_θ1(x)))
    E4   F_(N,L)(x) = g_Θ(g_Θ(… g_Θ(x)))   L loops, ≡ g_Θ^L(x)

Nothing else is inside the loop: no input is injected again, no loop index is embedded, no norm or head is applied.
So the states of few loops are, literally, the first states of many loops.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any

from elt_ref.arrays import Tree
from elt_ref.errors import RequestError


def apply_block(layer: Callable[[Tree, Any], Any], layers: Sequence[Tree], x: Any) -> Any:
    """E3: apply the N layers in order.

    Args:
        layer: ``layer(θ_i, x) -> x``.
        layers: θ_1 … θ_N.
        x: the state.
    """
    for parameters in layers:
        x = layer(parameters, x)
    return x


def loop_states(block: Callable[[Any], Any], x: Any, loops: int) -> Iterator[Any]:
    """E4: yield g(x), g(g(x)), …: the states after 1, 2, …, `loops` loops.

    Args:
        block: g_Θ, from state to state.
        x: the state before the first loop, which is not yielded.
        loops: L ≥ 1; any number, also above the L_max of training.

    Raises:
        RequestError: `loops` is not an integer ≥ 1 (when called, not at the first state).
    """
    check_loops(loops)

    def states() -> Iterator[Any]:
        state = x
        for _ in range(loops):
            state = block(state)
            yield state

    return states()


def last_state(block: Callable[[Any], Any], x: Any, loops: int) -> Any:
    """F_(N,L)(x): the last of `loop_states`, holding one state at a time."""
    return deque(loop_states(block, x, loops), maxlen=1).pop()


def check_loops(loops: Any, where: str = "loops") -> int:
    """Return `loops` if it is an integer ≥ 1.

    Raises:
        RequestError: it is not; the sentence begins with `where`.
    """
    if isinstance(loops, bool) or not isinstance(loops, Integral) or loops < 1:
        raise RequestError(f"{where}: expected an integer of at least 1, got {loops!r}")
    return int(loops)
