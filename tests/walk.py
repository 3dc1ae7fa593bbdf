"""The walk of a reader: the functions that a training step and a sample enter, in order of first entry.

    python -m tests.walk [CHECKOUT] [--list]

Ops, arrays, streams, config and errors are left out: a reader needs no
more than their names. Comprehensions count as functions, as they do for Python 3.11.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

LEFT_OUT = {"ops", "arrays", "streams", "config", "errors"}
"""Rooms that every other room uses."""
PRESET = "digits-masked"


class Walk(NamedTuple):
    """Functions in order of first entry, each as (file, name)."""

    places: list[tuple[str, str]]

    @property
    def stretches(self) -> list[tuple[str, list[str]]]:
        """Functions that follow one another in one file."""
        grouped = groupby(self.places, key=lambda place: place[0])
        return [(file, [name for _, name in places]) for file, places in grouped]

    @property
    def size(self) -> tuple[int, int, int]:
        """Numbers of functions, of files, and of changes of file."""
        files = [file for file, _ in self.stretches]
        return len(self.places), len(set(files)), len(files) - 1


def record(action: Callable[[], Any], package: Path) -> Walk:
    """Return the walk of an action through the package in this folder."""
    entered: dict[CodeType, tuple[str, str]] = {}

    def on_event(frame: FrameType, event: str, _: Any) -> None:
        code, path = frame.f_code, Path(frame.f_code.co_filename)
        if event == "call" and code not in entered and path.is_relative_to(package):
            file = path.relative_to(package).with_suffix("")
            if file.parts[0] not in LEFT_OUT:
                entered[code] = (file.as_posix(), code.co_qualname)

    sys.setprofile(on_event)
    try:
        action()
    finally:
        sys.setprofile(None)
    return Walk([*entered.values()])


def walks() -> dict[str, Walk]:
    """Return the walks of the two actions by name."""
    import numpy as np

    import elt_ref
    from elt_ref.objective import Batch
    from elt_ref.training import init_state, train_step

    try:
        from elt_ref.objective import batch_indices, draw
    except ImportError:  # a checkout of 0.1.0
        from elt_ref.training.draws import batch_indices, draw  # pyright: ignore[reportMissingImports]

    config = elt_ref.load_preset(PRESET)
    state, model, sample = init_state(config), config.model, elt_ref.sample
    examples = Batch(np.zeros((256, model.tokens), np.int64), np.zeros(256, np.int64))

    def training_step() -> None:
        indices = batch_indices(config, 0, len(examples.labels))
        train_step(state, Batch(*(array[indices] for array in examples)), draw(config, 0), config=config)

    package = Path(elt_ref.__file__).parent
    return {
        "a masked training step": record(training_step, package),
        "a masked sample": record(lambda: sample(state.parameters, config, np.arange(model.classes)), package),
    }


def main() -> None:
    """Print the size of each walk, and the walk itself on request."""
    parser = argparse.ArgumentParser(description="Count the functions and files that a reader enters.")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--list", action="store_true", help="print the functions, a line for each stretch in one file")
    options = parser.parse_args()
    sys.path.insert(0, str(options.checkout.resolve()))
    for name, walk in walks().items():
        functions, files, changes = walk.size
        lines = [f"{name}: {functions} functions, {files} files, {changes} changes of file"]
        if options.list:
            lines += [f"  {file}: {', '.join(names)}" for file, names in walk.stretches]
        print("\n".join(lines))  # noqa: T201  the command's result


if __name__ == "__main__":
    main()
