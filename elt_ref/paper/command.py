"""What the pages share: the command line ``--steps N --out FOLDER --mistake NAME``, and the picture that they draw."""

import argparse
import difflib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from elt_ref.paper.mistakes import mistakes, page_with


def parse(page: str, description: str, steps: int) -> argparse.Namespace:
    """Return the options of a page's command line.

    Args:
        page: ``masked``, ``diffusion`` or ``drifting``.
        description: what the page does, for ``--help``.
        steps: default number of training steps.

    Returns:
        `steps`; `out`, an existing folder for the pictures; `mistaken`, the names of the page with the mistake in it,
        or nothing if none is asked for.
    """

    def mistaken(name: str) -> dict[str, Any]:
        known = [each.name for each in mistakes().values() if page in {change.page for change in each.changes}]
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise argparse.ArgumentTypeError(f"expected a mistake of this page, got '{name}'{hint}")
        names = vars(page_with(page, mistakes()[name]))
        return {key: value for key, value in names.items() if not key.startswith("__")}

    def folder(name: str) -> Path:
        try:
            Path(name).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=name).close()  # look first, draw later
        except OSError as error:
            raise argparse.ArgumentTypeError(f"expected a folder, got '{name}': {error.strerror}") from error
        return Path(name)

    def count(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or int(text) == 0:
            raise argparse.ArgumentTypeError(f"expected a number of steps from 1 to 999999999, got '{text}'")
        return int(text)

    parser = argparse.ArgumentParser(prog=f"python -m elt_ref.paper.{page}", description=description)
    parser.add_argument("--steps", type=count, default=steps, metavar="N", help=f"training steps ({steps})")
    parser.add_argument("--out", type=folder, default=".", metavar="FOLDER", help="for the picture (this folder)")
    parser.add_argument(
        "--mistake", type=mistaken, default={}, metavar="NAME", dest="mistaken", help="as `elt-ref show NAME` shows it"
    )
    return parser.parse_args()


def draw_rows(path: Path, pictures: Callable[[int], np.ndarray]) -> None:
    """Draw ten digits after 1, 2, 3, 4, 6 and 8 loops, dark on white, a row for each.

    Args:
        path: the PNG to write.
        pictures: ``pictures(loops)`` returns [10, 8, 8] from 0, white, to 1, black; what lies outside is cut.
    """
    sheet, counts = Image.new("L", (880, 576), "white"), (1, 2, 3, 4, 6, 8)
    for row, loops in enumerate(counts):
        ink = np.clip(pictures(loops), 0, 1).swapaxes(0, 1).reshape(8, 80)
        strip = Image.fromarray((255 - 255 * ink).astype("uint8"))
        sheet.paste(strip.resize((800, 80), Image.Resampling.NEAREST), (80, 96 * row + 8))
        ImageDraw.Draw(sheet).text((16, 96 * row + 36), f"L = {loops}", fill="black", font_size=20)
    sheet.save(path)
    print(f"\nthe same noise at L = {', '.join(map(str, counts))}: {path}")
