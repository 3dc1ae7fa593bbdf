"""Size and times of a page in Chromium: ``python -m tests.explore.measure FILE.html``, docs/explore.html by default.

It prints the size, when the first picture stood, and what a picture of the first run takes at L = 4: the median of 30,
and the sum of each sampling step's fastest, which is nearer to an idle core where others work at the same time.
"""

import shutil
import sys
from pathlib import Path

MEASURED = """async () => {
  const engine = globalThis.modules["engine.mjs"];
  const run = await engine.openRun(JSON.parse(document.getElementById("runs").textContent)[0]);
  const whole = [], fastest = [];
  for (let seed = 0; seed < 30; seed++) {
    const wanted = engine.settings(run, { labels: [run.learned[seed % run.learned.length]], loops: 4, seed });
    const steps = engine.trace(run, wanted), begun = performance.now();
    for (let step = 0; step < wanted.steps; step++) {
      const start = performance.now();
      steps.next();
      fastest[step] = Math.min(fastest[step] ?? Infinity, performance.now() - start);
    }
    whole.push(performance.now() - begun);
  }
  const [first] = performance.getEntriesByName("first picture");
  return [first.startTime, whole.sort((a, b) => a - b)[15], fastest.reduce((total, time) => total + time, 0)];
}"""


def measure(path: Path) -> None:
    """Print size and times of a page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(path.resolve().as_uri())
        page.evaluate("elt.ready")
        page.wait_for_function("globalThis.modules['page.mjs'].settled()")
        first, median, fastest = page.evaluate(MEASURED)
        browser.close()
    print(f"{path.stat().st_size:,} bytes; first picture after {first:.0f} ms")  # noqa: T201
    print(f"a picture at L = 4: {median:.0f} ms (median), {fastest:.0f} ms (its fastest steps)")  # noqa: T201


if __name__ == "__main__":
    measure(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs") / "explore.html")
