"""Frame prediction and in-between frames: decoding that starts from some frames of a clip (E1 with a known X_0)."""

import re

import numpy as np
from jaxtyping import Bool, Int

from elt_ref.errors import RequestError


def parse_frames(text: str, frames: int) -> Bool[np.ndarray, " frames"]:
    """Return which frames of a clip a text names.

    Args:
        text: frames from 0 and ranges of them, both ends included: ``0``, ``0-1``, ``0-1,6-7``.
        frames: number of frames in a clip.

    Raises:
        RequestError: anything else, or frames that the clip does not have.
    """
    known = np.zeros(frames, bool)
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise RequestError(f"given: expected frames such as 0-1 or 0-1,6-7, got '{text}'")
        if last >= frames:
            raise RequestError(f"given: expected a clip's frames, 0…{frames - 1}, got {last}")
        known[first : last + 1] = True
    return known


def known_start(
    tokens: Int[np.ndarray, "count *grid"], known: Bool[np.ndarray, " frames"], *, mask_token: int
) -> Int[np.ndarray, "count tokens"]:
    """Return tokens to start decoding from: the known frames' tokens, and the mask elsewhere.

    Args:
        tokens: tokens of whole clips, [count, frames, rows, columns]; a token spans the frames of one tubelet.
        known: which frames of the clip are known.
        mask_token: the id that means unknown.

    Raises:
        RequestError: tokens of pictures, frames that are only a part of a tubelet, or nothing left to generate.
    """
    if tokens.ndim != 4:
        raise RequestError(
            f"given: expected clips, with tokens [count, frames, rows, columns], got {list(tokens.shape)}"
        )
    tubelets = tokens.shape[1]
    if not len(known) or len(known) % tubelets:
        raise RequestError(f"given: expected a multiple of the {tubelets} tubelets of a clip, got {len(known)} frames")
    size = len(known) // tubelets
    known_of_tubelet = known.reshape(tubelets, size).sum(axis=1)
    whole = known_of_tubelet == size
    if (partial := (known_of_tubelet > 0) & ~whole).any():
        first = int(partial.argmax()) * size
        got = [first + int(frame) for frame in np.flatnonzero(known[first : first + size])]
        raise RequestError(
            f"given: expected whole tubelets of {size} frames, such as {first}-{first + size - 1}, "
            f"got {', '.join(map(str, got))} alone"
        )
    if whole.all():
        raise RequestError(f"given: expected some of the {len(known)} frames to be left to generate, got all of them")
    return np.where(whole[:, None, None], tokens, mask_token).reshape(len(tokens), -1)
