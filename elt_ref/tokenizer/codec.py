"""The interface of every codec: from pictures or clips to the network's data, and back."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Codec(Protocol):
    """Vector-quantised patches, a linear autoencoder of patches, or plain pixels."""

    def encode(self, pictures: Any, /) -> Any:
        """Turn pictures [count, height, width, channels] in [0, 1] into tokens or samples.

        Clips have an axis of frames before the height; only vector-quantised patches take them.
        """
        ...

    def decode(self, samples: Any, /) -> Any:
        """Turn tokens [count, *grid] or samples into pictures or clips; not clipped."""
        ...

    def reconstruction_error(self, pictures: Any, /) -> float:
        """Return the mean squared error of a pixel after encoding and decoding."""
        ...

    def to_bytes(self) -> bytes | None:
        """Return the content of the codec's file, or None if it has learned nothing."""
        ...
