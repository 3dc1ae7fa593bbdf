"""Where the ports must be tested, a missing extra is a failure and not a skip: ``ELT_PORTS_REQUIRED=1``."""

import importlib
import os

if os.environ.get("ELT_PORTS_REQUIRED"):
    for extra in ("torch", "jax"):
        importlib.import_module(extra)
