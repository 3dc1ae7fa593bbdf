"""Drawing pictures or tokens from a run, as ``elt-ref sample`` asks for them."""

from pathlib import Path

import numpy as np
from jaxtyping import Int
from safetensors.numpy import save

import tiny_datasets
from elt_ref.config import validate
from elt_ref.errors import RequestError
from elt_ref.files import write_bytes
from elt_ref.generation import LoopSchedule, Sampled, sample
from elt_ref.report.samples import draw_grid
from elt_ref.run.evaluate import to_pictures
from elt_ref.run.folder import Run
from elt_ref.run.prepare import load_data


def with_sampling(run: Run, *, steps: int | None = None, guidance_scale: float | None = None) -> Run:
    """Return the run with other sampling settings.

    Raises:
        RequestError: they are out of range, or guidance is asked of a network without an unconditional row.
    """
    document = run.config.model_dump(mode="python")
    asked = {"steps": steps, "guidance_scale": guidance_scale}
    document["sampling"] |= {key: value for key, value in asked.items() if value is not None}
    return Run(validate(document, where="request"), run.parameters, run.codec, run.step)


def sample_to_file(
    run: Run, labels: Int[np.ndarray, " count"], path: Path, *, loops: LoopSchedule, seed: int
) -> Sampled:
    """Draw one sample for each label and write them to `path`: pictures to .png, tokens or latents to .safetensors.

    Raises:
        RequestError: another suffix, or pictures asked of a run without a way back to them, or labels or loops out of
            range.
    """
    if path.suffix not in {".png", ".safetensors"}:
        raise RequestError(f"--out: expected a name ending in .png or .safetensors, got '{path}'")
    config = run.config
    if path.suffix == ".png" and run.codec is None:
        raise RequestError(
            "--out: expected a name ending in .safetensors, for these data came without a codebook to draw them with; "
            f"got '{path}'"
        )
    sampled = sample(run.parameters, config, labels, seed=seed, loops=loops)
    if run.codec is not None and path.suffix == ".png":
        draw_grid(path, to_pictures(run.codec, config, sampled.samples), columns=min(len(labels), 10))
    elif config.model.family == "masked":
        tokens = sampled.samples.reshape(len(labels), *config.model.grid)
        write_bytes(path, save({"tokens": tokens, "labels": labels}))
    else:
        # As their encoder gave them: what training multiplied by the scale is divided by it.
        dataset = load_data(config)
        scale = dataset.scale if isinstance(dataset, tiny_datasets.LatentDataset) else 1.0
        latents = (sampled.samples / scale).astype(np.float32)
        write_bytes(path, save({"latents": latents, "labels": labels}, metadata={"scale": repr(scale)}))
    return sampled
