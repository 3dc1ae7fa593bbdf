"""The ports are awarded every profile, in both dtypes."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from elt_ref.conformance.case import arguments, read_vectors
from elt_ref.conformance.clauses import PROFILES
from elt_ref.conformance.doors import open_backend
from elt_ref.conformance.judge import judge, profiles
from elt_ref.conformance.reference import Reference

pytestmark = [pytest.mark.ports, pytest.mark.timeout(600)]
PORTS = Path(__file__).resolve().parents[2] / "docs" / "ports"


@pytest.mark.parametrize("name", ["elt_torch", "elt_jax"])
def test_a_port_is_awarded_every_profile(name):
    if name == "elt_jax":
        import jax

        jax.config.update("jax_disable_most_optimizations", True)  # these networks take longer to compile than to run
    report = judge(open_backend(f"{PORTS / name}.py:Backend"), read_vectors())
    wrong = [
        f"{found.clause.id}: {found.status}, {found.message}" for found in report.verdicts if found.status != "PASS"
    ]
    assert not wrong, "\n".join(wrong)
    assert profiles(report) == dict.fromkeys(PROFILES, True)
    assert set(report.backend.dtypes) == {"float64", "float32"}


@pytest.mark.parametrize("family", ["masked", "diffusion"])
def test_the_taps_of_a_port_are_those_of_the_reference(family):
    door = open_backend(f"{PORTS / 'elt_torch'}.py:Backend")
    of_family = [vector for vector in read_vectors() if vector.stored.operation == f"{family}_states"]
    for vector in of_family:
        given = partial(arguments, vector.stored.settings, vector.inputs, "float64")
        found, right = (getattr(backend, f"{family}_layers")(**given()) for backend in (door.backend, Reference()))
        np.testing.assert_allclose(found["layers"], right["layers"], rtol=1e-9, atol=1e-9)
    assert of_family
