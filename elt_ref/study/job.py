"""One training of a study with its measures, kept by digest: what is finished is never done again.

    FOLDER/trainings/DIGEST/run            the run folder
    FOLDER/trainings/DIGEST/DIGEST.json    entries of a measure
    FOLDER/trainings/DIGEST/diverged.txt   why the training cannot go on, where it diverged
    FOLDER/data                            data sets with a share of the examples of others

The digest is of the whole configuration, which names the data, and of the idea. So studies in one folder share their
trainings.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tiny_datasets
from elt_ref.config import Experiment, dump_config
from elt_ref.errors import RequestError, TrainingError
from elt_ref.files import make_folder, write_text
from elt_ref.run.folder import open_run
from elt_ref.run.idea import load_idea
from elt_ref.run.lock import locked
from elt_ref.run.train import train_run
from elt_ref.streams import stream
from elt_ref.study.measures import Entries, Measure, digest
from elt_ref.terminal import Terminal
from elt_ref.text_files import read_text
from elt_ref.training import METRICS, notice, read_metrics
from tiny_datasets.catalogue import add
from tiny_datasets.dataset import Split

TRAININGS, DATA = "trainings", "data"
TERMS = "terms"
"""Folder of the studies' own ideas, beside this file."""
DIVERGED = "diverged.txt"
SAVING = 10.0
"""Seconds in which a process can save its checkpoint."""


@dataclass(frozen=True)
class Job:
    """A training and what to measure of it."""

    folder: Path
    """Folder of the study."""
    config: Experiment
    measures: Sequence[Measure]
    idea: str | None = None
    """Idea that it trains with, by name."""

    @property
    def place(self) -> Path:
        """Folder of the training, named by its digest."""
        text = dump_config(self.config) + ("" if self.idea is None else load_idea(idea_source(self.idea)).text)
        return self.folder / TRAININGS / hashlib.sha256(text.encode()).hexdigest()[:16]

    def file(self, measure: Measure) -> Path:
        """Return the file of a measure's entries."""
        return self.place / f"{digest(measure)}.json"

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return (self.place / DIVERGED).exists() or all(self.file(measure).exists() for measure in self.measures)


QUIET = Terminal(stderr=True, quiet=True)


def idea_source(name: str) -> str | Path:
    """Return the file of a study's own idea, or the name of a shipped one."""
    path = Path(__file__).parent / TERMS / f"{name}.py"
    return path if path.exists() else name


def perform(job: Job) -> None:
    """Train, or go on where an interrupted training stopped, and take the measures that are missing.

    Raises:
        RequestError, DatasetError, KeyboardInterrupt: as `train_run`.
    """
    folder = job.place / "run"
    make_folder(folder)
    _wait_until_free(folder)
    try:
        idea = None if job.idea is None else idea_source(job.idea)
        train_run(job.config, folder, resume=True, console=QUIET, idea=idea)
    except TrainingError as error:
        write_text(job.place / DIVERGED, f"{error}\n")
        return
    missing = [measure for measure in job.measures if not job.file(measure).exists()]
    run = open_run(folder, QUIET) if missing else None
    for measure in missing:
        if run is not None:
            write_text(job.file(measure), json.dumps(measure.take(run), indent=1) + "\n")


def _wait_until_free(folder: Path) -> None:
    """Wait for a process that a killed study has left behind, and that saves."""
    started = time.monotonic()
    while time.monotonic() < started + SAVING:
        try:
            with locked(folder):
                return
        except RequestError:
            time.sleep(0.1)


def entries(job: Job) -> Entries | None:
    """Return what was measured of a job that is done, in the order of its measures; None where it diverged.

    Raises:
        RequestError: a file is damaged.
    """
    if (job.place / DIVERGED).exists():
        return None
    taken = []
    for measure in job.measures:
        path = job.file(measure)
        try:
            taken += json.loads(read_text(path))
        except (OSError, ValueError, TypeError) as error:
            raise RequestError(f"{path}: expected what a study measured, got {error}; remove it") from error
    return taken


def learned_nothing(job: Job) -> bool:
    """Return whether the log of a job that is done shows that its training learned nothing, or lost it again."""
    log = job.place / "run" / METRICS
    return log.exists() and notice(read_metrics(log), job.config) is not None


def why_diverged(job: Job) -> str:
    """Return why the training of a job cannot go on."""
    return read_text(job.place / DIVERGED).strip()


def share_of(name: str, share: float, home: Path) -> str:
    """Return the name of a data set with a share of the training examples of another; make it where there is none.

    The held-out part is the other's whole one. Every class keeps its share, at least one example. A smaller share is
    a part of a greater one.

    Args:
        name: a shipped data set of pictures.
        share: above 0; at 1 the name is its own.
        home: folder of the new data set.
    """
    if share == 1:
        return name
    new = f"{name}-{100 * share:g}-percent".replace(".", "-")
    if new in tiny_datasets.names(home):
        return new
    whole = tiny_datasets.load(name)
    if not isinstance(whole, tiny_datasets.PictureDataset):
        raise RequestError(f"{name}: expected a data set of pictures to take a share of, got {whole.kind}")
    order = stream(0, "share").permutation(len(whole.train))
    kept = [order[whole.train.labels[order] == label] for label in range(len(whole.classes))]
    chosen = np.sort(np.concatenate([places[: max(1, round(share * len(places)))] for places in kept]))
    part = Split(whole.train.examples[chosen], whole.train.labels[chosen])
    small = replace(whole, name=new, train=part, is_valid=None, description=f"{100 * share:g} % of {name}.")
    add(small, home)
    return new
