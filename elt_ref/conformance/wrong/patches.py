"""Mistakes in patches, positions and time features."""

import math
from typing import Any

import autograd.numpy
import numpy as np

from elt_ref.arrays import cut
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.conformance.wrong.diffusion_parts import Altered, Change, instead
from elt_ref.model.diffusion import patchify
from elt_ref.model.positions import sine_cosine_positions, time_features

anp: Any = autograd.numpy  # its names are made at run time, invisible to a type checker


def _row_first_patches(samples: Any, size: int) -> Any:
    pieces = cut(samples, (size, size))
    return pieces.reshape(len(samples), pieces.shape[1] * pieces.shape[2], -1)


class PatchReadRowFirst(Altered, ReferenceBackend):
    """The patch embedding reads (row, column, channel), the order of the output."""

    changes = instead("model.diffusion", patchify=_row_first_patches)


def _column_first(samples: Any, size: int) -> Any:
    patches = patchify(samples, size)
    split = patches.reshape(*patches.shape[:2], -1, size, size)
    return split.swapaxes(-1, -2).reshape(patches.shape)


class PatchReadColumnFirst(Altered, ReferenceBackend):
    """The patch embedding reads (channel, column, row)."""

    changes = instead("model.diffusion", patchify=_column_first)


def _scrambled(samples: Any, size: int) -> Any:
    return samples.transpose(0, 3, 1, 2).reshape(len(samples), -1, size * size * samples.shape[-1])


class PatchReadScrambled(Altered, ReferenceBackend):
    """Channels-first samples are reshaped without a transpose, which mixes places: the unofficial port of ELT."""

    changes = instead("model.diffusion", patchify=_scrambled)


def _written(split: str, axes: tuple[int, ...]) -> tuple[Change, ...]:
    """Return the change that joins patches from this order of grid and features."""

    def unpatchify(patches: Any, shape: Any, size: int) -> Any:
        height, width, channels = shape
        sizes = dict(zip("hwpqc", (height // size, width // size, size, size, channels), strict=True))
        pieces = anp.reshape(patches, (len(patches), *(sizes[letter] for letter in split)))
        return anp.reshape(anp.transpose(pieces, (0, *axes)), (len(patches), *shape))

    return instead("model.diffusion", unpatchify=unpatchify)


class PatchWrittenChannelFirst(Altered, ReferenceBackend):
    """The output is read as (channel, row, column), the order of the patch embedding."""

    changes = _written("hwcpq", (1, 4, 2, 5, 3))


class PatchWrittenColumnFirst(Altered, ReferenceBackend):
    """The output is read as (column, row, channel)."""

    changes = _written("hwqpc", (1, 4, 2, 3, 5))


class PatchWrittenScrambled(Altered, ReferenceBackend):
    """The output is reshaped to the sample without a transpose."""

    changes = _written("hwpqc", (1, 2, 3, 4, 5))


def _row_first(rows: int, columns: int, width: int) -> Any:
    return np.roll(sine_cosine_positions(rows, columns, width), width // 2, axis=1)


class PositionsRowFirst(Altered, ReferenceBackend):
    """The first half of the channels varies with the row: "w goes first" in DiT's meshgrid is easily missed."""

    changes = instead("model.positions", sine_cosine_positions=_row_first)


def _cosine_first(rows: int, columns: int, width: int) -> Any:
    halves = sine_cosine_positions(rows, columns, width).reshape(rows * columns, 2, 2, width // 4)
    return halves[:, :, ::-1].reshape(rows * columns, width)


class PositionsCosineFirst(Altered, ReferenceBackend):
    """Positions are [cos, sin], the order of the time features."""

    changes = instead("model.positions", sine_cosine_positions=_cosine_first)


def _close_frequencies(rows: int, columns: int, width: int) -> Any:
    row, column = np.divmod(np.arange(rows * columns), columns)
    frequencies = np.exp(-math.log(10000) * np.arange(width // 4) / (width // 2))
    angles = [place[:, None] * frequencies for place in (column, row)]
    return np.concatenate([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=1)


class PositionsHalfFrequencies(Altered, ReferenceBackend):
    """Frequencies fall to 10000^(−1/2) only: k is divided by d/2 instead of d/4."""

    changes = instead("model.positions", sine_cosine_positions=_close_frequencies)


def _interleaved(rows: int, columns: int, width: int) -> Any:
    halves = sine_cosine_positions(rows, columns, width).reshape(rows * columns, 2, 2, width // 4)
    return halves.swapaxes(-1, -2).reshape(rows * columns, width)


class PositionsInterleaved(Altered, ReferenceBackend):
    """Sines and cosines alternate, as in the first transformers."""

    changes = instead("model.positions", sine_cosine_positions=_interleaved)


class TimeSineFirst(Altered, ReferenceBackend):
    """Time features are [sin, cos], the order of the positions."""

    changes = instead(
        "model.positions",
        time_features=lambda time, width, scale: np.roll(time_features(time, width, scale), width // 2, axis=1),
    )


class TimeUnscaled(Altered, ReferenceBackend):
    """The time scale is missing: t in [0, 1] meets frequencies made for 0 … 999, and all but one hardly move."""

    changes = instead("model.positions", time_features=lambda time, width, _scale: time_features(time, width, 1.0))


def _waves(time: Any, scale: float, frequencies: Any) -> Any:
    angles = scale * np.asarray(time, np.float64)[:, None] * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


class TimeHalfFrequencies(Altered, ReferenceBackend):
    """Frequencies fall to 10000^(−1/2) only: i is divided by the width instead of by its half."""

    changes = instead(
        "model.positions",
        time_features=lambda time, width, scale: _waves(
            time, scale, np.exp(-math.log(10000) * np.arange(width // 2) / width)
        ),
    )


class TimeFrequenciesToTheEnd(Altered, ReferenceBackend):
    """The last frequency is 10000⁻¹: i is divided by one less than their number, as in denoising-diffusion-pytorch."""

    changes = instead(
        "model.positions",
        time_features=lambda time, width, scale: _waves(
            time, scale, np.exp(-math.log(10000) * np.arange(width // 2) / max(1, width // 2 - 1))
        ),
    )
