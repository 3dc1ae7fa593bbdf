"""Drawing pictures or tokens from a run, as ``elt-ref sample`` asks for them."""

from pathlib import Path

import numpy as np
from jaxtyping import Int
from safetensors.numpy import save

from elt_ref.config import validate
from elt_ref.errors import RequestError
from elt_ref.files import write_bytes
from elt_ref.generation import LoopSchedule, Sampled, sample
from elt_ref.report.samples import draw_grid
from elt_ref.run.folder import Run


def with_sampling(run: Run, *, steps: int | None = None, guidance_scale: float | None = None) -> Run:
    """Return the run with other sampling settings.

    Raises:
        RequestError: they are out of range, or guidance is asked of a network without an unconditional row.
    """
    document = run.config.model_dump(mode="python")
    asked = {"steps": steps, "guidance_scale": guidance_scale}
    document["sampling"] |= {key: value for key, value in asked.items() if value is not None}
    return Run(validate(document, where="request"), run.parameters, run.quantiser, run.step)


def sample_to_file(
    run: Run, labels: Int[np.ndarray, " count"], path: Path, *, loops: LoopSchedule, seed: int
) -> Sampled:
    """Draw one sample for each label and write them to `path`: pictures to .png, tokens and labels to .safetensors.

    Raises:
        RequestError: another suffix, or pictures asked of a run without a codebook, or labels or loops out of range.
    """
    if path.suffix not in {".png", ".safetensors"}:
        raise RequestError(f"--out: expected a name ending in .png or .safetensors, got '{path}'")
    quantiser = run.quantiser
    if path.suffix == ".png" and quantiser is None:
        raise RequestError(
            "--out: expected a name ending in .safetensors, for these tokens came without a codebook to draw them "
            f"with; got '{path}'"
        )
    sampled = sample(run.parameters, run.config, labels, seed=seed, loops=loops)
    tokens = sampled.tokens.reshape(len(labels), *run.config.model.grid)
    if quantiser is not None and path.suffix == ".png":
        draw_grid(path, quantiser.decode(tokens), columns=min(len(labels), 10))
    else:
        write_bytes(path, save({"tokens": tokens, "labels": labels}))
    return sampled
