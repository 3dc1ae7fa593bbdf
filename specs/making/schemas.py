"""The JSON Schemas of every file and message: ``python -m specs.making.schemas`` writes ``specs/schemas/``."""

import json
from pathlib import Path

from pydantic import BaseModel

from elt_ref.conformance.case import Stored
from elt_ref.conformance.clauses import Family
from elt_ref.conformance.document import Document
from elt_ref.conformance.exceptions import Exceptions
from elt_ref.conformance.protocol import Bye, Call, Described, Hello, Refused, Reply
from elt_ref.files import write_text
from elt_ref.run.specs import specs_folder

SCHEMAS: dict[str, type[BaseModel]] = {
    "clauses": Family,
    "vector": Stored,
    "known-failures": Exceptions,
    "report": Document,
    "message-hello": Hello,
    "message-description": Described,
    "message-refused": Refused,
    "message-call": Call,
    "message-reply": Reply,
    "message-bye": Bye,
}


def schema(name: str) -> str:
    """Return a schema as text."""
    return json.dumps(SCHEMAS[name].model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Write all schemas into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        write_text(folder / f"{name}.json", schema(name))


if __name__ == "__main__":
    write_schemas(specs_folder() / "schemas")
