"""Size and times of the explorer's pages in Chromium: ``python -m tests.explore.measure [FILE.html …]``.

It prints the size of each page, when its first picture stood after the browser began to load the page, when all of
them did, and what a picture of the first run takes. Where others work on the same cores, times are longer than they
need be: the fastest of several counts, of a picture that of each sampling step. The pages in docs/ are measured by
default; docs/explorer.md has their figures.
"""

import shutil
import sys
from pathlib import Path

from elt_ref.bench.machine import processor

FIRST_PICTURE = 1000
"""Bound of the time to the first picture after the start of loading, in milliseconds; issue L."""
A_DIGIT = 100
"""Bound of the time of a digit at L = 4, in milliseconds; issue L."""
OPENINGS = 5
"""How often a page is opened."""
MARK = "name => performance.getEntriesByName(name)[0]?.startTime"
PICTURE = """([loops, pictures]) => {
  const engine = globalThis.modules["engine.mjs"], run = globalThis.modules["page.mjs"].all[0];
  const whole = [], fastest = [];
  for (let seed = 0; seed < pictures; seed++) {
    const wanted = engine.settings(run, { labels: [run.learned[seed % run.learned.length]], loops, seed });
    const steps = engine.trace(run, wanted, 0), begun = performance.now();
    for (let step = 0; step < wanted.steps; step++) {
      const start = performance.now();
      steps.next();
      fastest[step] = Math.min(fastest[step] ?? Infinity, performance.now() - start);
    }
    whole.push(performance.now() - begun);
  }
  return [whole.sort((a, b) => a - b)[Math.floor(pictures / 2)], fastest.reduce((total, time) => total + time, 0)];
}"""
"""Median of whole pictures, and the sum of each sampling step's fastest, in milliseconds."""


def measure(path: Path) -> None:
    """Print size and times of a page."""
    from playwright.sync_api import sync_playwright

    firsts, lasts = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(OPENINGS):
            page = browser.new_page()
            page.set_default_timeout(300_000)
            page.goto(path.resolve().as_uri())
            page.wait_for_function(f"({MARK})('gallery drawn')")
            firsts.append(page.evaluate(MARK, "first picture"))
            lasts.append(page.evaluate(MARK, "gallery drawn"))
            shown = page.locator("#gallery canvas").count()
            if len(firsts) < OPENINGS:
                page.close()
        page.wait_for_function("globalThis.modules['page.mjs'].settled()")
        pictures = {loops: page.evaluate(PICTURE, [loops, 30 if lasts[-1] < 10_000 else 5]) for loops in (1, 4)}
        browser.close()
    print(f"{path}: {path.stat().st_size:,} bytes")  # noqa: T201
    found = f"the first picture after {min(firsts):.0f} ms, all {shown} after {min(lasts):.0f} ms"
    print(f"  {found}; fastest of {OPENINGS} openings")  # noqa: T201
    for loops, (median, fastest) in pictures.items():
        print(f"  a picture at L = {loops}: {fastest:.0f} ms by its fastest steps, {median:.0f} ms the median")  # noqa: T201


if __name__ == "__main__":
    print(processor())  # noqa: T201
    for name in sys.argv[1:] or ("docs/explore.html", "docs/explore-emoji.html"):
        measure(Path(name))
