"""The second oracle: the same algorithms once more, in scalar loops of plain Python, to be believed by reading.

It shares no code with the rest of the package. NumPy stands at the boundary only, where arrays become nested lists
and nested lists arrays; everything between is floats, lists and ``math``. Gradients come from `Value`, a scalar that
remembers how it was made, which goes through the very functions that floats go through.
"""

from elt_ref.conformance.scalar.backend import ScalarBackend

__all__ = ["ScalarBackend"]
