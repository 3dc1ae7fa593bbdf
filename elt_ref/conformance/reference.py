"""The reference as a backend: every operation by the functions that own the equations, in any dtype.

Methods without arguments of their own kind of operation (`network`, `states`, `terms`, …) are the joints at which a
wrong implementation departs from it (`elt_ref.conformance.wrong`).
"""
