"""Evaluating a run: pictures or clips at several loop schedules, from the same noise, against the training part."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

import tiny_datasets
from elt_ref.config import Experiment, MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.generation import sample
from elt_ref.measure import (
    Gaussian,
    classify,
    fit_gaussian,
    frechet_distance,
    inception_score,
    nearest_distances,
)
from elt_ref.ops import counting
from elt_ref.run.fit_feature_network import VisualDataset, feature_network
from elt_ref.run.folder import Run
from elt_ref.run.given import Given, give_frames
from elt_ref.run.prepare import load_data
from elt_ref.run.record import check_data, data_digest
from elt_ref.schedules import LoopSchedule, parse_loop_schedule
from elt_ref.streams import stream
from elt_ref.tokenizer import Codec
from tiny_datasets.dataset import MIN_JUDGED

CHUNK = 250
"""Samples drawn at a time; a seed's samples depend on it."""
SPLITS = 10
"""Splits of the inception score."""
MOST_HELD_OUT = 1000
"""Largest number of held-out pictures compared with every training picture."""
MOST_SAMPLES = 1_000_000
"""Largest number of samples of one request."""


@dataclass(frozen=True)
class Result:
    """Quality and cost of a run at one loop schedule."""

    loops: int | str
    """L, or a schedule as typed (``early:4``)."""
    frechet_distance: float
    """Distance between features of the samples and of the training part; the Fréchet video distance for clips."""
    inception_score: float
    label_accuracy: float
    """Share of samples that the classifier assigns to the requested class."""
    nearest_distance: float
    """Mean distance of a sample to its nearest training picture, 0 … 1. Far less than held-out ones have is memory."""
    gflops_per_sample: float
    """FLOPs of all sampling steps and guidance branches, two a multiply-add; counted while they ran."""
    seconds_per_sample: float
    valid_share: float | None = None
    """Share of samples in the requested class by a rule of the data set, if it has one."""
    motion_accuracy: float | None = None
    """Share of clips whose frames move in one of the data set's motions, if a rule of the data set can detect them;
    with known frames, in the motion of the clip that these frames come from."""

    def row(self) -> dict[str, Any]:
        """Return the known values by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def balanced_labels(count: int, labels: Int[np.ndarray, " labels"]) -> Int[np.ndarray, " count"]:
    """Return `count` labels: each of `labels` in turn, and again from the first."""
    return np.resize(labels, count)


def draw_pictures(
    run: Run,
    labels: Int[np.ndarray, " count"],
    *,
    loops: LoopSchedule,
    seed: int,
    start: Int[np.ndarray, "count tokens"] | None = None,
) -> Float[np.ndarray, "count *sides channels"]:
    """Sample and decode pictures or clips of these classes; the same seed gives the same noise at any loop count.

    Args:
        run: a trained network.
        labels: the class of each sample.
        loops: a loop schedule, as for `sample`.
        seed: seed of the noise.
        start: tokens to start from; all unknown by default.

    Raises:
        RequestError: the run has no codebook to draw pictures with, or labels or loops are out of range.
    """
    codec = codec_of(run)
    drawn = []
    for number, first in enumerate(range(0, len(labels), CHUNK)):
        some = labels[first : first + CHUNK]
        known = None if start is None else start[first : first + CHUNK]
        samples = sample(
            run.parameters, run.config, some, seed=chunk_seed(seed, number), loops=loops, start=known, idea=run.idea
        ).samples
        drawn.append(to_pictures(codec, run.config, samples))
    return np.concatenate(drawn)


def chunk_seed(seed: int, number: int) -> int:
    """Return the seed of a chunk: the first chunk has the request's; the others derive one from it."""
    return seed if number == 0 else int(stream(seed, "chunk", number).integers(2**63))


def codec_of(run: Run) -> Codec:
    """Return the run's codec.

    Raises:
        RequestError: the run has none: its tokens or latents were imported without one.
    """
    if run.codec is None:
        raise RequestError(f"{run.config.name}: expected a run that can decode pictures, got one without a codebook")
    return run.codec


def to_pictures(codec: Codec, config: Experiment, samples: np.ndarray) -> Float[np.ndarray, "count *sides channels"]:
    """Return the pictures or clips of tokens [count, tokens] or of samples, within [0, 1]."""
    if isinstance(config, MaskedExperiment):
        samples = samples.reshape(len(samples), *config.model.grid)
    return np.clip(codec.decode(samples), 0, 1)


class Evaluator:
    """The data set's feature network and the statistics of its real pictures or clips."""

    def __init__(self, run: Run) -> None:
        dataset = load_data(run.config)
        if not isinstance(dataset, VisualDataset):
            raise RequestError(
                f"{dataset.name}: expected a data set of pictures or clips to compare with, got {dataset.kind}"
            )
        for part, split in (("training", dataset.train), ("held-out", dataset.test)):
            if len(split) < MIN_JUDGED:
                raise RequestError(
                    f"{dataset.name}: expected at least {MIN_JUDGED} {part} examples to judge by, got {len(split)}"
                )
        self.data = data_digest(dataset)
        self.network = feature_network(dataset)
        clips = isinstance(dataset, tiny_datasets.ClipDataset)
        self.is_valid = None if clips else dataset.is_valid
        self.find_motions = dataset.find_motions if clips else None
        self.motions = dataset.motions if clips else None
        self.labels = np.unique(dataset.train.labels)
        """Labels to sample and judge: those with training examples."""
        self.class_names = [dataset.classes[label] for label in self.labels]
        self.learned = tiny_datasets.scaled(dataset.train.examples, dataset.white)
        self.held_out, self.held_out_labels = (
            tiny_datasets.scaled(dataset.test.examples, dataset.white),
            dataset.test.labels,
        )
        self.train = self._statistics(self.learned)
        self.real_distance = frechet_distance(self._statistics(self.held_out), self.train)
        """Distance between held-out and training pictures: the value a perfect sampler can expect."""

    def _statistics(self, pictures: np.ndarray) -> Gaussian:
        return fit_gaussian(classify(self.network, pictures).features)

    def real(self) -> dict[str, float]:
        """Return the measures of held-out real pictures or clips, by the names of `Result`."""
        some = slice(MOST_HELD_OUT)  # any part of a split mixes the classes
        logits = classify(self.network, self.held_out).logits
        return {
            "frechet_distance": self.real_distance,
            "label_accuracy": float(np.mean(logits.argmax(axis=1) == self.held_out_labels)),
            "nearest_distance": float(np.mean(nearest_distances(self.held_out[some], self.learned))),
        }

    def evaluate(
        self, run: Run, loops: int | str, *, count: int, seed: int, given: Given | None = None
    ) -> tuple[Result, np.ndarray]:
        """Return the result at one loop count or schedule, and the pictures or clips behind it.

        The clips of `given` must have the classes of `balanced_labels`.

        Raises:
            RequestError: the run was trained on other data of the same name.
        """
        check_data(run.config.name, run.record, run.config.data.name if run.config.data else "", self.data)
        labels = balanced_labels(count, self.labels)
        schedule = parse_loop_schedule(
            str(loops), max_loops=run.config.model.max_loops, steps=run.config.sampling.steps
        )
        started = time.perf_counter()
        with counting() as work:
            start = None if given is None else given.start
            pictures = draw_pictures(run, labels, loops=schedule, seed=seed, start=start)
        seconds = time.perf_counter() - started
        classified = classify(self.network, pictures)
        return (
            Result(
                loops=loops,
                frechet_distance=frechet_distance(fit_gaussian(classified.features), self.train),
                inception_score=inception_score(classified.logits, SPLITS),
                label_accuracy=float(np.mean(classified.logits.argmax(axis=1) == labels)),
                nearest_distance=float(np.mean(nearest_distances(pictures, self.learned))),
                gflops_per_sample=work.flops / count / 1e9,
                seconds_per_sample=seconds / count,
                valid_share=None if self.is_valid is None else float(np.mean(self.is_valid(pictures, labels))),
                motion_accuracy=self._motion_accuracy(pictures, given),
            ),
            pictures,
        )

    def _motion_accuracy(self, clips: np.ndarray, given: Given | None) -> float | None:
        if self.find_motions is None:
            return None
        motions = self.find_motions(clips)
        if given is None or self.motions is None:
            return float(np.mean(motions >= 0))
        return float(np.mean(motions == self.motions.test[given.clips]))


def evaluate_run(
    run: Run, loops: Sequence[int | str], *, count: int = 500, seed: int = 0, frames: str | None = None
) -> list[Result]:
    """Evaluate a run at each of `loops`.

    Args:
        run: a run on pictures or clips.
        loops: loop counts, or schedules in the form of `parse_loop_schedule`.
        count: samples for each of `loops`, at least 10.
        seed: seed of the noise.
        frames: frames of held-out clips to start from, in the form of `give_frames`; none by default.

    Raises:
        RequestError: the run's data are neither pictures nor clips, or loops, count or frames are out of range.
    """
    check_count(count)
    evaluator = Evaluator(run)
    given = None if frames is None else give_frames(run, balanced_labels(count, evaluator.labels), frames)
    return [evaluator.evaluate(run, schedule, count=count, seed=seed, given=given)[0] for schedule in loops]


def check_count(count: int) -> None:
    """Raise RequestError if there are too few samples for the inception score, or too many."""
    if count < SPLITS:
        raise RequestError(
            f"count: expected at least {SPLITS} samples, one a split of the inception score, got {count}"
        )
    if count > MOST_SAMPLES:
        raise RequestError(f"count: expected at most {MOST_SAMPLES:,} samples, got {count:,}")
