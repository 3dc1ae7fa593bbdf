"""Trainings that are interrupted before every line that the trainer runs: ``python training_lives.py FOLDER``.

After each, the training is resumed to its end, and its files compared with those of one that nothing happened to. The
first difference is told on stderr (exit code 1); how often it was tried, on stdout.
"""

import sys
from itertools import count
from pathlib import Path

from tiny_training import examples, tiny

from elt_ref.training import train, trainer


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def live(folder, config):
    folder.mkdir(exist_ok=True)
    train(config, examples(config), folder, resume=True)


def check_same(folder, expected, where):
    found = contents(folder)
    if set(found) != set(expected):
        sys.exit(f"{where}: there are {sorted(found)}")
    for name, content in expected.items():
        if found[name] != content:
            sys.exit(f"{where}: {name} differs: {found[name][:900]!r} is not {content[:900]!r}")


class Interrupter:
    """Raises KeyboardInterrupt, once, before the nth line that the trainer runs."""

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, _argument):
        code = frame.f_code
        if code.co_filename != trainer.__file__ or code.co_name not in {"train", "save"}:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def interrupted(folder, config, expected):
    for number in count(1):
        broken = folder / str(number)
        interrupter = Interrupter(number)
        sys.settrace(interrupter)
        try:
            live(broken, config)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        if interrupter.left > 0:
            return number - 1
        live(broken, config)
        check_same(broken, expected, f"interrupted before line {number} of the trainer's run")
    return None


def main(folder):
    config = tiny(steps=4, checkpoint_every=2, log_every=2)
    live(folder / "whole", config)
    print(interrupted(folder, config, contents(folder / "whole")))  # noqa: T201  the result


if __name__ == "__main__":
    main(Path(sys.argv[1]))
