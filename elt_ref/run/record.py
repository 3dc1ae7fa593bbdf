"""What a run began with, in its ``run.json``: the package's version, and digests of settings, data and tokenizer."""

import hashlib
import json
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

import elt_ref
import tiny_datasets
from elt_ref.config import Experiment
from elt_ref.errors import RequestError, first_words
from elt_ref.files import write_text
from elt_ref.idea import Idea
from elt_ref.text_files import read_text

RECORD = "run.json"
WANTED = "expected the record that the run's first step wrote"
FREE = ("steps", "log_every", "checkpoint_every")
"""Settings of training that change no step."""


class Record(BaseModel):
    """What a run began with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: str
    """Version of elt_ref; another one may compute other bits."""
    data: str
    """SHA-256 of the data set, as `data_digest` computes it."""
    tokenizer: str | None
    """SHA-256 of ``tokenizer.safetensors``; None where nothing is learned before training."""
    settings: str | None = None
    """SHA-256 of the settings that training depends on; None, and not in the file, for runs before there was one."""
    idea: dict[str, str] | None = None
    """``name`` and ``sha256`` of the idea that it trains with; None, and not in the file, for none."""

    @field_validator("idea")
    @classmethod
    def _is_whole(cls, idea: dict[str, str] | None) -> dict[str, str] | None:
        if idea is not None and set(idea) != {"name", "sha256"}:
            raise ValueError("expected its name and its sha256")
        return idea


def record_of(config: Experiment, data: str, tokenizer: bytes | None, idea: Idea | None = None) -> Record:
    """Return the record of a run that begins now.

    Args:
        config: experiment.
        data: digest of the data set.
        tokenizer: content of ``tokenizer.safetensors``, if the run has one.
        idea: the idea that it trains with.
    """
    return Record(
        version=elt_ref.__version__,
        data=data,
        tokenizer=tokenizer_digest(tokenizer),
        settings=settings_digest(config),
        idea=idea_entry(idea),
    )


def settings_digest(config: Experiment) -> str:
    """Return the SHA-256 of the settings that a checkpoint depends on.

    Those are all but the name, the section [sampling], the number of steps, and how often is saved and logged. Defaults
    do not count, so that a setting that a later version adds changes nothing.
    """
    document = config.model_dump(mode="json", exclude_defaults=True, exclude={"name", "sampling"})
    training = {key: value for key, value in document.get("training", {}).items() if key not in FREE}
    return hashlib.sha256(json.dumps({**document, "training": training}, sort_keys=True).encode()).hexdigest()


def idea_entry(idea: Idea | None) -> dict[str, str] | None:
    """Return what records and results say about an idea: its name and the SHA-256 of its text."""
    return None if idea is None else {"name": idea.name, "sha256": idea.digest}


def tokenizer_digest(content: bytes | None) -> str | None:
    """Return the SHA-256 of a ``tokenizer.safetensors``; None for none."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def data_digest(dataset: tiny_datasets.Dataset) -> str:
    """Return the SHA-256 of everything in a data set that a run sees: examples, labels, classes, scale, codebook.

    Name, description and licence do not count.
    """
    digest = hashlib.sha256()
    facts = [dataset.kind, dataset.classes]
    facts += [
        getattr(dataset, name, None) for name in ("white", "scale", "codebook_size", "patch_size", "patch_frames")
    ]
    arrays = [array for part in (dataset.train, dataset.test) for array in (part.examples, part.labels)]
    codebook = getattr(dataset, "codebook", None)
    for array in (*arrays, *([] if codebook is None else [codebook])):
        facts.append([str(array.dtype), array.shape])
        digest.update(np.ascontiguousarray(array).data)
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def write_record(folder: Path, record: Record) -> None:
    """Write the record into a run folder."""
    document = record.model_dump(exclude={name for name in ("settings", "idea") if getattr(record, name) is None})
    write_text(folder / RECORD, json.dumps(document, indent=1) + "\n")


def read_record(folder: Path) -> Record | None:
    """Return the record of a run folder, or None if it holds none.

    Raises:
        RequestError: the file cannot be read, or is damaged.
    """
    path = folder / RECORD
    try:
        return Record.model_validate_json(read_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        first = error.errors()[0]
        got = f"{first_words(first['input'], 60)} at {'.'.join(map(str, first['loc'])) or 'its top'}"
        raise RequestError(f"{path}: {WANTED}, got {got}: {first['msg'].lower()}") from None
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: {WANTED}, got {error}") from error


def check_data(run: str | Path, recorded: Record | None, name: str, data: str) -> None:
    """Raise RequestError if the data set of a run has changed under its name since the run began."""
    if recorded is not None and recorded.data != data:
        raise RequestError(
            f"{run}: expected data set '{name}' as the run began with (SHA-256 {recorded.data[:12]}…), "
            f"got other data under that name ({data[:12]}…)"
        )


def check_settings(folder: Path, recorded: Record | None, config: Experiment) -> None:
    """Raise RequestError if settings of a run that its training depends on were changed since it began."""
    if recorded is not None and recorded.settings is not None and recorded.settings != settings_digest(config):
        raise RequestError(
            f"{folder}/config.toml: expected the settings that the run began with (SHA-256 {recorded.settings[:12]}…), "
            f"got others ({settings_digest(config)[:12]}…); only [sampling] and the number of steps may change"
        )


def check_tokenizer(folder: Path, recorded: Record | None, tokenizer: str | None) -> None:
    """Raise RequestError if the tokenizer of a run is not the one that it began with."""
    if recorded is not None and recorded.tokenizer != tokenizer:
        raise RequestError(
            f"{folder}: expected the tokenizer.safetensors that the run began with "
            f"(SHA-256 {_short(recorded.tokenizer)}), got another ({_short(tokenizer)})"
        )


def check_idea_stays(folder: Path, recorded: Record | None, idea: Idea | None) -> None:
    """Raise RequestError if the idea of a run is not the one that it began with."""
    if recorded is not None and recorded.idea != (now := idea_entry(idea)):
        raise RequestError(f"{folder}: expected {_idea(recorded.idea)} as when the run began, got {_idea(now)}")


def check_same_origin(folder: Path, recorded: Record, now: Record, config: Experiment) -> None:
    """Raise RequestError unless a run can go on to the same bits: same settings, data, tokenizer and version.

    Args:
        folder: the run folder.
        recorded: what the run began with.
        now: what it would go on with.
        config: its experiment.
    """
    check_settings(folder, recorded, config)
    check_data(folder, recorded, config.data.name if config.data else config.name, now.data)
    check_tokenizer(folder, recorded, now.tokenizer)
    if recorded.version != now.version:
        raise RequestError(
            f"{folder}: expected elt_ref {recorded.version}, which the run began with and whose numbers another "
            f"version may not repeat, got {now.version}; resume with that version, or train anew"
        )


def _idea(entry: dict[str, str] | None) -> str:
    return "no idea" if entry is None else f"the idea {entry['name']} ({_short(entry['sha256'])})"


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"{digest[:12]}…"
