"""What the gallery of mistakes has measured: 800 steps a training, two seeds (``python -m specs.making.gallery``)."""

import json
from pathlib import Path

MEASURED = Path(__file__).resolve().parents[2] / "specs" / "making" / "gallery.json"


def distances(page: str, mistake: str = "", setting: str = "") -> list[dict[int, float]]:
    """Return a training's Fréchet distance by loops, for each seed; without a mistake, of the right page."""
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))
    wanted = page, mistake, setting
    found = [row["frechet_distance"] for row in rows if (row["page"], row["mistake"], row["setting"]) == wanted]
    return [{int(loops): distance for loops, distance in row.items()} for row in found]


def mean_distance(page: str, mistake: str = "", setting: str = "") -> dict[int, float]:
    """Return the mean over the seeds of `distances`."""
    rows = distances(page, mistake, setting)
    return {loops: sum(row[loops] for row in rows) / len(rows) for loops in rows[0]}


def factors() -> dict[str, float]:
    """Return how much each mistake raises the distance, at the loop count where it is worst, smallest first."""
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))
    found = {}
    for page, mistake, setting in {(row["page"], row["mistake"], row["setting"]) for row in rows if row["mistake"]}:
        right, wrong = mean_distance(page, "", setting), mean_distance(page, mistake, setting)
        found[mistake] = max(wrong[loops] / right[loops] for loops in right)
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))
