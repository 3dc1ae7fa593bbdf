"""Questions about parts: patches, noise, decoding, guidance, clips, optimizer, schedules and measures."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from elt_ref.conformance.fresh.drawer import Drawer, Drawn
from elt_ref.conformance.fresh.networks import EXTREMES, network, noise, parameters, times, training

LEVEL = 9.0
"""Largest log-SNR of a question about noise, on either side of 0."""


def picture(d: Drawer) -> tuple[int, int, int, int]:
    """Return height, width, channels and side of a patch."""
    rows, columns, patch = d.quantity("side", most=16), d.quantity("side", most=16), d.quantity("patch_size")
    return rows * patch, columns * patch, d.quantity("channels"), patch


def patchify(d: Drawer) -> Drawn:
    """Return samples to cut."""
    height, width, channels, patch = picture(d)
    samples = d.numbers("samples", d.quantity("batch"), height, width, channels)
    return Drawn({"patch_size": patch}, {"samples": samples})


def unpatchify(d: Drawer) -> Drawn:
    """Return patches to join."""
    height, width, channels, patch = picture(d)
    patches = d.numbers("patches", d.quantity("batch"), height * width // patch**2, patch**2 * channels)
    return Drawn({"shape": [height, width, channels], "patch_size": patch}, {"patches": patches})


def student_draws(d: Drawer) -> Drawn:
    """Return the draws of a run of its own seed."""
    most = max(2, d.quantity("max_loops"))
    return Drawn({"min_loops": d.pick(range(1, most)), "max_loops": most, "count": 6000, "seed": d.seed})


def mask_tokens(d: Drawer) -> Drawn:
    """Return an order of tokens, often with ties."""
    batch, tokens, tied = d.quantity("batch"), d.quantity("positions"), d.quantity("ties")
    order = d.generator("order").integers(0, 4, (batch, tokens)) / 4 if tied else d.fraction("order", batch, tokens)
    return Drawn({}, {"ratio": d.fraction("ratio", batch), "order": order})


def drop_labels(d: Drawer) -> Drawn:
    """Return labels and draws."""
    batch, classes = d.quantity("batch"), d.quantity("classes")
    inputs = {"labels": d.integers("labels", classes + 1, batch), "draws": d.fraction("draws", batch)}
    return Drawn({"rate": d.quantity("label_drop_rate"), "classes": classes}, inputs)


def samples(d: Drawer, *names: str, level: bool = False) -> dict[str, np.ndarray]:
    """Return a batch of samples for each name, and a log-SNR for every sample."""
    shape = (d.quantity("batch"), d.quantity("side", most=8), d.quantity("side", most=8), d.quantity("channels"))
    levels = {"log_snr": LEVEL * (2 * d.uniform("log_snr", shape[0]) - 1)} if level else {}
    return {name: d.numbers(name, *shape) for name in names} | levels


def denoise_step(d: Drawer) -> Drawn:
    """Return a step of a sampler."""
    pictures = samples(d, "noisy", "clean", "noise")
    before, further = d.pick([0.0, -0.5, 2.0, -4.0, 6.0, -9.0]), d.pick([1.0, 0.25, 3.0, 7.0])
    levels = {"log_snr_t": before, "log_snr_s": before + further}
    return Drawn({"diffusion": noise(d), **levels, "last": d.pick([False, False, True])}, pictures)


def mask_lengths(d: Drawer) -> Drawn:
    """Return rows with unknown tokens to schedule."""
    batch = d.quantity("batch")
    start = np.array([d.pick([0, 1, 2, 3, 5, 6, 16, 31, 64, 100, 255, 256, 300, 1024]) for _ in range(batch)])
    return Drawn({"steps": d.quantity("steps")}, {"start": start})


def decode_step(d: Drawer) -> Drawn:
    """Return one step of decoding; in ties all logits are zero, and no noise decides which tokens are kept."""
    many = d.seldom(EXTREMES["masked"]) == "many"
    batch = d.quantity("batch", most=3 if many else np.inf)
    tokens = d.quantity("positions", most=4 if many else np.inf)
    codes = d.quantity("many_codes" if many else "codes")
    classes, steps = d.quantity("classes"), d.quantity("steps")
    step = d.pick(range(steps))
    start = d.generator("start").integers(0, tokens + 1, batch)
    unknown = np.minimum(start, 1 + d.generator("unknown").integers(0, tokens, batch)) if step else start
    places = d.fraction("places", batch, tokens).argsort(axis=1)
    mask = codes + classes + 1
    running = np.where(places < unknown[:, None], mask, d.integers("running", codes, batch, tokens))
    tied = d.quantity("ties")
    settings = {
        "step": step,
        "steps": steps,
        "mask_token": mask,
        "choice_temperature": 0.0,
        **d.settings(*(() if tied else ("choice_temperature",)), "sampling.sampling_temperature"),
    }
    inputs = {
        "logits": d.numbers("logits", batch, tokens, codes, size=0.0 if tied else 2.0),
        "tokens": running,
        "start": start,
        "token_noise": d.gumbel("token_noise", batch, tokens, codes),
        "confidence_noise": d.gumbel("confidence_noise", batch, tokens),
    }
    return Drawn(settings, inputs)


def guide(d: Drawer) -> Drawn:
    """Return two predictions of either family."""
    names = ("conditional", "unconditional")
    if d.pick([True, False]):
        shape = d.quantity("batch"), d.quantity("positions"), d.quantity("codes")
        inputs = {name: d.numbers(name, *shape) for name in names}
    else:
        inputs = samples(d, *names)
    return Drawn({"scale": d.quantity("guidance_scale")}, inputs)


def tubelets(d: Drawer) -> tuple[list[int], int, int, int, int]:
    """Return a grid of tubelets, their frames, their side, the channels, and the codes."""
    many = d.seldom(EXTREMES["masked"]) == "many"
    sides = [d.quantity("side", most=most) for most in ((1, 2, 2) if many else (8, 4, 4))]
    most = 1 if many else np.inf
    frames, patch = d.quantity("patch_frames", most=most), d.quantity("patch_size", most=most)
    return sides, frames, patch, d.quantity("channels"), d.quantity("many_codes" if many else "codes")


def encode_clips(d: Drawer) -> Drawn:
    """Return clips to encode; in ties every code is there twice, and the first is right."""
    batch, (sides, frames, patch, channels, codes) = d.quantity("batch"), tubelets(d)
    shape = (batch, sides[0] * frames, sides[1] * patch, sides[2] * patch, channels)
    features, settings = frames * patch**2 * channels, {"patch_frames": frames, "patch_size": patch}
    if d.quantity("ties"):
        half = d.generator("codebook").integers(-4, 5, (-(-codes // 2), features)) / 4
        clips, codebook = d.generator("clips").integers(-4, 5, shape) / 4, np.concatenate([half, half])[:codes]
    else:
        clips, codebook = d.numbers("clips", *shape), d.numbers("codebook", codes, features)
    return Drawn(settings, {"clips": clips, "codebook": codebook})


def decode_clips(d: Drawer) -> Drawn:
    """Return tokens to decode."""
    batch, (sides, frames, patch, channels, codes) = d.quantity("batch"), tubelets(d)
    inputs = {
        "tokens": d.integers("tokens", codes, batch, math.prod(sides)),
        "codebook": d.numbers("codebook", codes, frames * patch**2 * channels),
    }
    return Drawn({"grid": sides, "patch_frames": frames, "patch_size": patch}, inputs)


def given_frames(d: Drawer) -> Drawn:
    """Return tokens of clips of which some frames are known."""
    batch, (sides, frames, _, _, codes) = d.quantity("batch"), tubelets(d)
    places = d.fraction("frames", sides[0])
    known = np.repeat((places < 0.5) & (places < places.max()), frames)  # one at least is left to predict
    tokens = d.integers("tokens", codes, batch, math.prod(sides))
    return Drawn({"grid": sides, "mask_token": codes + d.quantity("classes") + 1}, {"tokens": tokens, "frames": known})


def leaves(d: Drawer, *trees: str) -> dict[str, np.ndarray]:
    """Return trees of numbers with the names and shapes of a small network."""
    model = network(d, "masked", batch=64, passes=8, max_loops=1)
    shapes = {name.partition(".")[2]: array.shape for name, array in parameters(d, model).items()}
    return {f"{tree}.{name}": d.numbers(f"{tree}.{name}", *shapes[name]) for tree in trees for name in shapes}


def optimizer_step(d: Drawer) -> Drawn:
    """Return a step of AdamW; the first has moments of zero."""
    steps, inputs = d.quantity("schedule_steps"), leaves(d, "parameters", "gradient", "first")
    step = d.pick(range(steps), [steps - 1])
    first = {name: value * bool(step) for name, value in inputs.items() if name.startswith("first.")}
    second = {name.replace("first", "second"): 2 * value**2 for name, value in first.items()}
    return Drawn({"training": training(d, steps, exact=True), "step": step}, {**inputs, **first, **second})


def clip_gradient(d: Drawer) -> Drawn:
    """Return a gradient to clip, or one of zeros."""
    gradient = leaves(d, "gradient")
    if d.pick(range(6)) == 5:
        gradient = {name: np.zeros_like(value) for name, value in gradient.items()}
    return Drawn({"largest": d.quantity("gradient_clip")}, gradient)


def moving_average(d: Drawer) -> Drawn:
    """Return parameters to average."""
    trees = leaves(d, "average", "parameters")
    return Drawn({"decay": d.quantity("average_decay")}, trees)


def frechet_distance(d: Drawer) -> Drawn:
    """Return two sets of features, far apart: a small distance is a difference of large numbers, and mostly rounding.

    There are more samples than features, so no covariance is singular.
    """
    features = d.quantity("features")
    sets = [d.normal(name, d.quantity("samples") + features, features) for name in ("features", "others")]
    return Drawn({}, {"features": sets[0], "others": 2 + 1.5 * sets[1]})


def inception_score(d: Drawer) -> Drawn:
    """Return logits of a classifier."""
    logits = d.numbers("logits", d.quantity("samples"), d.quantity("classes"))
    return Drawn({"splits": d.quantity("splits")}, {"logits": logits})


def drift_field(d: Drawer) -> Drawn:
    """Return generated and real samples of one class; no two of the generated ones are alike."""
    queries, positives, values = d.quantity("queries"), d.quantity("positives"), d.quantity("positions", most=64)
    inputs = {"queries": d.normal("queries", queries, values), "positives": d.numbers("positives", positives, values)}
    return Drawn({"temperatures": d.quantity("temperatures")}, inputs)


QUESTIONS: Mapping[str, Callable[[Drawer], Drawn]] = {
    "positions": lambda d: Drawn(d.settings(width="width_of_diffusion", rows="side", columns="side")),
    "time_features": lambda d: Drawn(
        d.settings(width="time_features", scale="time_scale"), {"time": times(d, d.quantity("batch"))}
    ),
    "patchify": patchify,
    "unpatchify": unpatchify,
    "truth_weights": lambda d: Drawn(d.settings(steps="schedule_steps")),
    "drift_field": drift_field,
    "student_draws": student_draws,
    "mask_tokens": mask_tokens,
    "drop_labels": drop_labels,
    "log_snr": lambda d: Drawn({"diffusion": noise(d)}, {"time": times(d, d.quantity("batch"))}),
    "loss_weight": lambda d: Drawn({"diffusion": noise(d)}, {"time": times(d, d.quantity("batch"))}),
    "add_noise": lambda d: Drawn({}, samples(d, "clean", "noise", level=True)),
    "prediction_target": lambda d: Drawn(
        d.settings(kind="diffusion.prediction"), samples(d, "clean", "noise", level=True)
    ),
    "to_clean": lambda d: Drawn(d.settings(kind="diffusion.prediction"), samples(d, "prediction", "noisy", level=True)),
    "denoise_step": denoise_step,
    "time_grid": lambda d: Drawn(d.settings(steps="steps")),
    "mask_lengths": mask_lengths,
    "decode_step": decode_step,
    "guide": guide,
    "guidance_scales": lambda d: Drawn(
        d.settings(scale="guidance_scale", steps="steps", schedule="sampling.guidance_schedule")
    ),
    "encode_clips": encode_clips,
    "decode_clips": decode_clips,
    "given_frames": given_frames,
    "optimizer_step": optimizer_step,
    "clip_gradient": clip_gradient,
    "learning_rates": lambda d: Drawn({"training": training(d, d.quantity("schedule_steps"))}),
    "moving_average": moving_average,
    "frechet_distance": frechet_distance,
    "inception_score": inception_score,
}
"""The strategy for every operation on parts."""
