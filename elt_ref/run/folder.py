"""A run folder: configuration, record, tokenizer, checkpoint and log."""

from dataclasses import dataclass
from pathlib import Path

import tiny_datasets
from elt_ref.arrays import Tree
from elt_ref.config import Experiment, dump_config, load_config
from elt_ref.errors import RequestError
from elt_ref.files import real, write_bytes, write_text
from elt_ref.idea import Idea
from elt_ref.run.idea import COPY, check_borrowed, check_copy, copy_idea, stored_idea
from elt_ref.run.prepare import CODEC, Prepared, load_data, open_codec
from elt_ref.run.record import (
    RECORD,
    Record,
    check_data,
    check_idea_stays,
    check_same_origin,
    check_settings,
    check_tokenizer,
    data_digest,
    idea_entry,
    read_record,
    record_of,
    tokenizer_digest,
    write_record,
)
from elt_ref.schedules import learning_rate_at, truth_weight_at
from elt_ref.terminal import Terminal
from elt_ref.tokenizer import Codec
from elt_ref.training import CHECKPOINT, METRICS, load_checkpoint, notice, read_metrics, sentence

CONFIG = "config.toml"


@dataclass(frozen=True)
class Run:
    """A trained network, ready to draw pictures."""

    config: Experiment
    parameters: Tree
    """Moving average of the trained parameters."""
    codec: Codec | None
    step: int
    """Steps trained."""
    record: Record | None = None
    """What it began with; None where it does not say."""
    notice: str | None = None
    """Why it has not learned, judged by its log; None if it has."""
    idea: Idea | None = None
    """Functions in the place of the package's; None for a run as the paper has it."""

    @property
    def borrows(self) -> bool:
        """Whether it was trained without the idea that it samples with."""
        return self.idea is not None and (self.record is None or self.record.idea is None)

    def marked(self, name: str | Path) -> str:
        """Return a name of the run that tells it from one without an idea."""
        if self.idea is None:
            return str(name)
        return f"{name} {'drawn with' if self.borrows else '+'} {self.idea.name}"

    def idea_entry(self) -> dict[str, str | bool] | None:
        """Return what results say about its idea: name, SHA-256, and whether it was trained with it."""
        entry = idea_entry(self.idea)
        return None if entry is None else {**entry, "trained": not self.borrows}


def check_folder(folder: Path, config: Experiment, *, resume: bool, idea: Idea | None = None) -> str | None:
    """Check that `folder` is free for the run, or with `resume` that it holds this run; write nothing.

    A run may go on for more steps than it began with, if no step done so far would have been another.

    Returns:
        What more steps mean for λ and the learning rate, in a sentence; None if their number stays.

    Raises:
        RequestError: the folder holds a run (without `resume`), or another run (with it), or another idea.
    """
    path = folder / CONFIG
    left = [name for name in (CHECKPOINT, METRICS, CODEC) if (folder / name).exists()]
    if not path.exists() and left:
        raise RequestError(f"{folder}: expected a folder without a run, or a whole one, got {left[0]} without {CONFIG}")
    if path.exists() and not resume:
        raise RequestError(
            f"{folder}: expected a folder without a run, got one with a run; choose another --out or add --resume"
        )
    check_copy(folder, idea)
    if not path.exists():
        return None
    stored = load_config(path)
    if stored.training.steps < config.training.steps and with_steps(stored, config.training.steps) == config:
        return _extension(folder, stored, config, idea)
    if stored != config:
        raise RequestError(f"{path}: expected the settings of the run to resume, got {_difference(stored, config)}")
    return None


def with_steps(config: Experiment, steps: int) -> Experiment:
    """Return the configuration with another number of training steps."""
    return config.model_copy(update={"training": config.training.model_copy(update={"steps": steps})})


def _extension(folder: Path, stored: Experiment, config: Experiment, idea: Idea | None) -> str | None:
    """Return what it means for a run to go on to more steps than it began with.

    Raises:
        RequestError: the learning rates so far depend on the number of steps, or the checkpoint is damaged.
    """
    before, after = stored.training, config.training
    checkpoint = folder / CHECKPOINT
    done = load_checkpoint(checkpoint, stored, idea).step if checkpoint.exists() else 0
    if any(learning_rate_at(step, before) != learning_rate_at(step, after) for step in range(done)):
        raise RequestError(
            f"training.steps: expected {before.steps}, to which the {before.schedule} learning rate of {folder} falls, "
            f"got {after.steps}; only a run with training.schedule = 'constant' can go on"
        )
    if not done:
        return None
    rate = learning_rate_at(done, after)
    words = f"{folder} goes on from step {done} to {after.steps} instead of {before.steps}: the rate is {rate:g}"
    if stored.objective.kind == "vanilla":
        return f"{words}, and the result is that of {after.steps} steps from the start."
    weight_at = (idea and idea.truth_weight_at) or truth_weight_at
    last, following = weight_at(done - 1, before.steps), weight_at(done, after.steps)
    return (
        f"{words}; λ, which was {last:.3f}, becomes {following:.3f} and falls to 0 at the new end, so the result is "
        f"not that of {after.steps} steps from the start."
    )


def check_no_file_of_a_run(path: Path) -> None:
    """Raise RequestError if a path for other things names a file that a run needs, also through a link."""
    place = real(path)
    if place.name in (CONFIG, RECORD, METRICS, CHECKPOINT, CODEC, COPY) and (place.parent / CONFIG).exists():
        raise RequestError(f"--out: expected a file that belongs to no run, got {path} of the run {place.parent}")


def create_folder(folder: Path, config: Experiment, prepared: Prepared, idea: Idea | None = None) -> None:
    """Write the files that a run needs before its first step into a folder that exists; existing ones stay.

    Raises:
        RequestError: the run began with other data, another tokenizer, idea or version, or a file cannot be written.
    """
    learned = _learned(config, prepared.codec)
    recorded, now = read_record(folder), record_of(config, prepared.data, learned, idea)
    if recorded is not None:
        check_idea_stays(folder, recorded, idea)
        check_same_origin(folder, recorded, now, config)
    elif (folder / CHECKPOINT).exists():
        raise RequestError(f"{folder}: expected a whole run, got {CHECKPOINT} without {RECORD}")
    else:
        write_record(folder, now)
    if idea is not None and not (folder / COPY).exists():
        copy_idea(folder, idea)
    if not (folder / CONFIG).exists() or load_config(folder / CONFIG) != config:
        write_text(folder / CONFIG, dump_config(config))
    if learned is not None and not (folder / CODEC).exists():
        write_bytes(folder / CODEC, learned)


def _learned(config: Experiment, codec: Codec | None) -> bytes | None:
    """Return the content of ``tokenizer.safetensors``; None where a run has none."""
    return codec.to_bytes() if codec is not None and (config.tokenizer or config.latents) else None


def _difference(stored: Experiment, requested: Experiment) -> str:
    for section, value in requested:
        other = getattr(stored, section)
        if value != other:
            if hasattr(value, "model_fields_set") and hasattr(other, "model_fields_set"):
                key, got, was = next(
                    (key, new, getattr(other, key)) for key, new in value if new != getattr(other, key, None)
                )
                return f"{section}.{key} = {got!r} where it has {was!r}"
            return f"{section} = {value!r} where it has {other!r}"
    return "another one"


def open_run(folder: Path, console: Terminal | None = None, *, idea: Idea | None = None) -> Run:
    """Open a trained run. A run with an idea runs the idea's code.

    Args:
        folder: a run folder.
        console: hears whose code it is, unless the idea is one of ours; stderr by default.
        idea: an idea to sample a plain run with; by default the run's own, if it has one.

    Raises:
        RequestError: there is no run, or it has no checkpoint, or its files are damaged or not those it began with.
        DatasetError: the run's data set is gone.
    """
    if not (folder / CONFIG).is_file():
        raise RequestError(f"{folder}: expected a run folder (with {CONFIG}), got none")
    config = load_config(folder / CONFIG)
    record = read_record(folder)
    own = stored_idea(folder, record, (console or Terminal(stderr=True)).say)
    state = load_checkpoint(folder / CHECKPOINT, config, own)
    if idea is not None:
        check_borrowed(folder, config, own, idea)
    check_settings(folder, record, config)
    dataset = load_data(config)
    if isinstance(dataset, tiny_datasets.TokenDataset | tiny_datasets.LatentDataset):
        # Samples are drawn with the data's own codebook or scale.
        check_data(folder, record, dataset.name, data_digest(dataset))
    codec = open_codec(config, dataset, folder)
    check_tokenizer(folder, record, tokenizer_digest(_learned(config, codec)))
    found = notice(read_metrics(folder / METRICS), config) if (folder / METRICS).exists() else None
    words = None if found is None else sentence(found, config)
    return Run(config, state.average, codec, state.step, record, words, own or idea)
