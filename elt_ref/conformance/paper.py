"""The pages as a backend: the second oracle of fresh questions, which answers where the pages reach.

A page has one setting for each choice of the paper and no function for some steps. There the answer is `Unsupported`.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from types import ModuleType
from typing import Any

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
        return _terms(*self._masked_loss(**arguments))

    def masked_gradient(self, **arguments: Any) -> Tensors:
        return _gradient(*self._masked_loss(**arguments))

    def diffusion_objective(self, **arguments: Any) -> Tensors:
        return _terms(*self._diffusion_loss(**arguments))

    def diffusion_gradient(self, **arguments: Any) -> Tensors:
        return _gradient(*self._diffusion_loss(**arguments))

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
        self,
        *,
        diffusion: Section,
        noisy: np.ndarray,
        clean: np.ndarray,
        noise: np.ndarray,
        log_snr_t: float,
        log_snr_s: float,
        last: bool,
    ) -> Tensors:
        self._noise(diffusion, sampled=True)
        _only(not last, "the step to the end")
        # The page takes times: those at which its schedule has the given levels.
        start, end = (np.arctan(np.exp(-diffusion[name] / 2)) for name in ("log_snr_max", "log_snr_min"))
        levels = np.array([log_snr_t, log_snr_s]) - diffusion["shift"]
        times = (np.arctan(np.exp(-levels / 2)) - start) / (end - start)
        return {"noisy": self.diffusion.denoise_step(noisy, clean, noise, *times)}

    # --- generating

    def decode_step(
        self,
        *,
        logits: np.ndarray,
        tokens: np.ndarray,
        start: np.ndarray,
        token_noise: np.ndarray,
        confidence_noise: np.ndarray,
        step: int,
        steps: int,
        mask_token: int,
        choice_temperature: float,
        sampling_temperature: str,
    ) -> Tensors:
        _only(sampling_temperature == "plain", "a temperature of sampling")
        vars(self.masked).update(MASK=mask_token, TOKENS=start, CHOICE_TEMPERATURE=choice_temperature)
        after, answer = self.masked.decode_step(logits, tokens, token_noise, confidence_noise, step, steps)
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
        self,
        *,
        tokens: np.ndarray,
        labels: np.ndarray,
        mask_ratio: np.ndarray,
        mask_order: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
        model: Section,
        parameters: Parameters,
        objective: Section,
        training: Section,
    ) -> Tensors:
        known = self._masked(model, parameters)
        _only(objective["label_smoothing"] == 0, "smoothing")
        _only(training["schedule"] == "constant", "a decay of the learning rate")
        self.masked.WEIGHT_DECAY = training["weight_decay"]
        draws = tokens, labels, mask_ratio, mask_order, label_drop, student_loops
        return _train(self.masked, known, objective, training, draws)

    def masked_training_across(self, *, processes: int, **arguments: Any) -> Tensors:  # noqa: ARG002
        return self.masked_training(**arguments)

    def diffusion_training(
        self,
        *,
        clean: np.ndarray,
        labels: np.ndarray,
        time: np.ndarray,
        noise: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
        model: Section,
        diffusion: Section,
        parameters: Parameters,
        objective: Section,
        training: Section,
    ) -> Tensors:
        known = self._diffusion(model, parameters)
        self._noise(diffusion, weighted=True)
        _only(training["schedule"] == "cosine", "a constant learning rate")
        _only(training["weight_decay"] == 0, "weight decay")
        draws = clean, labels, time, noise, label_drop, student_loops
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
        self,
        *,
        model: Section,
        parameters: Parameters,
        tokens: np.ndarray,
        mask: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
        label_smoothing: float,
    ) -> tuple[Any, Tree, int, int | None, float]:
        _only(reduction == "mean_per_sample", "a sum over tokens")
        _only(label_smoothing == 0, "smoothing")
        known = self._masked(model, parameters)

        def loss(tree: Tree, loops: int, weight: float) -> Any:
            return self.masked.ilsd_loss(tree, tokens, labels, mask, loops, weight)

        return loss, known, model["max_loops"], student_loops, truth_weight

    def _diffusion_loss(
        self,
        *,
        model: Section,
        diffusion: Section,
        parameters: Parameters,
        clean: np.ndarray,
        noise: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
    ) -> tuple[Any, Tree, int, int | None, float]:
        _only(reduction == "mean_per_sample", "a sum over values")
        known = self._diffusion(model, parameters)
        self._noise(diffusion, weighted=True)

        def loss(tree: Tree, loops: int, weight: float) -> Any:
            return self.diffusion.ilsd_loss(tree, clean, noise, time, labels, loops, weight)

        return loss, known, model["max_loops"], student_loops, truth_weight


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


def _terms(loss: Any, known: Tree, max_loops: int, student_loops: int | None, truth_weight: float) -> Tensors:
    """Return the terms of a loss. With the teacher as student and λ = 1, the page's loss is E5.1 twice."""
    teacher_truth = np.asarray(loss(known, max_loops, 1.0) / 2)
    if student_loops is None:
        return {"total": teacher_truth, "teacher_truth": teacher_truth}
    return {
        "total": np.asarray(loss(known, student_loops, truth_weight)),
        "teacher_truth": teacher_truth,
        "student_truth": np.asarray(loss(known, student_loops, 1.0) - teacher_truth),
        "distillation": np.asarray(loss(known, student_loops, 0.0) - teacher_truth),
    }


def _gradient(loss: Any, known: Tree, max_loops: int, student_loops: int | None, truth_weight: float) -> Tensors:
    def total(tree: Tree) -> Any:
        return loss(tree, max_loops, 1.0) / 2 if student_loops is None else loss(tree, student_loops, truth_weight)

    differentiate: Any = grad
    return dict(tree_items(differentiate(total)(known)))


def _sampling(sampling: Section, loops: Sequence[int]) -> Mapping[str, Any]:
    """Return arguments of a page's `sample`."""
    _only(len(set(loops)) == 1, "loops that change between steps")
    constant = sampling["guidance_schedule"] == "constant" or sampling["guidance_scale"] == 1
    _only(constant, "guidance that changes between steps")
    return {"loops": loops[0], "guidance": sampling["guidance_scale"], "steps": len(loops)}


def _train(module: Any, known: Tree, objective: Section, training: Section, draws: Sequence[np.ndarray]) -> Tensors:
    """Return the parameters, averages and losses of a training on a page."""
    _only(objective["reduction"] == "mean_per_sample", "a sum over tokens")
    _only(training["warmup_steps"] > 0, "training without a warm-up")
    names = ("learning_rate", "warmup_steps", "beta1", "beta2", "gradient_clip", "average_decay")
    vars(module).update({name.upper(): training[name] for name in names}, ADAM_EPSILON=training["epsilon"])
    module.LABEL_DROP_RATE = objective["label_drop_rate"]
    theta, unflatten = flatten(known)
    state, totals = (theta, 0 * theta, 0 * theta, theta), []
    for step, drawn in enumerate(zip(*draws, strict=True)):
        state, total = module.train_step(state, unflatten, *drawn, step, training["steps"])
        totals.append(total)
    return {**prefixed(parameters=unflatten(state[0]), average=unflatten(state[3])), "total": np.stack(totals)}
