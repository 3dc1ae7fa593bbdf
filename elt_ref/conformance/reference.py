"""The reference as a backend: every operation by the functions that own the equations, in any floating dtype.

The methods below `Joints` are where a wrong implementation departs from it (see `elt_ref.conformance.wrong`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import elt_ref
from elt_ref.arrays import Tree, tree_items, tree_map, tree_rebuild
from elt_ref.config import Config, DiffusionConfig, SamplingConfig, TrainingConfig, parse_section, validate
from elt_ref.conformance.backend import OPERATIONS, TAPS, Description, Parameters, Section, Tensors
from elt_ref.generation import (
    DecodeNoise,
    add_noise,
    decode,
    decode_step,
    denoise,
    denoise_step,
    guidance_scale_at,
    guide,
    known_start,
    log_snr,
    log_snr_derivative,
    mask_lengths,
    prediction_target,
    time_grid,
    to_x0,
)
from elt_ref.measure import count, fit_gaussian, frechet_distance, inception_score
from elt_ref.model import Network, declare_parameters, loop_states, open_network
from elt_ref.model.diffusion import modulate, patchify, unpatchify
from elt_ref.model.layer import adaln_zero_layer, post_norm_layer
from elt_ref.model.positions import sine_cosine_positions, time_features
from elt_ref.objective import (
    Batch,
    DiffusionDraws,
    LossTerms,
    MaskedDraws,
    Task,
    diffusion_task,
    draw_student_loops,
    drop_labels,
    ilsd_loss,
    loss_weight,
    mask_tokens,
    masked_task,
    truth_weight_at,
    vanilla_loss,
)
from elt_ref.ops import silu, value_and_gradient
from elt_ref.streams import stream
from elt_ref.tokenizer import VectorQuantiser
from elt_ref.training import Moments, adamw, clip_gradient, learning_rate_at, moving_average, zero_moments

NAME = "elt_ref"


class ReferenceBackend:
    """The reference, held to its own choices."""

    name = NAME
    choices: Mapping[str, str] = {"sampling.schedule_precision": "float64"}

    def describe(self) -> Description:
        """Return what it is: it offers everything."""
        return Description(self.name, elt_ref.__version__, (*OPERATIONS, *TAPS), choices=self.choices)

    # --- Joints

    def network(self, config: Config, parameters: Tree, *inputs: Any) -> Network:
        """Return the network that has read its inputs."""
        return open_network(parameters, config, *inputs)

    def states(self, network: Network, loops: int, config: Config) -> list[Any]:  # noqa: ARG002  wrong ones look at it
        """Return the states after 1 … `loops` loops."""
        return list(loop_states(network.block, network.state, loops))

    def terms(
        self, network: Network, task: Task, student_loops: int | None, config: Config, weight: float
    ) -> LossTerms:
        """Return the loss of one pass."""
        states = self.states(network, config.model.max_loops, config)
        if student_loops is None:
            return vanilla_loss(states, network.head, task.ground_truth)
        return ilsd_loss(states, student_loops, network.head, task.ground_truth, task.distillation, truth_weight=weight)

    def loss(self, config: Config, task: Task, student_loops: int | None, weight: float, parameters: Tree) -> LossTerms:
        """Return the loss of these parameters at a task."""
        return self.terms(self.network(config, parameters, *task.inputs), task, student_loops, config, weight)

    def masked_task(self, config: Config, batch: Batch, draws: MaskedDraws) -> Task:
        """Return the task of a training step."""
        return masked_task(config, batch, draws)

    def diffusion_task(self, config: Config, batch: Batch, draws: DiffusionDraws) -> Task:
        """Return the task of a training step."""
        return diffusion_task(config, batch, draws)

    def recovery_task(self, config: Config, tokens: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Task:
        """Return the task of recovering masked tokens."""
        return elt_ref.objective.recovery_task(config, tokens, mask, labels)

    # --- layers and parts of the networks

    def masked_layer(self, *, parameters: Parameters, x: np.ndarray, heads: int, epsilon: float) -> Tensors:
        return {"x": post_norm_layer(nested(parameters), x, heads=heads, epsilon=epsilon)}

    def diffusion_layer(
        self, *, parameters: Parameters, x: np.ndarray, conditioning: np.ndarray, heads: int, epsilon: float
    ) -> Tensors:
        layer = nested(parameters)
        modulation = modulate(layer["modulation"], silu(conditioning), 6)
        return {"x": adaln_zero_layer(layer, x, modulation, heads=heads, epsilon=epsilon)}

    def positions(self, *, rows: int, columns: int, width: int) -> Tensors:
        return {"positions": sine_cosine_positions(rows, columns, width)}

    def time_features(self, *, time: np.ndarray, width: int, scale: float) -> Tensors:
        return {"features": time_features(time, width, scale).astype(time.dtype)}

    def patchify(self, *, samples: np.ndarray, patch_size: int) -> Tensors:
        return {"patches": patchify(samples, patch_size, "cpq")}

    def unpatchify(self, *, patches: np.ndarray, shape: list[int], patch_size: int) -> Tensors:
        model = {
            "family": "diffusion",
            "layers": 1,
            "max_loops": 1,
            "width": 4,
            "heads": 1,
            "mlp_width": 1,
            "classes": 1,
        }
        config = configuration({**model, "shape": shape, "patch_size": patch_size})
        return {"samples": np.asarray(unpatchify(patches, elt_ref.config.diffusion_model(config)))}

    # --- networks

    def masked_states(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        return {"states": self._states(configuration(model), parameters, loops, tokens, labels)}

    def masked_forward(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        return {"logits": self.predict(configuration(model), parameters, loops, tokens, labels)}

    def diffusion_states(
        self,
        *,
        model: Section,
        parameters: Parameters,
        noisy: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        loops: int,
    ) -> Tensors:
        return {"states": self._states(configuration(model), parameters, loops, noisy, time, labels)}

    def diffusion_forward(
        self,
        *,
        model: Section,
        parameters: Parameters,
        noisy: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        loops: int,
    ) -> Tensors:
        return {"prediction": self.predict(configuration(model), parameters, loops, noisy, time, labels)}

    def masked_layers(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        return {"layers": self._layers(configuration(model), parameters, loops, tokens, labels)}

    def diffusion_layers(
        self,
        *,
        model: Section,
        parameters: Parameters,
        noisy: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        loops: int,
    ) -> Tensors:
        return {"layers": self._layers(configuration(model), parameters, loops, noisy, time, labels)}

    def _layers(self, config: Config, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
        """Return the state after each layer of each loop: networks of a single layer, one after the other."""
        whole = tree(config, parameters)
        layers = [self.network(config, {**whole, "block": [layer]}, *inputs) for layer in whole["block"]]
        state, taps = layers[0].state, []
        for _ in range(loops):
            for layer in layers:
                state = layer.block(state)
                taps.append(state)
        return np.stack(taps).reshape(loops, len(layers), *state.shape)

    def _states(self, config: Config, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
        network = self.network(config, tree(config, parameters), *inputs)
        return np.stack(self.states(network, loops, config))

    def predict(self, config: Config, parameters: Parameters, loops: int, *inputs: Any) -> np.ndarray:
        """Return the prediction after `loops` loops."""
        network = self.network(config, tree(config, parameters), *inputs)
        return np.asarray(network.head(self.states(network, loops, config)[-1]))

    # --- objectives

    def masked_objective(self, *, parameters: Parameters, student_loops: int | None, **arguments: Any) -> Tensors:
        config, task, weight = self._masked(student_loops=student_loops, **arguments)
        return scalars(self.loss(config, task, student_loops, weight, tree(config, parameters)), student_loops)

    def masked_gradient(self, *, parameters: Parameters, student_loops: int | None, **arguments: Any) -> Tensors:
        config, task, weight = self._masked(student_loops=student_loops, **arguments)
        return self.gradient(config, task, student_loops, weight, tree(config, parameters))

    def _masked(
        self,
        *,
        model: Section,
        tokens: np.ndarray,
        mask: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
        label_smoothing: float,
    ) -> tuple[Config, Task, float]:
        objective = {
            "kind": "vanilla" if student_loops is None else "ilsd",
            "reduction": reduction,
            "label_smoothing": label_smoothing,
        }
        config = configuration(model, objective=objective)
        return config, self.recovery_task(config, tokens, mask, labels), truth_weight

    def diffusion_objective(self, *, parameters: Parameters, student_loops: int | None, **arguments: Any) -> Tensors:
        config, task, weight = self._diffusion(student_loops=student_loops, **arguments)
        return scalars(self.loss(config, task, student_loops, weight, tree(config, parameters)), student_loops)

    def diffusion_gradient(self, *, parameters: Parameters, student_loops: int | None, **arguments: Any) -> Tensors:
        config, task, weight = self._diffusion(student_loops=student_loops, **arguments)
        return self.gradient(config, task, student_loops, weight, tree(config, parameters))

    def _diffusion(
        self,
        *,
        model: Section,
        diffusion: Section,
        clean: np.ndarray,
        noise: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
    ) -> tuple[Config, Task, float]:
        objective = {
            "kind": "vanilla" if student_loops is None else "ilsd",
            "reduction": reduction,
            "label_drop_rate": 0.0,
        }
        config = configuration(model, diffusion=diffusion, objective=objective)
        draws = DiffusionDraws(np.asarray(time, np.float64), noise, np.ones(len(time)), student_loops)
        return config, self.diffusion_task(config, Batch(clean, labels), draws), truth_weight

    def gradient(
        self, config: Config, task: Task, student_loops: int | None, weight: float, parameters: Tree
    ) -> Tensors:
        """Return the gradient of the loss, by name."""

        def objective(parameters: Tree) -> tuple[Any, LossTerms]:
            terms = self.loss(config, task, student_loops, weight, parameters)
            return terms.total, terms

        return dict(tree_items(value_and_gradient(objective, parameters)[2]))

    def truth_weights(self, *, steps: int) -> Tensors:
        return {"weights": np.array([truth_weight_at(step, steps) for step in range(steps)])}

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        generators = (stream(seed, "student_loops", step) for step in range(count))
        drawn = [draw_student_loops(each, min_loops=min_loops, max_loops=max_loops) for each in generators]
        return {"loops": np.array(drawn)}

    def mask_tokens(self, *, ratio: np.ndarray, order: np.ndarray) -> Tensors:
        return {"mask": mask_tokens(np.asarray(ratio, np.float64), order)}

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        return {"labels": drop_labels(labels, draws, rate=rate, unconditional=classes)}

    # --- diffusion

    def log_snr(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        section = parse_section(DiffusionConfig, diffusion)
        values = log_snr(time, section), log_snr_derivative(time, section)
        return {"log_snr": values[0].astype(time.dtype), "derivative": values[1].astype(time.dtype)}

    def loss_weight(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        return {"weight": loss_weight(time, parse_section(DiffusionConfig, diffusion)).astype(time.dtype)}

    def add_noise(self, *, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Tensors:
        return {"noisy": add_noise(clean, noise, log_snr)}

    def prediction_target(self, *, kind: str, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Tensors:
        return {"target": prediction_target(kind, clean, noise, log_snr)}

    def to_clean(self, *, kind: str, prediction: np.ndarray, noisy: np.ndarray, log_snr: np.ndarray) -> Tensors:
        return {"clean": to_x0(kind, prediction, noisy, log_snr)}

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
        section = parse_section(DiffusionConfig, diffusion)
        stepped = denoise_step(
            noisy, clean, noise, log_snr_t=log_snr_t, log_snr_s=log_snr_s, last=last, diffusion=section
        )
        return {"noisy": stepped}

    def time_grid(self, *, steps: int) -> Tensors:
        return {"times": time_grid(steps)}

    # --- decoding and guidance

    def mask_lengths(self, *, start: np.ndarray, steps: int) -> Tensors:
        lengths, unknown = [], start
        for step in range(steps):
            precision = self.choices["sampling.schedule_precision"]
            unknown = mask_lengths(start, unknown, step=step, steps=steps, precision=precision)
            lengths.append(unknown)
        return {"lengths": np.stack(lengths)}

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
        sampling = parse_section(
            SamplingConfig,
            {
                "choice_temperature": choice_temperature,
                "sampling_temperature": sampling_temperature,
                "schedule_precision": self.choices["sampling.schedule_precision"],
            },
        )
        noise = DecodeNoise(token_noise, confidence_noise)
        after, answer = decode_step(
            logits, tokens, noise, step=step, steps=steps, start=start, mask_token=mask_token, sampling=sampling
        )
        return {"tokens": after, "answer": answer}

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        return {"guided": guide(conditional, unconditional, scale)}

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:
        scales = [guidance_scale_at(step, steps, scale=scale, schedule=schedule) for step in range(steps)]
        return {"scales": np.array(scales)}

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
        sampling = {**sampling, "steps": len(loops), "schedule_precision": self.choices["sampling.schedule_precision"]}
        config = configuration(model, sampling=sampling)
        states = list(
            decode(
                tree(config, parameters),
                config,
                labels,
                lambda step: DecodeNoise(token_noise[step], confidence_noise[step]),
                loops=loops,
                start=tokens,
            )
        )
        return {"tokens": states[-1].answer}

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
        config = configuration(model, diffusion=diffusion, sampling={**sampling, "steps": len(loops)})
        states = denoise(
            tree(config, parameters), config, labels, initial_noise, lambda step: step_noise[step], loops=loops
        )
        return {"samples": list(states)[-1].noisy}

    # --- clips

    def encode_clips(self, *, clips: np.ndarray, codebook: np.ndarray, patch_frames: int, patch_size: int) -> Tensors:
        tokens = VectorQuantiser(codebook, patch_size, patch_frames).encode(clips)
        return {"tokens": tokens.reshape(len(clips), -1)}

    def decode_clips(
        self, *, tokens: np.ndarray, codebook: np.ndarray, grid: list[int], patch_frames: int, patch_size: int
    ) -> Tensors:
        quantiser = VectorQuantiser(codebook, patch_size, patch_frames)
        return {"clips": quantiser.decode(tokens.reshape(len(tokens), *grid))}

    def given_frames(self, *, tokens: np.ndarray, frames: np.ndarray, grid: list[int], mask_token: int) -> Tensors:
        return {"tokens": known_start(tokens.reshape(len(tokens), *grid), frames, mask_token=mask_token)}

    # --- training

    def optimizer_step(
        self,
        *,
        training: Section,
        step: int,
        parameters: Parameters,
        gradient: Parameters,
        first: Parameters,
        second: Parameters,
    ) -> Tensors:
        section = parse_section(TrainingConfig, training)
        gradient, first, second = (like(parameters, leaves) for leaves in (gradient, first, second))
        new, moments = adamw(dict(parameters), gradient, Moments(first, second), step=step, training=section)
        return prefixed(parameters=new, first=moments.first, second=moments.second)

    def clip_gradient(self, *, gradient: Parameters, largest: float) -> Tensors:
        clipped, norm = clip_gradient(dict(gradient), largest)
        dtype = next(iter(gradient.values())).dtype
        return {**prefixed(gradient=clipped), "norm": np.asarray(norm, dtype)}

    def learning_rates(self, *, training: Section) -> Tensors:
        section = parse_section(TrainingConfig, training)
        return {"rates": np.array([learning_rate_at(step, section) for step in range(section.steps)])}

    def moving_average(self, *, average: Parameters, parameters: Parameters, decay: float) -> Tensors:
        return prefixed(average=moving_average(dict(average), like(average, parameters), decay))

    def masked_training(
        self,
        *,
        tokens: np.ndarray,
        labels: np.ndarray,
        mask_ratio: np.ndarray,
        mask_order: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
        **sections: Any,
    ) -> Tensors:
        def task(config: Config, step: int) -> Task:
            ratio = np.asarray(mask_ratio[step], np.float64)
            draws = MaskedDraws(ratio, mask_order[step], label_drop[step], int(student_loops[step]))
            return self.masked_task(config, Batch(tokens[step], labels[step]), draws)

        return self._train(student_loops, [task], **sections)

    def masked_training_across(self, *, processes: int, student_loops: np.ndarray, **arguments: Any) -> Tensors:
        # One process does the work of all in turn; what they say to one another is what counts.
        sections = {name: arguments.pop(name) for name in ("model", "objective", "training", "parameters")}
        parts = {name: np.split(array, processes, axis=1) for name, array in arguments.items()}

        def task(rank: int, config: Config, step: int) -> Task:
            own = {name: shares[rank][step] for name, shares in parts.items()}
            ratio = np.asarray(own["mask_ratio"], np.float64)
            draws = MaskedDraws(ratio, own["mask_order"], own["label_drop"], int(student_loops[step]))
            return self.masked_task(config, Batch(own["tokens"], own["labels"]), draws)

        return self._train(student_loops, [partial(task, rank) for rank in range(processes)], **sections)

    def diffusion_training(
        self,
        *,
        clean: np.ndarray,
        labels: np.ndarray,
        time: np.ndarray,
        noise: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
        **sections: Any,
    ) -> Tensors:
        def task(config: Config, step: int) -> Task:
            moment = np.asarray(time[step], np.float64)
            draws = DiffusionDraws(moment, noise[step], label_drop[step], int(student_loops[step]))
            return self.diffusion_task(config, Batch(clean[step], labels[step]), draws)

        return self._train(student_loops, [task], **sections)

    def _train(
        self,
        student_loops: np.ndarray,
        tasks: Sequence[Callable[[Config, int], Task]],
        *,
        parameters: Parameters,
        **sections: Section,
    ) -> Tensors:
        """Train by the tasks of as many processes, each of which has a share of the batch."""
        config = configuration(**sections)
        training = config.training
        current = average = tree(config, parameters)
        moments, totals = zero_moments(current), []
        for step, loops in enumerate(map(int, student_loops)):
            weight = float(self.truth_weights(steps=training.steps)["weights"][step])

            shares = [self._share(config, task(config, step), loops, weight, current) for task in tasks]
            total, gradient = self.together([share[0] for share in shares], [share[1] for share in shares])
            current, moments, average = self.update(current, gradient, moments, average, step, training)
            totals.append(total)
        return {**prefixed(parameters=current, average=average), "total": np.stack(totals)}

    def _share(self, config: Config, task: Task, loops: int, weight: float, parameters: Tree) -> tuple[Any, Tree]:
        """Return loss and gradient of one process's share of a batch."""

        def objective(parameters: Tree) -> Any:
            terms = self.loss(config, task, loops, weight, parameters)
            return terms.total, terms

        total, _, gradient = value_and_gradient(objective, parameters)
        return total, gradient

    def together(self, totals: Sequence[Any], gradients: Sequence[Tree]) -> tuple[Any, Tree]:
        """Return loss and gradient of the whole batch from those of its equal shares: their means."""
        count = len(totals)
        return sum(totals) / count, tree_map(lambda *leaves: sum(leaves) / count, *gradients)

    def update(
        self, parameters: Tree, gradient: Tree, moments: Moments, average: Tree, step: int, training: TrainingConfig
    ) -> tuple[Tree, Moments, Tree]:
        """Return parameters, moments and average after a step: clip, AdamW, then the average."""
        gradient, _ = clip_gradient(gradient, training.gradient_clip)
        parameters, moments = adamw(parameters, gradient, moments, step=step, training=training)
        return parameters, moments, moving_average(average, parameters, training.average_decay)

    # --- accounts and measures

    def count(self, *, model: Section, loops: int) -> Tensors:
        counted = count(configuration(model), loops)
        return {
            "looped_parameters": np.asarray(counted.looped_parameters),
            "total_parameters": np.asarray(counted.total_parameters),
            "looped_macs": np.asarray(counted.looped_macs_per_forward),
        }

    def frechet_distance(self, *, features: np.ndarray, others: np.ndarray) -> Tensors:
        distance = frechet_distance(fit_gaussian(features), fit_gaussian(others))
        return {"distance": np.asarray(distance, features.dtype)}

    def inception_score(self, *, logits: np.ndarray, splits: int) -> Tensors:
        return {"score": np.asarray(inception_score(logits, splits), logits.dtype)}


UNLOOPED = {"kind": "vanilla"}
"""The objective of a network without a student, where a case does not speak of objectives."""


def configuration(
    model: Section,
    *,
    diffusion: Section | None = None,
    objective: Section | None = None,
    sampling: Section | None = None,
    training: Section | None = None,
) -> Config:
    """Return the configuration that these sections describe."""
    document: dict[str, Any] = {"name": "case", "model": dict(model), "objective": dict(objective or UNLOOPED)}
    if model.get("family") == "diffusion":
        document["diffusion"] = dict(diffusion or {"shift": 0.0, "bias": 0.0})
    if not model.get("unconditional_row", True):
        document["objective"]["label_drop_rate"] = 0.0
    for name, section in (("sampling", sampling), ("training", training)):
        if section is not None:
            document[name] = dict(section)
    return validate(document, where="case")


def tree(config: Config, parameters: Parameters) -> Tree:
    """Return flat parameters as the network's tree."""
    declared = declare_parameters(config)
    return tree_rebuild(declared, [parameters[name] for name, _ in tree_items(declared)])


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
    """Return leaves in the order of `names`: those that come from a file are in no particular one."""
    return {name: leaves[name] for name in names}


def prefixed(**trees: Tree) -> Tensors:
    """Return the leaves of trees by ``TREE.NAME``."""
    return {f"{prefix}.{name}": leaf for prefix, tree in trees.items() for name, leaf in tree_items(tree)}


def scalars(terms: LossTerms, student_loops: int | None) -> Tensors:
    """Return the terms of a loss by name; of a vanilla one those it has."""
    names: Sequence[str] = ("total", "teacher_truth") if student_loops is None else LossTerms._fields
    return {name: np.asarray(getattr(terms, name)) for name in names}
