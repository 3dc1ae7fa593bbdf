"""What all tests share: how hypothesis runs, and calls as a user makes them."""

import os

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure. A user's run repeats itself; continuous integration looks elsewhere every time, and
# prints what reproduces a failure.
settings.register_profile("repeat", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("explore" if os.environ.get("CI") else "repeat")


@pytest.fixture
def as_user():
    """Switch the enforcement of types and shapes off: users call without it and meet the package's own sentences."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
