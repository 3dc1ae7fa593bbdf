"""One's own idea: the functions of a file that stand in the place of the package's.

An idea is a value that travels beside the configuration, as ``train_step(…, idea=idea)`` and ``sample(…, idea=idea)``;
no module is changed. `FUNCTIONS` lists what a file may define; ``docs/ideas.md`` explains it. A function that names an
argument ``extra`` is handed the tensors of ``init``, which are trained, averaged and saved under a key of their own.

Every answer is checked (`idea_checks`).
"""

import hashlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from elt_ref.arrays import Tree
from elt_ref.errors import first_words, nearest
from elt_ref.idea_checks import CHECKS, IdeaError, file_of, guarded, in_words, takes_extra

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

LAYERS = {"post_norm_layer", "adaln_zero_layer"}
WITH_EXTRA = {"loop_states", "objective", "early_exit", *LAYERS}
SAMPLING = {"loop_states", "early_exit", *LAYERS}
"""Functions that change what a trained network draws."""


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
    module = types.ModuleType(file_of(name))  # no name of another module, whose functions would be taken for its own
    with in_words(name, "expected a Python file that can be run"):
        exec(compile(text, file_of(name), "exec"), module.__dict__)  # noqa: S102  an idea is a user's own code
    functions = _claimed(module, name)
    for each, function in functions.items():
        _check_signature(name, each, function, "init" in functions)
    takers = [each for each, function in functions.items() if takes_extra(function)]
    if "init" in functions and not takers:
        raise IdeaError(f"idea {name}: expected a function with the argument extra to use what init makes, got none")
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, str | None):
        raise IdeaError(f"idea {name}: expected FAMILY to name a family, got {first_words(repr(family))}")
    checks = {each: CHECKS[each](name, guarded(name, each, function)) for each, function in functions.items()}
    return Idea(name, text, **checks, family=family)


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
