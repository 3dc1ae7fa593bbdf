"""How far the answers to the stored vectors move: ``python -m specs.making.same_numbers [--page]``.

The reference answers every stored vector in processes of their own: with the kernels of OpenBLAS for three kinds of
processors, with 1, 2 and 4 threads, and ten times over. The first gives distances, as shares of each vector's
tolerance; the others are compared bit by bit. ``--page`` writes the table into docs/judge.md. Kernels that the
processor cannot run are left out.
"""

import argparse
import hashlib
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX")
"""OpenBLAS's names: generic, SSE4.2, AVX, AVX2, AVX-512."""
THREADS = (1, 2, 4)
REPETITIONS = 10
PAGE = Path("docs") / "judge.md"
START, END = "<!-- same numbers -->\n", "<!-- end -->"

Answers = dict[tuple[str, str], Mapping[str, np.ndarray]]
"""Answers by vector and dtype."""


def answers() -> Answers:
    """Return the reference's answers to every stored vector."""
    from elt_ref.conformance.case import arguments, read_vectors  # noqa: PLC0415  the process is settled now
    from elt_ref.conformance.perform import perform  # noqa: PLC0415
    from elt_ref.conformance.reference import ReferenceBackend  # noqa: PLC0415

    backend = ReferenceBackend()
    return {
        (vector.id, dtype): perform(
            backend, vector.stored.operation, arguments(vector.stored.settings, vector.inputs, dtype)
        )
        for vector in read_vectors(answers=False)
        for dtype in vector.stored.tolerance
    }


def digests(found: Answers) -> dict[tuple[str, str], str]:
    """Return a digest of each answer's bits."""
    return {
        key: hashlib.sha256(b"".join(each.encode() + answer[each].tobytes() for each in sorted(answer))).hexdigest()
        for key, answer in found.items()
    }


def answered(**environment: str) -> tuple[Answers, str]:
    """Return the answers of a process with other environment variables, and the kernels that it had.

    Raises:
        CalledProcessError: the processor lacks what the kernels need.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers"
        settled = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_VERBOSE": "2", **environment}
        words = [sys.executable, "-m", "specs.making.same_numbers", "--answer", str(path)]
        done = subprocess.run(words, env=settled, check=True, capture_output=True, text=True)  # noqa: S603
        core = re.search(r"^Core: (\w+)", done.stderr, re.MULTILINE)
        return pickle.loads(path.read_bytes()), core[1] if core else "unknown"  # noqa: S301  written a line before


def spreads(by_kernels: Mapping[str, Answers]) -> dict[str, dict[str, tuple[float, str, int]]]:
    """Return by operation and dtype the largest share of a tolerance between two kernels, its vector, and how many."""
    from elt_ref.conformance.case import read_vectors  # noqa: PLC0415
    from elt_ref.conformance.compare import difference  # noqa: PLC0415

    found: dict[str, dict[str, tuple[float, str, int]]] = defaultdict(dict)
    for vector in read_vectors(answers=False):
        stored = vector.stored
        for dtype, tolerance in stored.tolerance.items():
            key = (vector.id, dtype)
            share = max(
                difference(stored.operation, stored.settings, one[key], other[key])[0] / tolerance if tolerance else 0.0
                for one, other in combinations(by_kernels.values(), 2)
            )
            worst, where, number = found[stored.operation].get(dtype, (0.0, vector.id, 0))
            found[stored.operation][dtype] = (*max((worst, where), (share, vector.id)), number + 1)
    return dict(found)


def table(found: Mapping[str, Mapping[str, tuple[float, str, int]]]) -> Iterable[str]:
    """Yield the table in Markdown."""
    yield "| operation | vectors | float64 | float32 | largest in |"
    yield "|---|---|---|---|---|"
    for operation in sorted(found):
        row = found[operation]
        shares = [f"{row[dtype][0]:.1g}" if dtype in row else "–" for dtype in ("float64", "float32")]
        worst = max(row.values())
        where = worst[1] if worst[0] else "all equal"
        yield f"| `{operation}` | {max(each[2] for each in row.values())} | {' | '.join(shares)} | {where} |"


def same_bits(first: Mapping[tuple[str, str], str], other: Mapping[tuple[str, str], str]) -> int:
    """Return how many answers have the same bits."""
    return sum(first[key] == other[key] for key in first)


def main() -> None:
    """Answer, compare, and print or write the page's section."""
    parser = argparse.ArgumentParser(prog="python -m specs.making.same_numbers", description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the section of docs/judge.md")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer is not None:
        arguments.answer.write_bytes(pickle.dumps(answers()))
        return
    by_kernels = {}
    for kernels in KERNELS:
        try:
            found, core = answered(OPENBLAS_CORETYPE=kernels)
            by_kernels.setdefault(core, found)  # where it cannot, OpenBLAS takes others than asked for
        except subprocess.CalledProcessError:
            print(f"{kernels}: this processor cannot run them", file=sys.stderr)  # noqa: T201
    shares = spreads(by_kernels)
    first = digests(answers())
    repeated = [same_bits(first, digests(answers())) for _ in range(REPETITIONS - 1)]
    threaded = {number: same_bits(first, digests(answered(OPENBLAS_NUM_THREADS=str(number))[0])) for number in THREADS}
    largest = max(each[0] for row in shares.values() for each in row.values())
    names = ", ".join(by_kernels)
    lines = [
        f"`python -m specs.making.same_numbers` answers every stored vector with these kernels of OpenBLAS: {names}.",
        f"The largest distance between two of them is {largest:.1g} of the vector's tolerance; by operation:",
        "",
        *table(shares),
        "",
        f"In {REPETITIONS} repetitions {min(repeated)} of {len(first)} answers keep their bits. With "
        + ", ".join(map(str, THREADS))
        + " threads, ours and OpenBLAS's, "
        + ", ".join(map(str, threaded.values()))
        + " have the bits of one thread.",
    ]
    if not arguments.page:
        print("\n".join(lines))  # noqa: T201  the result
        return
    from elt_ref.files import write_text  # noqa: PLC0415

    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    write_text(PAGE, before + START + "\n" + "\n".join(lines) + "\n\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
