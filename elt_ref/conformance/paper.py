"""The pages as a backend: the second oracle of fresh questions, which answers where the pages reach.

A page has one setting for each choice of the paper and no function for some steps. There the answer is `Unsupported`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.misc import flatten

from elt_ref.arrays import Tree, tree_items, tree_map
from elt_ref.config import DiffusionExperiment, DriftingExperiment, MaskedExperiment
from elt_ref.conformance.backend import Parameters, Section, Tensors, Unsupported
from elt_ref.conformance.reference import like, nested, of_family, prefixed, tree
from elt_ref.paper.mistakes import PAGES, Mistake, page_with


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


class Handed(BaseException):
    """What a function of a page was handed, by name."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments


@contextmanager
def replaced(module: Any, **names: Any) -> Iterator[None]:
    """Give a page other functions for a while."""
    before = {name: vars(module)[name] for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(before)


def handed(module: Any, name: str, call: Callable[[], Any]) -> Mapping[str, Any]:
    """Return the arguments of the first call of a page's function while `call` runs, which ends there."""
    signature = inspect.signature(vars(module)[name])

    def stop(*arguments: Any, **named: Any) -> None:
        raise Handed(signature.bind_partial(*arguments, **named).arguments)

    with replaced(module, **{name: stop}):
        try:
            call()
        except Handed as found:
            return found.arguments
    raise Unsupported(f"not on the page: a call of {name}")


class PaperBackend:
    """The functions of the pages as operations.

    What a page does within a longer function is seen in what it hands to the next one: the mask of a training step in
    the arguments of the loss, say.
    """

    def __init__(self, mistake: Mistake | None = None) -> None:
        """Args: mistake: one to make on the pages."""
        self.masked, self.diffusion, self.drifting = (page_with(name, mistake) for name in PAGES)
        changed = {change.page for change in mistake.changes} if mistake else set[str]()
        self.either = self.diffusion if changed == {"diffusion"} else self.masked
        """The page that is asked for what all have."""

    # --- networks

    def masked_layer(self, *, parameters, x, heads, epsilon) -> Tensors:
        vars(self.masked).update(HEADS=heads, NORM_EPSILON=epsilon)
        return {"x": self.masked.layer(x, nested(parameters))}

    def diffusion_layer(self, *, parameters, x, conditioning, heads, epsilon) -> Tensors:
        vars(self.diffusion).update(HEADS=heads, NORM_EPSILON=epsilon)
        return {"x": self.diffusion.layer(x, conditioning, nested(parameters))}

    def masked_states(self, *, model, parameters, loops, **inputs) -> Tensors:
        return {"states": _states(self.masked, self._masked(model, parameters), loops, inputs)}

    def masked_forward(self, *, model, parameters, loops, **inputs) -> Tensors:
        return {"logits": self.masked.forward(self._masked(model, parameters), loops=loops, **inputs)}

    def diffusion_states(self, *, model, parameters, loops, **inputs) -> Tensors:
        return {"states": _states(self.diffusion, self._diffusion(model, parameters), loops, inputs)}

    def diffusion_forward(self, *, model, parameters, loops, **inputs) -> Tensors:
        return {"prediction": self.diffusion.forward(self._diffusion(model, parameters), loops=loops, **inputs)}

    def drifting_states(self, *, model, parameters, loops, **inputs) -> Tensors:
        known = self._drifting(model, parameters)
        return {"states": _states(self.drifting, known, loops, inputs, self.drifting.network)}

    def drifting_forward(self, *, model, parameters, loops, **inputs) -> Tensors:
        return {"samples": self.drifting.forward(self._drifting(model, parameters), loops=loops, **inputs)}

    # --- objectives

    def masked_objective(self, **arguments) -> Tensors:
        return self._masked_loss(**arguments).terms()

    def masked_gradient(self, **arguments) -> Tensors:
        return self._masked_loss(**arguments).gradient()

    def diffusion_objective(self, **arguments) -> Tensors:
        return self._diffusion_loss(**arguments).terms()

    def diffusion_gradient(self, **arguments) -> Tensors:
        return self._diffusion_loss(**arguments).gradient()

    def drifting_objective(self, **arguments) -> Tensors:
        return self._drifting_loss(**arguments).terms()

    def drifting_gradient(self, **arguments) -> Tensors:
        return self._drifting_loss(**arguments).gradient()

    def drift_field(self, *, queries, positives, temperatures) -> Tensors:
        self.drifting.TEMPERATURES = tuple(temperatures)
        field, unit = self.drifting.drift(queries[None], positives[None])
        return {"field": field[0].astype(queries.dtype), "scale": unit.astype(queries.dtype).reshape(())}

    # --- diffusion

    def log_snr(self, *, diffusion, time) -> Tensors:
        self._noise(diffusion)
        log_snr, _, _, slope = self.diffusion.noise_schedule(time)
        return {"log_snr": log_snr, "derivative": -slope}

    def loss_weight(self, *, diffusion, time) -> Tensors:
        self._noise(diffusion, weighted=True)
        target = np.zeros((len(time), 1, 1, 1))  # pictures of one value
        differentiate: Any = grad
        slopes = differentiate(lambda prediction: self.diffusion.squared_error(target, prediction, time))(target + 1)
        return {"weight": len(time) / 2 * slopes.ravel()}

    def denoise_step(self, *, diffusion, log_snr_t, log_snr_s, last, **pictures) -> Tensors:
        self._noise(diffusion, sampled=True)
        if last:
            return {
                "noisy": self._last_step(diffusion | {"log_snr_min": log_snr_t, "log_snr_max": log_snr_s}, **pictures)
            }
        time, time_next = self._times(np.array([log_snr_t, log_snr_s]))
        return {"noisy": self.diffusion.denoise_step(**pictures, time=time, time_next=time_next)}

    def _last_step(self, diffusion: Section, noisy: np.ndarray, clean: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return what a sampling of one step gives, from the highest level of a schedule to the lowest."""
        self._noise(diffusion)
        with replaced(self.diffusion, forward=lambda *_: clean, SHAPE=noisy.shape[1:], LOG_SNR_SHIFT=0.0):
            return self.diffusion.sample(None, np.zeros(len(noisy), int), 1, steps=1, seed=Prepared([noisy, noise]))

    def to_clean(self, *, kind, prediction, noisy, log_snr) -> Tensors:
        _only(kind == "x0", "a prediction of anything but x0")
        clean = [self._read_clean(*each) for each in zip(prediction, noisy, log_snr, strict=True)]
        return {"clean": np.stack(clean)}

    def _read_clean(self, prediction: np.ndarray, noisy: np.ndarray, log_snr: float) -> np.ndarray:
        """Return the clean picture that a sampling of one step, from this level, reads from a prediction."""
        self._noise(WIDE)
        page, noise = self.diffusion, Prepared([noisy[None], noisy[None]])
        with replaced(page, forward=lambda *_: prediction[None], SHAPE=noisy.shape, LOG_SNR_MIN=float(log_snr)):
            step = handed(page, "denoise_step", lambda: page.sample(None, np.zeros(1, int), 1, steps=1, seed=noise))
        return step["clean"][0]

    def add_noise(self, *, clean, noise, log_snr) -> Tensors:
        self._noise(WIDE)
        time = self._times(np.asarray(log_snr, np.float64))
        loss = self.diffusion.ilsd_loss
        arguments = {"embedding": {}}, clean, noise, time, None, 1, 1.0
        return {"noisy": handed(self.diffusion, "embed", lambda: loss(*arguments))["noisy"].astype(clean.dtype)}

    def prediction_target(self, *, kind, clean, noise, log_snr) -> Tensors:
        _only(kind == "x0", "a prediction of anything but x0")
        self._noise(WIDE)
        page, time = self.diffusion, self._times(np.asarray(log_snr, np.float64))
        parts = {"embed": lambda *_, **__: (clean, None), "loop_states": lambda x, *_: [x], "head": lambda *_: clean}
        with replaced(page, MAX_LOOPS=1, **parts):
            loss = page.ilsd_loss
            arguments = {"embedding": {}, "block": []}, clean, noise, time, None, 1, 1.0
            return {"target": handed(page, "squared_error", lambda: loss(*arguments))["target"]}

    def time_grid(self, *, steps) -> Tensors:
        times = []

        def stepped(*arguments: Any) -> Any:
            times.extend(arguments[-2:])
            return arguments[0]

        self.diffusion.SHAPE = (1, 1, 1)
        with replaced(self.diffusion, forward=lambda _, noisy, *__: noisy, denoise_step=stepped):
            self.diffusion.sample(None, np.zeros(1, int), 1, steps=steps)
        return {"times": np.array([*times[::2], times[-1]])}

    # --- parts of the diffusion network

    def positions(self, *, rows, columns, width) -> Tensors:
        with replaced(self.diffusion, linear=lambda *_, **__: 0.0, SHAPE=(rows, columns, 1), PATCH_SIZE=1, WIDTH=width):
            return {"positions": self._read(np.zeros((1, rows, columns, 1)), np.zeros(1))}

    def time_features(self, *, time, width, scale) -> Tensors:
        with replaced(self.diffusion, TIME_FEATURES=width, TIME_SCALE=scale, SHAPE=(1, 1, 1), PATCH_SIZE=1):
            read = handed(self.diffusion, "linear", lambda: self._read(np.zeros((1, 1, 1, 1)), time.astype(float)))
        return {"features": read["x"].astype(time.dtype)}

    def patchify(self, *, samples, patch_size) -> Tensors:
        read = []

        def linear(x: Any, **_: Any) -> float:
            read.append(x)
            return 0.0

        sizes = {"SHAPE": samples.shape[1:], "PATCH_SIZE": patch_size, "WIDTH": 4}
        with replaced(self.diffusion, linear=linear, **sizes):
            self._read(samples, np.zeros(len(samples)))
        return {"patches": read[-1]}

    def unpatchify(self, *, patches, shape, patch_size) -> Tensors:
        page, sizes = self.diffusion, {"SHAPE": tuple(shape), "PATCH_SIZE": patch_size}
        parts = {"modulation": lambda *_: (0.0, 0.0), "layer_norm": lambda x, *_: x, "linear": lambda x: x}
        with replaced(page, **sizes, **parts):
            return {"samples": page.head({"head": {"modulation": {}, "output": {}}}, patches, None)}

    def _read(self, noisy: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return what the page's `embed` gives for linear maps that are replaced, and for labels that are all 0."""
        return self.diffusion.embed(noisy, time, 0, {}, {}, {}, np.zeros((1, 1)))[0]

    # --- generating

    def guide(self, *, conditional, unconditional, scale) -> Tensors:
        page, predictions = self.either, iter((conditional, unconditional))
        name, argument = ("decode_step", "logits") if page is self.masked else ("denoise_step", "clean")
        sizes = {"TOKENS": 1} if page is self.masked else {"SHAPE": conditional.shape[1:]}
        labels = np.zeros(len(conditional), int)
        with replaced(page, forward=lambda *_, **__: next(predictions), **sizes):
            step = handed(page, name, lambda: page.sample(None, labels, 1, guidance=scale, steps=1))
        return {"guided": step[argument]}

    def mask_lengths(self, *, start, steps) -> Tensors:
        tokens = np.where(np.arange(max(1, start.max())) < start[:, None], -1, 0)
        logits, noise, lengths = np.zeros((*tokens.shape, 1)), np.zeros(tokens.shape), []
        with replaced(self.masked, MASK=-1, TOKENS=start):
            for step in range(steps):
                tokens, _ = self.masked.decode_step(logits, tokens, logits, noise, step, steps)
                lengths.append((tokens == -1).sum(axis=1))
        return {"lengths": np.stack(lengths)}

    def decode_step(
        self, *, token_noise, start, step, steps, mask_token, choice_temperature, sampling_temperature, **arrays
    ) -> Tensors:
        constants = {"MASK": mask_token, "TOKENS": start, "CHOICE_TEMPERATURE": choice_temperature}
        noise = _temperature(sampling_temperature, step, steps) * token_noise
        with replaced(self.masked, **constants):
            after, answer = self.masked.decode_step(**arrays, token_noise=noise, step=step, steps=steps)
        return {"tokens": after, "answer": answer}

    def masked_sample(
        self, *, model, sampling, parameters, tokens, labels, token_noise, confidence_noise, loops
    ) -> Tensors:
        known = self._masked(model, parameters)
        start = {"TOKENS": (tokens == self.masked.MASK).sum(axis=1), "np": Starting(tokens)}
        noise = []
        for step in range(len(loops)):
            temperature = _temperature(sampling["sampling_temperature"], step, len(loops))
            noise += [temperature * token_noise[step], confidence_noise[step]]
        with replaced(self.masked, CHOICE_TEMPERATURE=sampling["choice_temperature"], **start):
            return {"tokens": _sampled(self.masked, "decode_step", known, labels, sampling, loops, Prepared(noise))}

    def diffusion_sample(
        self, *, model, diffusion, sampling, parameters, labels, initial_noise, step_noise, loops
    ) -> Tensors:
        known = self._diffusion(model, parameters)
        self._noise(diffusion, sampled=True)
        noise = Prepared([initial_noise, *step_noise])
        return {"samples": _sampled(self.diffusion, "denoise_step", known, labels, sampling, loops, noise)}

    # --- one step of training

    def mask_tokens(self, *, ratio, order) -> Tensors:
        drawn = {"mask_ratio": np.asarray(ratio, np.float64), "mask_order": order, "label_drop": np.ones(len(ratio))}
        with replaced(self.masked, TOKENS=order.shape[1]):
            return {"mask": self._handed_loss(self.masked, labels=np.zeros(len(ratio), int), **drawn)["mask"]}

    def drop_labels(self, *, labels, draws, rate, classes) -> Tensors:
        vars(self.either).update(CLASSES=classes, LABEL_DROP_RATE=rate)
        return {"labels": self._handed_loss(self.either, labels=labels, label_drop=draws)["labels"]}

    def truth_weights(self, *, steps) -> Tensors:
        given = [self._handed_loss(self.either, step=step, steps=steps) for step in range(steps)]
        return {"weights": np.array([each["truth_weight"] for each in given], float)}

    def student_draws(self, *, min_loops, max_loops, count, seed) -> Tensors:
        _only(min_loops == 1, "another least number of loops than 1")
        sizes = {"BATCH_SIZE": 1, "MAX_LOOPS": max_loops} | ({"TOKENS": 1} if self.either is self.masked else {})
        random = np.random.default_rng(seed)
        with replaced(self.either, **sizes):
            return {"loops": np.array([self.either.draw(random)[-1] for _ in range(count)])}

    def optimizer_step(self, *, training, step, parameters, gradient, first, second) -> Tensors:
        page = self._scheduled(training)
        _only(page is self.masked or training["weight_decay"] == 0, "weight decay with a cosine")
        _learns(page, {**training, "gradient_clip": np.inf})
        gradient, first, second = (nested(like(parameters, leaves)) for leaves in (gradient, first, second))
        known = nested(parameters)
        new, first, second, _ = _updated(page, gradient, known, first, second, known, step, training["steps"])
        return prefixed(parameters=new, first=first, second=second)

    def clip_gradient(self, *, gradient, largest) -> Tensors:
        _learns(self.either, NEUTRAL | {"gradient_clip": largest})
        known = nested(gradient)
        vector, _ = flatten(known)
        _, clipped, *_ = _updated(self.either, known, *[known] * 4, 0, 1)
        return {**prefixed(gradient=clipped), "norm": np.sqrt(vector @ vector)}

    def learning_rates(self, *, training) -> Tensors:
        page, zero, steps = self._scheduled(training), {"": np.zeros(1)}, training["steps"]
        _learns(page, NEUTRAL | {name: training[name] for name in ("learning_rate", "warmup_steps")} | {"epsilon": 0.0})
        moved = [_updated(page, {"": np.ones(1)}, *[zero] * 4, step, steps)[0][""] for step in range(steps)]
        return {"rates": -np.concatenate(moved)}

    def moving_average(self, *, average, parameters, decay) -> Tensors:
        _learns(self.either, NEUTRAL | {"learning_rate": 0.0, "average_decay": decay})
        known, before = nested(like(average, parameters)), nested(average)
        return prefixed(average=_updated(self.either, known, known, known, tree_map(abs, known), before, 0, 1)[3])

    def _handed_loss(self, page: Any, **asked: Any) -> Mapping[str, Any]:
        """Return what a training step hands to the loss."""
        return handed(page, "ilsd_loss", lambda: _step(page, **asked))

    def _scheduled(self, training: Section) -> Any:
        """Return the page whose learning rate has the asked schedule."""
        _only(training["warmup_steps"] > 0, "training without a warm-up")
        return {"constant": self.masked, "cosine": self.diffusion}[training["schedule"]]

    # --- training

    def masked_training(self, *, model, parameters, objective, training, **draws) -> Tensors:
        known = self._masked(model, parameters)
        _only(objective["label_smoothing"] == 0, "smoothing")
        return self._train(self.masked, known, objective, training, draws)

    def masked_training_across(self, *, processes, **arguments) -> Tensors:  # noqa: ARG002
        return self.masked_training(**arguments)

    def diffusion_training(self, *, model, diffusion, parameters, objective, training, **draws) -> Tensors:
        known = self._diffusion(model, parameters)
        self._noise(diffusion, weighted=True)
        return self._train(self.diffusion, known, objective, training, draws)

    def _train(
        self, page: Any, known: Tree, objective: Section, training: Section, draws: Mapping[str, np.ndarray]
    ) -> Tensors:
        """Return the parameters, averages and losses of a training on a page.

        A learning rate that the page has not is the other page's, and the warm-up is so long that nothing else changes
        it. Weight decay that the page has not is subtracted after its step.
        """
        _only(objective["reduction"] == "mean_per_sample", "a sum over tokens")
        steps, decay = training["steps"], 0.0 if page is self.masked else training["weight_decay"]
        rates = (
            None if page is self._scheduled(training) and not decay else self.learning_rates(training=training)["rates"]
        )
        _learns(page, training)
        page.LABEL_DROP_RATE = objective["label_drop_rate"]
        (theta, unflatten), (decayed, _) = flatten(known), flatten(self.masked.decay_mask(known))
        state, totals = (theta, 0 * theta, 0 * theta, theta), []
        for step in range(len(draws["student_loops"])):
            before = state[0]
            if rates is not None:
                vars(page).update(LEARNING_RATE=rates[step] * (steps + 1) / (step + 1), WARMUP_STEPS=steps + 1)
            drawn = {name: array[step] for name, array in draws.items()}
            state, total = page.train_step(state, unflatten, **drawn, step=step, steps=steps)
            if rates is not None and decay:
                lost = rates[step] * decay * decayed * before
                state = (state[0] - lost, *state[1:3], state[3] - (1 - page.AVERAGE_DECAY) * lost)
            totals.append(total)
        return {**prefixed(parameters=unflatten(state[0]), average=unflatten(state[3])), "total": np.stack(totals)}

    # --- the constants of a page

    def _masked(self, model: Section, parameters: Parameters) -> Tree:
        """Set the constants of a network; return its parameters as the page has them."""
        config = of_family(MaskedExperiment, model)
        vars(self.masked).update(
            _both(model), TOKENS=config.model.tokens, CODES=model["codebook_size"], MASK=config.model.mask_token
        )
        return tree(config, parameters)

    def _diffusion(self, model: Section, parameters: Parameters) -> Tree:
        names = ("shape", "patch_size", "time_features", "time_scale")
        vars(self.diffusion).update(_both(model), **{name.upper(): model[name] for name in names})
        return tree(of_family(DiffusionExperiment, model), parameters)

    def _drifting(self, model: Section, parameters: Parameters) -> Tree:
        names = ("shape", "patch_size")
        vars(self.drifting.network).update(_both(model), **{name.upper(): model[name] for name in names})
        return tree(of_family(DriftingExperiment, model), parameters)

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

    def _times(self, log_snr: np.ndarray) -> np.ndarray:
        """Return the times at which the page's schedule has some levels."""
        page = self.diffusion
        start, end = (np.arctan(np.exp(-bound / 2)) for bound in (page.LOG_SNR_MAX, page.LOG_SNR_MIN))
        return (np.arctan(np.exp((page.LOG_SNR_SHIFT - log_snr) / 2)) - start) / (end - start)

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

    def _drifting_loss(
        self, *, model: Section, parameters: Parameters, temperatures: Sequence[float], reduction: str, **question: Any
    ) -> Loss:
        _only(reduction == "mean_per_sample", "a sum over values")
        self.drifting.TEMPERATURES = tuple(temperatures)
        return Loss(self.drifting.ilsd_loss, self._drifting(model, parameters), model["max_loops"], question)


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


WIDE = {"log_snr_min": -15.0, "log_snr_max": 15.0, "shift": 0.0, "bias": 0.0, "shift_at_noise": None}
"""A schedule that has every level a question may name."""


def _step(page: Any, **asked: Any) -> Any:
    """Return what a page's training step gives for one picture of one value; what is asked stands instead."""
    given = dict.fromkeys(inspect.signature(page.train_step).parameters, np.zeros(1)) | {
        "state": [np.zeros(1)] * 4,
        "unflatten": lambda vector: vector,
        "labels": np.zeros(1, int),
        "mask_order": np.zeros((1, 1)),
        "student_loops": 1,
        "step": 0,
        "steps": 1,
    }
    known = {name: value for name, value in (given | asked).items() if name in given}
    return page.train_step(**{name: known[name] for name in inspect.signature(page.train_step).parameters})


def _updated(page: Any, gradient: Tree, *state: Any) -> list[Tree]:
    """Return parameters, moments and average after a page's training step with a given gradient.

    Args:
        page: the page.
        gradient: the gradient, which must not be zero: a page divides by its norm.
        state: parameters, first and second moment, average, the step's number and the number of steps.
    """
    vectors, unflatten = [flatten(each)[0] for each in state[:4]], flatten(state[0])[1]
    _only(any(leaf.any() for _, leaf in tree_items(gradient)), "a gradient of zero")
    with replaced(page, value_and_grad=lambda _: lambda *__: (0.0, gradient)):
        after, _ = _step(page, state=vectors, unflatten=unflatten, step=state[4], steps=state[5])
    return [unflatten(vector) for vector in after]


def _only(holds: bool, what: str) -> None:
    if not holds:
        raise Unsupported(f"not on the page: {what}")


def _both(model: Section) -> dict[str, Any]:
    """Return the constants of a network that all pages have."""
    names = ("layers", "max_loops", "width", "heads", "mlp_width", "classes")
    return {name.upper(): model[name] for name in names} | {"NORM_EPSILON": model["layer_norm_epsilon"]}


def _states(page: Any, known: Tree, loops: int, inputs: Mapping[str, Any], network: Any = None) -> np.ndarray:
    """Return the states of the loops of a page's `forward`, whose loops may stand on another page."""
    network = network or page
    states, original = [], network.loop_states

    def kept(*arguments: Any) -> Iterator[Any]:
        for state in original(*arguments):
            states.append(state)
            yield state

    with replaced(network, loop_states=kept):
        page.forward(known, loops=loops, **inputs)
    return np.stack(states)


def _sampled(
    page: Any,
    step_name: str,
    known: Tree,
    labels: np.ndarray,
    sampling: Section,
    loops: Sequence[int],
    noise: Prepared,
) -> np.ndarray:
    """Return what a page's `sample` gives; it is told one number of loops, which means that of the step at hand."""
    constant = sampling["guidance_schedule"] == "constant" or sampling["guidance_scale"] == 1
    _only(constant, "guidance that changes between steps")
    forward, stepped = page.forward, vars(page)[step_name]
    signature = inspect.signature(forward)
    asked = Asked(loops[0])
    asked.left = list(loops)

    def with_loops(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named).arguments
        return forward(**given | {"loops": asked.left[0] if given["loops"] is asked else given["loops"]})

    def next_step(*arguments: Any, **named: Any) -> Any:
        asked.left.pop(0)
        return stepped(*arguments, **named)

    with replaced(page, **{"forward": with_loops, step_name: next_step}):
        return page.sample(known, labels, asked, guidance=sampling["guidance_scale"], steps=len(loops), seed=noise)


def _temperature(preset: str, step: int, steps: int) -> float:
    """Return the temperature of sampling; a page has none, but logits / T + noise are logits + T · noise, over T."""
    return {"plain": 1.0, "elt": 0.5 + 0.8 * (1 - (step + 1) / steps)}[preset]


class Starting:
    """NumPy for a page's `sample`, which makes one array of masks to start with: here it is another start."""

    def __init__(self, start: np.ndarray) -> None:
        self.start = start

    def full(self, shape: Any, *arguments: Any, **named: Any) -> Any:
        """Return the start for rows of tokens, and what NumPy returns for labels."""
        return self.start if isinstance(shape, tuple) and len(shape) == 2 else anp.full(shape, *arguments, **named)  # pyright: ignore[reportAttributeAccessIssue]

    def __getattr__(self, name: str) -> Any:
        return getattr(anp, name)


class Asked(int):
    """The number of loops that a page's `sample` is told: that of the step at hand, also where it is compared."""

    left: list[int]
    """Loops of the steps that are left."""

    def __lt__(self, other: int) -> bool:
        return self.left[0] < other

    def __gt__(self, other: int) -> bool:
        return self.left[0] > other


NEUTRAL = {
    "learning_rate": 1.0,
    "warmup_steps": 1,
    "beta1": 0.0,
    "beta2": 0.0,
    "epsilon": 1.0,
    "weight_decay": 0.0,
    "gradient_clip": np.inf,
    "average_decay": 0.0,
}
"""Settings of a training step in which each part leaves the others' numbers alone."""


def _learns(page: Any, training: Section) -> None:
    """Set the constants of training on a page."""
    names = ("learning_rate", "warmup_steps", "beta1", "beta2", "gradient_clip", "average_decay", "weight_decay")
    given = {name.upper(): training[name] for name in names}
    vars(page).update({name: value for name, value in given.items() if hasattr(page, name)})
    page.ADAM_EPSILON = training["epsilon"]
