"""Drawing pictures, clips or tokens from a run, for ``elt-ref sample``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int
from safetensors.numpy import save

import tiny_datasets
from elt_ref.config import MaskedExperiment, validate
from elt_ref.errors import RequestError
from elt_ref.files import check_file, write_bytes
from elt_ref.generation import Sampled, sample
from elt_ref.report.clips import ANIMATIONS, draw_animation, draw_contact_sheet
from elt_ref.report.samples import draw_grid
from elt_ref.run.evaluate import to_pictures
from elt_ref.run.folder import Run, check_no_file_of_a_run
from elt_ref.run.given import Given
from elt_ref.run.prepare import load_data
from elt_ref.schedules import LoopSchedule


def with_sampling(
    run: Run, *, steps: int | None = None, guidance_scale: float | None = None, temperature: float | None = None
) -> Run:
    """Return the run with other sampling settings.

    Args:
        run: a trained network.
        steps: K.
        guidance_scale: s.
        temperature: the choice temperature, which only the masked family has.

    Raises:
        RequestError: a setting is out of range, guidance needs an unconditional row that the network lacks, or the
            diffusion family gets a temperature.
    """
    document = run.config.model_dump(mode="python")
    changes = {"steps": steps, "guidance_scale": guidance_scale, "choice_temperature": temperature}
    document["sampling"] |= {key: value for key, value in changes.items() if value is not None}
    return replace(run, config=validate(document, where="request"))


def learned_labels(run: Run) -> list[int]:
    """Return the labels that have training examples, rising."""
    return np.unique(load_data(run.config).train.labels).tolist()


def sample_to_file(
    run: Run,
    labels: Int[np.ndarray, " count"],
    path: Path,
    *,
    loops: LoopSchedule,
    seed: int,
    given: Given | None = None,
) -> Sampled:
    """Draw one sample for each label and write them to `path`, in the format of its suffix.

    Pictures go to .png; clips to .gif or .webp, which play, or frame by frame to .png, with known frames framed; tokens
    or latents to .safetensors.

    Raises:
        RequestError: an unknown suffix, a picture format for a run that cannot decode pictures, `path` cannot be
            written, or labels or loops out of range.
    """
    config = run.config
    clips = len(config.model.grid) == 3
    suffixes = [".png", *(ANIMATIONS if clips else [])]
    if path.suffix not in {*suffixes, ".safetensors"}:
        raise RequestError(
            f"--out: expected a name ending in {', '.join(suffixes)} or .safetensors"
            f"{'' if path.suffix not in ANIMATIONS else ' for pictures, which do not move'}, got '{path}'"
        )
    if path.suffix != ".safetensors" and run.codec is None:
        raise RequestError(
            "--out: expected a name ending in .safetensors, for these data came without a codebook to draw them with; "
            f"got '{path}'"
        )
    check_no_file_of_a_run(path)
    check_file(path)
    labels = np.ascontiguousarray(labels)  # safetensors writes memory as it lies
    start, known = (None, None) if given is None else (given.start, given.known)
    sampled = sample(run.parameters, config, labels, seed=seed, loops=loops, start=start, idea=run.idea)
    if run.codec is not None and path.suffix != ".safetensors":
        pictures, columns = to_pictures(run.codec, config, sampled.samples), min(len(labels), 10)
        if path.suffix in ANIMATIONS:
            draw_animation(path, pictures, columns, known)
        elif clips:
            draw_contact_sheet(path, pictures, known)
        else:
            draw_grid(path, pictures, columns=columns)
    elif isinstance(config, MaskedExperiment):
        tokens = sampled.samples.reshape(len(labels), *config.model.grid)
        write_bytes(path, save({"tokens": np.ascontiguousarray(tokens), "labels": labels}))
    else:
        # Training multiplied latents by the scale; divide to return to the encoder's units.
        dataset = load_data(config)
        scale = dataset.scale if isinstance(dataset, tiny_datasets.LatentDataset) else 1.0
        latents = np.ascontiguousarray(sampled.samples / scale, np.float32)
        write_bytes(path, save({"latents": latents, "labels": labels}, metadata={"scale": repr(scale)}))
    return sampled
