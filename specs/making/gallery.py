"""What twenty mistakes do to quality over L: ``python -m specs.making.gallery`` trains them all and writes the page.

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
    reason: str = ""
    """Why it does to the curve what it does."""

    @property
    def setting(self) -> str:
        """What is the same in the right page that it is compared with, in words."""
        said = [f"{name} = {value:g}" for name, value in self.constants.items()]
        said += [f"guidance {self.guidance:g}"] if self.guidance != 1 else []
        return ", ".join(said)


GALLERY = (
    Entry(
        "teacher_not_stopped",
        "masked",
        reason="E5.3 is small where the two agree, so the teacher now moves towards its weaker student as well. "
        "E5.1 pulls it back at every step; beyond L_max nothing does.",
    ),
    Entry(
        "student_stopped",
        "masked",
        reason="E5.3 teaches the teacher to predict like its student. The student still has E5.2 and the teacher "
        "E5.1, so both learn; the student loses the lesson that it should have when λ is small.",
    ),
    Entry(
        "student_may_be_teacher",
        "masked",
        reason="In one step of four the student is the teacher: E5.2 repeats E5.1, and E5.3 has no gradient. "
        "Three steps of four are right.",
    ),
    Entry(
        "truth_weight_reversed",
        "masked",
        reason="In the first steps the student copies a teacher that knows nothing, in weights that are the "
        "teacher's too ([chapter 5](course/05-three-choices.md)).",
    ),
    Entry(
        "divergence_for_cross_entropy",
        "masked",
        why="The teacher's entropy, which is missing, has no gradient.",
        reason="The two losses differ by the teacher's entropy, and the teacher is held fixed: a constant has no "
        "gradient ([chapter 4](course/04-ilsd.md)).",
    ),
    Entry(
        "head_inside_loop",
        "masked",
        reason="A layer adds to the state; the head replaces it. So no sum leads straight through the loops any "
        "more, and what a loop passes on is what the codes can be read from.",
    ),
    Entry(
        "input_reinjected",
        "masked",
        reason="The loop need not carry the question along in its state. It is better here, and another model: "
        "not g_Θ^L(x) ([chapter 12](course/12-mistakes-and-ideas.md)).",
    ),
    Entry(
        "loops_untied",
        "masked",
        reason="The block has four times the parameters, so it learns at least as well. What is lost is the "
        "sharing; and no loop beyond L_max has weights, so that L = 6 and 8 answer as L = 4.",
    ),
    Entry(
        "layers_repeated_in_place",
        "masked",
        reason="Every exit is still taught. What is lost is the prefix: two loops are not the first half of "
        "four, so a student needs a pass of its own, and nobody can stop early.",
    ),
    Entry(
        "loss_on_all_tokens",
        "masked",
        reason="A visible token can be copied from the input, which is soon learned. 64 % are hidden on average, "
        "so most of the loss is the right one.",
    ),
    Entry(
        "least_confident_kept",
        "masked",
        reason="A step keeps its worst guesses, and all later tokens are drawn to fit them.",
    ),
    Entry(
        "choice_noise_overlooked",
        "masked",
        reason="The most confident tokens are mostly background, and come first in every digit, so that digits "
        "are more alike ([chapter 6](course/06-parallel-decoding.md)). These small networks have larger "
        "errors to begin with; the demo's model, at a distance of 3.0, has 1.5 times that without noise.",
    ),
    Entry(
        "shift_sign_flipped",
        "diffusion",
        {"LOG_SNR_SHIFT": 2.0},
        reason="The wrong page works 4 lower in λ. In more of its times, in training and in sampling, a picture "
        "is nearly all noise, and few are left for detail.",
    ),
    Entry(
        "weight_inverted",
        "diffusion",
        reason="sigmoid(−λ) falls as e^−λ in clean pictures, so their detail hardly counts, and what nobody can "
        "know counts most ([chapter 8](course/08-diffusion.md)).",
    ),
    Entry(
        "weight_of_one",
        "diffusion",
        reason="The factor −dλ/dt is missing too, so that per unit of λ this is a hump, 1 / cosh(λ/2): it leaves "
        "out what nobody can know, and the finest detail. The right page's two seeds differ by more than "
        "the two weights ([chapter 8](course/08-diffusion.md)).",
    ),
    Entry(
        "time_unscaled",
        "diffusion",
        reason="The network is hardly told the time. But a noisy picture shows by itself how noisy it is, and "
        "one wave still moves.",
    ),
    Entry(
        "patch_written_channel_first",
        "diffusion",
        why="A patch of one channel has the same order in both.",
        reason="With one channel, (channel, row, column) and (row, column, channel) list the same values in the "
        "same order.",
    ),
    Entry(
        "diffusion_conditioned_once",
        "diffusion",
        reason="The first loop writes the class into the state, and later loops can keep it there.",
    ),
    Entry(
        "guides_three_channels",
        "diffusion",
        guidance=2.0,
        why="Grey digits have one channel.",
        reason="A grey digit has one channel, and the first three of one are all. A latent of four channels "
        "would keep one unguided.",
    ),
    Entry(
        "noise_left_out",
        "diffusion",
        reason="A picture is then cleaner than its time says. The network takes what is left for a trace in a "
        "noisier picture, and answers with the mean of many ([chapter 8](course/08-diffusion.md)).",
    ),
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
