"""Ports to other frameworks: PyTorch, JAX, JavaScript; each is an implementation, and an adapter for the judge.

A wheel has them here, a checkout in ``docs/ports``; ``elt_ref.ports.elt_torch_backend`` is a module in both. The
files do not import elt_ref, so that they can be copied. They import one another by their own names.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).parent
PORTS = next(
    (folder for folder in (_HERE, _HERE.parents[1] / "docs" / "ports") if (folder / "elt_torch.py").is_file()), _HERE
)
"""Folder of the ports' files."""

__path__ = list(dict.fromkeys([*__path__, str(PORTS)]))
if str(PORTS) not in sys.path:
    sys.path.append(str(PORTS))
