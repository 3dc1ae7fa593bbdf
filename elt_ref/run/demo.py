"""The demo: train ILSD and the vanilla control in both families, compare them at every loop count, draw figures."""

import multiprocessing
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from elt_ref.config import Experiment, load_preset
from elt_ref.errors import RequestError, TrainingError
from elt_ref.files import made_folder
from elt_ref.report.page import write_report
from elt_ref.run.compare import REPORT, Compared, check_files, check_new, compare, tell, write_results
from elt_ref.run.folder import check_folder, open_run
from elt_ref.run.lock import locked
from elt_ref.run.process import settle_process
from elt_ref.run.stop import let_signals_come, signals_interrupt, start
from elt_ref.run.train import train_run
from elt_ref.terminal import Terminal


class Part(NamedTuple):
    """The demo's settings for one family."""

    id: str
    heading: str
    folder: str
    """Subfolder for this family's runs and pictures."""
    preset: str
    shorter: Mapping[str, object]
    """Changes to the preset, which trains longer by itself."""


PARTS = (
    Part(
        "masked",
        "Masked tokens",
        ".",
        "digits-masked",
        {"training.steps": 800, "training.average_decay": 0.99},
    ),
    Part("diffusion", "Diffusion", "diffusion", "digits-diffusion", {"training.steps": 900}),
)
SAMPLES = 500
"""Samples for each loop count."""
SAVING = 10.0
"""Seconds in which the other process can save its checkpoint."""


def run_demo(folder: Path, console: Terminal, *, overrides: Mapping[str, object] | None = None) -> None:
    """Train all models into `folder` and write pictures, ``results.json`` and ``report.html`` beside them.

    The masked family uses the folder itself, the diffusion family its subfolder ``diffusion/``; the report shows both.
    An interrupted demo continues where it stopped.

    Args:
        folder: a new folder, or one with an interrupted demo.
        console: shows progress (if it is a terminal) and the closing tables.
        overrides: configuration keys to change in all models; for tests.

    Raises:
        RequestError: the folder holds a finished demo or other runs, or cannot be written.
    """
    started = time.perf_counter()
    check_new(folder)
    configs = [_configs(part, overrides or {}) for part in PARTS]
    for part, pair in zip(PARTS, configs, strict=True):
        check_files(folder / part.folder)
        for kind, config in pair.items():
            check_folder(folder / part.folder / kind, config, resume=True)
    with made_folder(folder), locked(folder):
        _run_into(folder, configs, console, started)


def _run_into(folder: Path, configs: Sequence[Mapping[str, Experiment]], console: Terminal, started: float) -> None:
    compared = [_train_and_compare(part, pair, folder, console) for part, pair in zip(PARTS, configs, strict=True)]
    seconds = time.perf_counter() - started
    write_report(
        folder / REPORT,
        title="An Elastic Looped Transformer learns digits, in two ways",
        chapters=[each.chapter for each in compared],
    )
    # The results of the folder itself come last: they mark the demo as complete.
    for part, each in reversed(list(zip(PARTS, compared, strict=True))):
        write_results(folder / part.folder, each, seconds=seconds)
    for chapter, *_ in compared:
        console.say("", chapter.heading, style="bold")
        tell(chapter, console)
    console.say(f"{seconds:.0f} s in all. Open {folder / REPORT}; pictures and results.json are beside it.")


def _configs(part: Part, overrides: Mapping[str, object]) -> dict[str, Experiment]:
    return {
        kind: load_preset(part.preset, {**part.shorter, "objective.kind": kind, **overrides})
        for kind in ("ilsd", "vanilla")
    }


def _train_and_compare(part: Part, configs: Mapping[str, Experiment], out: Path, console: Terminal) -> Compared:
    folder = out / part.folder
    steps = configs["ilsd"].training.steps
    console.say(f"{part.heading}: training two models on real handwritten digits, {steps} steps each …")
    _train_both(configs, folder, console)
    runs = {kind: open_run(folder / kind) for kind in configs}
    sources = {kind: folder / kind for kind in configs}
    command = ["elt-ref", "demo", "--out", str(out)]
    return compare(runs, sources, folder, console, id_=part.id, heading=part.heading, count=SAMPLES, command=command)


def _train_both(configs: Mapping[str, Experiment], folder: Path, console: Terminal) -> None:
    """Train the control in a second process, beside the ILSD model, whose progress is shown.

    Raises:
        TrainingError: the control's process failed.
    """
    # Spawn a fresh interpreter: a forked one would share the threads of the matrix library.
    worker = multiprocessing.get_context("spawn").Process(
        target=_train_silently, args=(configs["vanilla"], folder / "vanilla")
    )
    start(worker)
    try:
        train_run(configs["ilsd"], folder / "ilsd", resume=True, console=console)
        with console.working("Waiting for the vanilla model …"):
            worker.join()
    except BaseException:
        worker.terminate()  # a signal reached perhaps this process alone; the worker saves
        raise
    finally:
        worker.join(timeout=SAVING)
        worker.kill()
    if worker.exitcode:
        raise TrainingError(
            f"{folder / 'vanilla'}: expected the vanilla model to train to the end, got exit code {worker.exitcode}"
        )


def _train_silently(config: Experiment, folder: Path) -> None:
    settle_process()
    with signals_interrupt() as stop:
        try:
            let_signals_come()
            train_run(config, folder, resume=True, console=Terminal(quiet=True))
        except KeyboardInterrupt:
            sys.exit(stop.exit_code)
        except (RequestError, TrainingError) as error:
            sys.exit(str(error))  # one sentence on stderr, and exit code 1
