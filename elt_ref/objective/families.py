"""What the network of any family should predict."""

from typing import TypeAlias

from elt_ref.objective.diffusion import DiffusionTarget
from elt_ref.objective.drifting import DriftingTarget
from elt_ref.objective.masked import MaskedTarget

FamilyTarget: TypeAlias = MaskedTarget | DiffusionTarget | DriftingTarget
