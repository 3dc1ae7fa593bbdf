"""Make a dataset of arrays of pictures or clips from any file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tiny_datasets.catalogue import add
from tiny_datasets.dataset import ClipDataset, PictureDataset
from tiny_datasets.errors import DatasetError
from tiny_datasets.limits import check_side
from tiny_datasets.split import check_fraction, divide, held_out_counts, mixed

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

TEST_FRACTION = 0.2
"""Default share of each class to hold out, if neither the data nor the request sets it."""


class LabelledArrays(NamedTuple):
    """Examples and their labels, in the order of their file."""

    examples: NDArray[np.uint8]
    """Pictures ``[count, height, width, channels]`` or clips ``[count, frames, height, width, channels]``, 1 or 3
    channels, 0 black and 255 white."""
    labels: NDArray[np.int64]
    """Labels ``[count]``, indices into the classes."""


class Wanted(NamedTuple):
    """Requested properties of the examples; None keeps the property of the data."""

    height: int | None
    """Height in pixels, 1 to 1024."""
    width: int | None
    """Width in pixels, 1 to 1024."""
    colour: bool | None
    """Whether to make three channels (RGB) or one (grey)."""
    test_fraction: float | None
    """The share of each class to hold out, strictly between 0 and 1; None if the data have test examples."""

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            DatasetError: If a value is out of range.
        """
        for side, size in (("height", self.height), ("width", self.width)):
            if size is not None:
                check_side(side, size)
        if self.test_fraction is not None:
            check_fraction(self.test_fraction)


def store_arrays(
    name: str,
    train: LabelledArrays,
    test: LabelledArrays | None,
    classes: tuple[str, ...],
    wanted: Wanted,
    *,
    path: Path,
    source: str,
    note: str = "",
    home: str | os.PathLike[str] | None,
) -> PictureDataset | ClipDataset:
    """Bring examples to the requested size and colours, split them if they are not split yet, and store them.

    Args:
        name: The new dataset's name, checked.
        train: The training examples, or all examples.
        test: The held-out examples, of the same shape; None to hold out a share of each class.
        classes: The name of each class.
        wanted: The checked request.
        path: The file or folder of the examples, for the errors.
        source: The origin of the examples, for people.
        note: A further sentence for the description, with the space before it.
        home: The folder of imported datasets; `data_home()` when None.

    Returns:
        The stored dataset, with ``white = 255``.

    Raises:
        DatasetError: If the examples are split and the request asks for another split, no class has two examples, or
            the dataset cannot be written. Nothing is stored then.
    """
    examples = train.examples
    own_height, own_width, own_channels = examples.shape[-3:]
    height, width = wanted.height or own_height, wanted.width or own_width
    colour = own_channels == 3 if wanted.colour is None else wanted.colour
    if test is None:
        share = TEST_FRACTION if wanted.test_fraction is None else wanted.test_fraction
        held_out = held_out_counts(train.labels, len(classes), share, path)
        splits = divide(_fitted(examples, height, width, colour=colour), train.labels, held_out)
    elif wanted.test_fraction is None:
        splits = tuple(
            mixed(_fitted(part.examples, height, width, colour=colour), part.labels) for part in (train, test)
        )
    else:
        raise DatasetError(
            f"test_fraction must be left out for {path}, which has test examples of its own, got {wanted.test_fraction}"
        )
    fields: dict[str, Any] = {
        "name": name,
        "train": splits[0],
        "test": splits[1],
        "classes": classes,
        "licence": "not stated",
        "source": source,
        "white": 255,
    }
    count = f"{len(splits[0]) + len(splits[1])}"
    size = f"{height}x{width} {'colour' if colour else 'grey'} pixels"
    if (height, width) != (own_height, own_width):
        size += f", cut to their centre and shrunk from {own_height}x{own_width}"
    if examples.ndim == 4:
        description = f"{count} pictures of {len(classes)} classes, {size}.{note}"
        dataset = PictureDataset(**fields, description=description)
    else:
        description = f"{count} clips of {examples.shape[1]} frames in {len(classes)} classes, {size}.{note}"
        dataset = ClipDataset(**fields, description=description)
    add(dataset, home)
    return dataset


def _fitted(examples: NDArray[np.uint8], height: int, width: int, *, colour: bool) -> NDArray[np.uint8]:
    # Import Pillow late: it is slow, and loading a dataset does not need it.
    from tiny_datasets.fit import fit_array  # noqa: PLC0415

    return fit_array(examples, height, width, colour=colour)
