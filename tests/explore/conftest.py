"""A browser for the page; where it must be tested, a missing one is a failure: ``ELT_BROWSER_REQUIRED=1``."""

import importlib.util
import os
import shutil

import pytest
from made_runs import made_runs, page_of

CHROMIUM = shutil.which("chromium")
MISSING = [
    *([] if importlib.util.find_spec("playwright") else ["the package playwright (pip install -e '.[browser]')"]),
    *([] if CHROMIUM else ["the program chromium on the PATH"]),
]
if MISSING and os.environ.get("ELT_BROWSER_REQUIRED"):
    raise RuntimeError(f"browser: expected {' and '.join(MISSING)}, got none")


@pytest.fixture(scope="session")
def runs():
    return made_runs()


@pytest.fixture(scope="session")
def made_page(runs, tmp_path_factory):
    """A page of all made runs."""
    return page_of(runs, tmp_path_factory.mktemp("pages") / "page.html")


@pytest.fixture(scope="session")
def browser():
    if MISSING:
        pytest.skip(f"needs {' and '.join(MISSING)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # In a container the root user has no sandbox; the page is ours.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Return ``visit(path, **context) -> page``, opened from disk; what it requests and complains about is kept."""
    contexts = []

    def open_page(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.requested, page.complaints = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
