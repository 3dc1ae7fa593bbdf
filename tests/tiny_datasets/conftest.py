from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tiny_datasets.catalogue import HOME_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A data home that does not exist yet, in place of the user's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder


@pytest.fixture
def picture_folder(tmp_path) -> Path:
    """Two classes of flat 16×16 grey pictures, whose brightness tells them apart."""
    root = tmp_path / "pictures"
    for base, (name, count) in enumerate({"cats": 3, "dogs": 5}.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            grey = 100 * base + number
            Image.new("L", (16, 16), grey).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def token_tensors() -> dict[str, np.ndarray]:
    """Ten 2×3 grids of tokens 0 … 5 in two classes, and a codebook of one grey 2×2 patch for each."""
    return {
        "tokens": (np.arange(60).reshape(10, 2, 3) % 6).astype(np.int32),
        "labels": np.array([0, 1] * 5, np.uint8),
        "codebook": np.linspace(0, 1, 24, dtype=np.float64).reshape(6, 4),
    }


@pytest.fixture
def latent_tensors() -> dict[str, np.ndarray]:
    """Ten latents of 2×2×4 numbers in two classes; the first number of each tells it apart."""
    return {
        "latents": (np.arange(160, dtype=np.float32).reshape(10, 2, 2, 4) - 80) / 16,
        "labels": np.array([0, 1] * 5, np.uint8),
    }
