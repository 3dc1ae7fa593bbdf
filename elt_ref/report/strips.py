"""Sample pictures inside the page: rows of pictures beside words of the page, so they suit light, dark and a phone."""

import base64
from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import UInt8

from elt_ref.report.clips import film_strips
from elt_ref.report.markup import element
from elt_ref.report.pictures import CLEAR, GAP, PicturesByLoops, png, scale_to, sheet
from elt_ref.report.results import model_label, place
from elt_ref.report.samples import MOST_COLUMNS
from elt_ref.report.trajectory import Trajectory, checked, with_mask

TILE = 64
"""Approximate size in pixels of an enlarged picture; the browser shrinks a row to fit."""


def sample_strips(pictures: PicturesByLoops, max_loops: int, labels: Sequence[str] | None) -> list[Element]:
    """Return a table for each model: a row for each number of loops, a column for each noise.

    Args:
        pictures: Checked pictures or clips; the first 10 pictures or 5 clips are shown.
        max_loops: L_max; its row is framed and the rows beyond are shaded.
        labels: One short word per picture, above its column.
    """
    tables = []
    for number, (name, by_loops) in enumerate(pictures.items()):
        moving = next(iter(by_loops.values())).ndim == 5
        table = element("table", element("caption", model_label(name)), class_=f"strips model-{number}")
        for count, batch in sorted(by_loops.items()):
            shown = film_strips(batch[: MOST_COLUMNS // 2]) if moving else batch[:MOST_COLUMNS]
            if labels is not None and not len(table) - 1:
                table.append(_headings(labels[: len(shown)]))
            scale = scale_to(2 * TILE if moving else TILE, shown)
            strip = image(
                sheet(shown, len(shown), scale, background=CLEAR),
                f"{len(shown)} {'clips' if moving else 'pictures'} by {model_label(name)} with L = {count}",
            )
            row = element("tr", element("th", f"L = {count}", scope="row"), element("td", strip))
            row.set("class", place(count, max_loops))
            table.append(row)
        tables.append(_scroller(table, f"samples of {model_label(name)}", wide=moving))
    return tables


def trajectory_strips(shown: Trajectory) -> Element:
    """Return a table: a row for each sampling step, the answer after each loop, and the state that the step kept.

    Raises:
        RequestError: If the arrays do not fit together.
    """
    answers, kept, steps = checked(shown.answers, shown.kept)
    loops = answers.shape[1]
    clips = shown.answers.ndim == 6
    scale = scale_to(2 * TILE if clips else TILE, answers)
    head = element("tr", element("th", "step", scope="col"))
    for count in range(1, loops + 1):
        head.append(element("th", "1 loop" if count == 1 else f"{count}", scope="col"))
    head.append(element("th", shown.kept_title, scope="col"))
    table = element("table", element("caption", shown.label), head, class_="strips steps")
    for step in steps:
        words = f"step {step + 1} of {len(answers)}"
        row = image(
            sheet(answers[step], loops, scale, background=CLEAR), f"{words}: the answer after each of {loops} loops"
        )
        state = np.pad(with_mask(kept[step], scale), ((GAP, GAP), (GAP, GAP), (0, 0)))
        table.append(
            element(
                "tr",
                element("th", str(step + 1), scope="row"),
                element("td", row, colspan=str(loops)),
                element("td", image(state, f"{words}: {shown.kept_title}")),
            )
        )
    return _scroller(table, "one sample, loop by loop and step by step", wide=clips or loops > 8)


def image(pixels: UInt8[np.ndarray, "height width 4"], words: str) -> Element:
    """Return an image of pixels with words for those who do not see it."""
    height, width, _ = pixels.shape
    return element("img", src=data_url(png(pixels), "png"), alt=words, width=str(width), height=str(height))


def data_url(content: bytes, kind: str) -> str:
    """Return an address that holds a picture of a kind such as ``png``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _headings(labels: Sequence[str]) -> Element:
    heads = element("div", *(element("span", label) for label in labels), class_="heads")
    return element("tr", element("td"), element("td", heads))


def _scroller(table: Element, words: str, *, wide: bool) -> Element:
    class_ = "scroll wide" if wide else "scroll"
    return element("div", table, class_=class_, tabindex="0", role="group", aria_label=words)
