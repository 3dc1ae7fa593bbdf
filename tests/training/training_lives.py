"""Trainings that are interrupted or killed, in processes of their own; see test_trainer.py.

    python training_lives.py FOLDER interrupted       before every line that the trainer runs
    python training_lives.py FOLDER saving            by SIGKILL around every system call that a save makes
    python training_lives.py FOLDER random KILLS      by SIGKILL at moments drawn at random, in one and the same run

After each, the training is resumed to its end, and its files compared with those of one that nothing happened to. The
first difference is told on stderr (exit code 1); how often it was tried, on stdout.
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from tiny_training import examples, tiny

from elt_ref.training import CHECKPOINT, load_checkpoint, train, trainer


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


def check_readable(folder, config):
    """Return the steps that the checkpoint knows; a damaged one ends this process."""
    path = folder / CHECKPOINT
    return load_checkpoint(path, config).step if path.exists() else 0


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


def forked(work, *arguments):
    """Do `work` in a process of its own and return its id."""
    process = os.fork()
    if process == 0:
        with suppress(BaseException):
            work(*arguments)
        os._exit(0)
    return process


def was_killed(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def live_until(folder, config, name, number, *, before):
    """Live until the nth call of a function of `os`."""
    original = getattr(os, name)
    calls = count(1)

    def deadly(*arguments):
        if last := next(calls) == number:
            if before:
                os.kill(os.getpid(), signal.SIGKILL)
            original(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return None if last else original(*arguments)

    setattr(os, name, deadly)
    live(folder, config)


def killed_saving(folder, config, expected):
    kills = 0
    for name in ("fsync", "replace"):
        for number in count(1):
            for before in (True, False):
                broken = folder / f"{name}{number}{before}"
                process = forked(lambda *a, before=before: live_until(*a, before=before), broken, config, name, number)
                killed = was_killed(process)
                kills += killed
                check_readable(broken, config)
                live(broken, config)
                check_same(broken, expected, f"killed {'before' if before else 'after'} call {number} of {name}")
            if not killed:
                break
    return kills


def killed_at_random(folder, config, expected, kills):
    broken = folder / "killed"
    draw = random.Random(0)  # noqa: S311  moments, no secrets
    reached, killed = [0], 0
    while killed < kills:
        process = forked(live, broken, config)
        while check_readable(broken, config) == reached[-1]:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.02))
        os.kill(process, signal.SIGKILL)
        killed += was_killed(process)
        reached.append(check_readable(broken, config))
        if reached[-1] == config.training.steps:
            sys.exit(f"the training ended before its {kills}th kill: {reached}")
    live(broken, config)
    check_same(broken, expected, f"killed at {reached}")
    return reached


def main(folder, how, kills=0):
    kills = int(kills)
    settings = {"steps": 4, "checkpoint_every": 2, "log_every": 2}
    if how == "random":
        settings = {"steps": 8 * kills, "checkpoint_every": 1, "log_every": 1, "model": {"width": 16, "mlp_width": 64}}
    config = tiny(**settings)
    live(folder / "whole", config)
    expected = contents(folder / "whole")
    if how == "interrupted":
        tried = interrupted(folder, config, expected)
    elif how == "saving":
        tried = killed_saving(folder, config, expected)
    else:
        tried = killed_at_random(folder, config, expected, kills)
    print(json.dumps(tried))  # noqa: T201  the result


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
