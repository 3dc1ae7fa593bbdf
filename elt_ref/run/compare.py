"""Comparing runs of one architecture at every number of loops: numbers, pictures, and a chapter of the report."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

import elt_ref
import tiny_datasets
from elt_ref.config import MaskedModelConfig
from elt_ref.errors import RequestError
from elt_ref.files import check_file, made_folder, real, write_text
from elt_ref.idea import Idea
from elt_ref.measure import count as count_network
from elt_ref.report.elasticity import draw_elasticity
from elt_ref.report.loss_curves import draw_loss_curves
from elt_ref.report.page import Chapter, write_report
from elt_ref.report.results import Row, model_label
from elt_ref.report.samples import draw_samples
from elt_ref.report.table import results_table, what_to_look_at
from elt_ref.report.trajectory import Trajectory, draw_trajectory
from elt_ref.run.evaluate import Evaluator, check_count, draw_pictures
from elt_ref.run.folder import CONFIG, Run, open_run
from elt_ref.run.idea import load_idea
from elt_ref.run.lock import locked
from elt_ref.run.record import RECORD
from elt_ref.run.seeds import mean_metrics, models_of, over_seeds
from elt_ref.run.specs import specs_folder
from elt_ref.run.trajectory import KEPT_TITLES, trajectory
from elt_ref.terminal import Terminal
from elt_ref.training import CHECKPOINT, METRICS, read_metrics

RESULTS, REPORT = "results.json", "report.html"
SAMPLES, ELASTICITY, TRAJECTORY, LOSS = PICTURES = ("samples.png", "elasticity.png", "trajectory.png", "loss.png")
KEYS = ("max_loops", "real_distance", "seconds", "notices", "ideas", "models")
"""Keys of the results beside the names of the runs."""
MOST_MODELS = 4
"""Largest number of models: the report has four colours."""
PAPER = "https://arxiv.org/abs/2604.09168"
DOCS = ("learn.md", "glossary.md", "results.md")
"""Pages of the documentation that the report links to where a checkout has them."""
SHORT_NAME = 2
"""Length of a class name that fits above a picture."""


def compare_folders(
    folders: Sequence[Path],
    out: Path,
    console: Terminal,
    *,
    count: int = 500,
    labels: Sequence[int] | None = None,
    idea: str | Path | Idea | None = None,
) -> None:
    """Compare finished runs and write pictures, ``results.json`` and ``report.html`` into `out`.

    Args:
        folders: run folders, each named as its model. Runs that differ only in their seed are one model. ILSD models
            come first, so that they have one colour in every comparison; else the order is kept.
        out: a folder without a comparison.
        console: shows progress and the closing table.
        count: samples for each loop count.
        labels: the classes of the pictures in ``samples.png``; one of each by default.
        idea: a Python file or the name of a shipped idea: each run that was trained without one is shown a second time,
            drawn with it.

    Raises:
        RequestError: `out` holds a comparison, there are too many models or two runs share a name, the runs differ in
            data set or architecture, count is too small, or a label is out of range.
    """
    named = {real(folder).name: folder for folder in folders}
    if len(named) < len(folders) or set(named) & set(KEYS):
        names = ", ".join(map(str, folders))
        raise RequestError(
            f"compare: expected run folders of different names, and none of {', '.join(KEYS)}, got {names}"
        )
    check_count(count)
    check_new(out)
    check_files(out)
    borrowed = None if idea is None else load_idea(idea)
    with made_folder(out), locked(out):
        command = ["elt-ref", "compare", *map(str, folders), "--out", str(out), "--count", str(count)]
        command += [] if labels is None else ["--labels", ",".join(map(str, labels))]
        command += [] if idea is None else ["--idea", str(idea)]
        _compare_into(out, named, console, count, labels, borrowed, command)


def _compare_into(
    out: Path,
    named: Mapping[str, Path],
    console: Terminal,
    count: int,
    labels: Sequence[int] | None,
    borrowed: Idea | None,
    command: Sequence[str],
) -> None:
    runs, sources = {}, {}
    for name, folder in named.items():
        opened = [open_run(folder, console)]
        if borrowed is not None and opened[0].idea is None:
            opened.append(open_run(folder, console, idea=borrowed))
        for run in opened:
            runs[run.marked(name)], sources[run.marked(name)] = run, folder
    runs = dict(sorted(runs.items(), key=lambda item: item[1].config.objective.kind != "ilsd"))
    models = models_of(runs)
    if len(models) > MOST_MODELS:
        raise RequestError(f"compare: expected at most {MOST_MODELS} models, got {len(models)}: {', '.join(models)}")
    first, *others = runs
    config = runs[first].config
    for name in others:
        for section in ("data", "tokenizer", "latents", "model", "sampling"):
            if getattr(runs[name].config, section) != getattr(config, section):
                raise RequestError(f"compare: expected '{name}' to have the [{section}] of '{first}', got another")
    _check_labels(labels, config.model.classes)
    compared = compare(
        runs, sources, out, console, id_="runs", heading=config.name, count=count, labels=labels, command=command
    )
    chapter, marked = compared.chapter, notices(runs)
    ideas = {name: entry for name, run in runs.items() if (entry := run.idea_entry()) is not None}
    write_report(out / REPORT, title="Quality at every number of loops", chapters=[chapter])
    # The results come last: they mark the comparison as complete.
    write_results(out, compared, **({"notices": marked} if marked else {}), **({"ideas": ideas} if ideas else {}))
    tell(chapter, console)
    console.say(f"Open {out / REPORT}; pictures and {RESULTS} are beside it.")


def _check_labels(labels: Sequence[int] | None, classes: int) -> None:
    for label in labels or ():
        if not 0 <= label < classes:
            raise RequestError(f"--labels: expected classes from 0 to {classes - 1}, got {label}")


def check_new(out: Path) -> None:
    """Raise RequestError if a folder already holds a comparison."""
    if (out / RESULTS).exists():
        raise RequestError(f"{out}: expected a folder without {RESULTS}, got one with it; choose another --out")


def check_files(out: Path) -> None:
    """Check that each file of a comparison can be written into a folder, if it is there.

    Raises:
        RequestError: one cannot be written.
    """
    for name in (*PICTURES, REPORT, RESULTS) if out.is_dir() else ():
        check_file(out / name)


class Compared(NamedTuple):
    """A comparison: its chapter of the report, and the rows of each run."""

    chapter: Chapter
    models: Mapping[str, Sequence[str]]
    """Names of each model's runs: several where runs differ only in their seed."""
    rows: Mapping[str, Sequence[Row]]
    """Rows by run."""


def compare(
    runs: Mapping[str, Run],
    sources: Mapping[str, Path],
    out: Path,
    console: Terminal,
    *,
    id_: str,
    heading: str,
    count: int,
    labels: Sequence[int] | None = None,
    command: Sequence[str],
) -> Compared:
    """Evaluate every run at 1 … 2 · L_max loops, from the same noise, and draw the figures into `out`.

    Args:
        runs: the runs by name, the elastic one first; all of one data set and architecture.
        sources: the folder of each run.
        out: folder for the figures, which exists.
        console: shows progress, if it is a terminal.
        id_: id of the chapter.
        heading: heading of the chapter.
        count: samples for each loop count.
        labels: the classes of the pictures shown; one of each by default.
        command: the command line that makes the chapter, for its foot.
    """
    first = next(iter(runs.values()))
    max_loops = first.config.model.max_loops
    models = models_of(runs)
    # Before the work: a log that cannot be read is told at once.
    metrics = {
        model: mean_metrics([read_metrics(sources[name] / METRICS) for name in names])
        for model, names in models.items()
    }
    evaluator = Evaluator(first)
    shown = {names[0]: model for model, names in models.items()}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    pictures: dict[str, dict[int, Any]] = {name: {} for name in models}
    work = [(name, loops) for name in runs for loops in range(1, 2 * max_loops + 1)]
    with console.progress(transient=True) as progress:
        for name, loops in progress.track(work, description=f"Sampling and evaluating: {heading}"):
            result, drawn = evaluator.evaluate(runs[name], loops, count=count, seed=0)
            rows[name].append(result.row())
            if name not in shown:
                continue
            if labels is None:
                drawn = drawn[: len(evaluator.labels)]
            else:
                drawn = draw_pictures(runs[name], np.array(labels), loops=loops, seed=0)
            pictures[shown[name]][loops] = drawn.astype(float)

    results = {model: over_seeds([rows[name] for name in names]) for model, names in models.items()}
    headings = _headings(evaluator, labels)
    sample = Trajectory(
        *trajectory(first, int(evaluator.labels[-1]), seed=0),
        label=f"class {evaluator.class_names[-1]}, {model_label(next(iter(models)))}",
        kept_title=KEPT_TITLES[first.config.model.family],
    )
    draw_samples(out / SAMPLES, pictures, max_loops, labels=headings)
    draw_elasticity(out / ELASTICITY, results, evaluator.real_distance, max_loops)
    draw_trajectory(out / TRAJECTORY, sample)
    draw_loss_curves(out / LOSS, metrics)
    chapter = Chapter(
        id=id_,
        heading=heading,
        config_summary={
            **summary({model: [runs[name] for name in names] for model, names in models.items()}, count),
            **idea_summary(runs),
            "command": shlex.join(command),
            "version": f"elt_ref {elt_ref.__version__}",
        },
        results=results,
        real_distance=evaluator.real_distance,
        max_loops=max_loops,
        pictures=pictures,
        labels=headings,
        trajectory=sample,
        metrics=metrics,
        links=_links(sources, out),
        sentences=[
            *notices(runs).values(),
            *idea_sentences(runs),
            *what_to_look_at(results, max_loops),
            *_seed_sentences(models),
        ],
    )
    return Compared(chapter, models, rows)


def _seed_sentences(models: Mapping[str, Sequence[str]]) -> list[str]:
    """Return which models have several seeds, and how these are shown; nothing where there are none."""
    several = [
        f"{model_label(model)} is {len(names)} trainings that differ only in their seed: {', '.join(names)}."
        for model, names in models.items()
        if len(names) > 1
    ]
    shown = (
        "Numbers of several seeds are means (of distances the geometric ones), and in brackets their 95 % intervals "
        "(Student's t over seeds); the pictures are those of the first seed."
    )
    return [*several, shown] if several else []


def _links(sources: Mapping[str, Path], out: Path) -> dict[str, dict[str, str]]:
    """Return links from a report in `out`: to the paper, the pages of a checkout if there is one, the runs' files."""
    docs = specs_folder().parent / "docs"
    pages = {name: _address(docs / name, out) for name in DOCS if (docs / name).is_file()}
    files = {}
    for name, folder in sources.items():
        known = (CONFIG, RECORD, METRICS, CHECKPOINT)
        files[f"files of {name}"] = {each: _address(folder / each, out) for each in known if (folder / each).is_file()}
    return {"paper": {"arXiv 2604.09168": PAPER}, **({"read on": pages} if pages else {}), **files}


def _address(path: Path, out: Path) -> str:
    """Return the address of a file, relative to a page in the folder `out`."""
    try:
        return quote(os.fsencode(Path(relpath(path.resolve(), out.resolve())).as_posix()))
    except ValueError:  # another drive of Windows
        return path.resolve().as_uri()


def _headings(evaluator: Evaluator, labels: Sequence[int] | None) -> list[str] | None:
    """Return the class names of the pictures shown, if they are short enough to stand above them."""
    names = dict(zip(evaluator.labels.tolist(), evaluator.class_names, strict=True))
    if max(map(len, names.values())) > SHORT_NAME:
        return None
    return [names.get(label, "") for label in (names if labels is None else labels)]


def notices(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return why runs have not learned, by name, for those that have not."""
    return {name: f"{name}: {run.notice}" for name, run in runs.items() if run.notice is not None}


def idea_sentences(runs: Mapping[str, Run]) -> list[str]:
    """Return which models are not the paper's, one sentence each."""
    return [
        f"{name} is not the paper's model: it is {'drawn' if run.borrows else 'trained and drawn'} with an idea that "
        f"replaces {', '.join(run.idea.replaces)}."
        for name, run in runs.items()
        if run.idea is not None
    ]


def idea_summary(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return the ideas for the foot of a chapter; nothing where there are none."""
    ideas = {run.idea.name: run.idea.digest for run in runs.values() if run.idea is not None}
    return {"ideas": "; ".join(f"{name}, SHA-256 {digest}" for name, digest in ideas.items())} if ideas else {}


def write_results(out: Path, compared: Compared, **more: object) -> None:
    """Write the numbers of a comparison to ``results.json``, with `more` keys before them.

    Every run has its rows; ``models`` has the names and mean rows of the models with several runs, if there are any.
    """
    chapter = compared.chapter
    several = {
        model: {"runs": names, "rows": chapter.results[model]}
        for model, names in compared.models.items()
        if len(names) > 1
    }
    models = {"models": several} if several else {}
    document = {
        "max_loops": chapter.max_loops,
        "real_distance": chapter.real_distance,
        **more,
        **models,
        **compared.rows,
    }
    write_text(out / RESULTS, json.dumps(document, indent=1) + "\n")


def tell(chapter: Chapter, console: Terminal) -> None:
    """Print a chapter's table and its sentences."""
    console.table(results_table(chapter.results, chapter.real_distance, chapter.max_loops))
    console.say(*(f"• {sentence}" for sentence in chapter.sentences))


def summary(models: Mapping[str, Sequence[Run]], count: int) -> dict[str, str]:
    """Return the settings for the foot of a chapter. The models differ at most in objective and training.

    Args:
        models: the runs of each model, one a seed.
        count: samples for each loop count.
    """
    trained = {}
    for name, runs in models.items():
        first, seeds = runs[0], ", ".join(str(run.config.seed) for run in runs)
        training = first.config.training
        steps = f"{training.steps} steps" if first.step == training.steps else f"{first.step} of {training.steps} steps"
        trained[name] = f"{steps} of {training.batch_size}, {'seed' if len(runs) == 1 else 'seeds'} {seeds}"
    apart = "; ".join(f"{model_label(name)}: {words}" for name, words in trained.items())
    config = next(iter(models.values()))[0].config
    counted = count_network(config, config.model.max_loops)
    model = config.model
    grid = "×".join(map(str, model.grid))
    masked = isinstance(model, MaskedModelConfig)
    tokens = f"{grid} tokens" if masked else f"{grid} patches of {model.patch_size}×{model.patch_size}"
    dataset = tiny_datasets.load(config.data.name) if config.data else None
    steps = "1 step" if config.sampling.steps == 1 else f"{config.sampling.steps} steps"
    return {
        "data": f"{len(dataset.train):,} examples of {dataset.name}, as {tokens}" if dataset else tokens,
        "network": f"{model.family}, N = {model.layers} layers of width {model.width}, L_max = {model.max_loops}",
        "parameters": f"{counted.looped_parameters:,} looped, {counted.total_parameters:,} in all",
        "training": f"{next(iter(trained.values()))} each" if len(set(trained.values())) == 1 else apart,
        "sampling": f"{steps}, {count} samples for each loop count, seed 0",
    }
