"""The gallery as a page: ``docs/mistakes.md``, from the numbers that `specs.making.gallery` measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from elt_ref.conformance.alike import clause_of, refusals
from elt_ref.conformance.clauses import clause, clauses
from elt_ref.files import write_text
from elt_ref.paper.mistakes import diff, mistakes
from elt_ref.report.figure import INK, MODEL_COLOURS, SHADE, new_figure, own_style, save_figure, tidy
from specs.making.gallery import GALLERY, LOOPS, Entry

Row = Mapping[str, Any]
DOCS = Path("docs")
MAX_LOOPS = {"masked": 4, "diffusion": 3}
"""L_max of the pages."""
NEAR = 1.25
"""A network trains well if its distance is at most so many times the right one's, at every L up to L_max."""
HIGHEST = 60.0
"""Largest distance that a panel shows; what is beyond stands at its edge."""


def write_page(rows: Sequence[Row]) -> None:
    """Write the page and its pictures."""
    for page in MAX_LOOPS:
        draw([entry for entry in GALLERY if entry.page == page], rows, DOCS / "pictures" / f"mistakes-{page}.png")
    write_text(DOCS / "mistakes.md", page_text(rows))


def distances(rows: Sequence[Row], entry: Entry, name: str) -> dict[int, list[float | None]]:
    """Return the distances of all seeds by loop count; `name` is empty for the right page."""
    same = [row for row in rows if (row["page"], row["mistake"], row["setting"]) == (entry.page, name, entry.setting)]
    return {loops: [row["frechet_distance"][str(loops)] for row in same] for loops in LOOPS[entry.page]}


def verdict(rows: Sequence[Row], entry: Entry) -> str:
    """Return in a sentence how far the mistake is from the right page, at its worst loop count up to L_max."""
    right, wrong = distances(rows, entry, ""), distances(rows, entry, entry.name)
    trained = [loops for loops in LOOPS[entry.page] if loops <= MAX_LOOPS[entry.page]]
    if any(value is None for loops in trained for value in wrong[loops]):
        return "Nothing but broken numbers comes out."
    times = ratios(rows, entry)
    worst = max(trained, key=times.__getitem__)
    if wrong == right:
        return f"**No picture tells it**: the numbers are the same. {entry.why}".strip()
    if times[worst] <= NEAR:
        beyond = [loops for loops in LOOPS[entry.page] if loops > max(trained) and times[loops] > NEAR]
        more = f" Only beyond L_max it shows, {times[beyond[-1]]:.1f} times at L = {beyond[-1]}." if beyond else ""
        return f"**It trains well**: at worst {times[worst]:.2f} times the right distance, at L = {worst}.{more}"
    return f"At worst {times[worst]:.1f} times the right distance, at L = {worst}."


def ratios(rows: Sequence[Row], entry: Entry) -> dict[int, float]:
    """Return by loop count how many times the right page's distance the mistake has."""
    right, wrong = distances(rows, entry, ""), distances(rows, entry, entry.name)
    return {loops: mean(wrong[loops]) / mean(right[loops]) for loops in LOOPS[entry.page]}


def mean(values: Sequence[float | None]) -> float:
    """Return the mean; infinite if there is a missing value."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else float("inf")


def page_text(rows: Sequence[Row]) -> str:
    """Return the page as Markdown."""
    steps = {row["page"]: row["steps"] for row in rows}
    seeds = len({row["seed"] for row in rows})
    well = [entry.name for entry in GALLERY if verdict(rows, entry).startswith("**")]
    everywhere = [entry for entry in GALLERY if max(ratios(rows, entry).values()) <= NEAR]
    lines = [
        "# Mistakes",
        "",
        "Written by `python -m specs.making.gallery`, which trains every network of this page; with `--page` it writes",
        "the page again from the numbers it measured, `specs/making/gallery.json`.",
        "",
        f"The judge knows {len(mistakes())} mistakes. Each is an entry of `specs/mistakes/`, and {on_pages()} are",
        "changed lines of the three pages. `elt-ref show NAME` prints any of them as a diff, and",
        "`python -m elt_ref.paper.masked --mistake NAME` trains with it. These are the twenty that teach most.",
        "",
        f"Every network learned the digits in {steps['masked']} steps, at half the width and batch of its page, with",
        f"{seeds} seeds; a diffusion network has two layers. A curve is the Fréchet distance of 500 samples from the",
        "training digits over the loop count L; lower is better. The blue one is the right page's, in the same",
        "setting with the same seeds. A thin line is one seed. Beyond L_max the ground is shaded.",
        "",
        f"**{len(well)} of the twenty still train well**: at no loop count up to L_max is their distance, a mean over",
        f"the seeds, more than {NEAR} times the right one's. They are",
        f"{', '.join(f'`{name}`' for name in well)}.",
        f"(Of these {len(everywhere)} stay below that beyond L_max, too.) They are why a judge is needed: each is",
        "refused by a clause, by its numbers. Some draw better digits than the right page, after a training as short",
        "as this one; two seeds are few, and the paper speaks of long trainings. A *why* below is an argument, unless",
        "it names a measurement.",
        "",
        "![Masked family: distance over loops with each mistake and without](pictures/mistakes-masked.png)",
        "",
        "![Diffusion family: distance over loops with each mistake and without](pictures/mistakes-diffusion.png)",
    ]
    for number, entry in enumerate(GALLERY, 1):
        lines += section(rows, entry, number)
    return "\n".join(lines) + "\n"


def on_pages() -> int:
    """Return the number of mistakes that change a page."""
    return sum(bool(mistake.changes) for mistake in mistakes().values())


def section(rows: Sequence[Row], entry: Entry, number: int) -> list[str]:
    """Return the lines about one mistake."""
    mistake = mistakes()[entry.name]
    refused = refusals().get(entry.name, {})
    by = next((each.id for each in clauses().values() if entry.name in each.wrong), clause_of(next(iter(refused), "")))
    right, wrong = distances(rows, entry, ""), distances(rows, entry, entry.name)
    heading = "| L | " + " | ".join(str(loops) for loops in LOOPS[entry.page]) + " |"
    return [
        "",
        f"## {number}. {entry.name}",
        "",
        mistake.text,
        "",
        "```diff",
        *[line for line in diff(mistake, entry.page).splitlines() if not line.startswith(("---", "+++"))],
        "```",
        "",
        f"{verdict(rows, entry)} Refused by {by}: {clause(by).sentence}",
        "",
        f"**Why:** {entry.reason}",
        "",
        *([f"Setting of both: {entry.setting}.", ""] if entry.setting else []),
        heading,
        "|---" * (len(LOOPS[entry.page]) + 1) + "|",
        "| right | " + " | ".join(shown(values) for values in right.values()) + " |",
        "| wrong | " + " | ".join(shown(values) for values in wrong.values()) + " |",
    ]


def shown(values: Sequence[float | None]) -> str:
    """Return the smallest and the largest distance of the seeds."""
    if any(value is None for value in values):
        return "broken"
    known = sorted(value for value in values if value is not None)
    low, high = (f"{value:.1f}" for value in (known[0], known[-1]))
    return low if low == high else f"{low}–{high}"


@own_style()
def draw(entries: Sequence[Entry], rows: Sequence[Row], path: Path) -> None:
    """Write a panel for every mistake."""
    columns = 3
    lines = -(-len(entries) // columns)
    figure = new_figure(9.6, 2.3 * lines, dpi=130)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, entry in zip(panels, entries, strict=False):
        _panel(axes, entry, rows)
    for axes in panels[len(entries) :]:
        axes.set_visible(False)
    panels[0].legend(loc="lower left", fontsize=8, frameon=False)
    save_figure(figure, path)


def _panel(axes: Axes, entry: Entry, rows: Sequence[Row]) -> None:
    loops = LOOPS[entry.page]
    tidy(axes)
    axes.axvspan(MAX_LOOPS[entry.page] + 0.25, loops[-1] + 0.4, color=SHADE, zorder=0)
    for name, colour, label in (("", MODEL_COLOURS[0], "right"), (entry.name, MODEL_COLOURS[1], "wrong")):
        found = distances(rows, entry, name)
        for seed in range(len(found[loops[0]])):
            values = [found[each][seed] for each in loops]
            kept = [HIGHEST if value is None else min(value, HIGHEST) for value in values]
            axes.plot(loops, kept, color=colour, linewidth=0.8, alpha=0.6)
        means = [min(mean(found[each]), HIGHEST) for each in loops]
        axes.plot(loops, means, color=colour, linewidth=2, marker="o" if not name else "s", markersize=4, label=label)
    axes.set_xticks(loops)
    axes.set_xlim(0.6, loops[-1] + 0.4)
    axes.set_ylim(0, None)
    axes.set_title(entry.name, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("loops L", fontsize=8, color=INK)
    axes.set_ylabel("Fréchet distance", fontsize=8, color=INK)
