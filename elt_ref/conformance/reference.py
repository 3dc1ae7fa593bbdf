"""The reference as a backend: it translates arguments and calls the package's public functions, and nothing more.

No loss, gradient, schedule, optimizer step or sampler is put together here: what is judged is what ships.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

import elt_ref
from elt_ref.arrays import Tree, tree_items, tree_rebuild
from elt_ref.config import (
    DiffusionConfig,
    DiffusionExperiment,
    DriftingExperiment,
    Experiment,
    MaskedExperiment,
    SamplingConfig,
    TrainingConfig,
    parse_section,
    validate,
)
from elt_ref.conformance.backend import Description, Parameters, Section, Tensors, Unsupported
from elt_ref.conformance.operations import OPERATIONS, TAPS
from elt_ref.errors import RequestError
from elt_ref.generation import DecodeNoise, decode, decode_step, denoise, denoise_step, guide, known_start
from elt_ref.idea import EXTRA, Idea
from elt_ref.measure import count, fit_gaussian, frechet_distance, inception_score
from elt_ref.model import (
    NETWORKS,
    Network,
    add_noise,
    block_of,
    declare_parameters,
    forward,
    prediction_target,
    to_x0,
    with_idea,
)
from elt_ref.model.diffusion import modulate, patchify, unpatchify
from elt_ref.model.loop import adaln_zero_layer, post_norm_layer
from elt_ref.model.positions import sine_cosine_positions, time_features
from elt_ref.objective import (
    Batch,
    DiffusionDraws,
    Draws,
    DriftingDraws,
    LossTerms,
    MaskedDraws,
    MaskedTarget,
    StudentLoops,
    corrupt_diffusion,
    draw_student,
    drift_field,
    drop_labels,
    loss_weight,
    mask_tokens,
    pair_drifting,
)
from elt_ref.ops import silu
from elt_ref.schedules import (
    guidance_scale_at,
    learning_rate_at,
    log_snr,
    log_snr_derivative,
    mask_lengths,
    time_grid,
    truth_weight_at,
)
from elt_ref.streams import stream
from elt_ref.tokenizer import VectorQuantiser
from elt_ref.training import (
    Moments,
    TrainState,
    adamw,
    clip_gradient,
    idea_loss_and_gradient,
    loss_and_gradient,
    moving_average,
    train_step,
    zero_moments,
)

NAME = "elt_ref"


class ReferenceBackend:
    """The package, held to its own choices."""

    name = NAME
    choices: Mapping[str, str] = {"sampling.schedule_precision": "float64"}
    idea: Idea | None = None
    """Functions in the place of the package's; see `elt_ref.conformance.idea_backend`."""

    def describe(self) -> Description:
        """Return what the backend is: it offers everything."""
        return Description(self.name, elt_ref.__version__, (*OPERATIONS, *TAPS), choices=self.choices)

    # --- layers and parts of the networks

    def masked_layer(self, *, parameters, x, heads, epsilon) -> Tensors:
        layer = _layer(self.idea, post_norm_layer)
        return {"x": layer(nested(parameters), x, heads=heads, epsilon=epsilon)}

    def diffusion_layer(self, *, parameters, x, conditioning, heads, epsilon) -> Tensors:
        layer = nested(parameters)
        modulation = modulate(layer["modulation"], silu(conditioning), 6)
        function = _layer(self.idea, adaln_zero_layer)
        return {"x": function({"layer": layer, "modulation": modulation}, x, heads=heads, epsilon=epsilon)}

    def positions(self, *, rows, columns, width) -> Tensors:
        return {"positions": sine_cosine_positions(rows, columns, width)}

    def time_features(self, *, time, width, scale) -> Tensors:
        return {"features": time_features(time, width, scale).astype(time.dtype)}

    def patchify(self, *, samples, patch_size) -> Tensors:
        return {"patches": patchify(samples, patch_size)}

    def unpatchify(self, *, patches, shape, patch_size) -> Tensors:
        return {"samples": np.asarray(unpatchify(patches, shape, patch_size))}

    # --- networks

    def masked_states(self, *, model, parameters, tokens, labels, loops) -> Tensors:
        return {"states": _states(self.idea, model, parameters, loops, tokens, labels)}

    def masked_forward(self, *, model, parameters, tokens, labels, loops) -> Tensors:
        return {"logits": _forward(self.idea, model, parameters, loops, tokens, labels)}

    def diffusion_states(self, *, model, parameters, noisy, time, labels, loops) -> Tensors:
        return {"states": _states(self.idea, model, parameters, loops, noisy, time, labels)}

    def diffusion_forward(self, *, model, parameters, noisy, time, labels, loops) -> Tensors:
        return {"prediction": _forward(self.idea, model, parameters, loops, noisy, time, labels)}

    def drifting_states(self, *, model, parameters, noise, labels, loops) -> Tensors:
        return {"states": _states(self.idea, model, parameters, loops, noise, labels)}

    def drifting_forward(self, *, model, parameters, noise, labels, loops) -> Tensors:
        return {"samples": _forward(self.idea, model, parameters, loops, noise, labels)}

    def masked_layers(self, *, model, parameters, tokens, labels, loops) -> Tensors:
        return {"layers": _layers(self.idea, model, parameters, loops, tokens, labels)}

    def diffusion_layers(self, *, model, parameters, noisy, time, labels, loops) -> Tensors:
        return {"layers": _layers(self.idea, model, parameters, loops, noisy, time, labels)}

    # --- objectives

    def masked_objective(self, **arguments) -> Tensors:
        return scalars(self._masked_loss(**arguments)[0], arguments["student_loops"])

    def masked_gradient(self, **arguments) -> Tensors:
        return _gradient(self._masked_loss(**arguments)[1])

    def diffusion_objective(self, **arguments) -> Tensors:
        return scalars(self._diffusion_loss(**arguments)[0], arguments["student_loops"])

    def diffusion_gradient(self, **arguments) -> Tensors:
        return _gradient(self._diffusion_loss(**arguments)[1])

    def drifting_objective(self, **arguments) -> Tensors:
        return scalars(self._drifting_loss(**arguments)[0], arguments["student_loops"])

    def drifting_gradient(self, **arguments) -> Tensors:
        return _gradient(self._drifting_loss(**arguments)[1])

    def drift_field(self, *, queries, positives, temperatures) -> Tensors:
        field = drift_field(queries, positives, temperatures=tuple(temperatures))
        return {"field": field.drift.astype(queries.dtype), "scale": np.asarray(field.scale, queries.dtype)}

    def _masked_loss(
        self, *, model, parameters, tokens, mask, labels, reduction, label_smoothing, **weighed
    ) -> tuple[LossTerms, Tree]:
        kind = kind_of(weighed["student_loops"])
        objective = {"kind": kind, "reduction": reduction, "label_smoothing": label_smoothing}
        config = of_family(MaskedExperiment, model, objective=objective)
        seen = np.where(mask, config.model.mask_token, tokens.astype(np.int64))
        target = MaskedTarget(tokens, mask, reduction, label_smoothing)
        return self._differentiated(config, parameters, (seen, labels), target, **weighed)

    def _diffusion_loss(
        self, *, model, diffusion, parameters, clean, noise, time, labels, reduction, **weighed
    ) -> tuple[LossTerms, Tree]:
        kind = kind_of(weighed["student_loops"])
        objective = {"kind": kind, "reduction": reduction, "label_drop_rate": 0.5}
        config = of_family(DiffusionExperiment, model, diffusion=diffusion, objective=objective)
        dropped = labels == config.model.unconditional_class  # a batch has classes only: the others are dropped
        draws = DiffusionDraws(
            np.asarray(time, np.float64), noise, np.where(dropped, 0.0, 1.0), weighed["student_loops"]
        )
        inputs, target = corrupt_diffusion(config, Batch(clean, np.where(dropped, 0, labels)), draws)
        return self._differentiated(config, parameters, inputs, target, **weighed)

    def _differentiated(
        self, config: Experiment, parameters: Parameters, inputs: tuple[Any, ...], target: Any, **weighed: Any
    ) -> tuple[LossTerms, Tree]:
        if self.idea is None:
            return loss_and_gradient(tree(config, parameters), config, inputs, target, **weighed)
        if self.idea.draw_exits is not None:
            weighed["student_loops"] = draw_student(config, 0, self.idea)
        return idea_loss_and_gradient(self.idea, tree(config, parameters, self.idea), config, inputs, target, **weighed)

    def _drifting_loss(
        self, *, model, parameters, positives, labels, noise, temperatures, reduction, **weighed
    ) -> tuple[LossTerms, Tree]:
        drifting = {"temperatures": temperatures, "classes_per_step": len(labels), "positives": positives.shape[1]}
        objective = {"kind": kind_of(weighed["student_loops"]), "reduction": reduction}
        training = {"batch_size": len(noise)}
        config = of_family(DriftingExperiment, model, drifting=drifting, objective=objective, training=training)
        draws = DriftingDraws(noise, weighed["student_loops"])
        inputs, target = pair_drifting(config, Batch(positives, labels), draws)
        return self._differentiated(config, parameters, inputs, target, **weighed)

    def truth_weights(self, *, steps) -> Tensors:
        weight_at = (self.idea and self.idea.truth_weight_at) or truth_weight_at
        return {"weights": np.array([weight_at(step, steps) for step in range(steps)])}

    def student_draws(self, *, min_loops, max_loops, count, seed) -> Tensors:
        config = configuration({**SMALLEST, "max_loops": max_loops}, objective={"min_loops": min_loops})
        config = config.model_copy(update={"seed": seed})
        return {"loops": np.array([_student(draw_student(config, step, self.idea)) for step in range(count)])}

    def mask_tokens(self, *, ratio, order) -> Tensors:
        return {"mask": mask_tokens(np.asarray(ratio, np.float64), order)}

    def drop_labels(self, *, labels, draws, rate, classes) -> Tensors:
        return {"labels": drop_labels(labels, draws, rate=rate, unconditional=classes)}

    # --- diffusion

    def log_snr(self, *, diffusion, time) -> Tensors:
        section = parse_section(DiffusionConfig, diffusion)
        values = log_snr(time, section), log_snr_derivative(time, section)
        return {"log_snr": values[0].astype(time.dtype), "derivative": values[1].astype(time.dtype)}

    def loss_weight(self, *, diffusion, time) -> Tensors:
        return {"weight": loss_weight(time, parse_section(DiffusionConfig, diffusion)).astype(time.dtype)}

    def add_noise(self, *, clean, noise, log_snr) -> Tensors:
        return {"noisy": add_noise(clean, noise, log_snr)}

    def prediction_target(self, *, kind, clean, noise, log_snr) -> Tensors:
        return {"target": prediction_target(kind, clean, noise, log_snr)}

    def to_clean(self, *, kind, prediction, noisy, log_snr) -> Tensors:
        return {"clean": to_x0(kind, prediction, noisy, log_snr)}

    def denoise_step(self, *, diffusion, noisy, clean, noise, log_snr_t, log_snr_s, last) -> Tensors:
        section = parse_section(DiffusionConfig, diffusion)
        stepped = denoise_step(
            noisy, clean, noise, log_snr_t=log_snr_t, log_snr_s=log_snr_s, last=last, diffusion=section
        )
        return {"noisy": stepped}

    def time_grid(self, *, steps) -> Tensors:
        return {"times": time_grid(steps)}

    # --- decoding and guidance

    def mask_lengths(self, *, start, steps) -> Tensors:
        lengths, unknown = [], start
        for step in range(steps):
            precision = self.choices["sampling.schedule_precision"]
            unknown = mask_lengths(start, unknown, step=step, steps=steps, precision=precision)
            lengths.append(unknown)
        return {"lengths": np.stack(lengths)}

    def decode_step(
        self, *, token_noise, confidence_noise, choice_temperature, sampling_temperature, **step
    ) -> Tensors:
        sampling = parse_section(
            SamplingConfig,
            {
                "choice_temperature": choice_temperature,
                "sampling_temperature": sampling_temperature,
                "schedule_precision": self.choices["sampling.schedule_precision"],
            },
        )
        noise = DecodeNoise(token_noise, confidence_noise)
        after, answer = decode_step(noise=noise, sampling=sampling, **step)
        return {"tokens": after, "answer": answer}

    def guide(self, *, conditional, unconditional, scale) -> Tensors:
        return {"guided": guide(conditional, unconditional, scale)}

    def guidance_scales(self, *, scale, steps, schedule) -> Tensors:
        scales = [guidance_scale_at(step, steps, scale=scale, schedule=schedule) for step in range(steps)]
        return {"scales": np.array(scales)}

    def masked_sample(
        self, *, model, sampling, parameters, tokens, labels, token_noise, confidence_noise, loops
    ) -> Tensors:
        sampling = {**sampling, "steps": len(loops), "schedule_precision": self.choices["sampling.schedule_precision"]}
        config = of_family(MaskedExperiment, model, sampling=sampling)
        states = list(
            decode(
                tree(config, parameters, self.idea),
                config,
                labels,
                lambda step: DecodeNoise(token_noise[step], confidence_noise[step]),
                loops=loops,
                start=tokens,
                idea=self.idea,
            )
        )
        return {"tokens": states[-1].answer}

    def diffusion_sample(
        self, *, model, diffusion, sampling, parameters, labels, initial_noise, step_noise, loops
    ) -> Tensors:
        config = of_family(DiffusionExperiment, model, diffusion=diffusion, sampling={**sampling, "steps": len(loops)})
        states = denoise(
            tree(config, parameters, self.idea),
            config,
            labels,
            initial_noise,
            lambda step: step_noise[step],
            loops=loops,
            idea=self.idea,
        )
        return {"samples": list(states)[-1].noisy}

    # --- clips

    def encode_clips(self, *, clips, codebook, patch_frames, patch_size) -> Tensors:
        tokens = VectorQuantiser(codebook, patch_size, patch_frames).encode(clips)
        return {"tokens": tokens.reshape(len(clips), -1)}

    def decode_clips(self, *, tokens, codebook, grid, patch_frames, patch_size) -> Tensors:
        quantiser = VectorQuantiser(codebook, patch_size, patch_frames)
        return {"clips": quantiser.decode(tokens.reshape(len(tokens), *grid))}

    def given_frames(self, *, tokens, frames, grid, mask_token) -> Tensors:
        return {"tokens": known_start(tokens.reshape(len(tokens), *grid), frames, mask_token=mask_token)}

    # --- training

    def optimizer_step(self, *, training, step, parameters, gradient, first, second) -> Tensors:
        section = parse_section(TrainingConfig, training)
        gradient, first, second = (like(parameters, leaves) for leaves in (gradient, first, second))
        rate, moments = learning_rate_at(step, section), Moments(first, second)
        new, moments = adamw(dict(parameters), gradient, moments, step=step, rate=rate, training=section)
        return prefixed(parameters=new, first=moments.first, second=moments.second)

    def clip_gradient(self, *, gradient, largest) -> Tensors:
        clipped, norm = clip_gradient(dict(gradient), largest)
        dtype = next(iter(gradient.values())).dtype
        return {**prefixed(gradient=clipped), "norm": np.asarray(norm, dtype)}

    def learning_rates(self, *, training) -> Tensors:
        section = parse_section(TrainingConfig, training)
        return {"rates": np.array([learning_rate_at(step, section) for step in range(section.steps)])}

    def moving_average(self, *, average, parameters, decay) -> Tensors:
        return prefixed(average=moving_average(dict(average), like(average, parameters), decay))

    def masked_training(
        self, *, tokens, labels, mask_ratio, mask_order, label_drop, student_loops, **sections
    ) -> Tensors:
        ratios = np.asarray(mask_ratio, np.float64)
        draws = map(MaskedDraws, ratios, mask_order, label_drop, map(int, student_loops))
        return _train(self.idea, map(Batch, tokens, labels), draws, **sections)

    def masked_training_across(self, *, processes, **arguments) -> Tensors:  # noqa: ARG002
        # Equal shares of a batch, with means of losses and gradients, are one step over the whole batch.
        return self.masked_training(**arguments)

    def diffusion_training(self, *, clean, labels, time, noise, label_drop, student_loops, **sections) -> Tensors:
        times = np.asarray(time, np.float64)
        draws = map(DiffusionDraws, times, noise, label_drop, map(int, student_loops))
        return _train(self.idea, map(Batch, clean, labels), draws, **sections)

    # --- accounts and measures

    def count(self, *, model, loops) -> Tensors:
        counted = count(configuration(model), loops)
        return {
            "looped_parameters": np.asarray(counted.looped_parameters),
            "total_parameters": np.asarray(counted.total_parameters),
            "looped_macs": np.asarray(counted.looped_macs_per_forward),
        }

    def frechet_distance(self, *, features, others) -> Tensors:
        distance = frechet_distance(fit_gaussian(features), fit_gaussian(others))
        return {"distance": np.asarray(distance, features.dtype)}

    def inception_score(self, *, logits, splits) -> Tensors:
        return {"score": np.asarray(inception_score(logits, splits), logits.dtype)}


SMALLEST = {"layers": 1, "width": 1, "heads": 1, "mlp_width": 1, "classes": 1, "grid": [1], "codebook_size": 1}
"""Masked network for questions that no network is part of."""

UNLOOPED = {"kind": "vanilla"}
"""Objective without a student, where a case has no section for it."""


def _layer(idea: Idea | None, layer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a family's layer, or an idea's."""
    own = getattr(idea, layer.__name__, None)
    if own is not None and idea is not None and idea.init is not None:
        raise Unsupported(f"the layer of the idea {idea.name} needs its own tensors")
    return own or layer


def _student(drawn: StudentLoops) -> int:
    """Return L_int; an idea may draw other exits than one student's and the teacher's."""
    if isinstance(drawn, int):
        return drawn
    if drawn is None or len(drawn) != 2:
        raise Unsupported(f"the idea draws no student, but the exits {drawn}")
    return drawn[0]


def _forward(idea: Idea | None, model: Section, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
    config = configuration(model)
    return np.asarray(forward(tree(config, parameters, idea), config, *inputs, loops=loops, idea=idea))


def _embedded(
    idea: Idea | None, model: Section, parameters: Parameters, inputs: Sequence[Any]
) -> tuple[Network, np.ndarray, Sequence[Tree], Callable[[Sequence[Tree]], Callable[[Any], Any]]]:
    """Return network, state before the loop, layers, and the block of some layers as a function of them."""
    config = configuration(model)
    network, leaves = NETWORKS[type(config)], tree(config, parameters, idea)
    network.check(config.model, *inputs)
    if idea is not None:
        network = with_idea(network, idea, leaves)
    state, layers, _ = network.embed(leaves, config.model, *inputs)
    return network, state, layers, partial(block_of, network, config=config)


def _states(idea: Idea | None, model: Section, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
    network, state, layers, block = _embedded(idea, model, parameters, inputs)
    return np.stack(list(network.loop_states(block(layers), state, loops)))


def _layers(idea: Idea | None, model: Section, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
    if idea is not None and idea.loop_states is not None:
        raise Unsupported(f"the loop of the idea {idea.name} is more than its layers, one after the other")
    _, state, layers, block = _embedded(idea, model, parameters, inputs)
    taps = []
    for layer in [block([layer]) for layer in layers] * loops:
        state = layer(state)
        taps.append(state)
    return np.stack(taps).reshape(loops, len(layers), *state.shape)


def _train(
    idea: Idea | None,
    batches: Iterable[Batch],
    draws: Iterable[Draws],
    *,
    parameters: Parameters,
    **sections: Section,
) -> Tensors:
    config = configuration(**sections)
    start = tree(config, parameters, idea)
    state, totals = TrainState(0, start, zero_moments(start), start), []
    for batch, drawn in zip(batches, draws, strict=True):
        if idea is not None and idea.draw_exits is not None:
            drawn = drawn._replace(student_loops=draw_student(config, state.step, idea))  # noqa: PLW2901
        state, info = train_step(state, batch, drawn, config=config, idea=idea)
        totals.append(info.terms.total)
    trained = prefixed(parameters=_plain(state.parameters), average=_plain(state.average))
    return {**trained, "total": np.stack(totals)}


def _plain(leaves: Tree) -> Tree:
    """Return a tree without the tensors of an idea: no question asks for them."""
    return {name: each for name, each in leaves.items() if name != EXTRA}


def _gradient(leaves: Tree) -> Tensors:
    return dict(tree_items(_plain(leaves)))


def kind_of(student_loops: int | None) -> str:
    """Return the kind of objective: without a student it is vanilla."""
    return "vanilla" if student_loops is None else "ilsd"


def configuration(model: Section, **sections: Section) -> Experiment:
    """Return the configuration that these sections describe: diffusion, objective, sampling, training."""
    document: dict[str, Any] = {"name": "case", "model": model, "objective": UNLOOPED, **sections}
    if model.get("family") == "diffusion":
        document = {"diffusion": {"shift": 0.0, "bias": 0.0}, **document}
    if model.get("family") == "drifting":
        one = {"sampling": {"steps": 1}, "drifting": {"classes_per_step": 1, "positives": 1}}
        document = {**one, **document}
    if not model.get("unconditional_row", True):
        document["objective"] = {**document["objective"], "label_drop_rate": 0.0}
    return validate(document, where="case")


Kind = TypeVar("Kind", MaskedExperiment, DiffusionExperiment, DriftingExperiment)


def of_family(kind: type[Kind], model: Section, **sections: Section) -> Kind:
    """Return the configuration of a question about one family."""
    config = configuration(model, **sections)
    if not isinstance(config, kind):
        raise RequestError(f"model: expected another family, got the {config.model.family} family")
    return config


def tree(config: Experiment, parameters: Parameters, idea: Idea | None = None) -> Tree:
    """Return flat parameters as the network's tree; the tensors of an idea are as a training may have left them."""
    declared = declare_parameters(config)
    leaves = tree_rebuild(declared, [parameters[name] for name, _ in tree_items(declared)])
    if idea is not None and idea.init is not None:
        made = declare_parameters(config, idea)[EXTRA]
        dtype = next(iter(parameters.values())).dtype
        moved = [stream(config.seed, f"judged/{name}").normal(size=leaf.shape) for name, leaf in tree_items(made)]
        leaves[EXTRA] = tree_rebuild(made, [leaf.astype(dtype) for leaf in moved])
    return leaves


def nested(parameters: Parameters) -> dict[str, Any]:
    """Return the tree of a layer's parameters: one dict for every word before a dot."""
    result: dict[str, Any] = {}
    for name, array in parameters.items():
        *groups, last = name.split(".")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = array
    return result


def like(names: Parameters, leaves: Parameters) -> dict[str, np.ndarray]:
    """Return leaves in the order of `names`: a file has them in no particular order."""
    return {name: leaves[name] for name in names}


def prefixed(**trees: Tree) -> Tensors:
    """Return the leaves of trees by ``TREE.NAME``."""
    return {f"{prefix}.{name}": leaf for prefix, tree in trees.items() for name, leaf in tree_items(tree)}


def scalars(terms: LossTerms, student_loops: int | None) -> Tensors:
    """Return the terms of a loss by name; a vanilla loss has two."""
    names: Sequence[str] = ("total", "teacher_truth") if student_loops is None else LossTerms._fields
    return {name: np.asarray(term) for name in names if (term := getattr(terms, name)) is not None}
