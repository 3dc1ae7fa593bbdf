"""Codecs between pictures or clips and the network's data: discrete tokens, continuous latents, or pixels."""

from elt_ref.tokenizer.codec import Codec
from elt_ref.tokenizer.linear_autoencoder import LinearAutoencoder, fit_linear_autoencoder, load_linear_autoencoder
from elt_ref.tokenizer.patches import cut_patches, join_patches, patch_sides
from elt_ref.tokenizer.pixels import Pixels
from elt_ref.tokenizer.vector_quantiser import VectorQuantiser, fit_quantiser, load_quantiser, nearest_codes

__all__ = [
    "Codec",
    "LinearAutoencoder",
    "Pixels",
    "VectorQuantiser",
    "cut_patches",
    "fit_linear_autoencoder",
    "fit_quantiser",
    "join_patches",
    "load_linear_autoencoder",
    "load_quantiser",
    "nearest_codes",
    "patch_sides",
]
