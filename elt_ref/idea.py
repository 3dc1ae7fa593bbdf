"""One's own idea: the functions of a file that stand in the place of the package's.

An idea is a value that travels beside the configuration, as ``train_step(…, idea=idea)`` and ``sample(…, idea=idea)``;
no module is changed. `FUNCTIONS` lists what a file may define; ``docs/ideas.md`` explains it. A function that names an
argument ``extra`` is handed the tensors of ``init``, which are trained, averaged and saved under a key of their own.

Every answer is checked, and an error in the file becomes one sentence that names the file and the line.
"""

import hashlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from elt_ref.arrays import Tree, check_loops, tree_items
from elt_ref.errors import RequestError, first_words, nearest

EXTRA = "idea"
"""Key of an idea's own tensors among the parameters."""

FUNCTIONS = {
    "init": "init(config, generator)",
    "loop_states": "loop_states(block, x, loops)",
    "post_norm_layer": "post_norm_layer(parameters, x, *, heads, epsilon)",
    "adaln_zero_layer": "adaln_zero_layer(tree, x, *, heads, epsilon)",
    "objective": "objective(target, exits, *, truth_weight)",
    "draw_exits": "draw_exits(generator, *, min_loops, max_loops)",
    "truth_weight_at": "truth_weight_at(step, steps)",
    "early_exit": "early_exit(predictions, unknown)",
}
"""Functions that a file may define, and how they are called. All but ``init``, ``draw_exits`` and ``truth_weight_at``
may take ``extra`` too."""

LAYERS = {"masked": "post_norm_layer", "diffusion": "adaln_zero_layer"}
"""Layer by family."""
WITH_EXTRA = {"loop_states", "objective", "early_exit", *LAYERS.values()}
SAMPLING = {"loop_states", "early_exit", *LAYERS.values()}
"""Functions that change what a trained network draws."""


class IdeaError(RequestError):
    """An idea's file or one of its answers is wrong."""


@dataclass(frozen=True)
class Idea:
    """The functions of a file; None leaves the package's own. Each checks what it returns."""

    name: str
    text: str
    """Text of the file, which a run keeps."""
    init: Callable[..., Tree] | None = None
    """``init(config, generator)``: the tensors of ``extra``, by name."""
    loop_states: Callable[..., Iterator[Any]] | None = None
    """E4: ``loop_states(block, x, loops)`` yields the states after 1 … `loops` loops."""
    post_norm_layer: Callable[..., Any] | None = None
    """f_θ of the masked family: ``post_norm_layer(parameters, x, heads=…, epsilon=…)``."""
    adaln_zero_layer: Callable[..., Any] | None = None
    """f_θ of the diffusion family: ``adaln_zero_layer(tree, x, heads=…, epsilon=…)``."""
    objective: Callable[..., Any] | None = None
    """E5: ``objective(target, exits, truth_weight=…)``, a scalar of the predictions by number of loops."""
    draw_exits: Callable[..., tuple[int, ...]] | None = None
    """E6: ``draw_exits(generator, min_loops=…, max_loops=…)``, the numbers of loops after which a step predicts."""
    truth_weight_at: Callable[..., float] | None = None
    """λ: ``truth_weight_at(step, steps)``."""
    early_exit: Callable[..., Any] | None = None
    """``early_exit(predictions, unknown)`` [rows], which an `EarlyExit` compares with its threshold in the place of the
    change; `predictions` are those after 1, 2, … loops."""
    family: str | None = None
    """The only family that it works in; None for every one."""

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def replaces(self) -> tuple[str, ...]:
        """Names of its functions."""
        return tuple(name for name in FUNCTIONS if getattr(self, name) is not None)


def idea_of(text: str, name: str) -> Idea:
    """Return the idea in the text of a Python file. This runs the text.

    Args:
        text: the file's text.
        name: name of the idea; sentences about it begin with it.

    Raises:
        RequestError: the text does not run, defines none of `FUNCTIONS`, lacks one of its ``__all__``, or one of them
            has another signature.
    """
    module = types.ModuleType(name)
    with _in_words(name, "expected a Python file that can be run"):
        exec(compile(text, _file(name), "exec"), module.__dict__)  # noqa: S102  an idea is a user's own code
    functions = _claimed(module, name)
    for each, function in functions.items():
        _check_signature(name, each, function, "init" in functions)
    takers = [each for each, function in functions.items() if _takes_extra(function)]
    if "init" in functions and not takers:
        raise IdeaError(f"idea {name}: expected a function with the argument extra to use what init makes, got none")
    family = getattr(module, "FAMILY", None)
    only = [each for each, layer in LAYERS.items() if layer in functions]
    if family is None and len(only) == 1:
        (family,) = only
    if family not in (None, *LAYERS):
        raise IdeaError(f"idea {name}: expected FAMILY to be one of {', '.join(LAYERS)}, got {family!r}")
    checks = {each: CHECKS[each](name, _guarded(name, each, function)) for each, function in functions.items()}
    return Idea(name, text, **checks, family=family)


def check_idea(idea: Idea, family: str) -> None:
    """Raise RequestError if an idea does not work in this family."""
    if idea.family not in (None, family):
        raise IdeaError(f"idea {idea.name}: expected a configuration of the {idea.family} family, got {family}")


def _file(name: str) -> str:
    """Return the name under which Python knows the file, to find its lines in a traceback."""
    return f"<idea {name}>"


def _claimed(module: types.ModuleType, name: str) -> dict[str, Callable[..., Any]]:
    """Return the functions that a file offers: those in its ``__all__``, or else those that it defines."""
    content = vars(module)
    if "__all__" in content:
        names = content["__all__"]
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise IdeaError(f"idea {name}: expected __all__ to list names, got {names!r}")
        names = [str(each) for each in names]
    else:
        names = [
            each
            for each, value in content.items()
            if not each.startswith("_") and inspect.isroutine(value) and value.__module__ == module.__name__
        ]
    for each in names:
        if each not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise IdeaError(
                f"idea {name}: expected some of the functions {known}, and _names for its own, got {each}"
                f"{nearest(each, FUNCTIONS)}"
            )
        if not callable(content.get(each)):
            raise IdeaError(f"idea {name}: expected the function {each}, which its __all__ names, got none")
    if not names:
        raise IdeaError(f"idea {name}: expected at least one of the functions {', '.join(FUNCTIONS)}, got none")
    return {each: content[each] for each in FUNCTIONS if each in names}


def _takes_extra(function: Callable[..., Any]) -> bool:
    return "extra" in inspect.signature(function).parameters


def _check_signature(name: str, each: str, function: Callable[..., Any], has_init: bool) -> None:
    expected = FUNCTIONS[each]
    positional, _, named = expected[len(each) + 1 : -1].partition(", *, ")
    try:
        signature = inspect.signature(function)
        extra = ["extra"] if "extra" in signature.parameters and each in WITH_EXTRA else []
        keywords: dict[str, Any] = dict.fromkeys([*(named.split(", ") if named else []), *extra])
        signature.bind(*positional.split(", "), **keywords)
    except (TypeError, ValueError):
        got = f"{each}{inspect.signature(function)}" if callable(function) else repr(function)
        raise IdeaError(f"idea {name}: expected {expected}, got {first_words(got)}") from None
    if extra and not has_init:
        raise IdeaError(f"idea {name}: expected init, which makes the extra of {each}, got none")


@contextmanager
def _in_words(name: str, what: str) -> Iterator[None]:
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
    if isinstance(error, SyntaxError) and error.filename == _file(name):
        return f", line {error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _file(name):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}" if lines else ""


def _guarded(name: str, each: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, whose errors are sentences, and which is handed ``extra`` only if it takes it."""
    takes_extra = _takes_extra(function)

    def call(*arguments: Any, extra: Tree = None, **settings: Any) -> Any:
        with _in_words(name, f"expected {each} to answer"):
            return function(*arguments, **settings, **({"extra": extra} if takes_extra else {}))

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
        with _in_words(name, "expected loop_states to yield states"):
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
