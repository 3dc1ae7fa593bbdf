"""Read one clip, an animated file or a folder of frames, at the size and in the colours of a dataset."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from tiny_datasets.class_folders import sorted_entries
from tiny_datasets.entries import is_folder, is_left_out
from tiny_datasets.errors import DatasetError
from tiny_datasets.picture_file import (
    frame_count,
    open_picture,
    picture_count,
    read_frames,
    read_picture,
    upright_size,
)
from tiny_datasets.pictures import is_picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_DECODED_PIXELS = 2**28
"""The most pixels to decode from one animated file, over all frames up to the last one used."""


def read_clip(path: Path, frames: int, height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    """Read `frames` frames, evenly spread over a clip, and bring each to size.

    The clip is divided into `frames` equal parts, and the frame in the middle of each is used. A frame of an animated
    file counts once, however long it is shown. A folder's frames are sorted by name, with numbers by value; hidden
    files and files whose names are not a picture's are ignored.

    Args:
        path: An animated GIF, PNG or WebP file, or a folder of pictures.
        frames: Number of frames, at least 1.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        colour: Whether the result has three channels (RGB) or one (grey).

    Returns:
        uint8 ``[frames, height, width, channels]``, 0 black and 255 white.

    Raises:
        DatasetError: If the clip has too few frames, frames of different sizes, or more pixels than
            `MAX_DECODED_PIXELS`; or a file of it cannot be read as a picture.
    """
    if is_folder(path):
        return _read_folder(path, frames, height, width, colour=colour)
    with open_picture(path) as file:
        chosen = _spread(frame_count(path, file), frames, path)
        pixels = (chosen[-1] + 1) * file.width * file.height
        if pixels > MAX_DECODED_PIXELS:
            raise DatasetError(
                f"{path} must have at most {MAX_DECODED_PIXELS:,} pixels in all of its frames, got {pixels:,}"
            )
        return read_frames(path, file, chosen, height, width, colour=colour)


def _read_folder(folder: Path, frames: int, height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    try:
        entries = sorted_entries(folder)
    except OSError as error:
        raise DatasetError(f"{folder} must be readable, got {error.strerror}") from error
    files = sorted((entry for entry in entries if is_picture(entry) and not entry.name.startswith(".")), key=_numbered)
    chosen = [files[index] for index in _spread(len(files), frames, folder)]
    size = _size(files[0])
    for entry in entries:
        if is_folder(entry) and not is_left_out(entry.name):
            raise DatasetError(
                f"{folder} must hold the frames of one clip and no folders, got the folder {entry.name!r}"
            )
    for file in files:
        if (other := _size(file)) != size:
            raise DatasetError(
                f"{file} must be a frame of {size[0]}x{size[1]} pixels like those before it in its clip, "
                f"got {other[0]}x{other[1]}"
            )
    return np.stack([read_picture(file, height, width, colour=colour) for file in chosen])


def _size(path: Path) -> tuple[int, int]:
    """Return the height and width of a frame, turned upright, without decoding it.

    Raises:
        DatasetError: If the file is no picture, or is a clip or document of several.
    """
    with open_picture(path) as file:
        if (count := picture_count(path, file)) > 1:
            raise DatasetError(
                f"{path} must be one frame of the clip that its folder holds, got a file of {count} frames"
            )
        return upright_size(path, file)


def _spread(count: int, frames: int, path: Path) -> list[int]:
    """Return the index in the middle of each of `frames` equal parts of ``range(count)``."""
    if count < frames:
        raise DatasetError(f"{path} must be a clip of at least {frames} frames, got {count}")
    return [(2 * part + 1) * count // (2 * frames) for part in range(frames)]


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame10 after frame9."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split("([0-9]+)", path.name)]
