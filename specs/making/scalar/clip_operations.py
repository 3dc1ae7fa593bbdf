"""The operations on clips."""

from specs.making.scalar import clips as scalar
from specs.making.scalar.boundary import floats, integers


class ClipOperations:
    """Tubelets and known frames; ``specs/operations.toml`` has arguments and results."""

    def encode_clips(self, *, clips, codebook, patch_frames, patch_size):
        """Return tokens."""
        codes = codebook.tolist()
        return {"tokens": integers([scalar.encode(clip, codes, patch_frames, patch_size) for clip in clips.tolist()])}

    def decode_clips(self, *, tokens, codebook, grid, patch_frames, patch_size):
        """Return clips."""
        codes = codebook.tolist()
        return {"clips": floats([scalar.decode(row, codes, grid, patch_frames, patch_size) for row in tokens.tolist()])}

    def given_frames(self, *, tokens, frames, grid, mask_token):
        """Return tokens to start from."""
        known = frames.tolist()
        return {"tokens": integers([scalar.known_start(row, known, grid, mask_token) for row in tokens.tolist()])}
