"""Questions about whole networks: states, predictions, losses, gradients, samplings and trainings of both families."""

import math
from typing import Any

import numpy as np

from elt_ref.arrays import tree_items
from elt_ref.config import (
    DiffusionConfig,
    DiffusionModelConfig,
    MaskedModelConfig,
    ObjectiveConfig,
    SamplingConfig,
    TrainingConfig,
)
from elt_ref.conformance.fresh.drawer import Drawer, Number
from elt_ref.conformance.fresh.question import Drawn
from elt_ref.conformance.reference import configuration
from elt_ref.model import declare_parameters

WORK = 6e6
"""Multiply-adds of one pass, at most: it bounds the tokens of a question, and then its other sizes."""
EXTREMES = (*(14 * ("none",)), "long", "many")
"""A network of one kind of masked questions: one in 16 has a long grid, one more codes than 16 bits hold."""
MOST = {"none": np.inf, "long": 2, "many": 3}
"""Samples and loops of such a network, at most."""
EXTREME_PICTURES = (*(14 * ("none",)), "long")
"""A network of one kind of questions about pictures: one in 15 has 256 patches or more."""
DEPTH = 120
"""Layers in all passes of a network of more than one layer, at most."""
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


def masked_model(d: Drawer, *, batch: int, passes: int, max_loops: int, extreme: str = "none") -> dict[str, Any]:
    """Return the [model] section of a masked network that makes `passes` passes of its block over a batch."""
    work = WORK / batch if extreme == "none" else WORK / (batch * 256)
    widest = NARROW if d.pick([True, True, False], [False]) else max(NARROW, math.sqrt(work / (8 * passes)))
    size = sizes(d, d.quantity("width", most=widest), work, passes)
    tokens = 4 if extreme == "many" else WORK / (batch * passes * per_token(size)) - 1
    shape = d.quantity("long_grid") if extreme == "long" else grid(d, tokens)
    epsilon = d.maybe("layer_norm_epsilon")
    changes: dict[str, Any] = {} if epsilon is None else {"layer_norm_epsilon": epsilon}
    return MaskedModelConfig(
        **size,
        **changes,
        max_loops=max_loops,
        grid=tuple(shape),
        codebook_size=d.quantity("many_codes" if extreme == "many" else "codes"),
        classes=d.quantity("classes"),
        unconditional_row=d.alternative("model.unconditional_row"),
    ).model_dump(mode="json")


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


def masked_reading(d: Drawer) -> Drawn:
    """Return a pass of the masked network."""
    extreme = d.seldom(EXTREMES)
    batch, loops = d.quantity("batch", most=MOST[extreme]), d.quantity("loops", most=MOST[extreme])
    model = masked_model(d, batch=batch, passes=loops, max_loops=d.quantity("max_loops"), extreme=extreme)
    tokens = math.prod(model["grid"])
    codes = d.integers("tokens", model["codebook_size"], batch, tokens)
    inputs = {
        **parameters(d, model),
        "tokens": np.where(hidden(d, batch, tokens), mask_token(model), codes),
        "labels": labels(d, model, batch),
    }
    return Drawn({"model": model, "loops": loops}, inputs)


def student(d: Drawer, max_loops: int) -> int | None:
    """Return the loops of the student, or None for the vanilla objective."""
    if max_loops == 1 or d.pick(range(6)) == 5:
        return None
    return d.quantity("student_loops", most=max_loops - 1)


def masked_loss(d: Drawer) -> Drawn:
    """Return a loss of the masked network."""
    extreme = d.seldom(EXTREMES)
    batch, max_loops = d.quantity("batch", most=MOST[extreme]), d.quantity("max_loops", most=MOST[extreme])
    model = masked_model(d, batch=batch, passes=4 * max_loops, max_loops=max_loops, extreme=extreme)
    tokens = math.prod(model["grid"])
    settings = {
        "model": model,
        "student_loops": student(d, max_loops),
        "truth_weight": d.quantity("truth_weight"),
        "reduction": d.alternative("objective.reduction"),
        "label_smoothing": d.alternative("objective.label_smoothing"),
    }
    inputs = {
        **parameters(d, model),
        "tokens": d.integers("tokens", model["codebook_size"], batch, tokens),
        "mask": hidden(d, batch, tokens),
        "labels": labels(d, model, batch),
    }
    return Drawn(settings, inputs)


def sampling(d: Drawer, model: dict[str, Any]) -> dict[str, Any]:
    """Return a [sampling] section."""
    decoding: dict[str, Any] = {}
    if model["family"] == "masked":
        decoding["choice_temperature"] = d.quantity("choice_temperature")
        decoding["sampling_temperature"] = d.alternative("sampling.sampling_temperature")
    return SamplingConfig(
        guidance_scale=d.quantity("guidance_scale") if model["unconditional_row"] else 1.0,
        guidance_schedule=d.alternative("sampling.guidance_schedule"),
        **decoding,
    ).model_dump(mode="json", exclude_none=True)


def loops_of_steps(d: Drawer, steps: int, most: Number = np.inf) -> list[int]:
    """Return the loops of every step, few in all for half of the samplings, or the same at each step."""
    most = min(most, max(1, d.pick([12, 48]) / steps))
    if d.pick(range(4)) == 3:
        return [d.quantity("loops", most=most)] * steps
    return [d.quantity("loops", most=most) for _ in range(steps)]


def masked_sampling(d: Drawer) -> Drawn:
    """Return a whole decoding, from no known tokens to all of them."""
    extreme = d.seldom(EXTREMES)
    batch, steps = d.quantity("batch", most=MOST[extreme]), d.quantity("steps", most=MOST[extreme])
    loops = loops_of_steps(d, steps, MOST[extreme])
    model = masked_model(d, batch=batch, passes=2 * sum(loops), max_loops=d.quantity("max_loops"), extreme=extreme)
    tokens, codes = math.prod(model["grid"]), model["codebook_size"]
    running = d.integers("tokens", codes, batch, tokens)
    masking = hidden(d, batch, tokens)
    inputs = {
        **parameters(d, model, spread=1.5),
        "tokens": np.where(masking, mask_token(model), running),
        "labels": labels(d, model, batch),
        "token_noise": d.gumbel("token_noise", steps, batch, tokens, codes),
        "confidence_noise": d.gumbel("confidence_noise", steps, batch, tokens),
    }
    return Drawn({"model": model, "sampling": sampling(d, model), "loops": loops}, inputs)


def objective(d: Drawer, model: dict[str, Any]) -> dict[str, Any]:
    """Return the [objective] section of a training."""
    masked = model["family"] == "masked"
    return ObjectiveConfig(
        reduction=d.alternative("objective.reduction"),
        label_smoothing=d.alternative("objective.label_smoothing") if masked else 0.0,
        label_drop_rate=d.quantity("label_drop_rate") if model["unconditional_row"] else 0.0,
    ).model_dump(mode="json")


def training(d: Drawer, steps: int, *, exact: bool = False) -> dict[str, Any]:
    """Return a [training] section; `exact` allows a small ε of Adam, where no gradient is only rounding."""
    beta1, beta2 = d.quantity("betas")
    epsilon = d.quantity("adam_epsilon")
    return TrainingConfig(
        steps=steps,
        epsilon=epsilon if exact else max(epsilon, 0.01),
        warmup_steps=d.quantity("warmup_steps"),
        learning_rate=d.quantity("learning_rate"),
        weight_decay=d.quantity("weight_decay"),
        gradient_clip=d.quantity("gradient_clip"),
        average_decay=d.quantity("average_decay"),
        schedule=d.alternative("training.schedule"),
        beta1=beta1,
        beta2=beta2,
        dtype="float64",
    ).model_dump(mode="json")


def steps_of(d: Drawer, max_loops: int) -> tuple[int, int, np.ndarray]:
    """Return the steps that are taken, the steps of the whole training, and the student's loops at each."""
    steps = d.quantity("training_steps", most=16 if max_loops == 2 else max(2, 24 / max_loops))
    return steps, steps + d.pick(range(4)), 1 + d.integers("student_loops", max_loops - 1, steps)


def masked_learning(d: Drawer, processes: int = 1) -> Drawn:
    """Return several steps of training of the masked family."""
    batch = processes * d.quantity("batch", most=max(1, 9 // processes))
    max_loops = max(2, d.quantity("max_loops"))
    steps, length, students = steps_of(d, max_loops)
    model = masked_model(d, batch=batch, passes=4 * steps * max_loops, max_loops=max_loops)
    tokens = math.prod(model["grid"])
    settings = {"model": model, "objective": objective(d, model), "training": training(d, length)}
    inputs = {
        **parameters(d, model),
        "tokens": d.integers("tokens", model["codebook_size"], steps, batch, tokens),
        "labels": d.integers("labels", model["classes"], steps, batch),
        "mask_ratio": d.generator("mask_ratio").random((steps, batch)),
        "mask_order": d.generator("mask_order").random((steps, batch, tokens)),
        "label_drop": d.generator("label_drop").random((steps, batch)),
        "student_loops": students,
    }
    return Drawn(settings, inputs)


def masked_learning_across(d: Drawer) -> Drawn:
    """Return several steps of training across processes."""
    processes = d.quantity("processes")
    drawn = masked_learning(d, processes)
    return Drawn({"processes": processes, **drawn.settings}, drawn.inputs)


def diffusion_model(d: Drawer, *, batch: int, passes: int, max_loops: int, extreme: str = "none") -> dict[str, Any]:
    """Return the [model] section of a diffusion network that makes `passes` passes of its block over a batch."""
    work = WORK / batch if extreme == "none" else WORK / (batch * 256)
    widest = NARROW if d.pick([True, True, False], [False]) else max(NARROW, math.sqrt(work / (8 * passes)))
    size = sizes(d, d.quantity("width_of_diffusion", most=widest), work, passes)
    if extreme == "long":
        rows, columns = d.quantity("long_grid_of_patches")
    else:
        left = min(64, max(1, int(WORK / (batch * passes * per_token(size)))))
        rows = d.quantity("side", most=left)
        columns = d.quantity("side", most=left // rows)
    patch = d.quantity("patch_size", most=4 if extreme == "none" else 1)
    changes: dict[str, Any] = {}
    if (epsilon := d.maybe("layer_norm_epsilon")) is not None:
        changes["layer_norm_epsilon"] = epsilon
    return DiffusionModelConfig(
        **size,
        **changes,
        family="diffusion",
        max_loops=max_loops,
        shape=(rows * patch, columns * patch, d.quantity("channels")),
        patch_size=patch,
        classes=d.quantity("classes"),
        time_features=d.quantity("time_features"),
        time_scale=d.quantity("time_scale"),
    ).model_dump(mode="json")


def noise(d: Drawer) -> dict[str, Any]:
    """Return a [diffusion] section."""
    low, high = d.quantity("bounds")
    return DiffusionConfig(
        shift=d.quantity("shift"),
        bias=d.quantity("bias"),
        shift_at_noise=d.maybe("shift_at_noise"),
        log_snr_min=low,
        log_snr_max=high,
        prediction=d.alternative("diffusion.prediction"),
        weight_derivative=d.alternative("diffusion.weight_derivative"),
        sampler=d.alternative("diffusion.sampler"),
        variance=d.alternative("diffusion.variance"),
        variance_fraction=d.quantity("variance_fraction"),
        clip=d.maybe("clip"),
    ).model_dump(mode="json")


def times(d: Drawer, *shape: int) -> np.ndarray:
    """Return times between 0 and 1, or with both ends among them."""
    drawn = 0.0625 + 0.875 * d.uniform("time", *shape)
    if d.quantity("time") == "ends":
        drawn.flat[0] = 1.0
        drawn.flat[-1] = 0.0
    return drawn


def diffusion_reading(d: Drawer) -> Drawn:
    """Return a pass of the diffusion network."""
    extreme = d.seldom(EXTREME_PICTURES)
    batch, loops = d.quantity("batch", most=MOST[extreme]), d.quantity("loops", most=MOST[extreme])
    model = diffusion_model(d, batch=batch, passes=loops, max_loops=d.quantity("max_loops"), extreme=extreme)
    inputs = {
        **parameters(d, model),
        "noisy": d.numbers("noisy", batch, *model["shape"]),
        "time": times(d, batch),
        "labels": labels(d, model, batch),
    }
    return Drawn({"model": model, "loops": loops}, inputs)


def diffusion_loss(d: Drawer) -> Drawn:
    """Return a loss of the diffusion network."""
    extreme = d.seldom(EXTREME_PICTURES)
    batch, max_loops = d.quantity("batch", most=MOST[extreme]), d.quantity("max_loops", most=MOST[extreme])
    model = diffusion_model(d, batch=batch, passes=4 * max_loops, max_loops=max_loops, extreme=extreme)
    settings = {
        "model": model,
        "diffusion": noise(d),
        "student_loops": student(d, max_loops),
        "truth_weight": d.quantity("truth_weight"),
        "reduction": d.alternative("objective.reduction"),
    }
    inputs = {
        **parameters(d, model),
        "clean": d.numbers("clean", batch, *model["shape"]),
        "noise": d.generator("noise").standard_normal((batch, *model["shape"])),
        "time": times(d, batch),
        "labels": labels(d, model, batch),
    }
    return Drawn(settings, inputs)


def diffusion_sampling(d: Drawer) -> Drawn:
    """Return a whole sampling of the diffusion family."""
    extreme = d.seldom(EXTREME_PICTURES)
    batch, steps = d.quantity("batch", most=MOST[extreme]), d.quantity("steps", most=MOST[extreme])
    loops = loops_of_steps(d, steps, MOST[extreme])
    model = diffusion_model(d, batch=batch, passes=4 * sum(loops), max_loops=d.quantity("max_loops"), extreme=extreme)
    settings = {"model": model, "diffusion": noise(d), "sampling": sampling(d, model), "loops": loops}
    shape = (batch, *model["shape"])
    inputs = {
        **parameters(d, model),
        "labels": labels(d, model, batch),
        "initial_noise": d.generator("initial_noise").standard_normal(shape),
        "step_noise": d.generator("step_noise").standard_normal((steps, *shape)),
    }
    return Drawn(settings, inputs)


def diffusion_learning(d: Drawer) -> Drawn:
    """Return several steps of training of the diffusion family."""
    batch, max_loops = d.quantity("batch"), max(2, d.quantity("max_loops"))
    steps, length, students = steps_of(d, max_loops)
    model = diffusion_model(d, batch=batch, passes=4 * steps * max_loops, max_loops=max_loops)
    shape = (steps, batch, *model["shape"])
    settings = {
        "model": model,
        "diffusion": noise(d),
        "objective": objective(d, model),
        "training": training(d, length),
    }
    inputs = {
        **parameters(d, model),
        "clean": d.numbers("clean", *shape),
        "noise": d.generator("noise").standard_normal(shape),
        "time": 0.1 + 0.8 * d.generator("time").random((steps, batch)),
        "labels": d.integers("labels", model["classes"], steps, batch),
        "label_drop": d.generator("label_drop").random((steps, batch)),
        "student_loops": students,
    }
    return Drawn(settings, inputs)


def counting(d: Drawer) -> Drawn:
    """Return a count of a network of either family, also of one as wide as the paper's: nothing is computed with it."""
    family = d.pick(["masked", "diffusion"])
    loops, max_loops = d.quantity("loops"), d.quantity("max_loops")
    build = masked_model if family == "masked" else diffusion_model
    model, factor = build(d, batch=1, passes=1, max_loops=max_loops), d.quantity("times_wider")
    wider = {name: factor * model[name] for name in ("width", "mlp_width")}  # the heads still divide the width
    return Drawn({"model": {**model, **wider}, "loops": loops}, {})


def layer(d: Drawer, family: str) -> Drawn:
    """Return one layer of a family."""
    batch, tokens = d.quantity("batch"), d.quantity("positions")
    name = "width" if family == "masked" else "width_of_diffusion"
    size = {**sizes(d, d.quantity(name), 1e6, 1), "layers": 1}
    common: dict[str, Any] = {"max_loops": 1, "classes": 1, **size}
    if family == "masked":
        model = MaskedModelConfig(**common, grid=(1,), codebook_size=1).model_dump(mode="json")
    else:
        model = DiffusionModelConfig(**common, family="diffusion", shape=(1, 1, 1), patch_size=1).model_dump(
            mode="json"
        )
    own = {
        name.replace("block.0.", ""): leaf
        for name, leaf in parameters(d, model).items()
        if name.startswith("parameters.block.0.")
    }
    inputs = {**own, "x": d.numbers("x", batch, tokens, size["width"])}
    if family == "diffusion":
        inputs["conditioning"] = d.numbers("conditioning", batch, size["width"])
    epsilon = d.maybe("layer_norm_epsilon") or model["layer_norm_epsilon"]
    return Drawn({"heads": size["heads"], "epsilon": epsilon}, inputs)
