"""Read TIFF files whose values have one meaning, and refuse the others.

Pillow unpacks and decompresses. Here stand the meanings it leaves out: white as zero in 16 bits, 12 bits, low bytes of
16 bits, colours stored already multiplied by their opacity, colour tables of 16 bits.

Source: TIFF, revision 6.0 (Adobe 1992), and its Technical Note 1 and supplement 2.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tiny_datasets.composition import on_black
from tiny_datasets.raw_samples import decoded_as, samples_16

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.TiffImagePlugin import TiffImageFile

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES = 258, 259, 262, 277, 284
_COLOUR_MAP, _INK_SET, _INK_RANGE, _EXTRA, _FORMAT, _LEVELS = 320, 332, 336, 338, 339, 532
_KIND, _OLD_KIND, _WIDTH, _HEIGHT = 254, 255, 256, 257
_STRIPS, _ROWS, _TILES, _TILE_WIDTH, _TILE_HEIGHT = 273, 278, 324, 322, 323
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6
_PREMULTIPLIED = 1


class UndefinedValuesError(ValueError):
    """The file does not say, or not in a way known here, which values are black and white."""


def read_tiff(content: bytes) -> Image.Image:  # noqa: PLR0911  a meaning each
    """Return the first picture of a TIFF file, upright and on black.

    Returns:
        A picture of mode L, RGB or CMYK.

    Raises:
        UndefinedValuesError: If the meaning of its values is not defined or not known here.
        ValueError: If the file is damaged; Pillow raises other errors too.
    """
    with Image.open(io.BytesIO(content), formats=("TIFF",)) as opened:
        file: TiffImageFile = opened  # pyright: ignore[reportAssignmentType]  only this plugin was allowed
        photometric, bits, extra = _checked(file)
        _check_whole(file)
        if bits == 16:
            return _deep(samples_16(file, content), photometric, extra)
        if bits == 12:
            # Pillow's mode I;16 holds 0 … 4095.
            scaled = (np.asarray(file).astype(np.int64) * 255 * 2 + 4095) // (2 * 4095)
            return Image.fromarray(scaled.astype(np.uint8))
        if photometric == _PALETTE:
            return _looked_up(file)
        if extra[:1] == (_PREMULTIPLIED,):
            if file.mode == "La":
                return Image.fromarray(np.asarray(file)[..., 0])
            return Image.fromarray(decoded_as(content, "RGBA", "RGBA" + "X" * (len(extra) - 1))[..., :3].copy())
        if file.mode in ("LA", "RGBA"):
            return Image.fromarray(on_black(np.asarray(file.convert("RGBA"))))
        file.load()
        return file.convert("L") if file.mode == "1" else file.copy()


def page_count(file: Image.Image) -> int:
    """Return the number of pages of an open TIFF that are no reduced copies and no masks of others, at least 1.

    Raises:
        ValueError: If the first page is one of these: the whole picture stands elsewhere.
    """
    opened: TiffImageFile = file  # pyright: ignore[reportAssignmentType]
    count = 0
    for page in range(opened.n_frames):
        opened.seek(page)
        tags = opened.tag_v2
        whole = not tags.get(_KIND, 0) & 0b101 and tags.get(_OLD_KIND, 1) != 2
        if not page and not whole:
            raise ValueError("the first page is a reduced copy or a mask of another")
        count += whole
    opened.seek(0)
    return count


def _checked(file: TiffImageFile) -> tuple[int, int, tuple[int, ...]]:
    """Return photometric interpretation, bits a sample and kinds of extra samples, all of them known."""
    tags = file.tag_v2
    photometric = tags.get(_PHOTOMETRIC)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR):
        raise UndefinedValuesError(f"values of photometric interpretation {photometric}")
    bits, formats, extra = tags.get(_BITS, (1,)), tags.get(_FORMAT, (1,)), tags.get(_EXTRA, ())
    if set(formats) != {1} or max(bits) > 16:
        raise UndefinedValuesError(
            "values that are signed, floating-point or of more than 16 bits, which do not define white"
        )
    colours = {_RGB: 3, _YCBCR: 3, _INKS: 4}.get(photometric, 1)
    if tags.get(_SAMPLES, 1) != colours + len(extra):
        raise UndefinedValuesError(
            f"{tags.get(_SAMPLES, 1)} samples a pixel, where {colours} are colours and the rest undeclared"
        )
    if set(extra) - {0, 1, 2} or any(extra[1:]):
        raise UndefinedValuesError(f"extra samples of kinds {list(extra)}")
    if photometric == _INKS and tags.get(_INK_SET, 1) != 1:
        raise UndefinedValuesError("inks that are not cyan, magenta, yellow and black")
    whole = 2 ** max(bits) - 1
    usual = (0, 255, 128, 255, 128, 255) if photometric == _YCBCR else (0, whole)
    levels = tuple(tags.get(_INK_RANGE if photometric == _INKS else _LEVELS, usual))
    if levels != usual * (len(levels) // len(usual)):
        raise UndefinedValuesError(f"levels from {levels[0]} to {levels[1]} and not the usual ones")
    raw = tags.get(_COMPRESSION, 1) == 1
    if photometric == _YCBCR and (raw or max(bits) != 8):
        raise UndefinedValuesError("uncompressed YCbCr values")
    if tags.get(_PLANES, 1) != 1 and (max(bits) > 8 or any(extra)):
        raise UndefinedValuesError("opacity or more than 8 bits in separate planes")
    return photometric, max(bits), extra


def _check_whole(file: TiffImageFile) -> None:
    """Refuse a file that lacks strips or tiles: Pillow would make them black."""
    tags = file.tag_v2
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    if _TILES in tags:
        found = len(tags[_TILES])
        wanted = -(-width // tags.get(_TILE_WIDTH, width)) * -(-height // tags.get(_TILE_HEIGHT, height))
    else:
        found, wanted = len(tags.get(_STRIPS, ())), -(-height // tags.get(_ROWS, height))
    if tags.get(_PLANES, 1) != 1:
        wanted *= tags.get(_SAMPLES, 1)
    if found < wanted:
        raise ValueError(f"only {found} strips or tiles of {wanted}")


def _deep(samples: NDArray[np.uint16], photometric: int, extra: tuple[int, ...]) -> Image.Image:
    """Return a picture of 8 bits, each value rounded once."""
    if photometric == _WHITE_IS_ZERO:
        samples = 65535 - samples
    if photometric == _RGB and extra == (2,):
        return Image.fromarray(on_black(samples))
    rounded = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if photometric == _INKS:
        return Image.fromarray(rounded, "CMYK")
    return Image.fromarray(rounded[..., :3].copy() if rounded.ndim == 3 else rounded)


def _looked_up(file: TiffImageFile) -> Image.Image:
    """Return a picture of a colour table, whose 16 bits are rounded."""
    table = np.asarray(file.tag_v2[_COLOUR_MAP], np.int64).reshape(3, -1).T
    colours = ((table + 128) // 257).astype(np.uint8)
    pixels = np.asarray(file)
    if file.mode == "PA":
        return Image.fromarray(on_black(np.concatenate([colours[pixels[..., 0]], pixels[..., 1:]], axis=2)))
    return Image.fromarray(colours[pixels])
