"""The sections of a configuration on one page: ``python -m specs.making.configuration_page``.

The command writes ``specs/configuration.md`` from the fields of `elt_ref.config` and their docstrings.
"""

import ast
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from elt_ref.config import (
    MASKED_ONLY,
    DataConfig,
    DiffusionConfig,
    DiffusionModelConfig,
    DriftingConfig,
    DriftingModelConfig,
    LatentsConfig,
    MaskedModelConfig,
    ObjectiveConfig,
    SamplingConfig,
    TokenizerConfig,
    TrainingConfig,
)
from elt_ref.conformance.operations import TABLE
from elt_ref.files import write_text
from elt_ref.run.specs import specs_folder


@dataclass(frozen=True)
class Table:
    """One table of the page: a section for one family of networks, or for all."""

    name: str
    """Name of the section in TOML, and of the argument of an operation."""
    kind: type[BaseModel]
    family: str
    """Family of networks: ``masked``, ``diffusion``, ``drifting`` or ``all``."""


TABLES = (
    Table("model", MaskedModelConfig, "masked"),
    Table("model", DiffusionModelConfig, "diffusion"),
    Table("model", DriftingModelConfig, "drifting"),
    Table("diffusion", DiffusionConfig, "diffusion"),
    Table("drifting", DriftingConfig, "drifting"),
    Table("objective", ObjectiveConfig, "all"),
    Table("sampling", SamplingConfig, "all"),
    Table("training", TrainingConfig, "all"),
    Table("data", DataConfig, "all"),
    Table("tokenizer", TokenizerConfig, "masked"),
    Table("latents", LatentsConfig, "diffusion"),
)
"""Tables of all sections, in the order of the page; operations receive none of the last three."""


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# The sections of a configuration",
        "",
        "Written by `python -m specs.making.configuration_page` from `elt_ref/config/schema.py`. In TOML a key",
        "may be omitted if it has a default. Operations receive sections as JSON objects with every key, except that",
        "`sampling` comes without `loops`: an operation that samples has an argument of that name. A name that TOML",
        "allows for a number (`shift`, `bias`) is already replaced by the number. The reasons for the defaults are in",
        "[choices.md](choices.md).",
    ]
    for table in TABLES:
        of = "" if table.family == "all" else f", {table.family} family"
        lines += [
            "",
            f"## `{table.name}`{of}",
            "",
            " ".join([_prose(table.kind.__doc__ or ""), *_received(table)]),
            "",
            "| key | value | default | family | meaning |",
            "|---|---|---|---|---|",
        ]
        meanings = _docstrings(table.kind)
        for key, schema in table.kind.model_json_schema()["properties"].items():
            default = f"`{json.dumps(schema['default'])}`" if "default" in schema else "required"
            family = "masked" if (table.name, key) in MASKED_ONLY else table.family
            meaning = _prose(meanings.get(key, ""))
            lines.append(f"| `{key}` | {value(schema)} | {default} | {family} | {meaning} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def _received(table: Table) -> list[str]:
    names = ", ".join(f"`{name}`" for name in receivers(table))
    return [f"Received by {names}."] if names else []


def receivers(table: Table) -> list[str]:
    """Return the operations that take the section of a table, without those of other families."""
    return [
        name
        for name, operation in TABLE.items()
        if table.name in operation.arguments and (table.family == "all" or operation.family in {None, table.family})
    ]


def value(schema: Mapping[str, Any]) -> str:
    """Return the values that a JSON Schema allows, in words."""
    if "anyOf" in schema:
        return " or ".join(value(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    if schema["type"] == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(value(each) for each in schema['prefixItems'])}]"
        return f"[{value(schema['items'])}, …]"
    bounds = [f"{sign} {schema[bound]}" for bound, sign in BOUNDS.items() if bound in schema]
    return " ".join([schema["type"], ", ".join(bounds)]).strip()


BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤", "multipleOf": "multiple of"}
"""Words of JSON Schema, and their form on the page."""


def _docstrings(kind: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of fields (the literals that follow them), including a base class's."""
    texts: dict[str, str] = {}
    for parent in reversed(kind.__mro__[: kind.__mro__.index(BaseModel)]):
        (definition,) = ast.parse(inspect.getsource(parent)).body
        statements = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, after in pairwise(statements):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                texts[field.target.id] = str(after.value.value)
    return texts


def _prose(docstring: str) -> str:
    """Return a docstring as one line of a Markdown table."""
    return " ".join(docstring.split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    write_text(specs_folder() / "configuration.md", page())
