"""What a run began with, in its ``run.json``: the package's version, and digests of the data and of the tokenizer."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

import elt_ref
import tiny_datasets
from elt_ref.errors import RequestError
from elt_ref.files import write_text
from elt_ref.idea import Idea

RECORD = "run.json"


class Record(NamedTuple):
    """What a run began with."""

    version: str
    """Version of elt_ref; another one may compute other bits."""
    data: str
    """SHA-256 of the data set, as `data_digest` computes it."""
    tokenizer: str | None
    """SHA-256 of ``tokenizer.safetensors``; None where nothing is learned before training."""
    idea: dict[str, str] | None = None
    """``name`` and ``sha256`` of the idea that it trains with; None, and not in the file, for none."""


def record_of(data: str, tokenizer: bytes | None, idea: Idea | None = None) -> Record:
    """Return the record of a run that begins now.

    Args:
        data: digest of the data set.
        tokenizer: content of ``tokenizer.safetensors``, if the run has one.
        idea: the idea that it trains with.
    """
    return Record(elt_ref.__version__, data, tokenizer_digest(tokenizer), idea_entry(idea))


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
    document = {name: value for name, value in record._asdict().items() if name != "idea" or value is not None}
    write_text(folder / RECORD, json.dumps(document, indent=1) + "\n")


def read_record(folder: Path) -> Record | None:
    """Return the record of a run folder, or None if it holds none.

    Raises:
        RequestError: the file cannot be read, or is damaged.
    """
    path = folder / RECORD
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("idea") is not None:
            document["idea"] = {name: str(document["idea"][name]) for name in ("name", "sha256")}
        return Record(**document)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{path}: expected the record that the run's first step wrote, got {error}") from error


def check_data(run: str | Path, recorded: Record | None, name: str, data: str) -> None:
    """Raise RequestError if the data set of a run has changed under its name since the run began."""
    if recorded is not None and recorded.data != data:
        raise RequestError(
            f"{run}: expected data set '{name}' as the run began with (SHA-256 {recorded.data[:12]}…), "
            f"got other data under that name ({data[:12]}…)"
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


def check_same_origin(folder: Path, recorded: Record, now: Record, name: str) -> None:
    """Raise RequestError unless a run can go on to the same bits: same data, tokenizer and version.

    Args:
        folder: the run folder.
        recorded: what the run began with.
        now: what it would go on with.
        name: name of the data set.
    """
    check_data(folder, recorded, name, now.data)
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
