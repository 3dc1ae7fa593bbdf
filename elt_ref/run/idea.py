"""Where ideas come from: the shipped ones by name, a user's file, the copy in a run folder; and a trial before work."""

import math
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

from elt_ref.config import DriftingExperiment, Experiment, MaskedExperiment
from elt_ref.errors import RequestError, nearest
from elt_ref.files import write_text
from elt_ref.generation import sample
from elt_ref.idea import LAYERS, SAMPLING, Idea, idea_of
from elt_ref.idea_checks import IdeaError
from elt_ref.model import NETWORKS, forward
from elt_ref.objective import Batch, draw
from elt_ref.run.record import Record, check_idea_stays
from elt_ref.schedules import EarlyExit
from elt_ref.streams import stream
from elt_ref.text_files import read_text
from elt_ref.training import init_state, train_step
from elt_ref.training.step import CORRUPTIONS

COPY = "idea.py"
"""A run's copy of its idea."""


def shipped_ideas() -> dict[str, str]:
    """Return the texts of the shipped ideas by name."""
    files = sorted((resources.files("elt_ref") / "ideas").iterdir(), key=lambda file: file.name)
    texts = {file.name: file.read_text(encoding="utf-8") for file in files if file.name.endswith(".py")}
    return {name.removesuffix(".py"): text for name, text in texts.items() if not name.startswith("_")}


def load_idea(source: str | Path | Idea) -> Idea:
    """Return a shipped idea by its name, or the one in a Python file, whose code is run.

    Raises:
        RequestError: there is none of that name, the file cannot be read, or it is no idea (see `idea_of`).
    """
    if isinstance(source, Idea):
        return source
    path, shipped = Path(source), shipped_ideas()
    if str(source) in shipped:
        return idea_of(shipped[str(source)], str(source))
    if path.suffix != ".py":
        known = ", ".join(shipped)
        raise RequestError(f"idea: expected a file.py or one of {known}, got '{source}'{nearest(str(source), shipped)}")
    return idea_of(_text(path), path.stem)


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or error
        raise RequestError(f"idea {path}: expected a readable file, got {got}") from error


def stored_idea(folder: Path, record: Record | None, say: Callable[[str], None]) -> Idea | None:
    """Return the idea that a run began with, from its copy; None for a run without one.

    Args:
        folder: the run folder.
        record: what the run began with.
        say: is told, before the code runs, that it is not one of ours.

    Raises:
        RequestError: the copy is not there or not the one that the run began with, or a run without an idea has one.
    """
    path = folder / COPY
    began = None if record is None else record.idea
    if began is None:
        if path.exists():
            raise RequestError(f"{folder}: expected no {COPY}, for the run began without an idea, got one")
        return None
    if not path.exists():
        raise RequestError(f"{folder}: expected {COPY} with the idea {began['name']} of the run, got none")
    text = _text(path)
    check_idea_stays(folder, record, Idea(began["name"], text))
    if text not in shipped_ideas().values():
        say(f"Warning: {folder} holds an idea of its own, {path.name}; its code runs with your rights.")
    return idea_of(text, began["name"])


def check_copy(folder: Path, idea: Idea | None) -> None:
    """Raise RequestError if a folder to train into holds the copy of another idea."""
    path = folder / COPY
    if not path.exists():
        return
    if idea is None:
        raise RequestError(f"{folder}: expected no {COPY} in the folder of a run without an idea, got one")
    if _text(path) != idea.text:
        raise RequestError(f"{path}: expected the text of the idea {idea.name}, got another")


def check_borrowed(folder: Path, config: Experiment, own: Idea | None, idea: Idea) -> None:
    """Raise RequestError unless a run can be sampled with an idea that it was not trained with.

    Args:
        folder: the run folder.
        config: the run's configuration.
        own: the idea that the run was trained with.
        idea: the idea to sample with.
    """
    if own is not None and own.digest != idea.digest:
        raise RequestError(f"{folder}: expected its own idea {own.name} or none named, got {idea.name}")
    if own is not None:
        return
    if idea.init is not None or not SAMPLING & set(idea.replaces):
        got = "init" if idea.init is not None else " and ".join(idea.replaces)
        raise RequestError(
            f"{folder}: expected, for a run trained without it, an idea with nothing but some of "
            f"{', '.join(sorted(SAMPLING))}, got {idea.name} with {got}"
        )
    try_idea(config, idea)


def copy_idea(folder: Path, idea: Idea) -> None:
    """Write the text of an idea into a run folder."""
    write_text(folder / COPY, idea.text)


def try_idea(config: Experiment, idea: Idea) -> None:
    """Try all functions of an idea on two made-up examples, in a step of training and in sampling.

    Raises:
        RequestError: the idea is of the other family, a function fails, or an answer has another shape, another dtype
            or is not finite.
    """
    _check_family(config, idea)
    training = config.training.model_copy(update={"batch_size": 2})
    config = config.model_copy(update={"training": training})
    for step in (0, training.steps // 2, training.steps - 1):
        if idea.truth_weight_at is not None:
            idea.truth_weight_at(step, training.steps)
    batch, draws = _made_up(config), draw(config, 0, idea)
    with np.errstate(all="ignore"):
        state, info = train_step(init_state(config, idea), batch, draws, config=config, idea=idea)
        if not (math.isfinite(info.terms.total) and math.isfinite(info.gradient_norm)):
            got = f"{info.terms.total} and {info.gradient_norm}"
            raise IdeaError(f"idea {idea.name}: expected a finite loss and gradient of the first step, got {got}")
        most = 2 * config.model.max_loops
        inputs, _ = CORRUPTIONS[type(config)](config, batch, draws)
        (prediction,) = forward(state.parameters, config, *inputs, exits=[most], idea=idea)
        if not np.isfinite(prediction).all():
            raise IdeaError(f"idea {idea.name}: expected finite predictions after {most} loops, got NaN or infinity")
        once = config.model_copy(update={"sampling": config.sampling.model_copy(update={"steps": 1})})
        sample(state.parameters, once, batch.labels, loops=EarlyExit(0.0, most), idea=idea)


def _check_family(config: Experiment, idea: Idea) -> None:
    family, layer = config.model.family, NETWORKS[type(config)].layer.__name__
    if idea.family not in (None, family):
        raise IdeaError(f"idea {idea.name}: expected a configuration of the {idea.family} family, got {family}")
    if LAYERS & set(idea.replaces) - {layer} and layer not in idea.replaces:
        got = ", ".join(LAYERS & set(idea.replaces))
        raise IdeaError(f"idea {idea.name}: expected {layer}, the layer of the {family} family, got {got}")


def _made_up(config: Experiment) -> Batch:
    generator = stream(config.seed, "idea")
    labels = generator.integers(config.model.classes, size=2)
    if isinstance(config, MaskedExperiment):
        return Batch(generator.integers(config.model.codebook_size, size=(2, config.model.tokens)), labels)
    samples = generator.standard_normal((2, *config.model.shape)).astype(config.training.dtype)
    return Batch(samples[None], labels[:1]) if isinstance(config, DriftingExperiment) else Batch(samples, labels)
