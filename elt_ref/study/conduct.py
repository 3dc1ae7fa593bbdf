"""Conducting a study: choose rates, train every model with every seed, measure, judge, write."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elt_ref.errors import RequestError, TrainingError
from elt_ref.files import check_file, made_folder, write_text
from elt_ref.measure.interval import NAME as INTERVALS
from elt_ref.run.lock import locked
from elt_ref.study.declare import Arm, Study
from elt_ref.study.job import DATA, Job, entries, learned_nothing, share_of, why_diverged
from elt_ref.study.measures import Entries, HeldOutLoss
from elt_ref.study.page import INDEX, read_document, write_page
from elt_ref.study.rows import Rows, rows_of
from elt_ref.study.verdict import Verdict, all_of
from elt_ref.study.workers import perform_all
from elt_ref.terminal import Terminal
from tiny_datasets.catalogue import HOME_VARIABLE

MOST_SEEDS = 1000
"""Largest number of seeds: more is a slip."""


@dataclass(frozen=True)
class Request:
    """What is asked of a study."""

    quick: bool
    seeds: int
    out: Path
    processes: int = 2


def conduct(study: Study, request: Request, console: Terminal) -> dict[str, Any]:
    """Run a study, or go on with an interrupted one, and write its JSON, figure and page into a folder.

    Args:
        study: declaration.
        request: size, seeds and folder. Finished trainings in the folder are used again.
        console: shows progress, if it is a terminal.

    Returns:
        The document that is written as JSON; the same, however often the study was interrupted.

    Raises:
        RequestError: seeds or processes are out of range, or the folder is in use, cannot be written to, or holds the
            whole study where a quick one is asked for.
        TrainingError: a model diverges with every seed.
        KeyboardInterrupt: after the running trainings were saved.
    """
    for name, value in (("--seeds", request.seeds), ("--processes", request.processes)):
        if not 1 <= value <= MOST_SEEDS:
            raise RequestError(f"{name}: expected an integer from 1 to {MOST_SEEDS:,}, got {value}")
    path = request.out / f"{study.name}.json"
    with made_folder(request.out), locked(request.out):
        for file in (*(path.with_suffix(suffix) for suffix in (".json", ".png", ".md")), path.parent / INDEX):
            check_file(file)
        if request.quick and path.exists() and not read_document(path)["quick"]:
            raise RequestError(f"{path}: expected no whole study where a quick one is asked for; choose another --out")
        with _own_data(request.out / DATA):
            document = _Conductor(study, request, console).document()
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        write_page(path)
    return document


@contextmanager
def _own_data(home: Path) -> Iterator[None]:
    """Inside, data sets that are not shipped come from the study's folder; the processes inherit that."""
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(home.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before


class _Conductor:
    def __init__(self, study: Study, request: Request, console: Terminal) -> None:
        self.study, self.request, self.console = study, request, console
        self.arms = [*map(self._with_share, study.arms(request.quick))]

    def _with_share(self, arm: Arm) -> Arm:
        """Return the arm with its data set."""
        if arm.share == 1:
            return arm
        name = arm.config(0).data
        if name is None:
            raise RequestError(f"{arm.name}: expected a preset with data, got '{arm.preset}'")
        small = share_of(name.name, arm.share, self.request.out / DATA)
        return replace(arm, settings={**arm.settings, "data.name": small}, share=1.0)

    def document(self) -> dict[str, Any]:
        """Return the whole document."""
        study, request = self.study, self.request
        rates = self._choose_rates()
        seeds = range(request.seeds)
        jobs = {arm.name: [self._job(arm, seed, rates[arm.name]["chosen"]) for seed in seeds] for arm in self.arms}
        self._perform([job for mine in jobs.values() for job in mine], "training and measuring")
        rows = rows_of(({"model": arm.name, **arm.labels}, self._taken(arm, jobs[arm.name])) for arm in self.arms)
        if study.derive is not None:
            rows = [*rows, *study.derive(Rows(rows))]
        findings = [*study.judge(Rows(rows))]
        unlearned = {arm.name: sum(map(learned_nothing, jobs[arm.name])) for arm in self.arms}
        unlearned = {name: count for name, count in unlearned.items() if count}
        blocked = any(arm.name in unlearned and not arm.may_fail for arm in self.arms)
        return {
            "study": study.name,
            "title": study.title,
            "claim": study.claim,
            "place": study.place,
            "criterion": study.criterion,
            "verdict": str(Verdict.UNDECIDED if blocked else all_of(finding.verdict for finding in findings)),
            "unlearned": unlearned,
            "quick": request.quick,
            "seeds": request.seeds,
            "intervals": INTERVALS,
            "data": study.data,
            "limits": study.limits,
            "findings": [finding.document() for finding in findings],
            "models": [self._described(arm, rates[arm.name]) for arm in self.arms],
            "rows": rows,
        }

    def _taken(self, arm: Arm, jobs: Sequence[Job]) -> list[Entries | None]:
        """Return by seed what was measured of a model.

        Raises:
            TrainingError: it diverged with every seed, so that nothing can be judged.
        """
        taken = [entries(job) for job in jobs]
        if all(seed is None for seed in taken):
            reason = why_diverged(jobs[0])
            raise TrainingError(f"{self.study.name}: expected '{arm.name}' to train with some seed, got {reason}")
        return taken

    def _job(self, arm: Arm, seed: int, rate: float | None, *, choosing: bool = False) -> Job:
        config = arm.config(seed, rate)
        measures = (HeldOutLoss((config.model.max_loops,)),) if choosing else arm.measures
        return Job(self.request.out, config, measures, arm.idea)

    def _choose_rates(self) -> dict[str, dict[str, Any]]:
        """Return for each arm the chosen rate (None: the preset's) and the losses that it was chosen by."""
        own = [arm for arm in self.arms if arm.rates]
        jobs = {arm.name: [self._job(arm, 0, rate, choosing=True) for rate in arm.rates] for arm in own}
        self._perform([job for mine in jobs.values() for job in mine], "choosing learning rates")
        rates: dict[str, dict[str, Any]] = {}
        for arm in own:
            losses = [_loss(entries(job)) for job in jobs[arm.name]]
            best = arm.rates[losses.index(min(losses))]
            tried = {
                f"{rate:g}": None if loss == math.inf else loss for rate, loss in zip(arm.rates, losses, strict=True)
            }
            rates[arm.name] = {"chosen": best, "held_out_loss_by_rate": tried}
        for arm in self.arms:
            if arm.name not in rates:
                rates[arm.name] = {"chosen": rates[arm.rate_of]["chosen"] if arm.rate_of else None}
        return rates

    def _perform(self, jobs: Sequence[Job], what: str) -> None:
        merged: dict[Path, Job] = {}
        for job in jobs:
            earlier = merged.get(job.place, replace(job, measures=()))
            merged[job.place] = replace(job, measures=(*earlier.measures, *job.measures))
        left = [job for job in merged.values() if not job.done]
        if not left:
            return
        with self.console.progress(transient=True) as progress:
            bar = progress.add_task(f"{self.study.name}: {what}", total=len(merged), completed=len(merged) - len(left))
            on_done: Callable[[], None] = lambda: progress.advance(bar)  # noqa: E731
            perform_all(left, processes=self.request.processes, on_done=on_done)

    @staticmethod
    def _described(arm: Arm, rate: dict[str, Any]) -> dict[str, Any]:
        config = arm.config(0, rate["chosen"])
        return {
            "model": arm.name,
            "preset": arm.preset,
            **({} if arm.idea is None else {"idea": arm.idea}),
            "settings": {**arm.settings, "training.learning_rate": config.training.learning_rate},
            **{name: value for name, value in rate.items() if name != "chosen"},
        }


def _loss(taken: Any) -> float:
    """Return the held-out loss of a training; a diverged one is worse than any."""
    loss = math.inf if taken is None else taken[0]["value"]
    return loss if math.isfinite(loss) else math.inf
