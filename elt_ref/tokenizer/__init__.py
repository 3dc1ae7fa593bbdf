"""Pictures ↔ discrete tokens: patches and a codebook of them."""

from elt_ref.tokenizer.patches import cut_patches, join_patches
from elt_ref.tokenizer.vector_quantiser import VectorQuantiser, fit_quantiser, load_quantiser, nearest_codes

__all__ = ["VectorQuantiser", "cut_patches", "fit_quantiser", "join_patches", "load_quantiser", "nearest_codes"]
