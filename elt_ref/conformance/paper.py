"""The pages as a backend: the second oracle of fresh questions, which answers where the pages reach.

A page has one setting for each choice of the paper and no function for some steps. There the answer is `Unsupported`.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from autograd import grad
from autograd.misc import flatten

from elt_ref.arrays import Tree, tree_items
from elt_ref.conformance.backend import Parameters, Section, Tensors, Unsupported
from elt_ref.conformance.reference import diffusion_configuration, masked_configuration, nested, prefixed, tree


def page(family: str) -> Any:
    """Return a copy of a page, whose constants may be set without touching the imported one.

    Args:
        family: ``masked`` or ``diffusion``.
    """
    name = f"elt_ref.paper.{family}"
    source = resources.files("elt_ref.paper") / f"{family}.py"
    module = ModuleType(name)
    exec(compile(source.read_text(encoding="utf-8"), str(source), "exec"), vars(module))  # noqa: S102  our own page
    return module


class Loss(NamedTuple):
    """A page's loss of a question."""

    page: Any
    """The page's `ilsd_loss`."""
    known: Tree
    """Parameters."""
    max_loops: int
    question: dict[str, Any]
    """Its other arguments."""

    def at(self, parameters: Tree, **changes: Any) -> Any:
        """Return the loss; a vanilla one is half of the page's with the teacher as student and λ = 1."""
        asked = self.question | changes
        if asked["student_loops"] is not None:
            return self.page(parameters, **asked)
        return self.page(parameters, **asked | {"student_loops": self.max_loops, "truth_weight": 1.0}) / 2

    def terms(self) -> Tensors:
        """Return the terms by name: differences of losses with other λ."""
        total, teacher_truth = self.at(self.known), self.at(self.known, student_loops=None)
        terms = {"total": total, "teacher_truth": teacher_truth}
        if self.question["student_loops"] is not None:
            terms["student_truth"] = self.at(self.known, truth_weight=1.0) - teacher_truth
            terms["distillation"] = self.at(self.known, truth_weight=0.0) - teacher_truth
        return {name: np.asarray(value) for name, value in terms.items()}

    def gradient(self) -> Tensors:
        """Return the gradient by the names of the parameters."""
        differentiate: Any = grad
        return dict(tree_items(differentiate(self.at)(self.known)))


class PaperBackend:
    """The functions of both pages as operations."""

    def __init__(self) -> None:
        self.masked, self.diffusion = page("masked"), page("diffusion")

    # --- networks

    def masked_layer(self, *, parameters: Parameters, x: np.ndarray, heads: int, epsilon: float) -> Tensors:
        vars(self.masked).update(HEADS=heads, NORM_EPSILON=epsilon)
        return {"x": self.masked.layer(x, nested(parameters))}

    def diffusion_layer(
        self, *, parameters: Parameters, x: np.ndarray, conditioning: np.ndarray, heads: int, epsilon: float
    ) -> Tensors:
        vars(self.diffusion).update(HEADS=heads, NORM_EPSILON=epsilon)
        return {"x": self.diffusion.layer(x, conditioning, nested(parameters))}

    def masked_states(self, *, model: Section, parameters: Parameters, loops: int, **inputs: np.ndarray) -> Tensors:
        known = self._masked(model, parameters)
        x = self.masked.embed(**inputs, **known["embedding"])
        return {"states": np.stack(list(self.masked.loop_states(x, known["block"], loops)))}

    def masked_forward(self, *, model: Section, parameters: Parameters, loops: int, **inputs: np.ndarray) -> Tensors:
        return {"logits": self.masked.forward(self._masked(model, parameters), loops=loops, **inputs)}

    def diffusion_states(self, *, model: Section, parameters: Parameters, loops: int, **inputs: np.ndarray) -> Tensors:
        known = self._diffusion(model, parameters)
        x, c = self.diffusion.embed(**inputs, **known["embedding"])
        return {"states": np.stack(list(self.diffusion.loop_states(x, c, known["block"], loops)))}

    def diffusion_forward(self, *, model: Section, parameters: Parameters, loops: int, **inputs: np.ndarray) -> Tensors:
        return {"prediction": self.diffusion.forward(self._diffusion(model, parameters), loops=loops, **inputs)}

    # --- objectives

    def masked_objective(self, **arguments: Any) -> Tensors:
        return self._masked_loss(**arguments).terms()

    def masked_gradient(self, **arguments: Any) -> Tensors:
        return self._masked_loss(**arguments).gradient()

    def diffusion_objective(self, **arguments: Any) -> Tensors:
        return self._diffusion_loss(**arguments).terms()

    def diffusion_gradient(self, **arguments: Any) -> Tensors:
        return self._diffusion_loss(**arguments).gradient()

    # --- diffusion

    def log_snr(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        self._noise(diffusion)
        log_snr, _, _, slope = self.diffusion.noise_schedule(time)
        return {"log_snr": log_snr, "derivative": -slope}

    def loss_weight(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        self._noise(diffusion, weighted=True)
        unit = np.ones((1, 1, 1, 1))  # a picture of one value, whose squared error is 1
        weights = [self.diffusion.squared_error(unit, 0 * unit, each) for each in np.split(time, len(time))]
        return {"weight": np.array(weights)}

    def denoise_step(
        self, *, diffusion: Section, log_snr_t: float, log_snr_s: float, last: bool, **pictures: np.ndarray
    ) -> Tensors:
        self._noise(diffusion, sampled=True)
        _only(not last, "the step to the end")
        # The page takes times: those at which its schedule has the given levels.
        start, end = (np.arctan(np.exp(-diffusion[name] / 2)) for name in ("log_snr_max", "log_snr_min"))
        levels = np.array([log_snr_t, log_snr_s]) - diffusion["shift"]
        time, time_next = (np.arctan(np.exp(-levels / 2)) - start) / (end - start)
        return {"noisy": self.diffusion.denoise_step(**pictures, time=time, time_next=time_next)}

    # --- generating

    def decode_step(
        self, *, start: np.ndarray, mask_token: int, choice_temperature: float, sampling_temperature: str, **step: Any
    ) -> Tensors:
        _only(sampling_temperature == "plain", "a temperature of sampling")
        vars(self.masked).update(MASK=mask_token, TOKENS=start, CHOICE_TEMPERATURE=choice_temperature)
        after, answer = self.masked.decode_step(**step)
        return {"tokens": after, "answer": answer}

    def masked_sample(
        self,
        *,
        model: Section,
        sampling: Section,
        parameters: Parameters,
        tokens: np.ndarray,
        labels: np.ndarray,
        token_noise: np.ndarray,
        confidence_noise: np.ndarray,
        loops: list[int],
    ) -> Tensors:
        known = self._masked(model, parameters)
        _only(bool((tokens == self.masked.MASK).all()), "a start with known tokens")
        _only(sampling["sampling_temperature"] == "plain", "a temperature of sampling")
        vars(self.masked).update(CHOICE_TEMPERATURE=sampling["choice_temperature"])
        noise = [each for step in zip(token_noise, confidence_noise, strict=True) for each in step]
        return {"tokens": self.masked.sample(known, labels, **_sampling(sampling, loops), seed=Prepared(noise))}

    def diffusion_sample(
        self,
        *,
        model: Section,
        diffusion: Section,
        sampling: Section,
        parameters: Parameters,
        labels: np.ndarray,
        initial_noise: np.ndarray,
        step_noise: np.ndarray,
        loops: list[int],
    ) -> Tensors:
        known = self._diffusion(model, parameters)
        self._noise(diffusion, sampled=True)
        noise = Prepared([initial_noise, *step_noise])
        return {"samples": self.diffusion.sample(known, labels, **_sampling(sampling, loops), seed=noise)}

    # --- training

    def masked_training(
        self, *, model: Section, parameters: Parameters, objective: Section, training: Section, **draws: np.ndarray
    ) -> Tensors:
        known = self._masked(model, parameters)
        _only(objective["label_smoothing"] == 0, "smoothing")
        _only(training["schedule"] == "constant", "a decay of the learning rate")
        self.masked.WEIGHT_DECAY = training["weight_decay"]
        return _train(self.masked, known, objective, training, draws)

    def masked_training_across(self, *, processes: int, **arguments: Any) -> Tensors:  # noqa: ARG002
        return self.masked_training(**arguments)

    def diffusion_training(
        self,
        *,
        model: Section,
        diffusion: Section,
        parameters: Parameters,
        objective: Section,
        training: Section,
        **draws: np.ndarray,
    ) -> Tensors:
        known = self._diffusion(model, parameters)
        self._noise(diffusion, weighted=True)
        _only(training["schedule"] == "cosine", "a constant learning rate")
        _only(training["weight_decay"] == 0, "weight decay")
        return _train(self.diffusion, known, objective, training, draws)

    # --- the constants of a page

    def _masked(self, model: Section, parameters: Parameters) -> Tree:
        """Set the constants of a network; return its parameters as the page has them."""
        config = masked_configuration(model)
        vars(self.masked).update(
            _both(model), TOKENS=config.model.tokens, CODES=model["codebook_size"], MASK=config.model.mask_token
        )
        return tree(config, parameters)

    def _diffusion(self, model: Section, parameters: Parameters) -> Tree:
        names = ("shape", "patch_size", "time_features", "time_scale")
        vars(self.diffusion).update(_both(model), **{name.upper(): model[name] for name in names})
        return tree(diffusion_configuration(model), parameters)

    def _noise(self, diffusion: Section, *, weighted: bool = False, sampled: bool = False) -> None:
        """Set the constants of a noise schedule, also of the loss or of the sampler that uses it."""
        _only(diffusion["shift_at_noise"] is None, "a shift at noise")
        if weighted or sampled:
            _only(diffusion["prediction"] == "x0", "a prediction of anything but x0")
        if weighted:
            _only(diffusion["weight_derivative"], "a weight without the schedule's derivative")
        if sampled:
            _only(diffusion["sampler"] == "ancestral", "a sampler without noise")
            _only(diffusion["variance"] == "small", "another variance than the posterior's")
            _only(diffusion["clip"] is None, "a clip")
        self.diffusion.LOG_SNR_MIN, self.diffusion.LOG_SNR_MAX = diffusion["log_snr_min"], diffusion["log_snr_max"]
        self.diffusion.LOG_SNR_SHIFT, self.diffusion.WEIGHT_BIAS = diffusion["shift"], diffusion["bias"]

    def _masked_loss(
        self, *, model: Section, parameters: Parameters, reduction: str, label_smoothing: float, **question: Any
    ) -> Loss:
        _only(reduction == "mean_per_sample", "a sum over tokens")
        _only(label_smoothing == 0, "smoothing")
        known = self._masked(model, parameters)
        return Loss(self.masked.ilsd_loss, known, model["max_loops"], question)

    def _diffusion_loss(
        self, *, model: Section, diffusion: Section, parameters: Parameters, reduction: str, **question: Any
    ) -> Loss:
        _only(reduction == "mean_per_sample", "a sum over values")
        known = self._diffusion(model, parameters)
        self._noise(diffusion, weighted=True)
        return Loss(self.diffusion.ilsd_loss, known, model["max_loops"], question)


class Prepared(np.random.Generator):
    """A generator whose normal and Gumbel numbers are prepared arrays, in order: ``default_rng`` passes it through."""

    def __init__(self, noise: Sequence[np.ndarray]) -> None:
        super().__init__(np.random.PCG64(0))
        self.noise = iter(noise)

    def gumbel(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:  # noqa: ARG002  as in NumPy
        """Return the next array."""
        return self._next(size)

    def standard_normal(self, size: Any = None, dtype: Any = float, out: Any = None) -> Any:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the next array."""
        return self._next(size)

    def _next(self, size: Any) -> np.ndarray:
        array = next(self.noise)
        if array.shape != tuple(size):
            raise ValueError(f"noise: expected the shape {tuple(size)} that the page asks for, got {array.shape}")
        return array


def _only(holds: bool, what: str) -> None:
    if not holds:
        raise Unsupported(f"not on the page: {what}")


def _both(model: Section) -> dict[str, Any]:
    """Return the constants of a network that both pages have."""
    names = ("layers", "max_loops", "width", "heads", "mlp_width", "classes")
    return {name.upper(): model[name] for name in names} | {"NORM_EPSILON": model["layer_norm_epsilon"]}


def _sampling(sampling: Section, loops: Sequence[int]) -> Mapping[str, Any]:
    """Return arguments of a page's `sample`."""
    _only(len(set(loops)) == 1, "loops that change between steps")
    constant = sampling["guidance_schedule"] == "constant" or sampling["guidance_scale"] == 1
    _only(constant, "guidance that changes between steps")
    return {"loops": loops[0], "guidance": sampling["guidance_scale"], "steps": len(loops)}


def _train(module: Any, known: Tree, objective: Section, training: Section, draws: Mapping[str, np.ndarray]) -> Tensors:
    """Return the parameters, averages and losses of a training on a page."""
    _only(objective["reduction"] == "mean_per_sample", "a sum over tokens")
    _only(training["warmup_steps"] > 0, "training without a warm-up")
    names = ("learning_rate", "warmup_steps", "beta1", "beta2", "gradient_clip", "average_decay")
    vars(module).update({name.upper(): training[name] for name in names}, ADAM_EPSILON=training["epsilon"])
    module.LABEL_DROP_RATE = objective["label_drop_rate"]
    theta, unflatten = flatten(known)
    state, totals = (theta, 0 * theta, 0 * theta, theta), []
    for step in range(len(draws["student_loops"])):
        drawn = {name: array[step] for name, array in draws.items()}
        state, total = module.train_step(state, unflatten, **drawn, step=step, steps=training["steps"])
        totals.append(total)
    return {**prefixed(parameters=unflatten(state[0]), average=unflatten(state[3])), "total": np.stack(totals)}
