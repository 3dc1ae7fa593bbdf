"""Where the ports must be tested, a missing framework or Node is a failure and not a skip: ``ELT_PORTS_REQUIRED=1``."""

import importlib
import os
import shutil

if os.environ.get("ELT_PORTS_REQUIRED"):
    if shutil.which("node") is None:
        raise RuntimeError("ports: expected node, for the JavaScript port, got none on the PATH")
    for extra in ("torch", "jax"):
        importlib.import_module(extra)
