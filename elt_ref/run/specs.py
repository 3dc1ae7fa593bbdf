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


def choices() -> dict[str, str]:
    """Return the choices by name: the text of each section of ``choices.md``, without its heading."""
    text = (specs_folder() / "choices.md").read_text(encoding="utf-8")
    sections = text.split("\n### ")[1:]
    return {
        heading.strip("` "): body.split("\n## ")[0].strip()
        for heading, _, body in (s.partition("\n") for s in sections)
    }
