"""A program that speaks JSON lines: the reference by default, and on request one of several ways to go wrong."""

import json
import sys
import time

from safetensors.numpy import load_file, save_file

from elt_ref.conformance.case import arguments
from elt_ref.conformance.reference import ReferenceBackend

behaviour = sys.argv[1] if len(sys.argv) > 1 else ""
backend = ReferenceBackend()


def say(message, end="\n"):
    sys.stdout.write(json.dumps(message) + end)
    sys.stdout.flush()


for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "bye":
        sys.exit(3 if behaviour == "bad-end" else 0)
    if message["type"] == "hello":
        if behaviour == "no-hello":
            sys.exit(1)
        described = backend.describe()
        say(
            {
                "type": "description",
                "name": described.name,
                "version": 1 if behaviour == "bad-description" else described.version,
                "operations": list(described.operations),
                "dtypes": list(described.dtypes),
                "choices": dict(described.choices),
            }
        )
        continue
    reply = {"type": "reply", "id": message["id"], "status": "ok"}
    if behaviour == "hang":
        time.sleep(60)
    if behaviour == "die":
        sys.exit(7)
    if behaviour == "half-a-line":
        say(reply, end="")
        sys.exit(0)
    if behaviour == "unsupported":
        say(reply | {"status": "unsupported", "message": "not today"})
        continue
    if behaviour == "empty":
        say(reply)
        continue
    if behaviour == "other-id":
        reply["id"] += 1
    if behaviour == "extra-field":
        reply["note"] = "hello"
    given = arguments(message["settings"], load_file(message["inputs"]), message["dtype"])
    save_file(dict(getattr(backend, message["operation"])(**given)), message["outputs"])
    say(reply)
