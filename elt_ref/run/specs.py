"""The texts of ``specs/``: equations, choices, the paper's table. A wheel has them inside the package."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from elt_ref.errors import RequestError


@cache
def specs_folder() -> Path:
    """Return the folder of the specifications, in the installed package or in the checkout.

    Raises:
        RequestError: neither exists.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "specs", package.parent / "specs"):
        if (folder / "equations.toml").is_file():
            return folder
    raise RequestError(f"specs: expected the folder {package / 'specs'} of the installation, got none")


def read_toml(name: str) -> dict[str, Any]:
    """Return the contents of a TOML file of the specifications."""
    return tomllib.loads((specs_folder() / name).read_text(encoding="utf-8"))


def equations() -> dict[str, dict[str, str]]:
    """Return the equations by id: title, formula, source, owner."""
    return {equation["id"]: equation for equation in read_toml("equations.toml")["equation"]}


def glossary() -> dict[str, dict[str, str]]:
    """Return the rows of the glossary by word: symbol, names in the code, meaning.

    It is a page of the documentation; a wheel has it beside the specifications.
    """
    paths = (specs_folder() / "glossary.md", specs_folder().parent / "docs" / "glossary.md")
    path = next((path for path in paths if path.is_file()), paths[0])
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" |")] for line in lines if line.startswith("| ")]
    heading, *words = rows
    return {word: dict(zip(heading[1:], rest, strict=True)) for word, *rest in words}


def choices() -> dict[str, str]:
    """Return the choices by name: the text of each section of ``choices.md``, without its heading."""
    text = (specs_folder() / "choices.md").read_text(encoding="utf-8")
    sections = text.split("\n### ")[1:]
    return {
        heading.strip("` "): body.split("\n## ")[0].strip()
        for heading, _, body in (s.partition("\n") for s in sections)
    }
