"""Files that somebody damaged on purpose, for every reader: ``python -m tests.hostile [--cases N] [--seed N]``.

A mutation knows the structure of its file: it changes numbers of headers, lengths, counts and texts, corrects
checksums, cuts, repeats and joins. A reader may accept a file, or refuse it with our own error in one sentence of at
most 300 characters. Any other exception, more than `SECONDS` or `BYTES`, and anything left behind is a failure. Failing
files are kept in the folder that the command names.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from elt_ref.errors import RequestError
from tiny_datasets import DatasetError

SECONDS, BYTES, LONGEST = 60, 3 * 2**30, 300
"""Limits of a case: time, address space, and characters of a sentence."""
NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
WORDS = (
    b"0",
    b"-1",
    b"1e999",
    b"nan",
    b"null",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b"9" * 400,
    b"\xff\xfe",
    b"\x00",
    b"[" * 2000,
)


class Reader(NamedTuple):
    """One reader, with whole files to begin from."""

    name: str
    seed: Callable[[Path], Path]
    """Writes whole files into a folder, and returns what `read` takes."""
    read: Callable[[Path, Path], object]
    """Reads; the second folder is for what an importer stores."""


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return a file with one to four changes, its PNG checksums corrected half of the time."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        draw.choice((flip, number, word, cut_off, repeat, splice, digits))(data, draw)
    if data[:4] == b"\x89PNG" and draw.random() < 0.7:
        correct_checksums(data)
    return bytes(data)


def place(data: bytearray, draw: random.Random) -> int:
    """Return a place; half of the time near the beginning, where headers are."""
    most = max(1, len(data))
    return draw.randrange(min(most, 64)) if draw.random() < 0.5 else draw.randrange(most)


def flip(data: bytearray, draw: random.Random) -> None:
    if data:
        data[place(data, draw)] ^= 1 << draw.randrange(8)


def number(data: bytearray, draw: random.Random) -> None:
    size, order = draw.choice((1, 2, 4, 8)), draw.choice("<>")
    value = draw.choice(NUMBERS) % 2 ** (8 * size)
    at = place(data, draw)
    data[at : at + size] = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], value)


def word(data: bytearray, draw: random.Random) -> None:
    at = place(data, draw)
    data[at : at + draw.randrange(8)] = draw.choice(WORDS)


def cut_off(data: bytearray, draw: random.Random) -> None:
    del data[place(data, draw) :]


def repeat(data: bytearray, draw: random.Random) -> None:
    at, size = place(data, draw), draw.randrange(1, 64)
    data[at:at] = data[at : at + size] * draw.choice((1, 2, 50))


def splice(data: bytearray, draw: random.Random) -> None:
    at, start, size = place(data, draw), place(data, draw), draw.randrange(1, 64)
    data[at : at + size] = data[start : start + size]


def digits(data: bytearray, draw: random.Random) -> None:
    """Change a number written in digits, as texts and the headers of tensors have them."""
    found = [index for index, value in enumerate(data) if 48 <= value <= 57]
    if found:
        at = draw.choice(found)
        data[at : at + 1] = draw.choice((b"-", b"9999999999", b"0", b"1e400", b"x", b"1.5"))


def correct_checksums(data: bytearray) -> None:
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(bytes(data[at + 4 : end])))
        at = end + 4


# --- the readers


def readers(workshop: Path) -> list[Reader]:  # noqa: C901, PLR0915  one list
    """Return every reader of files that users bring; `workshop` holds a run to damage copies of."""
    import numpy as np
    from PIL import Image
    from pydantic import ValidationError
    from safetensors.numpy import save_file

    import tiny_datasets
    from elt_ref.config import dump_config, load_config, load_preset
    from elt_ref.conformance.case import SUMS, read_vectors, vectors_folder
    from elt_ref.conformance.changes import read_report
    from elt_ref.conformance.doors import FilesDoor
    from elt_ref.conformance.exceptions import read_exceptions
    from elt_ref.conformance.fresh.case_file import read_case
    from elt_ref.conformance.protocol import Described, Reply
    from elt_ref.files import read_tensors
    from elt_ref.measure.feature_network import load_feature_network
    from elt_ref.run.folder import open_run
    from elt_ref.tokenizer import load_linear_autoencoder, load_quantiser
    from elt_ref.training.trainer import read_metrics

    noise = np.random.default_rng(0)
    grey, colour = noise.integers(0, 256, (9, 7), np.uint8), noise.integers(0, 256, (9, 7, 4), np.uint8)

    def picture(suffix, image, **options):
        def seed(folder):
            (folder / "class").mkdir()
            for index in range(2):
                image.save(folder / "class" / f"{index}{suffix}", **options)
            return folder / "class" / f"0{suffix}"

        return seed

    def pictures(path, home):
        return tiny_datasets.import_pictures(path.parent.parent, "mine", home=home)

    def clips(path, home):
        return tiny_datasets.import_clips(path.parent.parent, "mine", frames=2, home=home)

    def frames(suffix, **options):
        rest = [Image.fromarray(np.roll(colour, step, axis=0)) for step in range(1, 3)]
        return picture(suffix, Image.fromarray(colour), save_all=True, append_images=rest, **options)

    deep = Image.fromarray(noise.integers(0, 65536, (9, 7)).astype(np.uint16))
    flat, rgb = Image.fromarray(grey), Image.fromarray(colour[..., :3])
    result = [
        Reader("png", picture(".png", Image.fromarray(colour)), pictures),
        Reader("png 16", picture(".png", deep), pictures),
        Reader("png key", picture(".png", flat, transparency=3), pictures),
        Reader("png palette", picture(".png", flat.convert("P"), transparency=3), pictures),
        Reader("jpeg", picture(".jpg", rgb), pictures),
        Reader("bmp", picture(".bmp", rgb), pictures),
        Reader("tiff", picture(".tif", rgb, compression="tiff_lzw"), pictures),
        Reader("tiff 16", picture(".tif", deep), pictures),
        Reader("webp", picture(".webp", rgb, lossless=True), pictures),
        Reader("gif", picture(".gif", flat), pictures),
        Reader("gif clip", frames(".gif", disposal=2), clips),
        Reader("png clip", frames(".png", disposal=1, blend=1), clips),
        Reader("webp clip", frames(".webp", lossless=True), clips),
    ]

    def idx(name):
        def seed(folder):
            for part in ("train", "t10k"):
                pixels, labels = noise.integers(0, 256, (6, 4, 4), np.uint8), np.arange(6, dtype=np.uint8) % 3
                head = struct.pack(">IIII", 0x803, *pixels.shape)
                (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
                (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 6) + labels.tobytes())
            return folder / name

        return seed

    def import_idx(path, home):
        return tiny_datasets.import_idx(path.parent, "mine", home=home)

    result += [Reader(f"idx {n}", idx(f"train-{n}-ubyte"), import_idx) for n in ("images-idx3", "labels-idx1")]

    def cifar(name):
        def seed(folder):
            records = np.concatenate([noise.integers(0, 2, (4, 1)), noise.integers(0, 256, (4, 3072))], axis=1)
            for file in ("data_batch_1.bin", "test_batch.bin"):
                (folder / file).write_bytes(records.astype(np.uint8).tobytes())
            (folder / "batches.meta.txt").write_text("cat\ndog\n")
            return folder / name

        return seed

    def import_cifar(path, home):
        return tiny_datasets.import_cifar(path.parent, "mine", home=home)

    result += [Reader(f"cifar {n}", cifar(n), import_cifar) for n in ("data_batch_1.bin", "batches.meta.txt")]

    def npz(folder):
        np.savez(folder / "a.npz", images=noise.integers(0, 256, (8, 4, 4), np.uint8), labels=np.arange(8) % 2)
        return folder / "a.npz"

    def tokens(folder):
        book = noise.random((5, 4), np.float32)
        arrays = {"tokens": noise.integers(0, 5, (8, 2, 3)), "labels": np.arange(8) % 2, "codebook": book}
        save_file(arrays, folder / "t", {"codebook_size": "5", "patch_size": "2", "classes": '["a", "b"]'})
        return folder / "t"

    def latents(folder):
        arrays = {"latents": noise.random((8, 2, 2, 4), np.float32), "labels": np.arange(8) % 2}
        save_file(arrays, folder / "l", {"scale": "0.5"})
        return folder / "l"

    def stored(file):
        def seed(folder):
            tiny_datasets.import_tokens(tokens(folder), "codes", home=folder)
            return folder / "codes" / file

        return seed

    result += [
        Reader("npz", npz, lambda path, home: tiny_datasets.import_npz(path, "mine", home=home)),
        Reader("tokens", tokens, lambda path, home: tiny_datasets.import_tokens(path, "mine", home=home)),
        Reader("latents", latents, lambda path, home: tiny_datasets.import_latents(path, "mine", home=home)),
        *(
            Reader(f"data set {n}", stored(n), lambda path, _: tiny_datasets.load("codes", path.parent.parent))
            for n in ("dataset.json", "dataset.safetensors")
        ),
    ]

    made = workshop / "run"
    _train(made)

    def run(file):
        def seed(folder):
            shutil.copytree(made, folder / "run")
            return folder / "run" / file

        return seed

    result += [
        Reader(f"run {file}", run(file), lambda path, _: open_run(path.parent))
        for file in ("config.toml", "checkpoint.safetensors", "tokenizer.safetensors")
    ]
    result.append(Reader("run metrics", run("metrics.jsonl"), lambda path, _: read_metrics(path)))

    def text(name, content):
        def seed(folder):
            (folder / name).write_bytes(content.encode())
            return folder / name

        return seed

    def tensors(**arrays):
        def seed(folder):
            save_file(arrays, folder / "x", {"patch_size": "2"})
            return folder / "x"

        return seed

    def line(kind):
        def read(path, _):
            with contextlib.suppress(ValidationError, UnicodeDecodeError):  # the door makes the sentence
                kind.model_validate_json(path.read_bytes().decode())

        return read

    def vectors(name):
        def seed(folder):
            shutil.copytree(vectors_folder() / "COUNT-01", folder / "COUNT-01")
            sums = (vectors_folder() / SUMS).read_text().splitlines()
            (folder / SUMS).write_text("\n".join(each for each in sums if "COUNT-01" in each) + "\n")
            return folder / name

        return seed

    def answers(folder):
        (folder / "description.json").write_text(
            '{"name": "x", "version": "1", "operations": ["count"], "dtypes": ["float64"]}'
        )
        return folder / "description.json"

    inputs = '{"logits": {"dtype": "float64", "shape": [2, 2], "values": [0.5, 1, 2, 3]}}'
    case = (
        '{"clause": "METRIC-02", "operation": "inception_score", "settings": {"splits": 1}, "inputs": ' + inputs + "}"
    )
    known = (
        '[[known]]\nclause = "LOOP-01"\nreason = "r"\nuntil = 2027-01-31\n'
        '[[waiver]]\nclause = "BLOCK-01"\nfactor = 4\nreason = "b"\n'
    )
    result += [
        Reader(
            "configuration",
            text("x.toml", dump_config(load_preset("digits-diffusion"))),
            lambda path, _: load_config(path),
        ),
        Reader("known failures", text("k.toml", known), lambda path, _: read_exceptions(path)),
        Reader("question", text("c.json", case), lambda path, _: read_case(path, {})),
        Reader("report", text("r.json", '{"suite_version": "1.2.0"}'), lambda path, _: read_report(path)),
        Reader("description", answers, lambda path, _: FilesDoor(path.parent).describe()),
        Reader("protocol reply", text("l", '{"type": "reply", "id": 3, "status": "ok", "message": null}'), line(Reply)),
        Reader(
            "protocol description",
            text("l", '{"name": "x", "version": "1", "operations": [], "dtypes": []}'),
            line(Described),
        ),
        Reader("tensors", tensors(a=np.ones((2, 3))), lambda path, _: read_tensors(path, "tensors")),
        Reader("codebook", tensors(codebook=noise.random((5, 4), np.float32)), lambda path, _: load_quantiser(path)),
        Reader("autoencoder", tensors(mean=noise.random(4, np.float32)), lambda path, _: load_linear_autoencoder(path)),
        Reader("feature network", tensors(a=np.ones(3)), lambda path, _: load_feature_network(path)),
    ]
    if (
        "folder"
        in read_vectors.__code__.co_varnames[
            : read_vectors.__code__.co_argcount + read_vectors.__code__.co_kwonlyargcount
        ]
    ):
        result += [
            Reader(f"vectors {n}", vectors(n), lambda path, _: read_vectors(folder=path.parents[path.name != SUMS]))
            for n in (SUMS, "COUNT-01/masked.json", "COUNT-01/masked.answers.safetensors")
        ]
    return result


def _train(folder: Path) -> None:
    from elt_ref.config import load_preset
    from elt_ref.run.train import train_run
    from elt_ref.terminal import Terminal

    small = {"model.layers": 1, "model.max_loops": 2, "model.width": 8, "model.heads": 1, "model.mlp_width": 8}
    short = {"training.steps": 2, "training.batch_size": 4, "training.log_every": 1, "tokenizer.iterations": 1}
    train_run(load_preset("digits-masked", small | short), folder, console=Terminal(quiet=True))


# --- cases


def fault(reader: Reader, path: Path, home: Path) -> str | None:
    """Return what is wrong with a reader's answer to a file; None if it reads or refuses as it should."""
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            reader.read(path, home)
    except (RequestError, DatasetError) as error:
        sentence = str(error)
        if len(sentence) > LONGEST or "\n" in sentence:
            return f"a sentence of {len(sentence)} characters: {sentence[:200]!r}"
        left = [str(each.relative_to(home)) for each in home.rglob("*")]
        return f"left behind: {left}" if left else None
    except _Slow:
        return f"more than {SECONDS} s"
    except BaseException as error:  # noqa: BLE001  anything else is the failure that is looked for
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None


class _Slow(BaseException):
    pass


def _alarm(*_: object) -> None:
    raise _Slow


def attack(cases: int, seed: int, keep: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the reader's name and its fault, if any, for each of `cases` files; keep the failing files."""
    former = signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory(prefix="elt-hostile-") as workshop:
        whole = []
        for number_, reader in enumerate(readers(Path(workshop))):
            folder = Path(workshop) / str(number_)
            folder.mkdir()
            target = reader.seed(folder)
            whole.append((reader, folder, target, target.read_bytes()))
        before = {folder: sorted(folder.rglob("*")) for _, folder, _, _ in whole}
        for index in range(cases):
            reader, folder, target, content = whole[index % len(whole)]
            draw = random.Random(f"{seed}/{index}")  # noqa: S311  no secrets
            damaged = mutated(content, draw)
            target.write_bytes(damaged)
            home = Path(workshop) / "home"
            home.mkdir()
            signal.alarm(SECONDS)
            try:
                found = fault(reader, target, home)
            except _Slow:
                found = f"more than {SECONDS} s"
            finally:
                signal.alarm(0)
            if found is None and sorted(folder.rglob("*")) != before[folder]:
                found = "left something beside the file"
            if found is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{index}-{reader.name.replace(' ', '-').replace('/', '-')}").write_bytes(damaged)
            target.write_bytes(content)
            shutil.rmtree(home)
            yield reader.name, found
    signal.signal(signal.SIGALRM, former)


def _work(task: tuple[int, int, Path]) -> tuple[Counter[str], list[tuple[str, str]]]:
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes there by itself
    count, faults = Counter(), []
    for name, found in attack(*task):
        count[name] += 1
        if found is not None:
            faults.append((name, found))
    return count, faults


def main() -> int:
    """Attack every reader, and print what was counted as JSON; exit code 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "elt-hostile-kept")
    asked = parser.parse_args()
    started = time.monotonic()
    tasks = [(asked.cases // asked.workers, 1000 * asked.seed + worker, asked.keep) for worker in range(asked.workers)]
    count, faults = Counter(), []
    with multiprocessing.get_context("spawn").Pool(asked.workers) as pool:
        for some, more in pool.map(_work, tasks):
            count += some
            faults += more
    kinds = Counter(f"{name}: {found}" for name, found in faults).most_common(40)
    document = {
        "cases": sum(count.values()),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "readers": dict(count),
        "failed": len(faults),
        "kinds": kinds,
        "kept": str(asked.keep) if faults else None,
    }
    print(json.dumps(document, indent=1))  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
