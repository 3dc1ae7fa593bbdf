"""The studies, one file a claim, in the order of the paper."""

from collections.abc import Mapping

from elt_ref.study.claims import (
    beyond,
    convergence,
    diminishing,
    elasticity,
    equal_depth,
    little_data,
    pareto,
    parity,
    scaling,
    steps_and_loops,
    terms,
    updates,
    where_loops,
)
from elt_ref.study.declare import Study

_MODULES = (
    elasticity,
    parity,
    equal_depth,
    pareto,
    scaling,
    convergence,
    diminishing,
    beyond,
    terms,
    updates,
    steps_and_loops,
    little_data,
    where_loops,
)
STUDIES: Mapping[str, Study] = {module.STUDY.name: module.STUDY for module in _MODULES}
"""Studies by name."""
