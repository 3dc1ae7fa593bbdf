"""Read one picture file at the size and in the colours of a dataset."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from tiny_datasets.errors import DatasetError
from tiny_datasets.fit import fit_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


# A name ending in .png does not make a PNG, and for some other formats Pillow starts external programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def read_picture(path: Path, height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    """Read a picture upright and bring it to size with `fit_picture`.

    Transparent pixels become black, and of several frames only the first is read.

    Args:
        path: A BMP, GIF, JPEG, PNG, TIFF or WebP file, whatever its name.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        colour: Whether the result has three channels (RGB) or one (grey).

    Returns:
        uint8 ``[height, width, channels]``, 0 black and 255 white.

    Raises:
        DatasetError: If the file is no picture, is damaged, has more pixels than Pillow's limit against decompression
            bombs, or has a pixel format without a defined white.
    """
    with open_picture(path) as file:
        return fit_picture(upright(file, path), height, width, colour=colour)


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture file, and turn any error while it is open into one sentence.

    Raises:
        DatasetError: If the file is no picture, is damaged, or has more pixels than Pillow's limit against
            decompression bombs.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever a decoder can put up with
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as file:
                yield file
    except DatasetError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DatasetError(
            f"{path} must be a picture of at most {limit}, got more, maybe a decompression bomb"
        ) from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything
        raise DatasetError(f"{path} must be a whole picture, got one that cannot be read: {error}") from error


def upright(file: Image.Image, path: Path) -> Image.Image:
    """Return an open file's current frame turned by its EXIF orientation, 8 bits a channel, without transparency.

    Raises:
        DatasetError: If its pixel format has no defined white.
    """
    picture = ImageOps.exif_transpose(file)
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion would clip at 255 instead of scaling.
        return Image.fromarray((np.asarray(picture).astype(np.float32) / 257).round().astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise DatasetError(f"{path} must have 8 or 16 bits a channel, got 32, which do not define white")
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, picture.convert("RGBA"))
    return picture
