"""The report page: one self-contained HTML file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from xml.etree.ElementTree import Element

import numpy as np

from elt_ref.errors import RequestError
from elt_ref.files import write_bytes
from elt_ref.report.captions import CAPTIONS
from elt_ref.report.chart import elasticity_chart
from elt_ref.report.clips import animation
from elt_ref.report.loss_chart import loss_panels
from elt_ref.report.loss_curves import Metrics, loss_curves
from elt_ref.report.markup import element, escaped, html
from elt_ref.report.pictures import CLEAR, PicturesByLoops, check_pictures_by_loops, scale_to, sheet
from elt_ref.report.results import (
    LEVEL_WORDS,
    Column,
    Results,
    Row,
    check_results,
    columns,
    lone_distance,
    model_label,
    place,
    seeded,
)
from elt_ref.report.strips import data_url, image, sample_strips, trajectory_strips
from elt_ref.report.trajectory import Trajectory

TILE = 96
"""Approximate size in pixels of an enlarged picture in the explorer; the browser shrinks the sheet to fit."""

BY_RULE_WORDS = {
    "valid_share": "Valid: share of pictures that a rule of the data set finds in the requested class.",
    "motion_accuracy": "Motion: share of clips whose frames move as a rule of the data set demands.",
}
"""Meaning of the columns that only some data sets have."""


DIAGRAM_CAPTION = (
    "One block of N layers, applied again and again. In training one pass of L_max loops serves two predictions: the "
    "student leaves it after L_int loops, the teacher after all. Afterwards the model may leave after any loop. The "
    "coloured part is what ILSD adds: a vanilla looped transformer learns by the teacher's term alone."
)


OPENING = (
    "An Elastic Looped Transformer applies one block of layers again and again, and may stop after any loop.",
    "By intra-loop self-distillation (ILSD) its answer after few loops learns from the truth and from its last answer.",
    "A vanilla looped transformer has the same block and the same data, and learns from its last loop alone.",
    "The charts show the Fréchet distance of drawn to real pictures: low is good, and a flat line is elastic.",
    "Turn the slider to see each model's pictures at that number of loops, all from the same noise.",
)
"""What the page shows, in five sentences."""


@dataclass(frozen=True)
class Chapter:
    """Models of one architecture, compared at every number of loops."""

    id: str
    """Unique word of the chapter: letters, digits and hyphens."""
    heading: str
    config_summary: Mapping[str, str]
    """Settings of the training, as name and value."""
    results: Results
    """Rows per model (`elt_ref.report.results.Row`), for consecutive loop counts, the same for all."""
    real_distance: float
    """Fréchet distance of held-out real pictures against the training pictures."""
    max_loops: int
    """L_max, the loops used in training."""
    pictures: PicturesByLoops
    """Pictures [count, height, width, channels] in [0, 1] for the models and loop counts of `results`, all from the
    same noise; or clips [count, frames, height, width, channels], which the page plays."""
    labels: Sequence[str] | None
    """One short word per picture, such as its class; None for none."""
    trajectory: Trajectory
    """One sample of the first model in the making."""
    metrics: Metrics
    """The log of each model."""
    links: Mapping[str, Mapping[str, str]]
    """Links at the foot, as name and address, by the word before them."""
    sentences: Sequence[str]
    """Sentences on what to look at first, for example from `elt_ref.report.table.what_to_look_at`."""


def write_report(path: Path, *, title: str, chapters: Sequence[Chapter]) -> None:
    """Write ``report.html``: one file without references to others, legible on light and dark backgrounds.

    In each chapter a slider over the loops L shows the pictures and the numbers of each model at that L. Without
    JavaScript the page lists every L instead. Texts are escaped.

    Args:
        path: The HTML file to write.
        title: Heading of the page.
        chapters: At least one; several get a table of contents.

    Raises:
        RequestError: If results, pictures and images of a chapter do not fit together, ids are not distinct single
            words, or a file cannot be read or written.
    """
    ids = [chapter.id for chapter in chapters]
    if not ids or len(set(ids)) < len(ids) or not all(re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", id_) for id_ in ids):
        raise RequestError(f"chapters: expected at least one, each with a word of its own as id, got the ids {ids}")
    links = [element("li", element("a", chapter.heading, href=f"#{chapter.id}")) for chapter in chapters]
    page = _template("page.html").substitute(
        title=escaped(title),
        contents=html(element("nav", element("ul", *links), aria_label="contents")) if len(chapters) > 1 else "",
        opening=escaped(" ".join(OPENING)),
        diagram=_diagram(),
        chapters="\n".join(_chapter(chapter) for chapter in chapters),
    )
    write_bytes(path, page.encode())


def _diagram() -> str:
    """Return the picture of states, exits and loss terms, inside the page so that it follows light and dark."""
    drawing = resources.files("elt_ref.report").joinpath("diagram.svg").read_text(encoding="utf-8")
    drawing = drawing.replace(' xmlns="http://www.w3.org/2000/svg"', "")
    scroller = f'<div class="scroll" tabindex="0" role="group" aria-label="the loop and its losses">{drawing}</div>'
    return scroller + html(element("p", DIAGRAM_CAPTION))


def _template(name: str) -> Template:
    return Template(resources.files("elt_ref.report").joinpath(name).read_text(encoding="utf-8"))


def _chapter(chapter: Chapter) -> str:
    """Check a chapter and return its HTML."""
    results, pictures, max_loops = chapter.results, chapter.pictures, chapter.max_loops
    loops = check_results(results, max_loops)
    if loops != tuple(range(loops[0], loops[-1] + 1)):
        raise RequestError(f"results: expected consecutive loops for the slider of the page, got {list(loops)}")
    if check_pictures_by_loops(pictures) != loops or set(pictures) != set(results):
        raise RequestError(
            f"pictures: expected the models {list(results)} at the loops {list(loops)} of the results, "
            f"got {list(pictures)} at the loops {sorted(next(iter(pictures.values())))}"
        )
    curves = loss_curves(chapter.metrics)
    formats = columns(results)
    worst = max(row["frechet_distance"] for rows in results.values() for row in rows)
    stops = []
    for at, count in enumerate(loops):
        cards = [
            _card(rows[at], pictures[name][count], name=name, number=number, worst=worst, formats=formats)
            for number, (name, rows) in enumerate(results.items())
        ]
        stops.append(_stop(count, max_loops, cards))
    parts = {
        "samples": [element("div", *sample_strips(pictures, max_loops, chapter.labels), class_="sheets")],
        "trajectory": [trajectory_strips(chapter.trajectory)],
        "loss": loss_panels(list(results), curves),
    }
    figures = [_figure(chapter.id, name, drawn) for name, drawn in parts.items()]
    links = [
        element("div", element("dt", words), element("dd", *_separated(by_name)))
        for words, by_name in chapter.links.items()
    ]
    summary = chapter.config_summary.items()
    return _template("chapter.html").substitute(
        id=chapter.id,
        heading=escaped(chapter.heading),
        sentences=html(*(element("li", sentence) for sentence in chapter.sentences)),
        first_loops=str(loops[0]),
        last_loops=str(loops[-1]),
        start_loops=str(min(max(max_loops, loops[0]), loops[-1])),
        max_loops=str(max_loops),
        real_distance=lone_distance(chapter.real_distance),
        ticks=html(*(_tick(count, max_loops) for count in loops)),
        stops=html(*stops),
        chart=html(elasticity_chart(results, chapter.real_distance, max_loops)),
        seeds=f" Bands in the chart and numbers in brackets are {LEVEL_WORDS}." if seeded(results) else "",
        by_rule="".join(f" {words}" for key, words in BY_RULE_WORDS.items() if key in formats),
        table=html(_table(results, loops, max_loops, formats)),
        figures=html(*figures),
        config=html(*(element("div", element("dt", key), element("dd", value)) for key, value in summary), *links),
    )


def _separated(links: Mapping[str, str]) -> list[str | Element]:
    """Return links with points between them."""
    parts: list[str | Element] = []
    for name, address in links.items():
        parts += [" · "] * bool(parts) + [element("a", name, href=address)]
    return parts


PLACES = {
    "within": "fewer loops than in training: an early exit",
    "trained": "exactly the loops used in training, L_max",
    "beyond": "more loops than training ever used",
}


def _tick(count: int, max_loops: int) -> Element:
    return element("span", str(count), class_=place(count, max_loops))


def _stop(count: int, max_loops: int, cards: Sequence[Element]) -> Element:
    """Return the slider's view at one loop count: a card per model, side by side."""
    where = place(count, max_loops)
    heading = element("h4", f"L = {count} ", element("small", PLACES[where], class_=where))
    return element("article", heading, element("div", *cards, class_="models"), class_="stop", data_loops=str(count))


def _card(
    row: Row, pictures: np.ndarray, *, name: str, number: int, worst: float, formats: Mapping[str, Column]
) -> Element:
    """Return samples and numbers of one model at one loop count, with a bar proportional to its distance."""
    label = model_label(name)
    drawn = _image(pictures, f"sampled by {label} with L = {row['loops']}")
    bar = element("div", element("i", style=f"width:{100 * row['frechet_distance'] / (worst or 1):.1f}%"), class_="bar")
    bar.set("aria-hidden", "true")
    numbers = [
        element(
            "div",
            element("dt", "Fréchet distance" if key == "frechet_distance" else column.heading),
            element("dd", f"{column.show(row)} {column.unit}".strip()),
            class_=key,
        )
        for key, column in formats.items()
    ]
    return element("section", element("h5", label), drawn, bar, element("dl", *numbers), class_=f"model model-{number}")


def _image(pictures: np.ndarray, origin: str) -> Element:
    """Return an image of pictures in rows, or of playing clips in rows."""
    columns = min(5 if len(pictures) <= 20 else 10, len(pictures))
    scale = scale_to(TILE, pictures)
    moving = pictures.ndim == 5
    pixels = sheet(pictures[:, 0] if moving else pictures, columns, scale, background=CLEAR)
    node = image(pixels, f"{len(pictures)} {'clips' if moving else 'pictures'} {origin}")
    if moving:
        node.set("src", data_url(animation(pictures, columns, scale, "WEBP", background=CLEAR), "webp"))
    return node


def _table(results: Results, loops: Sequence[int], max_loops: int, formats: Mapping[str, Column]) -> Element:
    models = element("tr", element("th", "loops L", scope="col", rowspan="2"))
    headings = element("tr")
    for number, name in enumerate(results):
        models.append(
            element("th", model_label(name), scope="colgroup", colspan=str(len(formats)), class_=f"model-{number}")
        )
        for column in formats.values():
            headings.append(element("th", column.title, scope="col"))
    body = element("tbody")
    for at, count in enumerate(loops):
        where = place(count, max_loops)
        row = element("tr", class_=where)
        row.append(element("th", f"{count} = L_max" if where == "trained" else str(count), scope="row"))
        for rows in results.values():
            for key, column in formats.items():
                row.append(element("td", column.show(rows[at]), class_=key))
        body.append(row)
    return element("table", element("thead", models, headings), body)


def _figure(chapter: str, name: str, parts: Sequence[Element]) -> Element:
    caption = CAPTIONS[name]
    return element(
        "figure",
        element("h4", caption.name),
        *parts,
        element("figcaption", caption.what_to_see),
        id=f"{chapter}-{name}",
    )
