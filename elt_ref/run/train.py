"""Training into a run folder, with a progress bar."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from elt_ref.config import Experiment
from elt_ref.run.folder import check_folder, create_folder
from elt_ref.run.prepare import Prepared, load_data, prepare
from elt_ref.training import StepInfo, train


def train_run(config: Experiment, folder: Path, *, resume: bool = False, console: Console | None = None) -> Prepared:
    """Train a configuration into `folder`, and return its training data.

    Args:
        config: configuration of the run.
        folder: a new folder, or with `resume` the folder of an interrupted run.
        resume: continue from the last checkpoint; the result has the same bytes as an uninterrupted run.
        console: shows progress; silent if it is no terminal.

    Raises:
        RequestError, DatasetError: as `check_folder`, `prepare` and `create_folder`.
        TrainingError, KeyboardInterrupt: as `elt_ref.training.train`.
    """
    check_folder(folder, config, resume=resume)
    console = console or Console(stderr=True)
    for remark in load_data(config).remarks:
        console.print(remark, highlight=False, markup=False, soft_wrap=True)
    prepared = prepare(config, folder)
    create_folder(folder, config, prepared.codec)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:.1f} steps/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(
            f"{config.name} ({config.objective.kind})", total=config.training.steps, loss=float("nan"), rate=0.0
        )

        def on_step(step: int, info: StepInfo) -> None:
            rate = progress.tasks[bar].speed or 0.0
            progress.update(bar, completed=step, loss=info.terms.total, rate=rate)

        train(config, prepared.examples, folder, resume=resume, on_step=on_step)
    return prepared
