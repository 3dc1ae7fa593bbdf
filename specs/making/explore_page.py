"""The ready explorer with its present code: ``python -m specs.making.explore_page`` writes ``docs/explore.html`` again.

The runs inside stay. Other runs come from ``elt-ref demo`` and then
``elt-ref explore elt-demo/ilsd elt-demo/vanilla --out docs/explore.html``.
"""

import json
import re
from pathlib import Path

from elt_ref.explore.page import page_text
from elt_ref.files import write_text

PAGE = Path("docs") / "explore.html"


def rewritten(page: str) -> str:
    """Return a page with the runs that it has, and the styles, texts and modules of this checkout."""
    found = re.search(r'<script type="application/json" id="runs">(.*?)</script>', page)
    if found is None:
        raise ValueError(f"{PAGE}: expected a page of elt-ref explore, got another")
    return page_text(json.loads(found[1]))


if __name__ == "__main__":
    write_text(PAGE, rewritten(PAGE.read_text(encoding="utf-8")))
