"""The answers of an idea's functions: each is checked, and an error in the file becomes one sentence with its line."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from elt_ref.arrays import Tree, check_loops, tree_items
from elt_ref.errors import RequestError, first_words


class IdeaError(RequestError):
    """An idea's file or one of its answers is wrong."""


def file_of(name: str) -> str:
    """Return the name under which Python knows the file, to find its lines in a traceback."""
    return f"<idea {name}>"


def takes_extra(function: Callable[..., Any]) -> bool:
    """Return whether a function names the argument that it is handed the tensors of ``init`` by."""
    return "extra" in inspect.signature(function).parameters


@contextmanager
def in_words(name: str, what: str) -> Iterator[None]:
    """Turn what an idea's code raises into one sentence with the line."""
    try:
        yield
    except IdeaError:
        raise
    except (Exception, SystemExit) as error:
        words = str(error) if isinstance(error, RequestError) else f"{type(error).__name__}: {first_words(error)}"
        raise IdeaError(f"idea {name}{_line(error, name)}: {what}, got {words}") from error


def _line(error: BaseException, name: str) -> str:
    """Return the last line of an idea's file that an error passed, in words; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename == file_of(name):
        return f", line {error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file_of(name):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}" if lines else ""


def guarded(name: str, each: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, whose errors are sentences, and which is handed ``extra`` only if it takes it."""
    handed = takes_extra(function)

    def call(*arguments: Any, extra: Tree = None, **settings: Any) -> Any:
        with in_words(name, f"expected {each} to answer"):
            return function(*arguments, **settings, **({"extra": extra} if handed else {}))

    return call


def _array(name: str, what: str, answer: Any, like: Any) -> Any:
    """Return an answer that has the shape and the dtype of `like`."""
    expected, got = _kind(like), _kind(answer)
    if expected != got:
        raise IdeaError(f"idea {name}: expected {what} of {expected}, got {got}")
    return answer


def _kind(array: Any) -> str:
    return f"{array.dtype} {list(array.shape)}" if hasattr(array, "dtype") else type(array).__name__


def _init(name: str, function: Callable[..., Any]) -> Callable[..., Tree]:
    def init(config: Any, generator: np.random.Generator) -> Tree:
        made = function(config, generator)
        if not isinstance(made, Mapping) or not made:
            raise IdeaError(f"idea {name}: expected init to return arrays by name, got {first_words(repr(made))}")
        for key, leaf in tree_items(made):
            if not isinstance(leaf, np.ndarray) or not np.issubdtype(leaf.dtype, np.floating):
                raise IdeaError(f"idea {name}: expected init to return floats for '{key}', got {_kind(leaf)}")
            if not np.isfinite(leaf).all():
                raise IdeaError(f"idea {name}: expected init to return finite numbers for '{key}', got others")
        return made

    return init


def _loop_states(name: str, function: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def loop_states(
        block: Callable[[Any], Any],
        x: Any,
        loops: int,
        *,
        last: Callable[[Any], Any] | None = None,  # noqa: ARG001  every state of an idea is whole
        extra: Tree = None,
    ) -> Iterator[Any]:
        answer, count = function(block, x, loops, extra=extra), 0
        with in_words(name, "expected loop_states to yield states"):
            for state in answer:
                count += 1
                if count > loops:
                    break
                yield _array(name, f"loop_states to yield a state {count}", state, x)
        if count != loops:
            got = "more" if count > loops else f"{count}"
            raise IdeaError(f"idea {name}: expected loop_states to yield {loops} states, got {got}")

    return loop_states


def _layer(each: str) -> Callable[[str, Callable[..., Any]], Callable[..., Any]]:
    def checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def layer(tree: Tree, x: Any, *, heads: int, epsilon: float, extra: Tree = None) -> Any:
            answer = function(tree, x, heads=heads, epsilon=epsilon, extra=extra)
            return _array(name, f"{each} to return a state", answer, x)

        return layer

    return checked


def _objective(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def objective(target: Any, exits: Mapping[int, Any], *, truth_weight: float, extra: Tree = None) -> Any:
        total = function(target, exits, truth_weight=truth_weight, extra=extra)
        like = np.zeros((), next(iter(exits.values())).dtype)
        return _array(name, "objective to return a number", total, like)

    return objective


def _draw_exits(name: str, function: Callable[..., Any]) -> Callable[..., tuple[int, ...]]:
    def draw_exits(generator: np.random.Generator, *, min_loops: int, max_loops: int) -> tuple[int, ...]:
        drawn = function(generator, min_loops=min_loops, max_loops=max_loops)
        if isinstance(drawn, str) or not isinstance(drawn, Iterable):
            raise IdeaError(f"idea {name}: expected draw_exits to return a list, got {first_words(repr(drawn))}")
        exits = sorted({check_loops(loops, f"idea {name}: draw_exits") for loops in drawn})
        if not exits:
            raise IdeaError(f"idea {name}: expected draw_exits to return at least one number of loops, got none")
        return tuple(exits)

    return draw_exits


def _truth_weight_at(name: str, function: Callable[..., Any]) -> Callable[..., float]:
    def truth_weight_at(step: int, steps: int) -> float:
        answer = function(step, steps)
        try:
            weight = float(answer)
        except (TypeError, ValueError):
            weight = float("nan")
        if not 0 <= weight <= 1:
            got = first_words(repr(answer))
            raise IdeaError(f"idea {name}: expected truth_weight_at to return λ in 0…1, got {got} at step {step}")
        return weight

    return truth_weight_at


def _early_exit(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def early_exit(predictions: list[Any], unknown: Any, *, extra: Tree = None) -> Any:
        answer = np.asarray(function(predictions, unknown, extra=extra))
        rows = len(predictions[-1])
        if answer.shape != (rows,) or not np.issubdtype(answer.dtype, np.number):
            raise IdeaError(f"idea {name}: expected early_exit to return {rows} numbers, got {_kind(answer)}")
        if np.isnan(answer).any():
            raise IdeaError(f"idea {name}: expected early_exit to return numbers, got NaN")
        return answer

    return early_exit


CHECKS: dict[str, Callable[[str, Callable[..., Any]], Callable[..., Any]]] = {
    "init": _init,
    "loop_states": _loop_states,
    "post_norm_layer": _layer("post_norm_layer"),
    "adaln_zero_layer": _layer("adaln_zero_layer"),
    "objective": _objective,
    "draw_exits": _draw_exits,
    "truth_weight_at": _truth_weight_at,
    "early_exit": _early_exit,
}
"""What turns a file's function into one that checks its answers, by name."""
