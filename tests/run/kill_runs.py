"""Kill trainings and look at what is left: ``python -m tests.run.kill_runs [--kills N] [--seed N]``.

A third of the kills or more fall between two system calls of a write, or halfway through one; the others at random
moments of a life, by SIGKILL, SIGTERM, SIGHUP or SIGINT. The masked, the diffusion and the video family take turns.
After each kill every file of the run is read; at the end of each life its files are compared with those of a run that
nothing happened to. Prints the counts as JSON; exit code 1 if a file was unreadable or a bit differed.

A life is a whole `elt-ref train`: it takes the lock, learns the tokenizer, writes the folder and trains. It runs in a
fork of this process, in which everything is loaded, on few examples.
"""

import argparse
import functools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from elt_ref.run.process import settle_process

settle_process()

import tiny_datasets  # noqa: E402
from elt_ref.config import load_config, parse_config  # noqa: E402
from elt_ref.run.folder import CONFIG, open_run  # noqa: E402
from elt_ref.run.lock import LOCK  # noqa: E402
from elt_ref.run.record import RECORD, read_record  # noqa: E402
from elt_ref.run.stop import ENDING, signals_interrupt  # noqa: E402
from elt_ref.run.train import train_run  # noqa: E402
from elt_ref.terminal import Terminal  # noqa: E402  NumPy is loaded from here on
from elt_ref.training import CHECKPOINT, METRICS, read_metrics  # noqa: E402
from tests.faulty_os import faulty, kill, kill_halfway  # noqa: E402

FAMILIES = {
    "masked": """
        data = { name = "digits" }
        tokenizer = { patch_size = 2, iterations = 2 }
        model.grid = [4, 4]
        model.codebook_size = 12
    """,
    "diffusion": """
        data = { name = "digits" }
        latents = { patch_size = 2, channels = 2 }
        model.family = "diffusion"
        model.shape = [4, 4, 2]
        model.patch_size = 2
        model.time_features = 8
        diffusion = { shift = "none", bias = "sid2_default_b0" }
    """,
    "video": """
        data = { name = "moving_digits" }
        tokenizer = { patch_size = 4, patch_frames = 2, iterations = 2 }
        model.grid = [2, 3, 3]
        model.codebook_size = 12
    """,
}
REST = """
    model.layers = 1
    model.max_loops = 2
    model.width = 8
    model.heads = 2
    model.mlp_width = 8
    model.classes = 10
    training = { steps = 12, batch_size = 4, warmup_steps = 1, checkpoint_every = 3, log_every = 2 }
"""
EXAMPLES = 60
SIGNALS = (signal.SIGKILL, signal.SIGKILL, *ENDING)
"""Drawn at random; SIGKILL more often."""


@functools.cache
def few(name, load=tiny_datasets.load):
    """Return a data set with few examples, loaded once."""
    dataset = load(name)
    parts = {part: getattr(dataset, part) for part in ("train", "test")}
    short = {
        name: replace(part, examples=part.examples[:EXAMPLES], labels=part.labels[:EXAMPLES])
        for name, part in parts.items()
    }
    return replace(dataset, **short, **({"motions": None} if dataset.kind == "clips" else {}))


def live(config, folder):
    """Begin or resume a run."""
    train_run(config, folder, resume=True, console=Terminal(quiet=True))


def forked(work):
    """Do `work` in a fork of this process; return its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    with suppress(BaseException):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
        with signals_interrupt():
            work()
        code = 0
    os._exit(code)


def ended(process):
    """Wait for a process; return its exit code, the negative signal if one killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


class Lives:
    """Lives of one family, and how they end."""

    def __init__(self, family, place):
        self.family, self.place, self.number = family, place, 0
        self.config = parse_config(f'name = "{family}"\n{FAMILIES[family]}\n{REST}', where=family)
        with faulty(0, kill) as counted:
            started = time.perf_counter()
            live(self.config, place / "whole")
            self.seconds = time.perf_counter() - started
        self.calls = counted.calls
        self.whole = contents(place / "whole")
        self.counts = Counter()
        self.wrong = []

    def folder(self):
        """Return a new place for a life."""
        self.number += 1
        return self.place / str(self.number)

    def look(self, folder, where):
        """Read every file that a kill left, as the commands would."""
        self.counts["kills"] += 1
        try:
            names = {path.name for path in folder.iterdir()} if folder.exists() else set()
            left = {f".{name}.tmp" for name in (*self.whole, "probe")} | {LOCK}
            if strange := names - set(self.whole) - left:
                raise ValueError(f"there is also {sorted(strange)}")  # noqa: TRY301
            for name, read in ((CONFIG, load_config), (METRICS, entries)):
                if name in names:
                    read(folder / name)
            if RECORD in names:
                read_record(folder)
            if CHECKPOINT in names:
                open_run(folder)
        except Exception as error:  # noqa: BLE001  whatever it is, it is counted and told
            self.fail("unreadable", f"{where}: {error}")

    def finish(self, folder, where):
        """Resume to the end and compare."""
        with suppress(Exception):
            live(self.config, folder)
        found = contents(folder)
        self.counts["lives"] += 1
        if found != self.whole:
            names = sorted(name for name in {*found, *self.whole} if found.get(name) != self.whole.get(name))
            self.fail("different", f"{where}: {', '.join(names)}")

    def fail(self, how, words):
        """Note what is wrong."""
        self.counts[how] += 1
        self.wrong.append(f"{self.family}, {how}: {words}")

    def between_calls(self, at, halfway):
        """Kill before the nth system call of a write, or halfway through it."""
        folder = self.folder()

        def work():
            with faulty(at, kill_halfway if halfway else kill):
                live(self.config, folder)

        where = f"killed {'halfway through' if halfway else 'before'} call {at}, {self.calls[at - 1]}"
        if ended(forked(work)) != -signal.SIGKILL:
            self.fail("not killed", where)
        self.look(folder, where)
        self.finish(folder, where)

    def at_random(self, draw, most):
        """Kill one life again and again at random moments, at most so often; return how often."""
        folder, moments = self.folder(), []
        while len(moments) < most:
            number, moment = draw.choice(SIGNALS), draw.uniform(0, 1.2 * self.seconds)
            process = forked(lambda: live(self.config, folder))
            time.sleep(moment)
            os.kill(process, number)
            if ended(process) == 0:
                break
            moments.append(f"{signal.Signals(number).name} after {moment:.4f} s")
            self.look(folder, moments[-1])
        self.finish(folder, "; ".join(moments) or "not killed")
        return len(moments)


def entries(path):
    """Read a log, in which no line may be cut short."""
    found = read_metrics(path)
    if len(found) != len(path.read_text(encoding="utf-8").splitlines()):
        raise ValueError(f"{path} has a line that is cut short")
    return found


def contents(folder):
    """Return the bytes of every file by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main():
    """Kill, look, compare, and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.run.kill_runs", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, metavar="N", help="kills, at least (1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the moments (0)")
    arguments = parser.parse_args()
    tiny_datasets.load = few
    draw, started = random.Random(arguments.seed), time.perf_counter()  # noqa: S311  moments, no secrets
    with tempfile.TemporaryDirectory() as place:
        families = []
        for family in FAMILIES:
            (Path(place) / family).mkdir()
            families.append(Lives(family, Path(place) / family))
        points = [
            (lives, at, halfway)
            for lives in families
            for at, name in enumerate(lives.calls, start=1)
            for halfway in ((False, True) if name == "write" else (False,))
        ]
        chosen = draw.sample(points, min(len(points), max(1, arguments.kills // 3)))
        for lives, at, halfway in chosen:
            lives.between_calls(at, halfway)
        between = sum(lives.counts["kills"] for lives in families)
        while (killed := sum(lives.counts["kills"] for lives in families)) < arguments.kills:
            lives = min(families, key=lambda lives: lives.counts["kills"])
            lives.at_random(draw, min(5, arguments.kills - killed))
    counted = {
        "kills": killed,
        "between_calls": between,
        "points_between_calls": len(points),
        "families": {lives.family: dict(lives.counts) for lives in families},
        "unreadable": sum(lives.counts["unreadable"] for lives in families),
        "different": sum(lives.counts["different"] for lives in families),
        "seconds": round(time.perf_counter() - started),
    }
    print(json.dumps(counted, indent=1))  # noqa: T201  the result
    wrong = [line for lives in families for line in lives.wrong]
    sys.exit("\n".join(wrong[:20]) if wrong else 0)


if __name__ == "__main__":
    main()
