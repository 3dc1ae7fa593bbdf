"""The training loop: steps, the log, checkpoints, and what happens when it is interrupted or diverges.

A run killed at any moment and resumed ends with the bytes of the run that was not: every step is a pure function of
the checkpointed state and the step's own draws, and the log is cut back to the checkpoint before it goes on.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elt_ref.arrays import tree_leaves
from elt_ref.config import Experiment
from elt_ref.errors import RequestError, TrainingError, first_words
from elt_ref.files import write_text
from elt_ref.idea import Idea
from elt_ref.objective import Batch, draw, take_batch
from elt_ref.text_files import text_of
from elt_ref.training.checkpoint import load_checkpoint, save_checkpoint
from elt_ref.training.learning import Notice, blind_prediction, notice, signs
from elt_ref.training.step import StepInfo, TrainState, init_state, train_step

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
LARGEST = 1e300
"""No number of a log is larger."""


def train(
    config: Experiment,
    examples: Batch,
    folder: Path,
    *,
    resume: bool = False,
    idea: Idea | None = None,
    on_step: Callable[[int, StepInfo], None] = lambda _step, _info: None,
    on_notice: Callable[[Notice | None], None] = lambda _notice: None,
) -> TrainState:
    """Train to the configured number of steps, logging and checkpointing into `folder`.

    Args:
        config: experiment.
        examples: all training tokens and labels.
        folder: exists; receives ``checkpoint.safetensors`` and ``metrics.jsonl``.
        resume: go on from the folder's checkpoint, or from the start where there is none yet.
        idea: functions in the place of the package's.
        on_step: called after each step with the steps done and what happened.
        on_notice: called when the log begins to show that the training does not learn, and when it no longer does.

    Raises:
        TrainingError: loss, gradient or parameters became NaN or infinite; the last good checkpoint stays.
        RequestError: the checkpoint does not fit, or the folder cannot be written to.
        KeyboardInterrupt: after the state was saved.
    """
    checkpoint, metrics = folder / CHECKPOINT, folder / METRICS
    found = resume and checkpoint.exists()
    state = load_checkpoint(checkpoint, config, idea) if found else init_state(config, idea)
    log = _log_until(metrics, state.step) if resume else []
    noticed = notice(log, config)
    write_text(metrics, _lines(log))

    def save() -> None:
        # The log goes first: a checkpoint never knows of steps that the log does not. Both are whole files, so that
        # saving again after an interrupted saving does no harm.
        write_text(metrics, _lines(log))
        save_checkpoint(checkpoint, state, config, idea)

    blind = blind_prediction(config, examples)
    try:
        while state.step < config.training.steps:
            batch = take_batch(config, state.step, examples)
            draws = draw(config, state.step, idea)
            with np.errstate(all="ignore"):  # overflow and NaN become one sentence below
                after, info = train_step(state, batch, draws, config=config, idea=idea)
            _check_finite(after, info, checkpoint)
            # In this order: an interruption in between logs a step too much, which resuming cuts off again.
            if after.step % config.training.log_every == 0 or after.step in (1, config.training.steps):
                log.append(log_entry(after.step, info) | signs(config, after.parameters, batch, draws, blind, idea))
                before, noticed = noticed, notice(log, config)
                if noticed is not None:
                    log[-1]["notice"] = noticed.kind
                if (before and before.kind) != (noticed and noticed.kind):
                    on_notice(noticed)
            state = after
            if state.step % config.training.checkpoint_every == 0 or state.step == config.training.steps:
                save()
            on_step(state.step, info)
    except KeyboardInterrupt:
        save()
        raise
    return state


def log_entry(step: int, info: StepInfo) -> dict[str, Any]:
    """Return one line of ``metrics.jsonl``: numbers that depend on nothing but the run (no times)."""
    terms = {name: float(term) for name, term in info.terms._asdict().items() if term is not None}
    total, truth = terms.pop("total"), terms.pop("teacher_truth")
    drawn = info.student_loops
    has_student = isinstance(drawn, int) or (drawn is not None and len(drawn) > 1)
    student = {**terms, "truth_weight": info.truth_weight} if has_student else {}
    return {
        "step": step,
        "loss": total,
        "teacher_truth": truth,
        **student,  # the vanilla objective has none
        **({"student_loops": drawn} if drawn is not None else {}),
        "gradient_norm": info.gradient_norm,
        "learning_rate": info.learning_rate,
    }


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a ``metrics.jsonl``; empty lines, and a last line that is cut short, are left out.

    Raises:
        RequestError: the file cannot be read, another line is damaged, or a value is no finite number.
    """
    try:
        content = path.read_bytes()
        try:
            lines = text_of(content).splitlines()
        except ValueError:  # the last line may end within a letter
            lines = text_of(content[: content.rfind(b"\n") + 1]).splitlines()
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: expected a readable log, got {getattr(error, 'strerror', error)}") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict) and type(entry.get("step")) is int:
            entries.append(entry)
            if odd := next((name for name, value in entry.items() if not _fits(name, value)), None):
                got = first_words(entry[odd])
                raise RequestError(f"{path}: expected finite numbers in line {number}, got {odd} = {got}")
        elif number < len(lines):
            raise RequestError(f"{path}: expected an entry with its step in line {number}, got {line[:60]!r}")
    return entries


def _fits(name: str, value: object) -> bool:
    """Return whether a log can hold a value under a name: a number, a list of them, or the kind of a notice."""
    if name == "notice":
        return isinstance(value, str)
    if isinstance(value, list):
        return all(_fits(name, each) for each in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def missing_steps(path: Path, config: Experiment, step: int) -> list[int]:
    """Return the steps up to `step` whose entries a log should have and lacks, rising.

    Raises:
        RequestError: as `read_metrics`; a missing log lacks them all.
    """
    logged = {entry["step"] for entry in read_metrics(path)} if path.exists() else set()
    due = {1, *range(config.training.log_every, step + 1, config.training.log_every)}
    return sorted(each for each in due - logged if each <= step)


def _log_until(path: Path, step: int) -> list[dict[str, Any]]:
    entries = read_metrics(path) if path.exists() else []
    return [entry for entry in entries if entry["step"] <= step]


def _lines(log: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in log)


def _check_finite(state: TrainState, info: StepInfo, checkpoint: Path) -> None:
    finite = all(np.isfinite(leaf).all() for leaf in tree_leaves(state.parameters))
    if not (finite and math.isfinite(info.terms.total) and math.isfinite(info.gradient_norm)):
        got = f"loss {info.terms.total} and gradient norm {info.gradient_norm}"
        raise TrainingError(
            f"training step {state.step}: expected a finite loss, gradient and parameters, got {got}"
            f"{'' if finite else ' and parameters that are not'}; {_last_good(checkpoint)}"
        )


def _last_good(checkpoint: Path) -> str:
    return f"the last good checkpoint stays in {checkpoint}" if checkpoint.exists() else "no checkpoint was written yet"
