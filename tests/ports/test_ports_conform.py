"""The ports are awarded every profile, in both dtypes."""

import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from elt_ref.conformance.case import Vector, arguments, read_vectors
from elt_ref.conformance.clauses import PROFILES, clauses
from elt_ref.conformance.doors import open_backend
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.ports import PORTS

pytestmark = [pytest.mark.ports, pytest.mark.timeout(600)]


# JAX compiles every question anew, for minutes, and two gloo processes take seconds for one.
# JAX writes its schedule otherwise, and samplings of ε show the difference.
@pytest.mark.parametrize(
    ("name", "only", "questions", "profiles"),
    [
        ("elt_torch", "", "1200", set(PROFILES) - {"distributed"}),
        ("elt_torch_distributed", "STEP-07", "1", {"distributed"}),
        ("elt_jax", "DIFFGUIDE-01", "4", set()),
        pytest.param("elt_jax", "", "60", set(PROFILES) - {"drifting"}, marks=pytest.mark.slow),
    ],
)
def test_a_port_is_awarded_every_profile(name, only, questions, profiles):
    """Each is judged by the command, in a process of its own: compiled programs take room that is not given back."""
    program = "import sys; from elt_ref.cli import main; sys.argv[0] = 'elt-ref'; main()"
    words = [
        sys.executable,
        "-c",
        program,
        "conform",
        "run",
        f"elt_ref.ports.{name}_backend:Backend",
        "--json",
        *(["--only", only] if only else []),
        "--questions",
        questions,
        "--timeout",  # four processes of PyTorch start for one answer
        "240",
    ]
    # These networks take longer to compile than to run.
    quick = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    ended = subprocess.run(words, capture_output=True, text=True, env=quick, check=False)
    assert ended.stdout, f"exit code {ended.returncode}: {ended.stderr[-2000:]}"
    document = json.loads(ended.stdout)
    others = {id_ for id_, clause in clauses().items() if clause.profile not in (profiles or PROFILES)} | {"STEP-07"}
    wrong = [
        f"{row['id']}: {row['status']}, {row['message']}"
        for row in document["clauses"]
        if row["status"] != "PASS" and not (row["status"] == "UNSUPPORTED" and row["id"] in others)
    ]
    assert not wrong, "\n".join(wrong)
    assert {profile["name"] for profile in document["profiles"] if profile["awarded"]} == profiles
    assert set(document["backend"]["dtypes"]) == {"float64", "float32"}
    assert ended.returncode == 0


@pytest.mark.parametrize("family", ["masked", "diffusion"])
def test_the_taps_of_a_port_are_those_of_the_reference(family):
    door = open_backend(str(PORTS / "elt_torch_backend.py:Backend"))
    of_family = [vector for vector in read_vectors() if vector.stored.operation == f"{family}_states"]
    for vector in of_family:
        given = partial(arguments, vector.stored.settings, vector.inputs, "float64")
        tap = Vector(vector.stored.model_copy(update={"operation": f"{family}_layers"}), vector.inputs, None)
        found = door.call(tap, "float64", given())
        right = getattr(ReferenceBackend(), f"{family}_layers")(**given())
        np.testing.assert_allclose(found["layers"], right["layers"], rtol=1e-9, atol=1e-9)
    assert of_family
