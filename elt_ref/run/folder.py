"""A run folder: ``config.toml``, ``tokenizer.safetensors``, ``checkpoint.safetensors``, ``metrics.jsonl``, pictures."""

from dataclasses import dataclass
from pathlib import Path

from elt_ref.arrays import Tree
from elt_ref.config import Experiment, dump_config, load_config
from elt_ref.errors import RequestError
from elt_ref.files import write_bytes, write_text
from elt_ref.run.prepare import CODEC, load_data, open_codec
from elt_ref.tokenizer import Codec
from elt_ref.training import CHECKPOINT, METRICS, load_checkpoint

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


def check_folder(folder: Path, config: Experiment, *, resume: bool) -> None:
    """Check that `folder` is free for the run, or with `resume` that it holds this run; write nothing.

    Raises:
        RequestError: the folder holds a run (without `resume`), or another run (with it).
    """
    path = folder / CONFIG
    left = [name for name in (CHECKPOINT, METRICS) if (folder / name).exists()]
    if not path.exists() and left:
        raise RequestError(f"{folder}: expected a folder without a run, or a whole one, got {left[0]} without {CONFIG}")
    if not path.exists():
        return
    if not resume:
        raise RequestError(
            f"{folder}: expected a folder without a run, got one with a run; choose another --out or add --resume"
        )
    if (stored := load_config(path)) != config:
        raise RequestError(f"{path}: expected the settings of the run to resume, got {_difference(stored, config)}")


def create_folder(folder: Path, config: Experiment, codec: Codec | None) -> None:
    """Write the files that a run needs before its first step; existing files stay.

    Raises:
        RequestError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: expected a folder that can be written to, got {error.strerror}") from error
    if not (folder / CONFIG).exists():
        write_text(folder / CONFIG, dump_config(config))
    learned = codec.to_bytes() if codec is not None and (config.tokenizer or config.latents) else None
    if learned is not None and not (folder / CODEC).exists():
        write_bytes(folder / CODEC, learned)


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


def open_run(folder: Path) -> Run:
    """Open a trained run.

    Raises:
        RequestError: there is no run, or it has no checkpoint, or its files are damaged.
        DatasetError: the run's data set is gone.
    """
    if not (folder / CONFIG).is_file():
        raise RequestError(f"{folder}: expected a run folder (with {CONFIG}), got none")
    config = load_config(folder / CONFIG)
    state = load_checkpoint(folder / CHECKPOINT, config)
    return Run(config, state.average, open_codec(config, load_data(config), folder), state.step)
