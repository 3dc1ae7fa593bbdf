"""Clips as animated pictures, or laid out frame by frame."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from elt_ref.files import write_bytes
from elt_ref.report.pictures import WHITE, Colour, check_pictures, png, scale_to, sheet

TILE = 64
"""Approximate size in pixels of an enlarged frame in a contact sheet or animation."""
FRAMES_A_SECOND = 6
ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
"""Formats of animated pictures by suffix. GIF has 256 colours; WebP is lossless here."""

Known = Bool[np.ndarray, " frames"]


def draw_contact_sheet(path: Path, clips: np.ndarray, known: Known | None = None) -> None:
    """Write clips as a PNG: a row for each, its frames from left to right.

    Args:
        path: The PNG to write.
        clips: Clips [count, frames, height, width, channels] in [0, 1], channels 1 or 3.
        known: Which frames were given and not generated: these are framed.

    Raises:
        RequestError: If the clips are out of range or the file cannot be written.
    """
    check_pictures("clips", clips, rank=5)
    count, frames, *picture = clips.shape
    framed = None if known is None else np.tile(known, count)
    pixels = sheet(clips.reshape(count * frames, *picture), frames, scale_to(TILE, clips), framed=framed)
    write_bytes(path, png(pixels[..., :3]))


def draw_animation(path: Path, clips: np.ndarray, columns: int, known: Known | None = None) -> None:
    """Write an animated picture of clips that play side by side in a loop.

    Args:
        path: The GIF or WebP to write; its suffix is one of `ANIMATIONS`.
        clips: Clips [count, frames, height, width, channels] in [0, 1], channels 1 or 3.
        columns: Clips in a row, at least 1.
        known: Which frames were given and not generated: these are framed.

    Raises:
        RequestError: If the clips are out of range or the file cannot be written.
    """
    check_pictures("clips", clips, rank=5)
    write_bytes(path, animation(clips, columns, scale_to(TILE, clips), ANIMATIONS[path.suffix], known=known))


def animation(
    clips: Float[np.ndarray, "count frames height width channels"],
    columns: int,
    scale: int,
    picture_format: str,
    *,
    background: Colour = WHITE,
    known: Known | None = None,
) -> bytes:
    """Return an animated picture of clips in rows, which play side by side in an endless loop.

    Args:
        clips: In [0, 1].
        columns: Clips in a row, at least 1.
        scale: Whole enlargement, at least 1.
        picture_format: ``"GIF"`` or ``"WEBP"``.
        background: RGBA colour between the clips; opaque for GIF.
        known: Which frames are framed.
    """
    count, frames = clips.shape[:2]
    framed = np.zeros(frames, bool) if known is None else known
    pages = [
        Image.fromarray(
            sheet(clips[:, frame], columns, scale, background=background, framed=np.full(count, framed[frame]))
        )
        for frame in range(frames)
    ]
    if picture_format == "GIF":
        pages = [page.convert("RGB") for page in pages]
    buffer = io.BytesIO()
    pages[0].save(
        buffer,
        format=picture_format,
        save_all=True,
        append_images=pages[1:],
        duration=round(1000 / FRAMES_A_SECOND),
        loop=0,
        **({"lossless": True} if picture_format == "WEBP" else {}),
    )
    return buffer.getvalue()


def film_strips(
    clips: Float[np.ndarray, "*batch frames height width channels"],
) -> Float[np.ndarray, "*batch height strip_width channels"]:
    """Return clips as pictures: the frames of a clip side by side, a grey line of one pixel between them."""
    frames = clips.shape[-4]
    parts = []
    for frame in range(frames):
        picture = clips[..., frame, :, :, :]
        parts += [picture, np.full_like(picture[..., :1, :], 0.5)]
    return np.concatenate(parts[:-1], axis=-2)
