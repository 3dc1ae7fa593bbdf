"""Mistakes in patches, positions and time features."""

from typing import Any

import autograd.numpy

anp: Any = autograd.numpy  # its names are made at run time, invisible to a type checker
