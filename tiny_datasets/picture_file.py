"""Read one picture file, or the frames of an animated one, at the size and in the colours of a dataset."""

from __future__ import annotations

import itertools
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tiny_datasets import gif_file, png_file, tiff_file
from tiny_datasets.composition import Animation, composed, on_black
from tiny_datasets.errors import DatasetError
from tiny_datasets.fit import fit_picture
from tiny_datasets.limits import MAX_BYTES
from tiny_datasets.plain_text import cut
from tiny_datasets.raw_samples import decoded_as

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
            bombs, or has values whose black and white are not defined.
    """
    with open_picture(path) as file:
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
    animation, background = _animation(file, _content(path))
    if animation is None:
        return read_picture(path, height, width, colour=colour)[None]
    frames = []
    for index, canvas in enumerate(itertools.islice(composed(animation), indices[-1] + 1)):
        if index in indices:
            picture = _turned(_shown(canvas, background, path), file)
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
    """Return the number of frames, or pages of a TIFF, of an open file, from little of its content."""
    if file.format == "GIF":
        return frame_count(path, file)
    # A JPEG may hold previews of itself.
    return 1 if file.format == "JPEG" else getattr(file, "n_frames", 1)


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
    except tiff_file.UndefinedValuesError as error:
        raise DatasetError(f"{path} must have values that define black and white, got {error}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise DatasetError(
            f"{path} must be a picture of at most {limit}, got more, maybe a decompression bomb"
        ) from error
    except Exception as error:  # a damaged file makes decoders raise nearly anything
        raise DatasetError(f"{path} must be a whole picture, got one that cannot be read: {cut(error)}") from error


def _upright(file: Image.Image, path: Path) -> Image.Image:
    """Return an open file's picture turned by its EXIF orientation, 8 bits a channel, on black.

    Of an animated WebP it is the current frame, of other animations the first.
    """
    content = _content(path) if file.format in ("BMP", "GIF", "PNG", "TIFF") else b""
    if file.format == "TIFF":
        return tiff_file.read_tiff(content)  # Pillow turns a TIFF while it reads it
    if file.format == "PNG" and png_file.needs_care(content):
        file.load()  # the orientation may stand after the pixels
        return _turned(Image.fromarray(on_black(png_file.read_png(content))), file)
    if file.format == "GIF":
        gif = gif_file.read_gif(content)
        return _shown(next(composed(gif.animation)), gif.background, path)
    if file.format == "BMP" and (deep := _bmp_of_16_bits(file, content)) is not None:
        return deep
    file.load()
    if file.has_transparency_data:
        return _turned(Image.fromarray(on_black(np.asarray(file.convert("RGBA")))), file)
    if file.mode not in ("1", "L", "P", "RGB", "CMYK"):
        raise DatasetError(f"{path} must have values that define black and white, got Pillow's mode {file.mode}")
    return _turned(file.convert("RGB") if file.mode == "P" else file, file)


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


def _turned(picture: Image.Image, file: Image.Image) -> Image.Image:
    """Return a picture turned by the EXIF orientation of the loaded file it comes from."""
    picture = picture.copy()
    orientation = file.getexif().get(ExifTags.Base.Orientation)
    # Pillow would look at the picture's own metadata only.
    exif = picture.getexif()
    exif.pop(ExifTags.Base.Orientation, None)
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(picture)


def _bmp_of_16_bits(file: Image.Image, content: bytes) -> Image.Image | None:
    """Return a BMP of 16 bits a pixel, with its 5 or 6 bits a channel rounded; Pillow cuts. None for another BMP."""
    args = file.tile[0].args if file.tile else None  # pyright: ignore[reportAttributeAccessIssue]
    raw = args[0] if isinstance(args, tuple) and args else args
    if raw not in ("BGR;15", "BGR;16", "BGRA;15"):
        return None
    pixels = decoded_as(content, file.mode, raw).astype(np.int64)
    steps = np.array([31, 63 if raw == "BGR;16" else 31, 31])
    levels = -(-pixels[..., :3] * steps // 255)  # the least level that Pillow's cut makes this value of
    return Image.fromarray(((levels * 510 + steps) // (2 * steps)).astype(np.uint8))


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DatasetError(f"{path} must have at most {MAX_BYTES:,} bytes, got {size:,}")
    return path.read_bytes()
