"""What makes the suite: cases, wrong implementations, a scalar oracle, the generator, pages and the kill matrix.

It runs from a checkout, for example ``python -m specs.making.matrix``, and is not in the wheel.
"""
