"""The explorer's page: one HTML file that needs no other, with the source of the JavaScript port inside."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import elt_ref
from elt_ref.errors import RequestError
from elt_ref.explore.document import check_plain, run_document
from elt_ref.files import check_apart, check_file, real, write_text
from elt_ref.literal import visible
from elt_ref.ports import PORTS
from elt_ref.run.folder import CONFIG, open_run
from elt_ref.run.idea import COPY
from elt_ref.run.prepare import CODEC
from elt_ref.run.record import RECORD
from elt_ref.training import CHECKPOINT, METRICS

MOST_RUNS = 4
"""Largest number of runs side by side: there are four colours."""
RUN_FILES = (CONFIG, RECORD, CODEC, COPY, METRICS, CHECKPOINT)
PORT_MODULES = ("elt.mjs", "elt_streams.mjs", "elt_wasm.mjs")
"""The port, of which the page has every line."""
OWN_MODULES = ("engine.mjs", "draw.mjs", "page.mjs")
"""The page's own modules, each after those that it imports."""


def explore(folders: Sequence[Path], out: Path) -> int:
    """Write the page of some runs; return its size in bytes.

    Args:
        folders: run folders; runs of the same data and network stand side by side.
        out: the HTML file.

    Raises:
        RequestError: a folder has no run, or one that the page cannot run; there are too many; `out` is no HTML file or
            cannot be written.
    """
    if out.suffix not in {".html", ".htm"}:
        raise RequestError(f"--out: expected a name ending in .html, got '{out}'")
    names = short_names(folders)
    check_apart(out, (folder / name for folder in folders for name in RUN_FILES))
    check_file(out)
    for folder in folders:
        check_plain(folder)
    documents = [run_document(name, folder, open_run(folder)) for name, folder in zip(names, folders, strict=True)]
    for document in documents:
        if sum(alike(document, other) for other in documents) > MOST_RUNS:
            raise RequestError(f"explore: expected at most {MOST_RUNS} runs of the same data and network, got more")
    page = page_text(documents)
    write_text(out, page)
    return len(page.encode())


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell the folders apart, with every character to be seen.

    Raises:
        RequestError: a folder is there twice.
    """
    whole = [real(folder) for folder in folders]
    if len(set(whole)) < len(whole):
        twice = next(folder for folder in folders if whole.count(real(folder)) > 1)
        raise RequestError(f"explore: expected different run folders, got {twice} twice")
    longest = max(len(path.parts) for path in whole)
    ends = ([visible("/".join(path.parts[-parts:])) for path in whole] for parts in range(1, longest + 1))
    return next(names for names in ends if len(set(names)) == len(names))


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two runs can start from the same noise and be compared."""
    return all(one[key] == other[key] for key in ("data", "model", "codec", "classes"))


def page_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of some runs, as from `run_document`."""
    parts = {
        "style": _own("page.css"),
        "version": elt_ref.__version__,
        # A script ends at the first "</script", whatever the script's language.
        "runs": json.dumps(documents, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
        "modules": "\n".join(_scripts()),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _own("page.html"))


def _scripts() -> list[str]:
    """Return the modules, each in a script of its own: it imports from those before it, and exports to those after."""
    sources = {name: (PORTS / name).read_text(encoding="utf-8") for name in PORT_MODULES}
    sources |= {name: _imports_inlined(_own(name)) for name in OWN_MODULES}
    return [f'<script type="module">\n{source}\n{_exports(name, source)}</script>' for name, source in sources.items()]


def _own(name: str) -> str:
    return resources.files("elt_ref.explore").joinpath(name).read_text(encoding="utf-8")


def _imports_inlined(source: str) -> str:
    return re.sub(
        r'^import \* as (\w+) from "\./([\w.]+)";$', r'const \1 = globalThis.modules["\2"];', source, flags=re.MULTILINE
    )


def _exports(name: str, source: str) -> str:
    names = re.findall(r"^export (?:async )?(?:const|class|function)\*? (\w+)", source, flags=re.MULTILINE)
    return f'(globalThis.modules ??= {{}})["{name}"] = {{ {", ".join(names)} }};\n'
