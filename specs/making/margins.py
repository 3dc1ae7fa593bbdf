"""Whether trainings keep a margin: ``python -m specs.making.margins [--steps N] [--only PRESET] [--page]``.

Every preset with data is trained at 0.5, 1 and 1.5 times its learning rate, from three seeds; and ``digits-masked`` at
several depths and rates, from one. A training counts as one that learns if its log shows none of the signs of one that
does not (`elt_ref.training.learning`), and its loss is below guessing's. To fit in hours, trainings end after N steps
(400) of their schedule made for N. With a small batch the masked presets learn nothing in so few steps, so each preset
keeps its own; ``--own`` is for one that takes hours otherwise.

The runs stay in a folder, and a call goes on where the last one stopped. The tables are printed; ``--page`` writes
them to docs/margins.md, or with ``--only`` that preset's row.
"""

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elt_ref.run.process import settle_process

settle_process()

from elt_ref.config import load_preset, preset_names  # noqa: E402
from elt_ref.errors import TrainingError  # noqa: E402
from elt_ref.files import write_text  # noqa: E402
from elt_ref.run.train import train_run  # noqa: E402
from elt_ref.terminal import Terminal  # noqa: E402  NumPy is loaded from here on
from elt_ref.training import METRICS, notice, read_metrics  # noqa: E402
from elt_ref.training.learning import GUESSING  # noqa: E402

FACTORS, SEEDS = (0.5, 1.0, 1.5), (0, 1, 2)
DEPTHS = ((1, 4), (2, 4), (3, 5), (4, 4))
RATES = (5e-4, 1e-3, 2e-3, 3e-3, 4e-3, 6e-3)
GRID = "digits-masked"
PAGE = Path("docs") / "margins.md"
LAST = 10
"""Entries of the log whose loss is told."""


def outcome(folder: Path, name: str, settings: Mapping[str, Any]) -> str:
    """Train a configuration, or go on with it; return how far it came, see `_share`, and what is wrong."""
    config = load_preset(name, settings)
    try:
        train_run(config, folder, resume=True, console=Terminal(quiet=True))
    except TrainingError:
        return "diverged"
    entries = read_metrics(folder / METRICS)
    share = statistics.mean(_share(entry, entries[0]) for entry in entries[-LAST:])
    found = notice(entries, config)
    if found is None:  # nothing is wrong, or it is too early to say
        return f"{share:.2f}" if share < GUESSING else f"**{share:.2f} not yet**"
    return f"**{share:.2f} {found.kind}**"


def _share(entry: Mapping[str, Any], first: Mapping[str, Any]) -> float:
    """Return the loss as a share of guessing's, or for drifting the size of the field as a share of the first."""
    if "field_sizes" in entry:
        return statistics.mean(entry["field_sizes"]) / statistics.mean(first["field_sizes"])
    return entry["teacher_truth"] / entry["blind_loss"]


def _settings(steps: int, seed: int, **settings: Any) -> dict[str, Any]:
    # A decay made for a longer training would average over its start; nothing is sampled here.
    return {"training.steps": steps, "training.average_decay": 0.9, "seed": seed, **settings}


def presets(folder: Path, steps: int, own: Mapping[str, tuple[int, int]], names: Sequence[str]) -> Iterator[str]:
    """Yield the table of presets and rates in Markdown, a row as soon as it is known."""
    yield "| preset, steps of a batch | " + " | ".join(f"{factor:g} × rate" for factor in FACTORS) + " |"
    yield "|---" * (len(FACTORS) + 1) + "|"
    for name in names:
        config = load_preset(name)
        few, batch = own.get(name, (min(steps, config.training.steps), config.training.batch_size))
        cells = []
        for factor in FACTORS:
            rate = factor * config.training.learning_rate
            cells.append(
                ", ".join(
                    outcome(
                        folder / f"{name}-{few}-{batch}-{rate:g}-{seed}",
                        name,
                        _settings(few, seed, **{"training.learning_rate": rate, "training.batch_size": batch}),
                    )
                    for seed in SEEDS
                )
            )
        yield f"| {name}, {few} of {batch} | {' | '.join(cells)} |"


def grid(folder: Path, steps: int) -> Iterator[str]:
    """Yield the table of depths and rates in Markdown."""
    yield "| N × L_max | " + " | ".join(f"{rate:g}" for rate in RATES) + " |"
    yield "|---" * (len(RATES) + 1) + "|"
    for layers, loops in DEPTHS:
        cells = [
            outcome(
                folder / f"{GRID}-{layers}x{loops}-{steps}-{rate:g}",
                GRID,
                _settings(
                    steps, 0, **{"model.layers": layers, "model.max_loops": loops, "training.learning_rate": rate}
                ),
            )
            for rate in RATES
        ]
        yield f"| {layers} × {loops} | {' | '.join(cells)} |"


def main() -> None:
    """Train, and print or write the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m specs.making.margins", description="Which presets learn, and at which rates."
    )
    parser.add_argument("--folder", type=Path, default=Path("margins"), help="runs, kept (margins)")
    parser.add_argument("--steps", type=int, default=400, metavar="N", help="steps of each training (400)")
    parser.add_argument(
        "--own",
        nargs=3,
        action="append",
        default=[],
        metavar=("PRESET", "STEPS", "BATCH"),
        help="other steps and another batch for a preset",
    )
    parser.add_argument("--only", metavar="PRESET", help="one preset, without the grid of depths")
    parser.add_argument("--skip", action="append", default=[], metavar="PRESET", help="all presets but this one")
    parser.add_argument("--page", action="store_true", help="write docs/margins.md, or one row of it")
    arguments = parser.parse_args()
    own = {name: (int(steps), int(batch)) for name, steps, batch in arguments.own}
    known = [name for name in preset_names() if load_preset(name).data is not None]
    names = [arguments.only] if arguments.only else [name for name in known if name not in arguments.skip]
    command = " ".join(
        [
            f"--steps {arguments.steps}",
            *(f"--own {name} {steps} {batch}" for name, (steps, batch) in own.items()),
            *(f"--skip {name}" for name in arguments.skip),
        ]
    )
    lines = [
        "# Margins of the learning rate",
        "",
        f"    python -m specs.making.margins {command} --page",
        "",
        "A number is the loss of the last exit at the end, as a share of the loss of guessing; for drifting, the size",
        "of the field as a share of the first. Bold is a training that does not learn, with why.",
        *([f"Not measured, because it takes hours: {', '.join(arguments.skip)}."] if arguments.skip else []),
        "",
        "## Presets at half, once and one and a half times their rate, three seeds",
        "",
    ]
    for line in lines:
        print(line)  # noqa: T201  the result
    parts = [presets(arguments.folder, arguments.steps, own, names)]
    if not arguments.only:
        parts += [
            iter(["", "## Depth and rate", "", f"`{GRID}`, one seed.", ""]),
            grid(arguments.folder, arguments.steps),
        ]
    for part in parts:
        for line in part:
            print(line, flush=True)  # noqa: T201
            lines.append(line)
    if arguments.page and arguments.only:
        write_text(PAGE, with_row(PAGE.read_text(encoding="utf-8"), lines[-1]))
    elif arguments.page:
        write_text(PAGE, "\n".join(lines) + "\n")


def with_row(page: str, row: str) -> str:
    """Return the page with a preset's row of the first table in its place by name, instead of a former one."""
    lines, name = page.splitlines(), _preset(row)
    head = next(number for number, line in enumerate(lines) if line.startswith("| preset")) + 2
    end = next(number for number in range(head, len(lines)) if not lines[number].startswith("|"))
    rows = sorted([*(line for line in lines[head:end] if _preset(line) != name), row], key=_preset)
    return "\n".join([*lines[:head], *rows, *lines[end:]]) + "\n"


def _preset(row: str) -> str:
    return row.removeprefix("| ").partition(",")[0]


if __name__ == "__main__":
    main()
