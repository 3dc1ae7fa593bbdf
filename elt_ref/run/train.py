"""Training into a run folder, with a progress bar."""

from pathlib import Path

from elt_ref.config import Experiment
from elt_ref.files import made_folder
from elt_ref.idea import Idea
from elt_ref.run.folder import CONFIG, check_folder, create_folder
from elt_ref.run.idea import load_idea, stored_idea, try_idea
from elt_ref.run.lock import locked
from elt_ref.run.prepare import Prepared, load_data, prepare
from elt_ref.run.record import check_idea_stays, read_record
from elt_ref.run.warn import training_warnings
from elt_ref.terminal import Terminal
from elt_ref.training import (
    CHECKPOINT,
    METRICS,
    Notice,
    StepInfo,
    load_checkpoint,
    missing_steps,
    notice,
    read_metrics,
    sentence,
    train,
)


def train_run(
    config: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    console: Terminal | None = None,
    idea: str | Path | Idea | None = None,
) -> Prepared:
    """Train a configuration into `folder`, and return its training data.

    Args:
        config: configuration of the run.
        folder: a new folder, or with `resume` the folder of an interrupted run.
        resume: continue from the last checkpoint; the result has the same bytes as an uninterrupted run.
        console: shows progress; silent if it is no terminal.
        idea: functions in the place of the package's: a Python file, or the name of a shipped idea. A run keeps its
            own, so that resuming needs none.

    Raises:
        RequestError, DatasetError: as `load_idea`, `try_idea`, `check_folder`, `locked`, `prepare` and `create_folder`.
        TrainingError, KeyboardInterrupt: as `elt_ref.training.train`.
    """
    console = console or Terminal(stderr=True)
    found = _idea(folder, resume=resume, console=console) if idea is None else load_idea(idea)
    if resume:
        check_idea_stays(folder, read_record(folder), found)
    check_folder(folder, config, resume=resume, idea=found)
    if found is not None:
        try_idea(config, found)
    with made_folder(folder), locked(folder):
        return _train(config, folder, resume=resume, console=console, idea=found)


def _idea(folder: Path, *, resume: bool, console: Terminal) -> Idea | None:
    """Return the idea of a run that goes on; None for one that begins."""
    return stored_idea(folder, read_record(folder), console.say) if resume else None


def _train(config: Experiment, folder: Path, *, resume: bool, console: Terminal, idea: Idea | None) -> Prepared:
    longer = check_folder(folder, config, resume=resume, idea=idea)  # once more, for now nobody else writes
    if resume and (folder / CHECKPOINT).exists():  # before anything is written: a damaged log changes nothing
        step = load_checkpoint(folder / CHECKPOINT, config, idea).step
        if gaps := missing_steps(folder / METRICS, config, step):
            lost = ", ".join(map(str, gaps[:3])) + (", …" if gaps[3:] else "")
            console.say(f"Warning: {folder / METRICS} lacks what step {lost} logged; that stays lost.")
    if resume and (folder / CONFIG).exists() and not (folder / CHECKPOINT).exists():
        console.say(f"No checkpoint in {folder} yet; starting at the first step.")
    console.say(*load_data(config).remarks)
    prepared = prepare(config, folder)
    create_folder(folder, config, prepared, idea)
    # Who resumes has read them.
    for warning in [] if resume else training_warnings(config, len(prepared.examples.labels)):
        console.say(f"Warning: {warning}.")
    if longer is not None:
        console.say(longer)
    how = config.objective.kind if idea is None else idea.name
    with console.progress("loss {task.fields[loss]:.3f}  {task.fields[rate]:.1f} steps/s") as progress:
        bar = progress.add_task(
            f"{config.name} ({how})",
            total=config.training.steps,
            loss=float("nan"),
            rate=0.0,
        )

        def on_step(step: int, info: StepInfo) -> None:
            rate = progress.tasks[bar].speed or 0.0
            progress.update(bar, completed=step, loss=info.terms.total, rate=rate)

        def on_notice(found: Notice | None) -> None:
            console.say(f"{config.name} learns again." if found is None else sentence(found, config))

        train(config, prepared.examples, folder, resume=resume, idea=idea, on_step=on_step, on_notice=on_notice)
    found = notice(read_metrics(folder / METRICS), config)
    if found is not None:
        console.say(f"At the end: {sentence(found, config)}")
    return prepared
