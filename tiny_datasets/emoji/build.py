"""Make the pictures of the shipped dataset `emoji` again: ``python -m tiny_datasets.emoji.build PACKAGE``.

PACKAGE is the folder of the unpacked npm package emoji-datasource-google 16.0.0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tiny_datasets.emoji.splits import FILE, WHITE
from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGE = ("emoji-datasource-google", "16.0.0")
GROUPS = (
    "People & Body",
    "Flags",
    "Objects",
    "Symbols",
    "Travel & Places",
    "Smileys & Emotion",
    "Animals & Nature",
    "Food & Drink",
    "Activities",
)
"""The package's name for each class of the dataset, in their order. Its other group, skin tones, is left out."""

SIDE = 16
BLOCK = 4
"""Width and height of the squares of old pixels that become a new one."""


def build(folder: Path, package: Path) -> None:
    """Write the file of pictures; the same zlib gives the same bytes every time, another one the same arrays.

    Args:
        folder: An existing folder.
        package: The folder of the unpacked npm package.

    Raises:
        DatasetError: If `package` is something else or another version, or a picture is missing or of another size.
    """
    about = _read_json(package / "package.json")
    found = (about.get("name"), about.get("version")) if isinstance(about, dict) else (None, None)
    if found != PACKAGE:
        raise DatasetError(f"{package} must hold the npm package {'@'.join(PACKAGE)}, got {found[0]}@{found[1]}")
    emoji = [one for one in _read_json(package / "emoji.json") if one["category"] in GROUPS]
    pictures = [shrink(_read_picture(package / "img" / "google" / "64" / one["image"])) for one in emoji]
    labels = np.array([GROUPS.index(one["category"]) for one in emoji], np.int64)
    np.savez_compressed(folder / FILE, pictures=np.stack(pictures), labels=labels)


def shrink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture on white: a new pixel is the mean of the 4×4 old ones that it covers (a box filter).

    Both steps work on the stored sRGB values, as browsers and the importers of this package do, and not in linear
    light, which would fade thin dark lines on white. Whole numbers, rounded once: no library can change a bit.

    Args:
        picture: uint8 ``[64, 64, 4]``, red, green, blue and opacity.

    Returns:
        uint8 ``[16, 16, 3]``.
    """
    wide = picture.astype(np.int64)
    colour, opacity = wide[..., :3], wide[..., 3:]
    on_white = opacity * colour + (WHITE - opacity) * WHITE
    sums = on_white.reshape(SIDE, BLOCK, SIDE, BLOCK, 3).sum(axis=(1, 3))
    whole = WHITE * BLOCK * BLOCK
    return ((2 * sums + whole) // (2 * whole)).astype(np.uint8)


def _read_picture(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGBA"), np.uint8)
    except OSError as error:
        raise DatasetError(f"{path} must be a picture of the npm package, got {error}") from error
    if picture.shape != (SIDE * BLOCK, SIDE * BLOCK, 4):
        raise DatasetError(f"{path} must have 64×64 pixels, got {picture.shape[1]}×{picture.shape[0]}")
    return picture


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} must be a file of the npm package {'@'.join(PACKAGE)}, got {error}") from error


def main(arguments: list[str]) -> int:
    """Build from the package that the one argument names, into this folder, and return the exit code."""
    if len(arguments) != 1:
        _complain(f"PACKAGE must be one argument, the unpacked npm package {'@'.join(PACKAGE)}, got {len(arguments)}")
        return 2
    try:
        build(Path(__file__).parent, Path(arguments[0]))
    except DatasetError as error:
        _complain(error)
        return 2
    return 0


def _complain(sentence: object) -> None:
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
