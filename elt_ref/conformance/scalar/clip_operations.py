"""The operations on clips."""

import numpy as np

from elt_ref.conformance.scalar import clips as scalar
from elt_ref.conformance.scalar.boundary import Arrays, floats, integers


class ClipOperations:
    """Tubelets and known frames; see `Operations` for arguments and results."""

    def encode_clips(self, *, clips: np.ndarray, codebook: np.ndarray, patch_frames: int, patch_size: int) -> Arrays:
        """Return tokens."""
        codes = codebook.tolist()
        return {"tokens": integers([scalar.encode(clip, codes, patch_frames, patch_size) for clip in clips.tolist()])}

    def decode_clips(
        self, *, tokens: np.ndarray, codebook: np.ndarray, grid: list[int], patch_frames: int, patch_size: int
    ) -> Arrays:
        """Return clips."""
        codes = codebook.tolist()
        return {"clips": floats([scalar.decode(row, codes, grid, patch_frames, patch_size) for row in tokens.tolist()])}

    def given_frames(self, *, tokens: np.ndarray, frames: np.ndarray, grid: list[int], mask_token: int) -> Arrays:
        """Return tokens to start from."""
        known = frames.tolist()
        return {"tokens": integers([scalar.known_start(row, known, grid, mask_token) for row in tokens.tolist()])}
