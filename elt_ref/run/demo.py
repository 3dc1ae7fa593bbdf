"""The demo: train ILSD and the vanilla control alike, compare them at every loop count, draw what happened."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from elt_ref.config import Config, load_preset, masked_model
from elt_ref.errors import RequestError
from elt_ref.files import write_text
from elt_ref.generation import decode_step, draw_noise, predict_tokens
from elt_ref.measure import count
from elt_ref.report.elasticity import draw_elasticity
from elt_ref.report.loss_curves import draw_loss_curves
from elt_ref.report.page import write_report
from elt_ref.report.results import Results
from elt_ref.report.samples import draw_samples
from elt_ref.report.table import results_table, what_to_look_at
from elt_ref.report.trajectory import draw_trajectory
from elt_ref.run.evaluate import Judge, codec_of, to_pictures
from elt_ref.run.folder import Run, check_folder, open_run
from elt_ref.run.train import train_run
from elt_ref.training import METRICS, read_metrics

PRESET = "digits-masked"
SHORTER = {"training.steps": 800, "training.average_decay": 0.99}
"""What the demo changes of the preset, which by itself trains for longer."""
SAMPLES = 500
"""Samples that each loop count is judged by."""
SHOWN_CLASS = 8
"""Class of the sample whose making is drawn."""


def run_demo(folder: Path, console: Console, *, overrides: Mapping[str, object] | None = None) -> None:
    """Train both models into `folder` and write pictures, ``results.json`` and ``report.html`` beside them.

    Args:
        folder: new or empty of runs.
        console: of progress (where it is a terminal) and of the closing table.
        overrides: configuration keys to change in both models; for tests.

    A demo that was interrupted goes on where it was.

    Raises:
        RequestError: the folder holds a finished demo or other runs, or cannot be written to.
    """
    started = time.perf_counter()
    configs = {
        kind: load_preset(PRESET, {**SHORTER, "objective.kind": kind, **(overrides or {})})
        for kind in ("ilsd", "vanilla")
    }
    max_loops = configs["ilsd"].model.max_loops
    if (folder / "results.json").exists():
        raise RequestError(f"{folder}: expected a folder without a demo, got one with a demo; choose another --out")
    console.print(f"Training two models on real handwritten digits, {configs['ilsd'].training.steps} steps each …")
    for kind, config in configs.items():
        check_folder(folder / kind, config, resume=True)
    for kind, config in configs.items():
        train_run(config, folder / kind, resume=True, console=console)
    runs = {kind: open_run(folder / kind) for kind in configs}
    judge = Judge(runs["ilsd"])
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in runs}
    pictures: dict[str, dict[int, np.ndarray]] = {kind: {} for kind in runs}
    work = [(kind, loops) for kind in runs for loops in range(1, 2 * max_loops + 1)]
    for kind, loops in track(
        work, "Drawing and judging", console=console, transient=True, disable=not console.is_terminal
    ):
        result, drawn = judge.evaluate(runs[kind], loops, count=SAMPLES, seed=0)
        results[kind].append(asdict(result))
        pictures[kind][loops] = drawn[: judge.classes]

    sentences = what_to_look_at(results, max_loops)
    images = _draw(folder, runs, results, pictures, judge, max_loops)
    seconds = time.perf_counter() - started
    document = {"max_loops": max_loops, "real_distance": judge.real_distance, "seconds": seconds, **results}
    write_text(folder / "results.json", json.dumps(document, indent=1) + "\n")
    write_report(
        folder / "report.html",
        title="An Elastic Looped Transformer learns digits",
        config_summary=summary(configs["ilsd"], seconds),
        results=results,
        real_distance=judge.real_distance,
        max_loops=max_loops,
        pictures=pictures,
        images=images,
        sentences=sentences,
    )
    console.print(results_table(results, judge.real_distance, max_loops))
    for sentence in sentences:
        console.print(f"• {sentence}", highlight=False)
    console.print(f"{seconds:.0f} s in all. Open {folder / 'report.html'}; pictures and results.json are beside it.")


def _draw(
    folder: Path,
    runs: Mapping[str, Run],
    results: Results,
    pictures: Mapping[str, Mapping[int, np.ndarray]],
    judge: Judge,
    max_loops: int,
) -> dict[str, Path]:
    images = {name: folder / f"{name}.png" for name in ("samples", "elasticity", "trajectory", "loss")}
    draw_samples(images["samples"], pictures, max_loops, labels=[str(label) for label in range(judge.classes)])
    draw_elasticity(images["elasticity"], results, judge.real_distance, max_loops)
    answers, kept = trajectory(runs["ilsd"], SHOWN_CLASS, seed=0)
    draw_trajectory(images["trajectory"], answers, kept, label=f"class {SHOWN_CLASS}, ILSD")
    draw_loss_curves(images["loss"], {kind: read_metrics(folder / kind / METRICS) for kind in runs})
    return images


def trajectory(run: Run, label: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how one sample comes about.

    Returns:
        The answer after each of 1 … L_max loops at each step, [steps, loops, height, width, channels]; and what is
        kept after each step, [steps, height, width, channels] with NaN where masked again.

    Raises:
        RequestError: the run has no codebook.
    """
    config, codec = run.config, codec_of(run)
    model, sampling = masked_model(config), config.sampling
    tokens = np.full((1, model.tokens), model.mask_token)
    start = np.array([model.tokens])
    answers, kept = [], []
    for step in range(sampling.steps):
        before = tokens
        row = []
        for loops in range(1, model.max_loops + 1):
            logits, _ = predict_tokens(
                run.parameters, config, before, np.array([label]), loops=loops, guidance_scale=1.0
            )
            tokens, answer = decode_step(
                logits,
                before,
                draw_noise(config, seed, step, 1),
                step=step,
                steps=sampling.steps,
                start=start,
                mask_token=model.mask_token,
                sampling=sampling,
            )
            row.append(to_pictures(codec, config, answer)[0])
        answers.append(row)
        known = tokens != model.mask_token
        drawn = to_pictures(codec, config, np.where(known, tokens, 0))[0]
        size = drawn.shape[0] // model.grid[0]
        masked = np.kron(~known.reshape(model.grid), np.ones((size, size), bool))
        kept.append(np.where(masked[..., None], np.nan, drawn))
    return np.array(answers), np.array(kept)


def summary(config: Config, seconds: float) -> dict[str, str]:
    """Return what was run, for the head of the report."""
    counted = count(config, config.model.max_loops)
    return {
        "data": "1,437 real handwritten digits of 8×8 pixels as 4×4 tokens",
        "network": f"N = {config.model.layers} layers of width {config.model.width}, L_max = {config.model.max_loops}",
        "parameters": f"{counted.looped_parameters:,} looped, {counted.total_parameters:,} in all",
        "training": f"{config.training.steps} steps of {config.training.batch_size}, the same for both models",
        "sampling": f"{config.sampling.steps} steps, {SAMPLES} samples for each loop count",
        "time": f"{seconds:.0f} s in all",
    }
