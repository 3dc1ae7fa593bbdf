"""Read one picture file, or the frames of an animated one, at the size and in the colours of a dataset."""

from __future__ import annotations

import itertools
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from tiny_datasets import bmp_file, gif_file, png_file, tiff_file
from tiny_datasets.composition import Animation, composed, on_black
from tiny_datasets.entries import found, is_file
from tiny_datasets.errors import DatasetError
from tiny_datasets.fit import fit_picture
from tiny_datasets.limits import MAX_BYTES
from tiny_datasets.plain_text import reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


# A name ending in .png does not make a PNG, and for some other formats Pillow starts external programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""


def read_picture(path: Path, height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    """Read a picture upright and bring it to size with `fit_picture`.

    Transparent pixels become black.

    Args:
        path: A BMP, GIF, JPEG, PNG, TIFF or WebP file, whatever its name.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        colour: Whether the result has three channels (RGB) or one (grey).

    Returns:
        uint8 ``[height, width, channels]``, 0 black and 255 white.

    Raises:
        DatasetError: If the file is no picture, is damaged, has several frames or pages, has more pixels than Pillow's
            limit against decompression bombs, or has values whose black and white are not defined.
    """
    with open_picture(path) as file:
        if (count := picture_count(path, file)) > 1:
            raise DatasetError(
                f"{path} must be one picture, got a file of {count} frames or pages; "
                "'elt-ref data import clips' takes animations"
            )
        return fit_picture(_upright(file, path), height, width, colour=colour)


def read_frames(
    path: Path, file: Image.Image, indices: Sequence[int], height: int, width: int, *, colour: bool
) -> NDArray[np.uint8]:
    """Read frames of an animated file that `open_picture` opened, as `read_picture` reads a picture.

    Args:
        path: The file.
        file: The open file.
        indices: Rising indices below `frame_count`.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        colour: Whether the result has three channels (RGB) or one (grey).

    Returns:
        uint8 ``[frames, height, width, channels]``, 0 black and 255 white.

    Raises:
        DatasetError: If a frame shows the background of a GIF whose colour viewers disagree on.
    """
    if file.format == "WEBP":  # its library composes as RFC 9649 says
        return np.stack([_fitted(file, index, path, height, width, colour=colour) for index in indices])
    content = _content(path)
    animation, background = _animation(file, content)
    if animation is None:
        return read_picture(path, height, width, colour=colour)[None]
    frames, orientation = [], _orientation(file, content)
    for index, canvas in enumerate(itertools.islice(composed(animation), indices[-1] + 1)):
        if index in indices:
            picture = _turned(_shown(canvas, background, path), orientation)
            frames.append(fit_picture(picture, height, width, colour=colour))
    return np.stack(frames)


def _fitted(file: Image.Image, index: int, path: Path, height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    file.seek(index)
    return fit_picture(_upright(file, path), height, width, colour=colour)


def frame_count(path: Path, file: Image.Image) -> int:
    """Return the number of frames of an open file; a still picture is one frame."""
    if file.format == "WEBP":
        return getattr(file, "n_frames", 1)
    animation, _ = _animation(file, _content(path))
    return 1 if animation is None else len(animation.frames)


def picture_count(path: Path, file: Image.Image) -> int:
    """Return the number of frames, or whole pages of a TIFF, of an open file, from little of its content."""
    if file.format == "GIF":
        return frame_count(path, file)
    if file.format == "TIFF":
        return tiff_file.page_count(file)
    # A JPEG may hold previews of itself, and is an MPO to Pillow then.
    return 1 if file.format in ("JPEG", "MPO") else getattr(file, "n_frames", 1)


def upright_size(path: Path, file: Image.Image) -> tuple[int, int]:
    """Return the height and width of an open file's pictures, turned upright, without decoding them."""
    content = _content(path) if file.format == "PNG" else b""
    # Pillow has turned the sides of a TIFF.
    lies = file.format != "TIFF" and _orientation(file, content) in (5, 6, 7, 8)
    return (file.width, file.height) if lies else (file.height, file.width)


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture file, and turn any error while it is open into one sentence.

    Raises:
        DatasetError: If the file is no picture, is damaged, or has more pixels than Pillow's limit against
            decompression bombs.
    """
    if not is_file(path):  # to open a pipe is to wait for its other end
        raise DatasetError(f"{path} must be a picture file, got {found(path)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever a decoder can put up with
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as file:
                yield file
    except DatasetError:
        raise
    except tiff_file.UndefinedValuesError as error:
        raise DatasetError(f"{path} must have values that define black and white, got {error}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DatasetError(
            f"{path} must be a picture of at most {limit}, got more, maybe a decompression bomb"
        ) from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything
        raise DatasetError(f"{path} must be a whole picture, got one that cannot be read: {reason(error)}") from error


def _upright(file: Image.Image, path: Path) -> Image.Image:
    """Return an open file's picture turned by its EXIF orientation, 8 bits a channel, on black.

    Of an animated WebP it is the current frame.
    """
    content = _content(path) if file.format in ("BMP", "GIF", "PNG", "TIFF") else b""
    if file.format == "TIFF":
        return tiff_file.read_tiff(content)  # Pillow turns a TIFF while it reads it
    if file.format == "GIF":
        gif = gif_file.read_gif(content)
        return _shown(next(composed(gif.animation)), gif.background, path)
    if file.format == "BMP" and (picture := bmp_file.read_bmp(file, content)) is not None:
        return picture
    if file.format == "PNG":
        png_file.check_whole(content)
    file.load()
    orientation = _orientation(file, content)
    if file.format == "PNG" and png_file.needs_care(content):
        return _turned(Image.fromarray(on_black(png_file.read_png(content))), orientation)
    if file.has_transparency_data:
        return _turned(Image.fromarray(on_black(np.asarray(file.convert("RGBA")))), orientation)
    if file.mode not in ("1", "L", "P", "RGB", "CMYK"):
        raise DatasetError(f"{path} must have values that define black and white, got Pillow's mode {file.mode}")
    return _turned(file.convert("RGB") if file.mode == "P" else file, orientation)


def _animation(file: Image.Image, content: bytes) -> tuple[Animation | None, tuple[int, int, int] | None]:
    """Return the animation in a file, or None, and the colour of a GIF's background, if it is not transparent."""
    if file.format == "GIF":
        return gif_file.read_gif(content)
    if file.format == "PNG":
        return png_file.read_animation(content), None
    return None, None


def _shown(canvas: NDArray[np.uint8], background: tuple[int, int, int] | None, path: Path) -> Image.Image:
    """Return a canvas on black.

    Raises:
        DatasetError: If transparent pixels would have another colour than black by the specification of GIF.
    """
    if background is not None and any(background) and not canvas[..., 3].all():
        raise DatasetError(
            f"{path} must cover its canvas, or have a black background or a transparent colour, got a background of "
            f"colour {background}, which some viewers show and others do not"
        )
    return Image.fromarray(on_black(canvas))


def _orientation(file: Image.Image, content: bytes) -> int:
    """Return the EXIF orientation of an open file, 1 for upright; not of a TIFF. Only a PNG's content matters."""
    exif = Image.Image.getexif(file)  # a PNG's own method would decode the pixels
    if file.format == "PNG" and (stored := png_file.exif(content)):
        exif.load(stored)  # Pillow overlooks one after the pixels until it has read them, and after an animation always
    return exif.get(ExifTags.Base.Orientation, 1)


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture turned by an EXIF orientation."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DatasetError(f"{path} must have at most {MAX_BYTES:,} bytes, got {size:,}")
    return path.read_bytes()
