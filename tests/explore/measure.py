"""Size and times of the explorer's pages in Chromium: ``python -m tests.explore.measure [FILE.html …]``.

It prints the size of each page, when its first picture stood after the browser began to load the page, when all of
them did, and what a picture of the first run takes, with the processor's name. Others that work on the same cores
lengthen these times. What counts is therefore the processor time of the page's thread, as the browser reports it, and
the time to the first picture times the share of a core that this thread had. Without a name it measures the pages in
docs/, of which docs/explorer.md has the figures.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from elt_ref.bench.machine import processor

FIRST_PICTURE = 1000
"""Bound of the time to the first picture after the start of loading, in milliseconds of an idle core."""
A_DIGIT = 100
"""Bound of the time of a digit at L = 4, in milliseconds of an idle core."""
OPENINGS = 5
"""How often a page is opened."""
MARK = "name => performance.getEntriesByName(name)[0].startTime"
PICTURES = """([loops, pictures]) => {
  const engine = globalThis.modules["engine.mjs"], run = globalThis.modules["page.mjs"].all[0];
  for (let seed = 0; seed < pictures; seed++) {
    const wanted = engine.settings(run, { labels: [run.learned[seed % run.learned.length]], loops, seed });
    for (const step of engine.trace(run, wanted, 0)) void step;
  }
}"""
"""Draw some pictures of the first run, one after the other."""


class Clock:
    """Processor time of a page's thread, in milliseconds."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable")

    def now(self) -> float:
        """Return the time since the page was opened."""
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return 1000 * next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime")

    def share(self) -> float:
        """Return the share of a core that the thread had since the browser began to load the page."""
        return self.now() / self.page.evaluate("performance.now()")

    def picture(self, loops: int, pictures: int) -> float:
        """Return the time of one picture of the first run."""
        begun = self.now()
        self.page.evaluate(PICTURES, [loops, pictures])
        return (self.now() - begun) / pictures


def first_picture(page: Any, path: Path) -> tuple[float, float]:
    """Open a page; return the time to its first picture, as it was and on an idle core."""
    clock = Clock(page)
    page.goto(path.resolve().as_uri())
    page.wait_for_function("performance.getEntriesByName('gallery drawn').length > 0")
    share = clock.share()
    first = page.evaluate(MARK, "first picture")
    return first, first * share


def measure(path: Path) -> None:
    """Print size and times of a page."""
    from playwright.sync_api import sync_playwright

    print(f"{path}: {path.stat().st_size:,} bytes")  # noqa: T201
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        found, page = [], browser.new_page()
        for _ in range(OPENINGS):
            page.close()
            page = browser.new_page()
            page.set_default_timeout(300_000)
            found.append(first_picture(page, path))
        last, shown = page.evaluate(MARK, "gallery drawn"), page.locator("#gallery canvas").count()
        (first, _), quiet = min(found), min(idle for _, idle in found)
        print(f"  the first picture after {first:.0f} ms, {quiet:.0f} ms on an idle core")  # noqa: T201
        print(f"  all {shown} pictures after {last:.0f} ms")  # noqa: T201
        page.wait_for_function("globalThis.modules['page.mjs'].settled()")
        clock = Clock(page)
        for loops in (1, 4):
            best = min(clock.picture(loops, 3) for _ in range(OPENINGS))
            print(f"  a picture at L = {loops}: {best:.0f} ms of processor time")  # noqa: T201
        browser.close()


if __name__ == "__main__":
    print(processor())  # noqa: T201
    for name in sys.argv[1:] or ("docs/explore.html", "docs/explore-emoji.html"):
        measure(Path(name))
