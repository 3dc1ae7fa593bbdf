"""Laws of a looped network that need no oracle: relations between a backend's own answers, at the size of a preset."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.config import load_preset
from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import Stored, Vector
from elt_ref.conformance.judge import Door
from elt_ref.model import declare_parameters
from elt_ref.streams import stream

WITHIN = {"float64": 1e-9, "float32": 1e-3}
"""Largest difference between two sides of a law, relative to the largest number: rounding at the size of any preset."""
STEPS = {"float64": 1e-3, "float32": 0.01}
"""Step of a difference quotient of fourth order, relative to the parameters."""
QUOTIENT = {"float64": 1e-6, "float32": 0.02}
"""Largest difference between a gradient and a difference quotient: one that flows where it must not is far off."""
BATCH = 3

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Law:
    """One law in one dtype."""

    name: str
    clause: str
    """The clause that a broken law violates."""
    dtype: str
    error: float | None
    """Largest difference of the two sides over the largest number, 0 if they are equal to the bit; None if the backend
    gave no answer."""
    message: str
    """What went wrong; empty if the law holds."""

    @property
    def kept(self) -> str:
        """How well the law holds, in words."""
        return "equal to the bit" if self.error == 0 else f"within {self.error or 0:.1g}"


class Subject:
    """A network of a preset, and a backend that runs it."""

    def __init__(self, door: Door, description: Description, preset: str, dtype: str) -> None:
        config = load_preset(preset)
        self.door, self.offered, self.dtype, self.layout = door, description.operations, dtype, "C"
        self.model: dict[str, Any] = config.model.model_dump(mode="json")
        self.family = self.model["family"]
        self.noise: dict[str, Any] = {} if config.diffusion is None else config.diffusion.model_dump(mode="json")
        self.layers, self.loops = self.model["layers"], min(3, max(2, self.model["max_loops"]))
        self.inputs: dict[str, np.ndarray] = {}
        for path, declared in tree_items(declare_parameters(config)):
            normal = self.normal(path, *declared.shape)
            scale = 1 + 0.3 * normal if path.endswith(".scale") else 0.3 * normal
            own = normal / np.sqrt(declared.shape[0]) if len(declared.shape) > 1 else scale
            self.inputs[f"parameters.{path}"] = own
        self.inputs["labels"] = np.arange(BATCH) % self.model["classes"]
        if self.family == "masked":
            codes, tokens = self.model["codebook_size"], int(np.prod(self.model["grid"]))
            rows = self.inputs["parameters.embedding.word"].shape[0]
            drawn = stream(1, "laws/tokens").integers(codes, size=(BATCH, tokens))
            self.inputs["tokens"] = np.where(stream(1, "laws/mask").random((BATCH, tokens)) < 0.5, rows - 1, drawn)
            self.codes, self.mask = drawn, np.arange(BATCH * tokens).reshape(BATCH, tokens) % 2 == 0
        else:
            self.inputs["noisy"] = self.normal("noisy", BATCH, *self.model["shape"])
            self.inputs["time"] = np.linspace(0.2, 0.8, BATCH)

    def normal(self, name: str, *shape: int) -> np.ndarray:
        """Return standard normal numbers for an array of this name."""
        return stream(1, f"laws/{name}").standard_normal(shape)

    @property
    def own(self) -> tuple[str, ...]:
        """Inputs with one row for each sample."""
        return ("labels", "tokens") if self.family == "masked" else ("labels", "noisy", "time")

    def ask(self, operation: str, inputs: Arrays, **settings: Any) -> dict[str, np.ndarray]:
        """Return the backend's answer to a question without a known answer."""
        stored = Stored.model_construct(
            clause="LAWS", slug=operation, operation=operation, settings=settings, outputs={}
        )
        vector = Vector(stored, inputs, layout=self.layout)
        answer = self.door.call(vector, self.dtype, vector.arguments(self.dtype))
        return {name: np.asarray(value, np.float64) for name, value in answer.items()}

    def predict(self, inputs: Arrays, loops: int | None = None, **changes: Any) -> np.ndarray:
        """Return the prediction of the network, with changes of its section."""
        settings = {"model": {**self.model, **changes}, "loops": loops or self.loops}
        (prediction,) = self.ask(f"{self.family}_forward", inputs, **settings).values()
        return prediction

    def learn(
        self, what: str, student: int | None, weight: float, inputs: Arrays | None = None, **changes: Any
    ) -> dict[str, np.ndarray]:
        """Return the ``objective`` or ``gradient`` of a loss with λ = `weight`, with changes of the [model] section."""
        settings = {"model": {**self.model, "max_loops": self.loops, **changes}, "student_loops": student}
        settings |= {"truth_weight": weight, "reduction": "mean_per_sample"}
        known = dict(self.inputs if inputs is None else inputs)
        if self.family == "masked":
            known |= {"tokens": self.codes, "mask": self.mask}
            return self.ask(f"masked_{what}", known, **settings, label_smoothing=0.0)
        known |= {"clean": known.pop("noisy"), "noise": self.normal("noise", *self.inputs["noisy"].shape)}
        return self.ask(f"diffusion_{what}", known, **settings, diffusion=self.noise)

    def distillation(self) -> Callable[[Arrays], float]:
        """Return the distillation of a student of one loop as a function of its parameters, with the teacher held."""
        inputs = dict(self.inputs)
        if self.family == "masked":
            inputs["tokens"] = np.where(self.mask, self.inputs["parameters.embedding.word"].shape[0] - 1, self.codes)
            teacher, weights = _softmax(self.predict(inputs)), self.mask / self.mask.sum(axis=1, keepdims=True) / BATCH

            def cross_entropy(student: np.ndarray) -> float:
                return -float(np.sum(weights * np.sum(teacher * np.log(_softmax(student)), axis=-1)))

            return lambda parameters: cross_entropy(self.predict(inputs | dict(parameters), 1))
        level = self.ask("log_snr", {"time": inputs["time"]}, diffusion=self.noise)["log_snr"]
        noised = {"clean": inputs["noisy"], "noise": self.normal("noise", *inputs["noisy"].shape), "log_snr": level}
        inputs["noisy"] = self.ask("add_noise", noised)["noisy"]
        target = self.predict(inputs)

        def errors(parameters: Arrays) -> np.ndarray:
            return np.mean((self.predict(inputs | dict(parameters), 1) - target) ** 2, axis=(1, 2, 3))

        weights = self.ask("loss_weight", {"time": inputs["time"]}, diffusion=self.noise)["weight"]
        return lambda parameters: float(np.mean(weights * errors(parameters)))

    def states(self, loops: int) -> np.ndarray:
        """Return the states after each loop."""
        return self.ask(f"{self.family}_states", self.inputs, model=self.model, loops=loops)["states"]


Sides = tuple[np.ndarray, np.ndarray]


class Stated(NamedTuple):
    """A law in words, and the function that returns its two sides."""

    words: str
    sides: Callable[[Subject], Sides]

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.sides.__name__


def law(words: str) -> Callable[[Callable[[Subject], Sides]], Stated]:
    """State a law in words that the judge prints; a docstring would be gone under ``python -OO``."""
    return lambda sides: Stated(words, sides)


@law("Few loops are the first of many.")
def prefix(subject: Subject) -> Sides:
    return subject.states(1), subject.states(subject.loops)[:1]


@law("A question that comes again has the same answer.")
def repetition(subject: Subject) -> Sides:
    return subject.predict(subject.inputs), subject.predict(subject.inputs)


@law("The order of an array in memory does not matter.")
def layout(subject: Subject) -> Sides:
    subject.layout = "Fortran"
    try:
        answer = subject.predict(subject.inputs)
    finally:
        subject.layout = "C"
    return answer, subject.predict(subject.inputs)


@law("A sample's prediction does not depend on the others in its batch.")
def independence(subject: Subject) -> Sides:
    alone = {**subject.inputs, **{name: subject.inputs[name][1:2] for name in subject.own}}
    return subject.predict(alone), subject.predict(subject.inputs)[1:2]


@law("A batch in another order has the predictions in that order.")
def equivariance(subject: Subject) -> Sides:
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


@law("Untied copies of the block, one for each loop, equal the loop.")
def untied(subject: Subject) -> Sides:
    deep = subject.predict(copied(subject, subject.inputs), 1, layers=subject.layers * subject.loops)
    return deep, subject.predict(subject.inputs)


@law("The gradients of untied copies of the block add up to the gradient of the loop.")
def summed_gradients(subject: Subject) -> Sides:
    looped = subject.learn("gradient", None, 1.0)
    unrolled = {"layers": subject.layers * subject.loops, "max_loops": 1}
    deep = subject.learn("gradient", None, 1.0, copied(subject, subject.inputs), **unrolled)
    names = [name for name in looped if name.startswith("block.")]
    sums = []
    for name in names:
        _, layer, rest = name.split(".", 2)
        copies = (f"block.{int(layer) + loop * subject.layers}.{rest}" for loop in range(subject.loops))
        sums.append(sum(deep[copy] for copy in copies))
    return np.concatenate([each.ravel() for each in sums]), np.concatenate([looped[name].ravel() for name in names])


@law("Parameters do not depend on the loops of training: another L_max changes no prediction.")
def training_loops(subject: Subject) -> Sides:
    return subject.predict(subject.inputs, max_loops=subject.loops + 2), subject.predict(subject.inputs)


@law("Classes with other numbers are the same classes.")
def permuted_labels(subject: Subject) -> Sides:
    classes, inputs = subject.model["classes"], dict(subject.inputs)
    name = "parameters.embedding.word" if subject.family == "masked" else "parameters.embedding.label"
    first = subject.model.get("codebook_size", 0)
    table = inputs[name].copy()
    table[first : first + classes] = table[first : first + classes][::-1]
    inputs |= {name: table, "labels": classes - 1 - inputs["labels"]}
    return subject.predict(inputs), subject.predict(subject.inputs)


@law("Codes with other numbers are the same codes: the logits move with them.")
def permuted_codes(subject: Subject) -> Sides:
    codes, inputs = subject.model["codebook_size"], dict(subject.inputs)
    table, tokens = inputs["parameters.embedding.word"].copy(), inputs["tokens"]
    table[:codes] = table[:codes][::-1]
    inputs["parameters.embedding.word"] = table
    inputs["parameters.head.bias"] = inputs["parameters.head.bias"][::-1]
    inputs["tokens"] = np.where(tokens < codes, codes - 1 - tokens, tokens)
    return subject.predict(inputs), subject.predict(subject.inputs)[..., ::-1]


@law("The loss is affine in λ.")
def affine_loss(subject: Subject) -> Sides:
    low, middle, high = (subject.learn("objective", 1, weight)["total"] for weight in (0.0, 0.25, 1.0))
    return middle, 0.75 * low + 0.25 * high


@law("The gradient of the distillation is its slope with the teacher held: it moves the student alone.")
def held_teacher(subject: Subject) -> Sides:
    whole, truth = subject.learn("gradient", 1, 0.0), subject.learn("gradient", None, 0.0)
    tied = {name: array for name, array in subject.inputs.items() if name.startswith("parameters.")}
    way = {
        name: np.sqrt(np.mean(array**2)) * subject.normal(f"way/{name}", *array.shape) for name, array in tied.items()
    }
    slope = sum(np.sum((whole[name] - truth[name]) * way[f"parameters.{name}"]) for name in whole)
    distilled, step = subject.distillation(), STEPS[subject.dtype]

    def at(steps: int) -> float:
        return distilled({name: array + steps * step * way[name] for name, array in tied.items()})

    return np.array([slope]), np.array([(8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)])


@law("The number of parameters does not depend on the loops, and the work is affine in them.")
def counted(subject: Subject) -> Sides:
    counts = [subject.ask("count", {}, model=subject.model, loops=subject.loops + more) for more in range(3)]
    few, some, many = (
        [each[name] for name in ("looped_parameters", "total_parameters", "looped_macs")] for each in counts
    )
    return np.array([*some[:2], some[2] - few[2]]), np.array([*few[:2], many[2] - some[2]])


@law("Guidance is affine in its scale.")
def affine_guidance(subject: Subject) -> Sides:
    inputs = {name: stream(1, f"laws/{name}").standard_normal((2, 5, 7)) for name in ("conditional", "unconditional")}
    low, middle, high = (subject.ask("guide", inputs, scale=scale)["guided"] for scale in (0.0, 3.0, 4.0))
    return middle, 0.25 * low + 0.75 * high


class Relation(NamedTuple):
    """What a law is about."""

    law: Stated
    needs: tuple[str, ...]
    """Operations that a backend must offer for it; `{family}` stands for the family of the preset."""
    clauses: Mapping[str, str]
    """The clause that it belongs to, by family; a family that is not there has no such law."""
    within: Mapping[str, float] = WITHIN
    """Largest difference of the two sides, by dtype."""


def _prediction(law: Stated, masked: str, diffusion: str) -> Relation:
    return Relation(law, ("{family}_forward",), {"masked": masked, "diffusion": diffusion})


LAWS = (
    Relation(prefix, ("{family}_states",), {"masked": "ANYTIME-01", "diffusion": "DIFFLOOP-02"}),
    _prediction(repetition, "LOOP-03", "DIFFBLOCK-03"),
    _prediction(layout, "LOOP-03", "DIFFBLOCK-03"),
    _prediction(independence, "LOOP-03", "DIFFBLOCK-03"),
    _prediction(equivariance, "LOOP-03", "DIFFBLOCK-03"),
    _prediction(untied, "LOOP-02", "DIFFLOOP-01"),
    _prediction(training_loops, "LOOP-04", "DIFFLOOP-01"),
    _prediction(permuted_labels, "BLOCK-02", "DIFFBLOCK-02"),
    Relation(permuted_codes, ("masked_forward",), {"masked": "BLOCK-03"}),
    Relation(affine_loss, ("{family}_objective",), {"masked": "DISTIL-01", "diffusion": "DIFFDISTIL-01"}),
    Relation(held_teacher, ("masked_gradient", "masked_forward"), {"masked": "DISTIL-03"}, QUOTIENT),
    Relation(
        held_teacher,
        ("diffusion_gradient", "diffusion_forward", "log_snr", "add_noise", "loss_weight"),
        {"diffusion": "DIFFDISTIL-02"},
        QUOTIENT,
    ),
    Relation(summed_gradients, ("{family}_gradient",), {"masked": "SHARE-01", "diffusion": "DIFFDISTIL-02"}),
    Relation(affine_guidance, ("guide",), {"masked": "GUIDE-01", "diffusion": "GUIDE-01"}),
    Relation(counted, ("count",), {"masked": "COUNT-01", "diffusion": "COUNT-01"}),
)
"""Every law. That arguments stay unchanged is watched at every question."""


def laws(door: Door, preset: str) -> Iterator[Law]:
    """Yield every law that is about what a backend offers, in every dtype.

    Args:
        door: the door to the backend.
        preset: name of a preset, whose size the network has.
    """
    description = door.describe()
    for dtype in description.dtypes:
        subject = Subject(door, description, preset, dtype)
        for relation in LAWS:
            needs = {name.format(family=subject.family) for name in relation.needs}
            if subject.family in relation.clauses and needs <= set(subject.offered):
                yield _checked(relation, subject)


def _checked(relation: Relation, subject: Subject) -> Law:
    (sentence, sides), name, clause = relation.law, relation.law.name, relation.clauses[subject.family]
    try:
        one, other = sides(subject)
        error = float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float64).tiny))
    except (Exception, SystemExit) as failure:  # noqa: BLE001  whatever a backend does is its own error
        return Law(name, clause, subject.dtype, None, f"{sentence} {type(failure).__name__}: {str(failure)[:200]}")
    holds = error <= relation.within[subject.dtype]
    return Law(name, clause, subject.dtype, error, "" if holds else f"{sentence} The two sides differ by {error:.2g}.")


def _softmax(logits: np.ndarray) -> np.ndarray:
    grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)
