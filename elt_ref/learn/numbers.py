"""Two numbers in words, with as many digits as tell them apart."""

from typing import Any

import numpy as np

DIGITS = 6
"""Digits that are shown, if they tell two numbers apart."""
SINGLE = 1e-5
"""Relative difference up to which rounding to float32 may be the reason."""


def number(value: Any, digits: int = DIGITS) -> str:
    """Return a number with some digits."""
    return f"{value:.{digits}g}" if isinstance(value, float | np.floating) else str(value)


def unlike(right: Any, got: Any, gap: float, allowed: float) -> str:
    """Return ``RIGHT, got OTHER`` with digits until they differ.

    Args:
        right: the expected number.
        got: the other one.
        gap: their distance, as a share of the largest number.
        allowed: the largest distance that is right.
    """
    digits = next((most for most in range(DIGITS, 17) if number(right, most) != number(got, most)), 17)
    words = f"{number(right, digits)}, got {number(got, digits)}"
    if gap > SINGLE:
        return words
    return f"{words}: {gap:.1g} of the largest number apart, {allowed:.1g} is allowed; is something cast to float32?"
