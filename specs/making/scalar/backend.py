"""The backend of the scalar oracle."""

from collections.abc import Mapping

from elt_ref.conformance.backend import Description
from specs.making.scalar.clip_operations import ClipOperations
from specs.making.scalar.network_operations import NetworkOperations
from specs.making.scalar.objective_operations import ObjectiveOperations
from specs.making.scalar.sampling_operations import DecodingOperations, NoiseOperations
from specs.making.scalar.training_operations import MeasureOperations, TrainingOperations

PARTS = (
    NetworkOperations,
    ObjectiveOperations,
    NoiseOperations,
    DecodingOperations,
    ClipOperations,
    TrainingOperations,
    MeasureOperations,
)


class ScalarBackend(
    NetworkOperations,
    ObjectiveOperations,
    NoiseOperations,
    DecodingOperations,
    ClipOperations,
    TrainingOperations,
    MeasureOperations,
):
    """Every operation, in float64."""

    choices: Mapping[str, str] = {"sampling.schedule_precision": "float64"}

    def describe(self) -> Description:
        """Return its operations and its choices."""
        return Description(
            name="scalar oracle",
            version="1",
            operations=tuple(name for part in PARTS for name in vars(part) if not name.startswith("_")),
            dtypes=("float64",),
            choices=self.choices,
        )
