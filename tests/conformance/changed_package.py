"""Judges the reference backend with one line of the package changed: changes from stdin, verdicts to stdout, as JSON.

Nothing on disk is changed. Each change has a process of its own, forked before the changed file is imported.
"""

import gc
import importlib.util
import json
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import elt_ref.config  # slow to import, and never changed
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import clauses

PACKAGE = Path(elt_ref.__file__).parent


class Changed(SourceFileLoader):
    """Finds and loads one file of the package with a fragment of its text replaced."""

    def __init__(self, file, old, new):
        super().__init__(f"elt_ref.{file.removesuffix('.py').replace('/', '.')}", str(PACKAGE / file))
        self.text = Path(self.path).read_text(encoding="utf-8").replace(old, new)
        if self.name in sys.modules:
            raise ValueError(f"{file}: expected a file that is not imported yet")

    def find_spec(self, name, _path=None, _target=None):
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname):
        return compile(self.text, self.path, "exec")


def judged(vectors, file, old, new, clause):
    """Return the status and message of each clause that does not pass; `clause` may be the beginning of several."""
    sys.meta_path.insert(0, Changed(file, old, new))
    from elt_ref.conformance.doors import PythonDoor
    from elt_ref.conformance.judge import judge
    from elt_ref.conformance.reference import ReferenceBackend

    report = judge(PythonDoor(ReferenceBackend()), vectors, only=clause)
    return {verdict.clause.id: (verdict.status, verdict.message) for verdict in report.failed}


def main():
    gc.disable()  # a process lives for a moment
    vectors, _ = read_vectors(), clauses()
    for line in sys.stdin:
        change = json.loads(line)
        if process := os.fork():
            os.waitpid(process, 0)
            continue
        try:
            verdicts = judged(vectors, *(change[key] for key in ("file", "old", "new", "clause")))
        except Exception as error:  # noqa: BLE001  reported, and no refusal
            verdicts = {change["clause"]: ("NOT JUDGED", f"{type(error).__name__}: {error}")}
        print(json.dumps(verdicts), flush=True)  # noqa: T201  read by the test
        os._exit(0)


if __name__ == "__main__":
    main()
