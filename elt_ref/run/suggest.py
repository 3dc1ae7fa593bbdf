"""The command that trains a small model on a data set."""

import numpy as np

import tiny_datasets
from elt_ref.config import load_preset
from elt_ref.tokenizer import cut_patches

PATCHES = (2, 3)
"""Patch sides to try, in pixels or frames; if none fits, every pixel is a token."""

TOKEN_PRESET, TOKEN_SETTINGS = (
    "elt-l-8x3",
    {
        "model.layers": 2,
        "model.max_loops": 4,
        "model.width": 64,
        "model.heads": 4,
        "model.mlp_width": 256,
        "model.initial_deviation": 0.08,
        "sampling.guidance_scale": 1.0,
        "training.steps": 800,
        "training.batch_size": 64,
    },
)
"""Smaller sizes and a short training for the preset of tokens: the only presets without a tokenizer are the paper's."""


def training_command(dataset: tiny_datasets.Dataset) -> str:
    """Return a shell command that trains on a data set, with every size set to fit it."""
    name, shape = dataset.name, dataset.train.examples.shape[1:]
    settings: dict[str, object] = {"data.name": name, "model.classes": len(dataset.classes)}
    if isinstance(dataset, tiny_datasets.TokenDataset):
        preset = TOKEN_PRESET
        settings |= {"model.grid": list(shape), "model.codebook_size": dataset.codebook_size}
        settings |= TOKEN_SETTINGS
    elif isinstance(dataset, tiny_datasets.LatentDataset):
        preset = "digits-diffusion"
        settings |= {"model.shape": list(shape), "model.patch_size": _patch(shape[:2])}
    else:
        preset = "digits-video" if isinstance(dataset, tiny_datasets.ClipDataset) else "digits-masked"
        settings |= _tokenizer_settings(preset, dataset.train.examples)
    words = [f'"{key}={value}"' if isinstance(value, list) else f"{key}={value}" for key, value in settings.items()]
    return " ".join(["elt-ref train", preset, *(f"--set {word}" for word in words), f"--out runs/{name}"])


def _tokenizer_settings(preset: str, examples: np.ndarray) -> dict[str, object]:
    """Return the token grid of pictures or clips, and the other preset settings that must change for them."""
    config = load_preset(preset)
    codes = config.model_dump()["model"]["codebook_size"]
    *frames, height, width = examples.shape[1:-1]
    sides = (*(_patch([count]) for count in frames), *[_patch([height, width])] * 2)
    settings: dict[str, object] = {
        "tokenizer.patch_size": sides[-1],
        "model.codebook_size": _different_patches(examples, sides, codes),
    }
    if frames:
        settings["tokenizer.patch_frames"] = sides[0]
    changed = {
        key: value
        for key, value in settings.items()
        if value != getattr(getattr(config, key.split(".")[0]), key.split(".")[1])
    }
    return {"model.grid": [side // size for side, size in zip(examples.shape[1:], sides, strict=False)], **changed}


def _patch(lengths: list[int] | tuple[int, ...]) -> int:
    """Return the least side of a patch that divides all lengths."""
    return next((side for side in PATCHES if not any(length % side for length in lengths)), 1)


def _different_patches(examples: np.ndarray, sides: tuple[int, ...], most: int) -> int:
    """Return the number of different patches in the examples (the most codes that can be learned), capped at `most`."""
    seen: set[bytes] = set()
    for example in examples:
        patches = cut_patches(example[None].astype(np.float32), sides)
        seen.update(patch.tobytes() for patch in patches.reshape(-1, patches.shape[-1]))
        if len(seen) >= most:
            return most
    return len(seen)
