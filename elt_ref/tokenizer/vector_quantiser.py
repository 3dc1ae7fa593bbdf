"""Vector quantisation: the patches of a picture, or the tubelets of a clip, become the ids of their nearest codes.

The codebook is learned on the training examples by k-means: k-means++ seeds, Lloyd's iterations. It is the small
stand-in for the VQGAN of MaskGIT and the 3D-VQ of MAGVIT; tokens of a real one can be imported instead
(``elt-ref data import tokens``).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import save

from elt_ref.errors import RequestError
from elt_ref.files import read_tensors
from elt_ref.tokenizer.patches import Samples, cut_patches, join_patches, patch_sides

Tokens = Int[np.ndarray, "count *grid"]
"""Token ids, [count, rows, columns] for pictures, [count, frames, rows, columns] for clips."""


@dataclass(frozen=True)
class VectorQuantiser:
    """A codebook of patches."""

    codebook: Float[np.ndarray, "codes features"]
    """Codes in float32: a patch flattened as (row, column, channel), a tubelet as (frame, row, column, channel)."""
    patch_size: int
    """Side of a patch in pixels."""
    patch_frames: int = 1
    """Frames of a tubelet; 1 for pictures."""

    def encode(self, samples: Samples) -> Tokens:
        """Return the id of the nearest code of every patch of pictures or clips.

        Raises:
            RequestError: patches do not divide the samples, or the channels differ from the codebook's.
        """
        patches = cut_patches(samples, self._sides(samples))
        if patches.shape[-1] != self.codebook.shape[1]:
            channels = self.codebook.shape[1] // (self.patch_frames * self.patch_size**2)
            raise RequestError(f"pictures: expected {channels} channels, got {samples.shape[-1]}")
        ids, _ = nearest_codes(patches.reshape(-1, patches.shape[-1]), self.codebook)
        return ids.reshape(patches.shape[:-1])

    def decode(self, samples: Tokens) -> Samples:
        """Return the pictures or clips of the codes.

        Raises:
            RequestError: a token is no code, or tokens of pictures meet codes of tubelets.
        """
        if samples.size and not 0 <= samples.min() <= samples.max() < len(self.codebook):
            raise RequestError(
                f"tokens: expected codes in 0…{len(self.codebook) - 1}, got {samples.min()}…{samples.max()}"
            )
        patches = self.codebook[samples]
        return join_patches(patches, self._sides(patches))

    def _sides(self, samples: np.ndarray) -> tuple[int, ...]:
        return patch_sides(samples, patch_frames=self.patch_frames, patch_size=self.patch_size)

    def reconstruction_error(self, samples: Samples) -> float:
        """Return the mean squared error of a pixel after encoding and decoding."""
        return float(np.mean(np.square(self.decode(self.encode(samples)) - samples), dtype=np.float64))

    def to_bytes(self) -> bytes:
        """Return the contents of a ``tokenizer.safetensors``."""
        # The frames are a tensor: safetensors writes two entries of metadata in any order.
        frames = np.array([self.patch_frames])
        return save(
            {"codebook": np.ascontiguousarray(self.codebook), "patch_frames": frames},
            metadata={"patch_size": str(self.patch_size)},
        )


def load_quantiser(path: Path) -> VectorQuantiser:
    """Read a ``tokenizer.safetensors``; a file without the frames of a patch is for pictures.

    Raises:
        RequestError: the file is missing, truncated or something else.
    """
    tensors, metadata = read_tensors(path, "tokenizer")
    codebook, patch_size = tensors.get("codebook", np.empty(0)), metadata.get("patch_size", "")
    frames = tensors.get("patch_frames", np.array([1]))
    whole = frames.dtype == np.int64 and frames.shape == (1,) and frames[0] > 0
    pixels = int(patch_size) ** 2 * int(frames[0]) if re.fullmatch("[0-9]{1,9}", patch_size) and whole else 0
    if codebook.dtype != np.float32 or codebook.ndim != 2 or not pixels or codebook.shape[1] % pixels:
        got = f"{codebook.dtype} {list(codebook.shape)}, patch size '{patch_size}' and patch frames {frames.tolist()}"
        raise RequestError(f"tokenizer {path}: expected a float32 codebook of patches and their sides, got {got}")
    return VectorQuantiser(codebook, int(patch_size), int(frames[0]))


def fit_quantiser(
    samples: Samples,
    *,
    patch_size: int,
    patch_frames: int = 1,
    codebook_size: int,
    generator: np.random.Generator,
    iterations: int,
) -> VectorQuantiser:
    """Learn a codebook from pictures or clips by k-means.

    Args:
        samples: training pictures or clips, finite.
        patch_size: side of a patch in pixels.
        patch_frames: frames of a tubelet; 1 for pictures.
        codebook_size: number of codes.
        generator: random generator of the k-means++ seeds.
        iterations: largest number of Lloyd iterations; it stops earlier when no patch changes its code.

    Raises:
        RequestError: NaN among the pixels, patches that do not divide the samples, or fewer different patches than
            codes.
    """
    if not np.isfinite(samples).all():
        raise RequestError("pictures: expected finite pixels, got NaN or infinity")
    patches = cut_patches(samples, patch_sides(samples, patch_frames=patch_frames, patch_size=patch_size))
    vectors = patches.reshape(-1, patches.shape[-1]).astype(np.float64)
    different, weights = np.unique(vectors, axis=0, return_counts=True)
    if len(different) < codebook_size:
        raise RequestError(
            f"codebook_size: expected at most the {len(different)} different patches of the training examples, "
            f"got {codebook_size}"
        )
    codebook = _seed_codes(different, weights, codebook_size, generator)
    assigned = np.full(len(different), -1)
    for _ in range(iterations):
        before = assigned
        assigned, distances = nearest_codes(different, codebook)
        if (assigned == before).all():
            break
        codebook = _means(different, weights, assigned, distances, codebook_size)
    return VectorQuantiser(codebook.astype(np.float32), patch_size, patch_frames)


def nearest_codes(
    vectors: Float[np.ndarray, "count features"], codebook: Float[np.ndarray, "codes features"], chunk: int = 16384
) -> tuple[Int[np.ndarray, " count"], Float[np.ndarray, " count"]]:
    """Return the nearest code of each vector (the first of ties) and its squared distance, `chunk` rows at a time."""
    ids = np.empty(len(vectors), np.int64)
    nearest = np.empty(len(vectors), vectors.dtype)
    for first in range(0, len(vectors), chunk):
        some = vectors[first : first + chunk]
        distances = np.square(some).sum(1)[:, None] - 2 * (some @ codebook.T) + np.square(codebook).sum(1)
        ids[first : first + chunk] = distances.argmin(axis=1)
        nearest[first : first + chunk] = np.maximum(0, distances.min(axis=1))
    return ids, nearest


def _seed_codes(
    vectors: np.ndarray, weights: np.ndarray, codes: int, generator: np.random.Generator
) -> Float[np.ndarray, "codes features"]:
    """k-means++: draw each further seed with probability proportional to its distance from the seeds so far."""
    chosen = [int(generator.choice(len(vectors), p=weights / weights.sum()))]
    distances = np.square(vectors - vectors[chosen[0]]).sum(axis=1)
    while len(chosen) < codes:
        chance = weights * distances
        chosen.append(int(generator.choice(len(vectors), p=chance / chance.sum())))
        distances = np.minimum(distances, np.square(vectors - vectors[chosen[-1]]).sum(axis=1))
    return vectors[chosen]


def _means(
    vectors: np.ndarray, weights: np.ndarray, assigned: np.ndarray, distances: np.ndarray, codes: int
) -> Float[np.ndarray, "codes features"]:
    """Return the mean of each code's vectors; a code without vectors moves to a vector far from its own code."""
    mass = np.bincount(assigned, weights, codes)
    sums = np.stack([np.bincount(assigned, weights * column, codes) for column in vectors.T], axis=1)
    empty = mass == 0
    means = sums / np.where(empty, 1, mass)[:, None]
    means[empty] = vectors[np.argsort(-distances * weights, kind="stable")[: int(empty.sum())]]
    return means
