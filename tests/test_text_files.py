"""Text files as editors and shells of all systems write them: byte-order marks, UTF-16, any line ends."""

import pytest

from elt_ref.conformance.doors import FilesDoor
from elt_ref.conformance.exceptions import read_exceptions
from elt_ref.errors import RequestError
from elt_ref.text_files import text_of
from elt_ref.training.trainer import read_metrics
from tiny_datasets.cifar import _read_classes
from tiny_datasets.metadata_file import MetadataFile

READERS = {
    "known.toml": (
        '[[known]]\nclause = "LOOP-01"\nreason = "größer"\nuntil = 2999-01-31\n',
        lambda path: read_exceptions(path).known_failures[0].reason == "größer",
    ),
    "description.json": (
        '{"name": "größer",\n "version": "1", "operations": [], "dtypes": []}\n',
        lambda path: FilesDoor(path.parent).describe().name == "größer",
    ),
    "metrics.jsonl": (
        '{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 2.0}\n',
        lambda path: [each["step"] for each in read_metrics(path)] == [1, 2],
    ),
    "batches.meta.txt": ("Hund\nBär\n", lambda path: _read_classes(path) == ("Hund", "Bär")),
    "dataset.json": (
        '{"schema": 1,\n "licence": "größer"}',
        lambda path: MetadataFile(path).text("licence") == "größer",
    ),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_text(tmp_path, name, encoding, ends):
    text, reads = READERS[name]
    (tmp_path / name).write_bytes(text.replace("\n", ends).encode(encoding))
    assert reads(tmp_path / name)


def test_big_and_little_ends():
    for order in ("le", "be"):
        mark = "\ufeff".encode(f"utf-16-{order}")
        assert text_of(mark + "a\r\nb".encode(f"utf-16-{order}")) == "a\nb"


@pytest.mark.parametrize("name", ["known.toml", "metrics.jsonl"])
def test_another_encoding_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes("größer\n{}\n".encode("cp1252"))
    with pytest.raises(RequestError, match="expected"):
        {"known.toml": read_exceptions, "metrics.jsonl": read_metrics}[name](tmp_path / name)
