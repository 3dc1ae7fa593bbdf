"""A linear autoencoder of patches: the small stand-in for the pretrained VAE of latent diffusion.

    latent = s (patch − mean) W,    picture = mean + latent Wᵀ / s

The columns of W are the principal components of the training patches, in order of variance; s is one over the standard
deviation of the training latents, so that they have unit variance, as the 0.18215 of Stable Diffusion's VAE does.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from elt_ref.errors import RequestError
from elt_ref.files import read_tensors
from elt_ref.tokenizer.patches import cut_patches, join_patches

Pictures = Float[np.ndarray, "count height width channels"]
Latents = Float[np.ndarray, "count rows columns latent_channels"]


@dataclass(frozen=True)
class LinearAutoencoder:
    """Principal components of square patches."""

    mean: Float[np.ndarray, " features"]
    """Mean patch, flattened as (row, column, channel); float32."""
    components: Float[np.ndarray, "features latent_channels"]
    """Orthonormal columns; float32."""
    patch_size: int
    scale: float
    """s, the factor of the latents."""

    def encode(self, pictures: Pictures) -> Latents:
        """Return scaled latents, one position a patch.

        Raises:
            RequestError: the patch size does not divide the picture, or the number of channels differs from the fit.
        """
        patches = cut_patches(pictures, (self.patch_size, self.patch_size))
        if patches.shape[-1] != len(self.mean):
            expected = len(self.mean) // self.patch_size**2
            raise RequestError(f"pictures: expected {expected} channels, got {pictures.shape[-1]}")
        return ((patches - self.mean) @ self.components * np.float32(self.scale)).astype(np.float32)

    def decode(self, samples: Latents) -> Pictures:
        """Return the pictures of latents; not clipped.

        Raises:
            RequestError: the latents have another number of channels.
        """
        if samples.shape[-1] != self.components.shape[1]:
            raise RequestError(f"latents: expected {self.components.shape[1]} channels, got {samples.shape[-1]}")
        patches = samples / np.float32(self.scale) @ self.components.T + self.mean
        return join_patches(patches.astype(np.float32), (self.patch_size, self.patch_size))

    def reconstruction_error(self, pictures: Pictures) -> float:
        """Return the mean squared error of a pixel after encoding and decoding."""
        return float(np.mean(np.square(self.decode(self.encode(pictures)) - pictures), dtype=np.float64))

    def to_bytes(self) -> bytes:
        """Return the contents of an ``autoencoder.safetensors``."""
        settings = np.array([self.patch_size, self.scale])
        components = np.ascontiguousarray(self.components)  # safetensors writes memory as it lies
        return save({"mean": self.mean, "components": components, "patch_size_and_scale": settings})


def fit_linear_autoencoder(pictures: Pictures, *, patch_size: int, channels: int) -> LinearAutoencoder:
    """Fit a linear autoencoder to pictures.

    Args:
        pictures: training pictures, finite.
        patch_size: side of the patch that becomes one latent position.
        channels: channels of the latent.

    Raises:
        RequestError: NaN in the pictures, identical patches only, a patch size that does not divide the pictures, or
            more channels than a patch has values.
    """
    if not np.isfinite(pictures).all():
        raise RequestError("pictures: expected finite pixels, got NaN or infinity")
    patches = cut_patches(pictures, (patch_size, patch_size))
    features = patches.shape[-1]
    if channels > features:
        raise RequestError(f"latents.channels: expected at most the {features} values of a patch, got {channels}")
    vectors = patches.reshape(-1, features).astype(np.float64)
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        raise RequestError(f"pictures: expected patches that differ, got {len(vectors)} that are all the same")
    mean = vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(vectors, rowvar=False).reshape(features, features))
    order = np.argsort(-variances, kind="stable")[:channels]
    components = directions[:, order]
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(channels)])  # eigh does not fix signs
    deviation = float(((vectors - mean) @ components).std())
    components = np.ascontiguousarray(components, np.float32)  # safetensors writes memory as it lies
    return LinearAutoencoder(mean.astype(np.float32), components, patch_size, 1 / deviation)


def load_linear_autoencoder(path: Path) -> LinearAutoencoder:
    """Read an ``autoencoder.safetensors``.

    Raises:
        RequestError: the file is missing, truncated or something else.
    """
    tensors, _ = read_tensors(path, "autoencoder")
    mean, components = tensors.get("mean", np.empty(0)), tensors.get("components", np.empty(0))
    settings = tensors.get("patch_size_and_scale", np.empty(0))
    if components.ndim != 2 or mean.shape != components.shape[:1] or settings.shape != (2,):
        got = f"mean {list(mean.shape)}, components {list(components.shape)}, settings {list(settings.shape)}"
        raise RequestError(f"autoencoder {path}: expected mean, components, patch size and scale, got {got}")
    return LinearAutoencoder(mean, components, int(settings[0]), float(settings[1]))
