"""Diffusion in pixel space: pictures in [0, 1] as samples in [−1, 1], and back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Pictures = Float[np.ndarray, "count height width channels"]


@dataclass(frozen=True)
class Pixels:
    """The identity except for the range; it learns nothing and loses nothing."""

    def encode(self, pictures: Pictures) -> Pictures:
        """Return ``2 x − 1``."""
        return (2 * pictures - 1).astype(np.float32)

    def decode(self, samples: Pictures) -> Pictures:
        """Return ``(x + 1) / 2``; not clipped."""
        return (samples + 1) / 2

    def reconstruction_error(self, pictures: Pictures) -> float:
        """Return the mean squared error of a pixel after encoding and decoding: float32 rounding."""
        return float(np.mean(np.square(self.decode(self.encode(pictures)) - pictures), dtype=np.float64))

    def to_bytes(self) -> None:
        """Return None: there is nothing to keep in a file."""
