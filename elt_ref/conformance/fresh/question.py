"""A drawn question, before it has an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """Settings and inputs of a question."""

    settings: Mapping[str, Any]
    inputs: Mapping[str, np.ndarray]
