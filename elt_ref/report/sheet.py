"""A figure laid out in whole pixels: pictures keep every pixel, and matplotlib draws the words around them."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from elt_ref.report.figure import INK, Figure, IdentityTransform, Rectangle, label, save_figure

DPI = 144


class Sheet:
    """A white canvas of `width` × `height` pixels; positions are in pixels from its top left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.height = height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")

    def picture(self, pixels: UInt8[np.ndarray, "height width 4"], left: int, top: int) -> None:
        """Place RGBA pixels with their top left corner at (left, top), pixel for pixel."""
        self.figure.figimage(pixels, left, self.height - top - pixels.shape[0], origin="upper", zorder=3)

    def box(self, left: int, top: int, width: int, height: int, **style: Any) -> None:
        """Draw a rectangle behind the pictures; `style` goes to `matplotlib.patches.Rectangle`."""
        corner = (left, self.height - top - height)
        self.figure.add_artist(
            Rectangle(corner, width, height, transform=IdentityTransform(), **{"linewidth": 0, "zorder": 1, **style})
        )

    def text(self, words: str, x: int, y: int, size: int = 20, **style: Any) -> None:
        """Write `words` `size` pixels high, centred vertically at `y`, as they are."""
        style = {"ha": "left", "va": "center", "color": INK, **style}
        self.figure.text(
            x, self.height - y, label(words), fontsize=size * 72 / DPI, transform=IdentityTransform(), **style
        )

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG, atomically; raises `RequestError` if it cannot be written."""
        save_figure(self.figure, path)
