"""Read a codebook: the patch or tubelet of pixels for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiny_datasets.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tiny_datasets.tensor_file import TensorFile


_BEYOND = 0.5
"""How far a codebook may reach beyond black and white. Pictures of 0 … 255 or −1 … 1 reach further."""


def read_codebook(file: TensorFile, codes: int, patch_size: int, patch_frames: int = 1) -> NDArray[np.float32]:
    """Return the tensor ``codebook`` of a file.

    Args:
        file: The file with the tensor, in any floating-point dtype.
        codes: Required number of rows.
        patch_size: Height and width of a patch in pixels.
        patch_frames: Frames of a patch; 1 for pictures.

    Returns:
        float32 ``[codes, patch_frames · patch_size · patch_size · channels]`` with 1 or 3 channels, read-only.

    Raises:
        DatasetError: If the tensor has another shape, is not floating-point, has a value that is no finite float32, or
            reaches far beyond 0 … 1.
    """
    codebook = file.finite_floats("codebook", rank=2)
    rows, features = codebook.shape
    if rows != codes:
        raise DatasetError(f"'codebook' in {file.path} must have one row for each of {codes} codes, got {rows} rows")
    pixels = patch_frames * patch_size * patch_size
    frames = "" if patch_frames == 1 else f"{patch_frames} frames of "
    if features not in (pixels, 3 * pixels):
        raise DatasetError(
            f"'codebook' in {file.path} must have {pixels} (grey) or {3 * pixels} (colour) columns "
            f"for patches of {frames}{patch_size}x{patch_size} pixels, got {features}"
        )
    least, most = float(codebook.min()), float(codebook.max())
    if least < -_BEYOND or most > 1 + _BEYOND:
        raise DatasetError(
            f"'codebook' in {file.path} must hold patches from 0 black to 1 white, "
            f"got values from {least:.3g} to {most:.3g}"
        )
    codebook.setflags(write=False)
    return codebook
