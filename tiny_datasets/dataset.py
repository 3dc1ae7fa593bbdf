"""Datasets: two splits, and facts about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Kind: TypeAlias = Literal["pictures", "clips", "tokens", "latents"]

MIN_JUDGED = 2
"""The least number of held-out examples to judge samples by; a covariance needs two."""


_CLIPPED = 0.05
"""How far a codebook may reach beyond black and white without a remark."""

_SPREAD = 3.0
"""Standard deviation of scaled latents, and one over it, beyond which there is a remark."""


# Arrays do not compare to one bool, so none of these classes defines equality.
@dataclass(frozen=True, eq=False)
class Split:
    """The training part or the test part of a dataset, read-only, in a fixed order that mixes the classes.

    Attributes:
        examples: Pictures as uint8 ``[count, height, width, channels]`` or clips as uint8
            ``[count, frames, height, width, channels]``, values from 0 to the dataset's `white`, or tokens as int64
            ``[count, rows, columns]`` or ``[count, frames, rows, columns]``, values from 0 to ``codebook_size − 1``,
            or latents as float32 ``[count, height, width, channels]``, all finite.
        labels: int64 ``[count]``, indices into the dataset's `classes`.
    """

    examples: NDArray[Any]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        _make_read_only(self, "examples", "labels")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Common base: every dataset is a `PictureDataset`, `ClipDataset`, `TokenDataset` or `LatentDataset`.

    Attributes:
        kind: ``"pictures"``, ``"clips"``, ``"tokens"`` or ``"latents"``.
        name: The name for `load`.
        train: The examples to learn from.
        test: The examples held out.
        classes: The name of each class; a label is an index into it.
        description: One or two sentences about the examples.
        licence: The licence of the examples.
        source: The origin of the examples.
    """

    kind: ClassVar[Kind]
    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    description: str
    licence: str
    source: str

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to know before work with these data, one sentence each; empty for most."""
        sizes = np.bincount(self.train.labels, minlength=len(self.classes))
        empty = [f"'{name}'" for name, size in zip(self.classes, sizes, strict=True) if not size]
        lines = []
        if empty:
            some = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
            lines.append(f"Classes without training examples, which cannot be learned: {some}.")
        if len(self.test) < MIN_JUDGED:
            lines.append(f"Held-out examples: {len(self.test)}, and `evaluate` needs {MIN_JUDGED}.")
        return tuple(lines)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureDataset(Dataset):
    """A dataset of pictures.

    Attributes:
        white: The value of full intensity, 1 to 255; 0 is black.
        is_valid: Returns whether pictures (floating-point, 0 black and 1 white, ``[count, height, width, channels]``)
            are members of their classes ``[count]``; None if there is no rule.
    """

    kind: ClassVar[Kind] = "pictures"
    white: int
    is_valid: Callable[[NDArray[np.floating], NDArray[np.integer]], NDArray[np.bool_]] | None = None

    @property
    def remarks(self) -> tuple[str, ...]:  # noqa: D102  as in the base
        return (*super().remarks, *_remark_on_darkness(self.train.examples, self.white))


@dataclass(frozen=True, eq=False)
class Motions:
    """A second labelling of clips, by the direction they move in, read-only.

    Attributes:
        names: The name of each motion.
        train: int64 ``[count]``, the motion of each training clip, an index into `names`.
        test: int64 ``[count]``, the motion of each test clip, an index into `names`.
    """

    names: tuple[str, ...]
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    def __post_init__(self) -> None:
        _make_read_only(self, "train", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipDataset(Dataset):
    """A dataset of clips, all of one length.

    Attributes:
        white: The value of full intensity, 1 to 255; 0 is black.
        motions: The motion of each clip; None if unknown.
        find_motions: Detects the motion of each clip (floating-point, 0 black and 1 white,
            ``[count, frames, height, width, channels]``): int64 ``[count]``, indices into the names of `motions`, −1 if
            the frames follow none of them. None if there is no rule.
    """

    kind: ClassVar[Kind] = "clips"
    white: int
    motions: Motions | None = None
    find_motions: Callable[[NDArray[np.floating]], NDArray[np.int64]] | None = None

    @property
    def remarks(self) -> tuple[str, ...]:  # noqa: D102  as in the base
        return (*super().remarks, *_remark_on_darkness(self.train.examples, self.white))


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenDataset(Dataset):
    """A dataset of token grids from an external tokenizer of pictures or clips.

    Attributes:
        codebook_size: Number of different tokens.
        codebook: float32 ``[codebook_size, patch_frames · patch_size · patch_size · channels]``, the patch or tubelet
            of each token, flattened in the order (frame, row, column, channel), 0 black and 1 white; None when
            unknown, and then tokens cannot be drawn.
        patch_size: Height and width of a patch in pixels; None exactly when `codebook` is None.
        patch_frames: Frames of a clip in each token; 1 for pictures.
    """

    kind: ClassVar[Kind] = "tokens"
    codebook_size: int
    codebook: NDArray[np.float32] | None = None
    patch_size: int | None = None
    patch_frames: int = 1

    @property
    def remarks(self) -> tuple[str, ...]:  # noqa: D102  as in the base
        lines = super().remarks
        if self.codebook is not None:
            least, most = float(self.codebook.min()), float(self.codebook.max())
            if least < -_CLIPPED or most > 1 + _CLIPPED:
                reach = f"from {least:.2f} to {most:.2f}, and 0 is black and 1 is white"
                lines += (f"The codebook's values reach {reach}: drawn pictures are clipped.",)
        return lines


@dataclass(frozen=True, kw_only=True, eq=False)
class LatentDataset(Dataset):
    """A dataset of latents from an external encoder, unscaled.

    Attributes:
        scale: The factor that training multiplies latents by, finite and above 0.
    """

    kind: ClassVar[Kind] = "latents"
    scale: float

    @property
    def spread(self) -> float:
        """The standard deviation of all training latents times the scale; training expects about 1."""
        return float(np.std(self.train.examples, dtype=np.float64)) * self.scale

    @property
    def remarks(self) -> tuple[str, ...]:  # noqa: D102  as in the base
        if 1 / _SPREAD <= self.spread <= _SPREAD:
            return super().remarks
        remark = (
            f"Latents times the scale have a standard deviation of {self.spread:.2g}, and training expects about 1."
        )
        return (*super().remarks, remark)


def scaled(examples: NDArray[np.uint8], white: int) -> NDArray[np.float32]:
    """Return pictures or clips as intensities.

    Args:
        examples: uint8 ``[count, height, width, channels]`` or ``[count, frames, height, width, channels]``, values
            from 0 to `white`.
        white: The value of full intensity, at least 1.

    Returns:
        float32 of the same shape, in [0, 1].

    Raises:
        DatasetError: If `white` is below 1 or an example is brighter than `white`.
    """
    if white < 1:
        raise DatasetError(f"white must be at least 1, got {white}")
    brightest = int(examples.max(initial=0))
    if brightest > white:
        raise DatasetError(f"examples must hold values from 0 to white = {white}, got {brightest}")
    return examples.astype(np.float32) / np.float32(white)


def _remark_on_darkness(examples: NDArray[np.uint8], white: int) -> tuple[str, ...]:
    """Return a remark if nothing is brighter than 1, as in masks whose white is not that of the format."""
    brightest = int(examples.max(initial=0))
    if brightest > 1 or white == 1:
        return ()
    return (f"The brightest training value is {brightest}, where white is {white}: all is black to the eye.",)


def _make_read_only(holder: object, *fields: str) -> None:
    """Replace arrays of a frozen dataclass by views that cannot be written to."""
    for field in fields:
        array = getattr(holder, field).view()
        array.setflags(write=False)
        object.__setattr__(holder, field, array)
