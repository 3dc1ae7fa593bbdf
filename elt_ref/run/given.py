"""Known frames for ``--given``: frames of held-out clips, which a run completes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

import tiny_datasets
from elt_ref.config import MaskedExperiment
from elt_ref.errors import RequestError
from elt_ref.generation import known_start, parse_frames
from elt_ref.run.folder import Run
from elt_ref.run.prepare import load_data


@dataclass(frozen=True)
class Given:
    """The known frames that sampling starts from, one clip per label."""

    clips: Int[np.ndarray, " count"]
    """Index of each clip in the test part."""
    known: Bool[np.ndarray, " frames"]
    """Whether each frame is kept."""
    start: Int[np.ndarray, "count tokens"]


def give_frames(run: Run, labels: Int[np.ndarray, " count"], frames: str) -> Given:
    """Choose a held-out clip for each label, and return their known frames as a start.

    Args:
        run: a run on clips, or on tokens of clips.
        labels: the class of each clip.
        frames: frames in the form of `parse_frames`; ``0-1`` for the first two.

    Raises:
        RequestError: the run is not on clips, a class has no held-out clip, or `frames` is malformed or out of range.
    """
    dataset, config = load_data(run.config), run.config
    clips = _clips_of(labels, dataset.test.labels)
    examples = dataset.test.examples[clips]
    if not isinstance(config, MaskedExperiment):
        raise RequestError(f"given: expected a run on clips, got one on '{dataset.name}', which holds {dataset.kind}")
    if isinstance(dataset, tiny_datasets.ClipDataset) and run.codec is not None:
        tokens, number = run.codec.encode(tiny_datasets.scaled(examples, dataset.white)), examples.shape[1]
    elif isinstance(dataset, tiny_datasets.TokenDataset) and examples.ndim == 4:
        tokens, number = examples, examples.shape[1] * dataset.patch_frames
    else:
        raise RequestError(f"given: expected a run on clips, got one on '{dataset.name}', which holds {dataset.kind}")
    known = parse_frames(frames, number)
    return Given(clips, known, known_start(tokens, known, mask_token=config.model.mask_token))


def _clips_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return an index into `classes` for each label: the first of that class, then the second, and so on cyclically."""
    clips = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        candidates = np.flatnonzero(classes == label)
        if not len(candidates):
            raise RequestError(f"given: expected classes with held-out clips, got {label}")
        places = np.flatnonzero(labels == label)
        clips[places] = np.resize(candidates, len(places))
    return clips
