"""Laws of a looped network that need no oracle: relations between a backend's own answers, at the size of a preset."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.config import load_preset
from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import Stored, Vector, arguments
from elt_ref.conformance.judge import Door
from elt_ref.model import declare_parameters
from elt_ref.streams import stream

WITHIN = {"float64": 1e-9, "float32": 1e-3}
"""Largest difference between two sides of a law, relative to the largest number: rounding at the size of any preset."""
BATCH = 3

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Law:
    """One law in one dtype."""

    name: str
    dtype: str
    error: float | None
    """Largest difference of the two sides over the largest number; None if the backend gave no answer."""
    message: str
    """What went wrong; empty if the law holds."""


class Subject:
    """A network of a preset, and a backend that runs it."""

    def __init__(self, door: Door, description: Description, preset: str, dtype: str) -> None:
        config = load_preset(preset)
        self.door, self.offered, self.dtype = door, description.operations, dtype
        self.model: dict[str, Any] = config.model.model_dump(mode="json")
        self.family = self.model["family"]
        self.layers, self.loops = self.model["layers"], min(3, max(2, self.model["max_loops"]))
        self.inputs: dict[str, np.ndarray] = {}
        for path, declared in tree_items(declare_parameters(config)):
            normal = self._normal(path, *declared.shape)
            scale = 1 + 0.3 * normal if path.endswith(".scale") else 0.3 * normal
            own = normal / np.sqrt(declared.shape[0]) if len(declared.shape) > 1 else scale
            self.inputs[f"parameters.{path}"] = own
        self.inputs["labels"] = np.arange(BATCH) % self.model["classes"]
        if self.family == "masked":
            codes, tokens = self.model["codebook_size"], int(np.prod(self.model["grid"]))
            rows = self.inputs["parameters.embedding.word"].shape[0]
            drawn = stream(1, "laws/tokens").integers(codes, size=(BATCH, tokens))
            self.inputs["tokens"] = np.where(stream(1, "laws/mask").random((BATCH, tokens)) < 0.5, rows - 1, drawn)
        else:
            self.inputs["noisy"] = self._normal("noisy", BATCH, *self.model["shape"])
            self.inputs["time"] = np.linspace(0.2, 0.8, BATCH)

    def _normal(self, name: str, *shape: int) -> np.ndarray:
        return stream(1, f"laws/{name}").standard_normal(shape)

    @property
    def own(self) -> tuple[str, ...]:
        """Inputs with one row for each sample."""
        return ("labels", "tokens") if self.family == "masked" else ("labels", "noisy", "time")

    def ask(self, operation: str, inputs: Arrays, **settings: Any) -> dict[str, np.ndarray]:
        """Return the backend's answer to a question without a known answer."""
        stored = Stored(
            format=1,
            clause="LAWS",
            slug=operation,
            operation=operation,
            why="",
            choice=None,
            settings=settings,
            outputs={},
            tolerance={},
            noise={},
            agreement=0.0,
        )
        answer = self.door.call(Vector(stored, inputs, None), self.dtype, arguments(settings, inputs, self.dtype))
        return {name: np.asarray(value, np.float64) for name, value in answer.items()}

    def predict(self, inputs: Arrays, loops: int | None = None, **changes: Any) -> np.ndarray:
        """Return the prediction of the network, with changes of its section."""
        settings = {"model": {**self.model, **changes}, "loops": loops or self.loops}
        (prediction,) = self.ask(f"{self.family}_forward", inputs, **settings).values()
        return prediction

    def states(self, loops: int) -> np.ndarray:
        """Return the states after each loop."""
        return self.ask(f"{self.family}_states", self.inputs, model=self.model, loops=loops)["states"]


Sides = tuple[np.ndarray, np.ndarray]


def prefix(subject: Subject) -> Sides:
    """Few loops are the first of many."""
    return subject.states(1), subject.states(subject.loops)[:1]


def repetition(subject: Subject) -> Sides:
    """A question that comes again has the same answer."""
    return subject.predict(subject.inputs), subject.predict(subject.inputs)


def independence(subject: Subject) -> Sides:
    """A sample's prediction does not depend on the others in its batch."""
    alone = {**subject.inputs, **{name: subject.inputs[name][1:2] for name in subject.own}}
    return subject.predict(alone), subject.predict(subject.inputs)[1:2]


def equivariance(subject: Subject) -> Sides:
    """A batch in another order has the predictions in that order."""
    turned = {**subject.inputs, **{name: subject.inputs[name][::-1] for name in subject.own}}
    return subject.predict(turned), subject.predict(subject.inputs)[::-1]


def copied(subject: Subject, inputs: Arrays) -> dict[str, np.ndarray]:
    """Return inputs whose block is there once for each loop."""
    copies = {name: array for name, array in inputs.items() if not name.startswith("parameters.block.")}
    for name, array in inputs.items():
        if name.startswith("parameters.block."):
            _, _, layer, rest = name.split(".", 3)
            for loop in range(subject.loops):
                copies[f"parameters.block.{int(layer) + loop * subject.layers}.{rest}"] = array
    return copies


def untied(subject: Subject) -> Sides:
    """Untied copies of the block, one for each loop, equal the loop."""
    deep = subject.predict(copied(subject, subject.inputs), 1, layers=subject.layers * subject.loops)
    return deep, subject.predict(subject.inputs)


def summed_gradients(subject: Subject) -> Sides:
    """The gradients of untied copies of the block add up to the gradient of the loop."""
    inputs, settings = learning(subject, None)
    looped = subject.ask("masked_gradient", inputs, **settings, truth_weight=1.0)
    settings["model"] = {**subject.model, "layers": subject.layers * subject.loops, "max_loops": 1}
    deep = subject.ask("masked_gradient", copied(subject, inputs), **settings, truth_weight=1.0)
    names = [name for name in looped if name.startswith("block.")]
    sums = []
    for name in names:
        _, layer, rest = name.split(".", 2)
        copies = (f"block.{int(layer) + loop * subject.layers}.{rest}" for loop in range(subject.loops))
        sums.append(sum(deep[copy] for copy in copies))
    return np.concatenate([each.ravel() for each in sums]), np.concatenate([looped[name].ravel() for name in names])


def training_loops(subject: Subject) -> Sides:
    """Parameters do not depend on the loops of training: another L_max changes no prediction."""
    return subject.predict(subject.inputs, max_loops=subject.loops + 2), subject.predict(subject.inputs)


def permuted_labels(subject: Subject) -> Sides:
    """Classes with other numbers are the same classes."""
    classes, inputs = subject.model["classes"], dict(subject.inputs)
    name = "parameters.embedding.word" if subject.family == "masked" else "parameters.embedding.label"
    first = subject.model.get("codebook_size", 0)
    table = inputs[name].copy()
    table[first : first + classes] = table[first : first + classes][::-1]
    inputs |= {name: table, "labels": classes - 1 - inputs["labels"]}
    return subject.predict(inputs), subject.predict(subject.inputs)


def permuted_codes(subject: Subject) -> Sides:
    """Codes with other numbers are the same codes: the logits move with them."""
    codes, inputs = subject.model["codebook_size"], dict(subject.inputs)
    table, tokens = inputs["parameters.embedding.word"].copy(), inputs["tokens"]
    table[:codes] = table[:codes][::-1]
    inputs["parameters.embedding.word"] = table
    inputs["parameters.head.bias"] = inputs["parameters.head.bias"][::-1]
    inputs["tokens"] = np.where(tokens < codes, codes - 1 - tokens, tokens)
    return subject.predict(inputs), subject.predict(subject.inputs)[..., ::-1]


def learning(subject: Subject, student: int | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return inputs and settings of a loss over every second token; λ is missing."""
    inputs = {**subject.inputs, "tokens": subject.inputs["tokens"] % subject.model["codebook_size"]}
    inputs["mask"] = np.arange(inputs["tokens"].size).reshape(inputs["tokens"].shape) % 2 == 0
    settings = {"model": {**subject.model, "max_loops": subject.loops}, "student_loops": student}
    return inputs, {**settings, "reduction": "mean_per_sample", "label_smoothing": 0.0}


def affine_loss(subject: Subject) -> Sides:
    """The loss is affine in λ."""
    inputs, settings = learning(subject, 1)
    low, middle, high = (
        subject.ask("masked_objective", inputs, **settings, truth_weight=weight)["total"] for weight in (0.0, 0.25, 1.0)
    )
    return middle, 0.75 * low + 0.25 * high


def affine_guidance(subject: Subject) -> Sides:
    """Guidance is affine in its scale."""
    inputs = {name: stream(1, f"laws/{name}").standard_normal((2, 5, 7)) for name in ("conditional", "unconditional")}
    low, middle, high = (subject.ask("guide", inputs, scale=scale)["guided"] for scale in (0.0, 3.0, 4.0))
    return middle, 0.25 * low + 0.75 * high


LAWS: Mapping[Callable[[Subject], Sides], str] = {
    prefix: "{family}_states",
    repetition: "{family}_forward",
    independence: "{family}_forward",
    equivariance: "{family}_forward",
    untied: "{family}_forward",
    training_loops: "{family}_forward",
    permuted_labels: "{family}_forward",
    permuted_codes: "masked_forward",
    affine_loss: "masked_objective",
    summed_gradients: "masked_gradient",
    affine_guidance: "guide",
}
"""Every law, and the operation that a backend must offer for it."""


def laws(door: Door, preset: str) -> Iterator[Law]:
    """Yield every law that is about what a backend offers, in every dtype.

    Args:
        door: the door to the backend.
        preset: name of a preset, whose size the network has.
    """
    description = door.describe()
    for dtype in description.dtypes:
        subject = Subject(door, description, preset, dtype)
        for law, operation in LAWS.items():
            name = operation.format(family=subject.family)
            if name in subject.offered and name.partition("_")[0] in {subject.family, "guide"}:
                yield _checked(law, subject)


def _checked(law: Callable[[Subject], Sides], subject: Subject) -> Law:
    name, sentence = law.__name__, (law.__doc__ or "").strip()
    try:
        one, other = law(subject)
        error = float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float64).tiny))
    except (Exception, SystemExit) as failure:  # noqa: BLE001  whatever a backend does is its own error
        return Law(name, subject.dtype, None, f"{sentence} {type(failure).__name__}: {str(failure)[:200]}")
    holds = error <= WITHIN[subject.dtype]
    return Law(name, subject.dtype, error, "" if holds else f"{sentence} The two sides differ by {error:.2g}.")
