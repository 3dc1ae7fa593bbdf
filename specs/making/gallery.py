"""What twenty mistakes do to the pictures: ``python -m specs.making.gallery`` trains them all and writes the page.

Each is trained like the right page, on the same data with the same seeds, and measured at several loop counts: the
Fréchet distance of 500 digits from the training part. A mistake that is only in sampling draws from the right page's
parameters. ``specs/making/gallery.json`` keeps the measured numbers, from which ``--page`` alone writes
``docs/mistakes.md`` and its pictures again. ``--quick`` measures three mistakes with few steps and writes nothing.
"""

import argparse
import ast
import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tiny_datasets
from elt_ref.config import load_preset
from elt_ref.files import write_text
from elt_ref.measure import classify, fit_gaussian, frechet_distance, load_feature_network
from elt_ref.paper.mistakes import Mistake, mistakes, page_text, page_with
from elt_ref.run.evaluate import to_pictures
from elt_ref.run.prepare import prepare

FILE = Path(__file__).with_suffix(".json")
STEPS = {"masked": 800, "diffusion": 800}
SIZES = {
    "masked": {"WIDTH": 32, "MLP_WIDTH": 128, "BATCH_SIZE": 32},
    "diffusion": {"LAYERS": 2, "WIDTH": 32, "MLP_WIDTH": 128, "BATCH_SIZE": 32},
}
"""Training steps and sizes, smaller than a page's own: some forty networks are trained, and all learn digits."""
LOOPS = {"masked": (1, 2, 3, 4, 6, 8), "diffusion": (1, 2, 3, 4, 6)}
"""Loop counts to measure; a masked page is trained with 4 loops at most, a diffusion page with 3."""
SAMPLES, SEEDS = 500, 2
SAMPLING = {"sample", "decode_step", "denoise_step"}
"""Functions that no training calls."""


@dataclass(frozen=True)
class Entry:
    """One mistake of the gallery."""

    name: str
    page: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Constants of the page that differ from its own, in the right page as well: where the mistake shows."""
    guidance: float = 1.0
    why: str = ""
    """Why no picture of grey digits can tell it, if none can."""

    @property
    def setting(self) -> str:
        """What is the same in the right page that it is compared with, in words."""
        said = [f"{name} = {value:g}" for name, value in self.constants.items()]
        said += [f"guidance {self.guidance:g}"] if self.guidance != 1 else []
        return ", ".join(said)


GALLERY = (
    Entry("teacher_not_stopped", "masked"),
    Entry("student_stopped", "masked"),
    Entry("student_may_be_teacher", "masked"),
    Entry("truth_weight_reversed", "masked"),
    Entry("divergence_for_cross_entropy", "masked", why="The teacher's entropy, which is missing, has no gradient."),
    Entry("head_inside_loop", "masked"),
    Entry("input_reinjected", "masked"),
    Entry("loops_untied", "masked"),
    Entry("layers_repeated_in_place", "masked"),
    Entry("loss_on_all_tokens", "masked"),
    Entry("least_confident_kept", "masked"),
    Entry("choice_noise_overlooked", "masked"),
    Entry("shift_sign_flipped", "diffusion", {"LOG_SNR_SHIFT": 2.0}),
    Entry("weight_inverted", "diffusion"),
    Entry("weight_of_one", "diffusion"),
    Entry("time_unscaled", "diffusion"),
    Entry("patch_written_channel_first", "diffusion", why="A patch of one channel has the same order in both."),
    Entry("diffusion_conditioned_once", "diffusion"),
    Entry("guides_three_channels", "diffusion", guidance=2.0, why="Grey digits have one channel."),
    Entry("noise_left_out", "diffusion"),
)
QUICK = ("truth_weight_reversed", "least_confident_kept", "time_unscaled")


def trained_alike(mistake: Mistake, page: str) -> bool:
    """Return whether a mistake changes only functions that no training calls."""
    right, wrong = (_functions(page_text(page, changes, mistake.name)) for changes in ((), mistake.changes))
    return {name for name in right.keys() | wrong.keys() if right.get(name) != wrong.get(name)} <= SAMPLING


def _functions(text: str) -> dict[str, str]:
    """Return the top-level statements of a page by the name that they define."""
    return {getattr(node, "name", ast.dump(node)): ast.dump(node) for node in ast.parse(text).body}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        yield


class Data:
    """The digits as a page learns them, and the distance of its samples from them."""

    def __init__(self, page: str) -> None:
        self.page = page
        config = load_preset(f"digits-{page}")
        self.config, self.prepared = config, prepare(config, Path("no codec is stored"))
        self.network = load_feature_network(tiny_datasets.dataset_folder("digits") / "feature_network.safetensors")
        digits = tiny_datasets.load("digits")
        assert isinstance(digits, tiny_datasets.PictureDataset), "digits are pictures"  # noqa: S101
        real = tiny_datasets.scaled(digits.train.examples, digits.white)
        self.real = fit_gaussian(classify(self.network, real).features)

    def train(self, page: Any, steps: int, seed: int) -> Any:
        """Return the parameters of a page after training."""
        with _quiet():
            return page.train(*self.prepared.examples, steps, seed)

    def distances(self, page: Any, parameters: Any, guidance: float, samples: int) -> dict[str, float | None]:
        """Return the Fréchet distance by loop count; None where the page draws no numbers."""
        found = {}
        for loops in LOOPS[self.page]:
            with _quiet():
                drawn = page.sample(parameters, np.arange(samples) % 10, loops, guidance=guidance)
            found[str(loops)] = self._distance(drawn)
        return found

    def _distance(self, drawn: np.ndarray) -> float | None:
        if not np.isfinite(drawn).all():
            return None
        assert self.prepared.codec is not None, "digits are pictures"  # noqa: S101
        pictures = to_pictures(self.prepared.codec, self.config, drawn).astype(np.float32)
        return round(frechet_distance(fit_gaussian(classify(self.network, pictures).features), self.real), 3)


Row = dict[str, Any]


class Task(NamedTuple):
    """One training, and what is drawn from its parameters."""

    page: str
    constants: Mapping[str, Any]
    seed: int
    trained: str
    """The mistake that it is trained with; empty for the right page."""
    drawn: tuple[Entry, ...]
    """Entries whose distances it gives; one without a name stands for the right page."""


def tasks(entries: Sequence[Entry], seeds: int) -> Iterator[Task]:
    """Yield every training: for all constants the right page, then each mistake that is not only in sampling."""
    alike = {entry.name: trained_alike(mistakes()[entry.name], entry.page) for entry in entries}
    for seed in range(seeds):
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(f"{entry.page} {entry.constants}", []).append(entry)
        for group in groups.values():
            right = {entry.guidance: replace(entry, name="") for entry in group}
            drawn = (*right.values(), *(entry for entry in group if alike[entry.name]))
            yield Task(group[0].page, group[0].constants, seed, "", drawn)
        for entry in entries:
            if not alike[entry.name]:
                yield Task(entry.page, entry.constants, seed, entry.name, (entry,))


def measure(task: Task, steps: int, samples: int) -> list[Row]:
    """Return the rows of a training."""
    data = Data(task.page)
    parameters = data.train(_changed(task.page, task.constants, task.trained), steps, task.seed)
    rows = []
    for entry in task.drawn:
        page = _changed(task.page, task.constants, entry.name)
        row = {"page": task.page, "mistake": entry.name, "setting": entry.setting, "seed": task.seed, "steps": steps}
        rows.append(row | {"frechet_distance": data.distances(page, parameters, entry.guidance, samples)})
    return rows


def _changed(page: str, constants: Mapping[str, Any], mistake: str) -> Any:
    changed = page_with(page, mistakes()[mistake] if mistake else None)
    vars(changed).update(SIZES[page] | dict(constants))
    return changed


def key(row: Row) -> tuple[str, str, str, int]:
    """Return what a row is about."""
    return row["page"], row["setting"], row["mistake"], row["seed"]


def measured(
    entries: Sequence[Entry],
    seeds: int,
    steps: Mapping[str, int],
    samples: int,
    workers: int,
    known: Sequence[Row] = (),
) -> Iterator[list[Row]]:
    """Yield all rows so far, sorted, whenever some are new; known ones are not measured again."""
    rows = {key(row): row for row in known}
    with ProcessPoolExecutor(workers) as pool:
        waiting = []
        for task in tasks(entries, seeds):
            wanted = {(task.page, entry.setting, entry.name, task.seed) for entry in task.drawn}
            if wanted - rows.keys():
                waiting.append(pool.submit(measure, task, steps[task.page], samples))
        for done in as_completed(waiting):
            for row in done.result():
                print(json.dumps(row), flush=True)  # noqa: T201
                rows[key(row)] = row
            yield [rows[each] for each in sorted(rows)]


def main() -> None:
    """Measure and write, or only write, or measure a few shortened."""
    parser = argparse.ArgumentParser(prog="python -m specs.making.gallery", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int, default=1, help="trainings at the same time (1)")
    parser.add_argument("--keep", action="store_true", help="measure only what is not stored yet: go on")
    parser.add_argument("--quick", action="store_true", help="three mistakes with few steps; nothing is written")
    parser.add_argument("--page", action="store_true", help="write the page from the numbers that are stored")
    asked = parser.parse_args()
    if asked.quick:
        few = [entry for entry in GALLERY if entry.name in QUICK]
        list(measured(few, 1, dict.fromkeys(STEPS, 10), 50, asked.workers))
        return
    if not asked.page:
        known = json.loads(FILE.read_text(encoding="utf-8")) if asked.keep else []
        for rows in measured(GALLERY, asked.seeds, STEPS, SAMPLES, asked.workers, known):
            write_text(FILE, "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    from specs.making.gallery_page import write_page  # noqa: PLC0415  draws with matplotlib

    write_page(json.loads(FILE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
