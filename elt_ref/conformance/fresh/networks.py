"""Questions about whole networks: states, predictions, losses, gradients, samplings and trainings of all families."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.config import (
    DiffusionConfig,
    DiffusionModelConfig,
    DriftingModelConfig,
    MaskedModelConfig,
    ObjectiveConfig,
    SamplingConfig,
    TrainingConfig,
    parse_section,
)
from elt_ref.conformance.fresh.drawer import Drawer, Drawn, Number
from elt_ref.conformance.operations import FAMILIES, TABLE
from elt_ref.conformance.reference import configuration
from elt_ref.model import declare_parameters

MODELS = {"masked": MaskedModelConfig, "diffusion": DiffusionModelConfig, "drifting": DriftingModelConfig}
WORK = 6e6
"""Multiply-adds of one pass, at most: it bounds the tokens of a question, and then its other sizes."""
EXTREMES = {
    "masked": (*(14 * ("none",)), "long", "many"),
    "diffusion": (*(14 * ("none",)), "long"),
    "drifting": ("none",),
}
"""One network in 16 has 256 tokens or more, and one of the masked family more codes than 16 bits hold."""
MOST = {"none": np.inf, "long": 2, "many": 3}
"""Samples and loops of such a network, at most."""
DEPTH = 120
"""Layers in all passes of a network of more than one layer, at most."""
WIDTH = {"masked": "width", "diffusion": "width_of_diffusion", "drifting": "width_of_diffusion"}
"""Quantity of the width."""
NARROW = 8
"""Width of half of the networks, at most: the rest of the work goes into tokens, loops and samples."""


def parameters(d: Drawer, model: dict[str, Any], spread: float = 1.0) -> dict[str, np.ndarray]:
    """Return parameters by ``parameters.NAME``, in which every layer, bias and gate matters."""
    drawn = {}
    for path, declared in tree_items(declare_parameters(configuration(model))):
        shape, rng = declared.shape, d.generator(f"parameters.{path}")
        # A bound on the kernels keeps a loop from being chaotic: only some questions may have large logits.
        normal = rng.integers(-2, 3, shape) / 2 if d.kind == "simple" else rng.standard_normal(shape)
        if d.kind == "sparse":
            normal = normal * (rng.random(shape) < 0.5)
        size = spread * (2.0 if d.kind == "large" and path.startswith("head") else 1.0)
        if len(shape) > 1:
            deviation = 2.0 ** -round(math.log2(shape[0]) / 2) if d.kind == "simple" else shape[0] ** -0.5
            values = size * deviation * normal
        elif path.endswith(".scale"):
            values = 1 + 0.25 * normal
        else:
            values = 0.25 * normal
        drawn[f"parameters.{path}"] = values
    return drawn


def sizes(d: Drawer, width: int, work: float, passes: int) -> dict[str, Any]:
    """Return layers, heads and widths of a network whose tokens cost at most `work` in all passes of the block."""
    layers = d.quantity("layers", most=max(1, min(DEPTH / passes, work / (passes * 8 * width**2))))
    hidden = d.quantity("mlp_width", most=max(4, work / (passes * layers * 2 * width)))
    if d.seldom(range(8)) == 7:  # a square kernel
        hidden = width
    heads = d.pick(
        [count for count in range(1, 9) if width % count == 0], [c for c in (4, 8, 2) if c <= width and width % c == 0]
    )
    d.values.setdefault("heads", []).append(heads)
    return {"layers": layers, "width": width, "heads": heads, "mlp_width": hidden}


def grid(d: Drawer, tokens: Number) -> list[int]:
    """Return a grid of one to three axes with at most so many tokens."""
    left, sides = min(64, max(1, int(tokens))), []
    for _ in range(d.quantity("axes")):
        sides.append(d.quantity("side", most=left))
        left //= sides[-1]
    return sides


def per_token(size: dict[str, Any]) -> int:
    """Return the multiply-adds of a token in one pass of the block, attention among 64 tokens included."""
    width = size["width"]
    return size["layers"] * (4 * width**2 + 2 * width * size["mlp_width"] + 128 * width)


def of_grid(d: Drawer, tokens: Number, extreme: str) -> dict[str, Any]:
    """Return the settings that only the masked family has, for a grid of at most so many tokens."""
    return {
        "grid": d.quantity("long_grid") if extreme == "long" else grid(d, 4 if extreme == "many" else tokens - 1),
        **d.settings("layer_norm_epsilon?", codebook_size="many_codes" if extreme == "many" else "codes"),
        **d.settings("classes", "model.unconditional_row"),
    }


def of_pictures(d: Drawer, tokens: Number, extreme: str, times: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings that networks of patches have, for pictures of at most so many, and the settings of time."""
    if extreme == "long":
        rows, columns = d.quantity("long_grid_of_patches")
    else:
        left = min(64, max(1, int(tokens)))
        rows = d.quantity("side", most=left)
        columns = d.quantity("side", most=left // rows)
    patch = d.quantity("patch_size", most=4 if extreme == "none" else 1)
    return {
        **d.settings("layer_norm_epsilon?"),
        "shape": [rows * patch, columns * patch, d.quantity("channels")],
        "patch_size": patch,
        **d.settings("classes", *times),
    }


def network(
    d: Drawer, family: str, *, batch: int, passes: int, max_loops: int, extreme: str = "none"
) -> dict[str, Any]:
    """Return the [model] section of a network that makes `passes` passes of its block over a batch."""
    work = WORK / batch if extreme == "none" else WORK / (batch * 256)
    widest = NARROW if d.pick([True, True, False], [False]) else max(NARROW, math.sqrt(work / (8 * passes)))
    size = sizes(d, d.quantity(WIDTH[family], most=widest), work, passes)
    of_diffusion = partial(of_pictures, times=("time_features", "time_scale"))
    own = {"masked": of_grid, "diffusion": of_diffusion, "drifting": of_pictures}[family]
    return section(family, size, own(d, WORK / (batch * passes * per_token(size)), extreme), max_loops=max_loops)


def section(family: str, *parts: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """Return the [model] section of these settings, with defaults for the others."""
    known = {"family": family, **settings} | {name: value for part in parts for name, value in part.items()}
    return parse_section(MODELS[family], known).model_dump(mode="json")


def mask_token(model: dict[str, Any]) -> int:
    """Return the id of the mask."""
    return model["codebook_size"] + model["classes"] + int(model["unconditional_row"])


def labels(d: Drawer, model: dict[str, Any], *shape: int) -> np.ndarray:
    """Return labels, "no class" among them, or alone."""
    none = model["unconditional_row"]
    if d.quantity("label") == "none" and none:
        return np.full(shape, model["classes"])
    return d.integers("labels", model["classes"] + int(none), *shape)


def hidden(d: Drawer, *shape: int) -> np.ndarray:
    """Return which tokens are masked: some, all, one in every sample, none, or some of every second sample."""
    masking = d.quantity("masking")
    places = d.generator("mask").random(shape)
    if masking == "one":
        return places == places.max(axis=-1, keepdims=True)
    if masking == "some rows":
        places[np.arange(shape[0]) % 2 == 0] = 2.0
    return places < {"some": 0.6, "all": 2.0, "none": -1.0, "some rows": 0.6}[masking]


def partly_masked(d: Drawer, model: dict[str, Any], batch: int) -> np.ndarray:
    """Return tokens, of which some have the mask's id."""
    shape = (batch, math.prod(model["grid"]))
    return np.where(hidden(d, *shape), mask_token(model), d.integers("tokens", model["codebook_size"], *shape))


def noised(d: Drawer, *shape: int) -> dict[str, np.ndarray]:
    """Return pictures and their noise."""
    return {"clean": d.numbers("clean", *shape), "noise": d.normal("noise", *shape)}


def student(d: Drawer, max_loops: int) -> int | None:
    """Return the loops of the student, or None for the vanilla objective."""
    if max_loops == 1 or d.pick(range(6)) == 5:
        return None
    return d.quantity("student_loops", most=max_loops - 1)


def sampling(d: Drawer, model: dict[str, Any]) -> dict[str, Any]:
    """Return a [sampling] section."""
    temperatures = ("choice_temperature", "sampling.sampling_temperature") if model["family"] == "masked" else ()
    guidance = ("guidance_scale",) if model["unconditional_row"] else ()
    drawn = d.settings(*temperatures, *guidance, "sampling.guidance_schedule")
    return SamplingConfig(**{"guidance_scale": 1.0, **drawn}).model_dump(mode="json", exclude_none=True)


def loops_of_steps(d: Drawer, steps: int, most: Number = np.inf) -> list[int]:
    """Return the loops of every step, few in all for half of the samplings, or the same at each step."""
    most = min(most, max(1, d.pick([12, 48]) / steps))
    if d.pick(range(4)) == 3:
        return [d.quantity("loops", most=most)] * steps
    return [d.quantity("loops", most=most) for _ in range(steps)]


def objective(d: Drawer, model: dict[str, Any]) -> dict[str, Any]:
    """Return the [objective] section of a training."""
    smoothing = ("objective.label_smoothing",) if model["family"] == "masked" else ()
    drop = ("label_drop_rate",) if model["unconditional_row"] else ()
    drawn = d.settings("objective.reduction", *smoothing, *drop)
    return ObjectiveConfig(**{"label_smoothing": 0.0, "label_drop_rate": 0.0, **drawn}).model_dump(mode="json")


def training(d: Drawer, steps: int, *, exact: bool = False) -> dict[str, Any]:
    """Return a [training] section; `exact` allows a small ε of Adam, where no gradient is only rounding."""
    (beta1, beta2), epsilon = d.quantity("betas"), d.quantity("adam_epsilon")
    others = ("learning_rate", "weight_decay", "gradient_clip", "average_decay", "training.schedule")
    known = {"steps": steps, "epsilon": epsilon if exact else max(epsilon, 0.01), "beta1": beta1, "beta2": beta2}
    return TrainingConfig(**known, **d.settings("warmup_steps", *others), dtype="float64").model_dump(mode="json")


def steps_of(d: Drawer, max_loops: int) -> tuple[int, int, np.ndarray]:
    """Return the steps that are taken, the steps of the whole training, and the student's loops at each."""
    steps = d.quantity("training_steps", most=16 if max_loops == 2 else max(2, 24 / max_loops))
    return steps, steps + d.pick(range(4)), 1 + d.integers("student_loops", max_loops - 1, steps)


def noise(d: Drawer) -> dict[str, Any]:
    """Return a [diffusion] section."""
    low, high = d.quantity("bounds")
    choices = [f"diffusion.{name}" for name in ("prediction", "weight_derivative", "sampler", "variance")]
    drawn = d.settings("shift", "bias", "shift_at_noise?", *choices, "variance_fraction", "clip?")
    return DiffusionConfig(log_snr_min=low, log_snr_max=high, **drawn).model_dump(mode="json")


def noise_of(d: Drawer, model: dict[str, Any]) -> dict[str, Any]:
    """Return the [diffusion] section of a network as a setting; none of the masked family."""
    return {"diffusion": noise(d)} if model["family"] == "diffusion" else {}


def times(d: Drawer, *shape: int) -> np.ndarray:
    """Return times between 0 and 1, or with both ends among them."""
    drawn = 0.0625 + 0.875 * d.uniform("time", *shape)
    if d.quantity("time") == "ends":
        drawn.flat[0] = 1.0
        drawn.flat[-1] = 0.0
    return drawn


def extent(d: Drawer, family: str, of: str) -> tuple[str, int, int]:
    """Return the extreme of a network, the samples in a batch, and its loops or steps."""
    extreme = d.seldom(EXTREMES[family])
    return extreme, d.quantity("batch", most=MOST[extreme]), d.quantity(of, most=MOST[extreme])


def reading(d: Drawer, family: str) -> Drawn:
    """Return a pass of a network."""
    extreme, batch, loops = extent(d, family, "loops")
    model = network(d, family, batch=batch, passes=loops, max_loops=d.quantity("max_loops"), extreme=extreme)
    if family == "masked":
        seen = {"tokens": partly_masked(d, model, batch)}
    elif family == "diffusion":
        seen = {"noisy": d.numbers("noisy", batch, *model["shape"]), "time": times(d, batch)}
    else:
        seen = {"noise": d.numbers("noise", batch, *model["shape"])}
    inputs = {**parameters(d, model), **seen, "labels": labels(d, model, batch)}
    return Drawn({"model": model, "loops": loops}, inputs)


def loss(d: Drawer, family: str) -> Drawn:
    """Return a loss of a network."""
    extreme, batch, max_loops = extent(d, family, "max_loops")
    model = network(d, family, batch=batch, passes=4 * max_loops, max_loops=max_loops, extreme=extreme)
    settings = {
        "model": model,
        **noise_of(d, model),
        "student_loops": student(d, max_loops),
        **d.settings("truth_weight", "objective.reduction"),
    }
    if family == "masked":
        settings |= d.settings("objective.label_smoothing")
        shape = (batch, math.prod(model["grid"]))
        known = {"tokens": d.integers("tokens", model["codebook_size"], *shape), "mask": hidden(d, *shape)}
    else:
        known = {**noised(d, batch, *model["shape"]), "time": times(d, batch)}
    return Drawn(settings, {**parameters(d, model), **known, "labels": labels(d, model, batch)})


def drifting_loss(d: Drawer) -> Drawn:
    """Return a loss of a one-step generator, of some classes with some samples each."""
    max_loops, classes, each = d.quantity("max_loops", most=4), d.quantity("groups"), d.quantity("queries", most=5)
    batch = classes * each
    model = network(d, "drifting", batch=batch, passes=4 * max_loops, max_loops=max_loops)
    model["classes"] = max(classes, model["classes"])
    settings = {
        "model": model,
        "temperatures": d.quantity("temperatures"),
        "student_loops": student(d, max_loops),
        **d.settings("truth_weight", "objective.reduction"),
    }
    inputs = {
        **parameters(d, model),
        "positives": d.numbers("positives", classes, d.quantity("positives"), *model["shape"]),
        "labels": d.integers("labels", model["classes"], classes),
        "noise": d.normal("noise", batch, *model["shape"]),
    }
    return Drawn(settings, inputs)


def masked_sampling(d: Drawer) -> Drawn:
    """Return a whole decoding, from no known tokens to all of them."""
    extreme, batch, steps = extent(d, "masked", "steps")
    loops = loops_of_steps(d, steps, MOST[extreme])
    passes, max_loops = 2 * sum(loops), d.quantity("max_loops")
    model = network(d, "masked", batch=batch, passes=passes, max_loops=max_loops, extreme=extreme)
    tokens = math.prod(model["grid"])
    inputs = {
        **parameters(d, model, spread=1.5),
        "tokens": partly_masked(d, model, batch),
        "labels": labels(d, model, batch),
        "token_noise": d.gumbel("token_noise", steps, batch, tokens, model["codebook_size"]),
        "confidence_noise": d.gumbel("confidence_noise", steps, batch, tokens),
    }
    return Drawn({"model": model, "sampling": sampling(d, model), "loops": loops}, inputs)


def diffusion_sampling(d: Drawer) -> Drawn:
    """Return a whole sampling of the diffusion family."""
    extreme, batch, steps = extent(d, "diffusion", "steps")
    loops = loops_of_steps(d, steps, MOST[extreme])
    passes, max_loops = 4 * sum(loops), d.quantity("max_loops")
    model = network(d, "diffusion", batch=batch, passes=passes, max_loops=max_loops, extreme=extreme)
    settings = {"model": model, **noise_of(d, model), "sampling": sampling(d, model), "loops": loops}
    inputs = {
        **parameters(d, model),
        "labels": labels(d, model, batch),
        "initial_noise": d.normal("initial_noise", batch, *model["shape"]),
        "step_noise": d.normal("step_noise", steps, batch, *model["shape"]),
    }
    return Drawn(settings, inputs)


def learning(d: Drawer, family: str, processes: int = 1) -> Drawn:
    """Return several steps of training."""
    batch = processes * d.quantity("batch", most=max(1, 9 // processes))
    max_loops = max(2, d.quantity("max_loops"))
    steps, length, students = steps_of(d, max_loops)
    model = network(d, family, batch=batch, passes=4 * steps * max_loops, max_loops=max_loops)
    settings = {"model": model, **noise_of(d, model), "objective": objective(d, model), "training": training(d, length)}
    inputs, classes = parameters(d, model), d.integers("labels", model["classes"], steps, batch)
    if family == "masked":
        tokens = math.prod(model["grid"])
        inputs |= {
            "tokens": d.integers("tokens", model["codebook_size"], steps, batch, tokens),
            "labels": classes,
            "mask_ratio": d.fraction("mask_ratio", steps, batch),
            "mask_order": d.fraction("mask_order", steps, batch, tokens),
        }
    else:
        time = 0.1 + 0.8 * d.fraction("time", steps, batch)
        inputs |= {**noised(d, steps, batch, *model["shape"]), "time": time, "labels": classes}
    drop = d.fraction("label_drop", steps, batch)
    return Drawn(settings, {**inputs, "label_drop": drop, "student_loops": students})


def learning_across(d: Drawer) -> Drawn:
    """Return several steps of training across processes."""
    processes = d.quantity("processes")
    drawn = learning(d, "masked", processes)
    return Drawn({"processes": processes, **drawn.settings}, drawn.inputs)


def counting(d: Drawer) -> Drawn:
    """Return a count of a masked or a diffusion network, or of one as wide as the paper: nothing is computed."""
    family = d.pick(["masked", "diffusion"])
    loops, max_loops = d.quantity("loops"), d.quantity("max_loops")
    model, factor = network(d, family, batch=1, passes=1, max_loops=max_loops), d.quantity("times_wider")
    wider = {name: factor * model[name] for name in ("width", "mlp_width")}  # the heads still divide the width
    return Drawn({"model": {**model, **wider}, "loops": loops})


def layer(d: Drawer, family: str) -> Drawn:
    """Return one layer of a family."""
    batch, tokens = d.quantity("batch"), d.quantity("positions")
    size = {**sizes(d, d.quantity(WIDTH[family]), 1e6, 1), "layers": 1}
    own = {"grid": (1,), "codebook_size": 1} if family == "masked" else {"shape": (1, 1, 1), "patch_size": 1}
    model = section(family, size, own, max_loops=1, classes=1)
    leaves = {
        name.replace("block.0.", ""): leaf
        for name, leaf in parameters(d, model).items()
        if name.startswith("parameters.block.0.")
    }
    inputs = {**leaves, "x": d.numbers("x", batch, tokens, size["width"])}
    if family == "diffusion":
        inputs["conditioning"] = d.numbers("conditioning", batch, size["width"])
    settings = {"heads": size["heads"], "epsilon": model["layer_norm_epsilon"]}
    return Drawn(settings | d.settings(epsilon="layer_norm_epsilon?"), inputs)


OF_EITHER: Mapping[str, Callable[[Drawer, str], Drawn]] = {
    "layer": layer,
    "states": reading,
    "forward": reading,
    "objective": loss,
    "gradient": loss,
    "training": learning,
}
QUESTIONS: Mapping[str, Callable[[Drawer], Drawn]] = {
    **{
        f"{family}_{what}": partial(of, family=family)
        for family in FAMILIES
        for what, of in OF_EITHER.items()
        if f"{family}_{what}" in TABLE
    },
    "drifting_objective": drifting_loss,
    "drifting_gradient": drifting_loss,
    "masked_sample": masked_sampling,
    "diffusion_sample": diffusion_sampling,
    "masked_training_across": learning_across,
    "count": counting,
}
"""The strategy for every operation on a network."""
