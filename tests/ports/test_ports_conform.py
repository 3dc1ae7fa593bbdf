"""The ports are awarded every profile, in both dtypes."""

from pathlib import Path

import pytest

from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.clauses import PROFILES
from elt_ref.conformance.doors import open_backend
from elt_ref.conformance.judge import judge, profiles

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
