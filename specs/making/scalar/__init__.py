"""The second oracle: the same algorithms in scalar loops of plain Python, simple enough to check by reading.

It shares no code with the rest of the package. NumPy appears only at the boundary, where arrays become nested lists
and back; everything between is floats, lists and ``math``. Gradients come from `Value`, a scalar that remembers its
computation and runs through the same functions as floats.
"""

from specs.making.scalar.backend import ScalarBackend

__all__ = ["ScalarBackend"]
