"""Questions about parts: patches, noise, decoding, guidance, clips, optimizer, schedules and measures."""

import math

import numpy as np

from elt_ref.conformance.fresh.drawer import Drawer
from elt_ref.conformance.fresh.networks import EXTREMES, masked_model, noise, parameters, times, training
from elt_ref.conformance.fresh.question import Drawn

LEVEL = 9.0
"""Largest log-SNR of a question about noise, on either side of 0."""


def positions(d: Drawer) -> Drawn:
    """Return positions of a grid."""
    width = d.quantity("width_of_diffusion")
    return Drawn({"rows": d.quantity("side"), "columns": d.quantity("side"), "width": width}, {})


def time_features(d: Drawer) -> Drawn:
    """Return features of times."""
    settings = {"width": d.quantity("time_features"), "scale": d.quantity("time_scale")}
    return Drawn(settings, {"time": times(d, d.quantity("batch"))})


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


def truth_weights(d: Drawer) -> Drawn:
    """Return λ of a training."""
    return Drawn({"steps": d.quantity("schedule_steps")}, {})


def student_draws(d: Drawer) -> Drawn:
    """Return the draws of a run of its own seed."""
    most = max(2, d.quantity("max_loops"))
    return Drawn({"min_loops": d.pick(range(1, most)), "max_loops": most, "count": 6000, "seed": d.seed}, {})


def mask_tokens(d: Drawer) -> Drawn:
    """Return an order of tokens, often with ties."""
    batch, tokens, tied = d.quantity("batch"), d.quantity("positions"), d.quantity("ties")
    rng = d.generator("order")
    order = rng.integers(0, 4, (batch, tokens)) / 4 if tied else rng.random((batch, tokens))
    return Drawn({}, {"ratio": d.generator("ratio").random(batch), "order": order})


def drop_labels(d: Drawer) -> Drawn:
    """Return labels and draws."""
    batch, classes = d.quantity("batch"), d.quantity("classes")
    labels = d.integers("labels", classes + 1, batch)
    draws = d.generator("draws").random(batch)
    return Drawn({"rate": d.quantity("label_drop_rate"), "classes": classes}, {"labels": labels, "draws": draws})


def noise_at(d: Drawer) -> Drawn:
    """Return a schedule and times."""
    return Drawn({"diffusion": noise(d)}, {"time": times(d, d.quantity("batch"))})


def samples(d: Drawer) -> tuple[int, int, int, int]:
    """Return the shape of a batch of samples."""
    return d.quantity("batch"), d.quantity("side", most=8), d.quantity("side", most=8), d.quantity("channels")


def levels(d: Drawer, batch: int) -> np.ndarray:
    """Return a log-SNR for every sample."""
    return LEVEL * (2 * d.uniform("log_snr", batch) - 1)


def add_noise(d: Drawer) -> Drawn:
    """Return samples to noise."""
    shape = samples(d)
    inputs = {"clean": d.numbers("clean", *shape), "noise": d.numbers("noise", *shape)}
    return Drawn({}, {**inputs, "log_snr": levels(d, shape[0])})


def prediction_target(d: Drawer) -> Drawn:
    """Return samples with a target."""
    return Drawn({"kind": d.alternative("diffusion.prediction")}, add_noise(d).inputs)


def to_clean(d: Drawer) -> Drawn:
    """Return a prediction to convert."""
    kind, shape = d.alternative("diffusion.prediction"), samples(d)
    inputs = {"prediction": d.numbers("prediction", *shape), "noisy": d.numbers("noisy", *shape)}
    return Drawn({"kind": kind}, {**inputs, "log_snr": levels(d, shape[0])})


def denoise_step(d: Drawer) -> Drawn:
    """Return a step of a sampler."""
    shape = samples(d)
    before, further = d.pick([0.0, -0.5, 2.0, -4.0, 6.0, -9.0]), d.pick([1.0, 0.25, 3.0, 7.0])
    settings = {
        "diffusion": noise(d),
        "log_snr_t": before,
        "log_snr_s": before + further,
        "last": d.pick([False, False, True]),
    }
    return Drawn(settings, {name: d.numbers(name, *shape) for name in ("noisy", "clean", "noise")})


def time_grid(d: Drawer) -> Drawn:
    """Return the times of a sampling."""
    return Drawn({"steps": d.quantity("steps")}, {})


def mask_lengths(d: Drawer) -> Drawn:
    """Return rows with unknown tokens to schedule."""
    batch = d.quantity("batch")
    start = np.array([d.pick([0, 1, 2, 3, 5, 6, 16, 31, 64, 100, 255, 256, 300, 1024]) for _ in range(batch)])
    return Drawn({"steps": d.quantity("steps")}, {"start": start})


def decode_step(d: Drawer) -> Drawn:
    """Return one step of decoding; in ties all logits are zero, and no noise decides which tokens are kept."""
    many = d.seldom(EXTREMES) == "many"
    batch = d.quantity("batch", most=3 if many else np.inf)
    tokens = d.quantity("positions", most=4 if many else np.inf)
    codes = d.quantity("many_codes" if many else "codes")
    classes, steps = d.quantity("classes"), d.quantity("steps")
    step = d.pick(range(steps))
    start = d.generator("start").integers(0, tokens + 1, batch)
    unknown = np.minimum(start, 1 + d.generator("unknown").integers(0, tokens, batch)) if step else start
    places = d.generator("places").random((batch, tokens)).argsort(axis=1)
    mask = codes + classes + 1
    running = np.where(places < unknown[:, None], mask, d.integers("running", codes, batch, tokens))
    tied = d.quantity("ties")
    settings = {
        "step": step,
        "steps": steps,
        "mask_token": mask,
        "choice_temperature": 0.0 if tied else d.quantity("choice_temperature"),
        "sampling_temperature": d.alternative("sampling.sampling_temperature"),
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
    shape = (d.quantity("batch"), d.quantity("positions"), d.quantity("codes")) if d.pick([True, False]) else samples(d)
    inputs = {name: d.numbers(name, *shape) for name in ("conditional", "unconditional")}
    return Drawn({"scale": d.quantity("guidance_scale")}, inputs)


def guidance_scales(d: Drawer) -> Drawn:
    """Return a schedule of guidance."""
    settings = {"scale": d.quantity("guidance_scale"), "steps": d.quantity("steps")}
    return Drawn({**settings, "schedule": d.alternative("sampling.guidance_schedule")}, {})


def tubelets(d: Drawer) -> tuple[list[int], int, int, int, int]:
    """Return a grid of tubelets, their frames, their side, the channels, and the codes."""
    many = d.seldom(EXTREMES) == "many"
    sides = [d.quantity("side", most=most) for most in ((1, 2, 2) if many else (8, 4, 4))]
    most = 1 if many else np.inf
    frames, patch = d.quantity("patch_frames", most=most), d.quantity("patch_size", most=most)
    return sides, frames, patch, d.quantity("channels"), d.quantity("many_codes" if many else "codes")


def encode_clips(d: Drawer) -> Drawn:
    """Return clips to encode; in ties every code is there twice, and the first is right."""
    batch, (sides, frames, patch, channels, codes) = d.quantity("batch"), tubelets(d)
    shape, features = (
        (batch, sides[0] * frames, sides[1] * patch, sides[2] * patch, channels),
        frames * patch**2 * channels,
    )
    settings = {"patch_frames": frames, "patch_size": patch}
    if not d.quantity("ties"):
        return Drawn(
            settings, {"clips": d.numbers("clips", *shape), "codebook": d.numbers("codebook", codes, features)}
        )
    half = d.generator("codebook").integers(-4, 5, (-(-codes // 2), features)) / 4
    clips = d.generator("clips").integers(-4, 5, shape) / 4
    inputs = {"clips": clips, "codebook": np.concatenate([half, half])[:codes]}
    return Drawn(settings, inputs)


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
    places = d.generator("frames").random(sides[0])
    known = np.repeat((places < 0.5) & (places < places.max()), frames)  # one at least is left to predict
    tokens = d.integers("tokens", codes, batch, math.prod(sides))
    return Drawn({"grid": sides, "mask_token": codes + d.quantity("classes") + 1}, {"tokens": tokens, "frames": known})


def leaves(d: Drawer, *trees: str) -> dict[str, dict[str, np.ndarray]]:
    """Return trees of numbers with the names and shapes of a small network."""
    model = masked_model(d, batch=64, passes=8, max_loops=1)
    shapes = {name.partition(".")[2]: array.shape for name, array in parameters(d, model).items()}
    return {tree: {f"{tree}.{name}": d.numbers(f"{tree}.{name}", *shapes[name]) for name in shapes} for tree in trees}


def optimizer_step(d: Drawer) -> Drawn:
    """Return a step of AdamW; half of the gradient may be zero."""
    steps, trees = d.quantity("schedule_steps"), leaves(d, "parameters", "gradient", "first")
    step = d.pick(range(steps), [steps - 1])
    second = {name.replace("first", "second"): 2 * value**2 * bool(step) for name, value in trees["first"].items()}
    first = {name: value * bool(step) for name, value in trees["first"].items()}
    inputs = {**trees["parameters"], **trees["gradient"], **first, **second}
    return Drawn({"training": training(d, steps, exact=True), "step": step}, inputs)


def clip_gradient(d: Drawer) -> Drawn:
    """Return a gradient to clip, or one of zeros."""
    gradient = leaves(d, "gradient")["gradient"]
    if d.pick(range(6)) == 5:
        gradient = {name: np.zeros_like(value) for name, value in gradient.items()}
    return Drawn({"largest": d.quantity("gradient_clip")}, gradient)


def learning_rates(d: Drawer) -> Drawn:
    """Return a schedule of learning rates."""
    return Drawn({"training": training(d, d.quantity("schedule_steps"))}, {})


def moving_average(d: Drawer) -> Drawn:
    """Return parameters to average."""
    trees = leaves(d, "average", "parameters")
    return Drawn({"decay": d.quantity("average_decay")}, {**trees["average"], **trees["parameters"]})


def frechet_distance(d: Drawer) -> Drawn:
    """Return two sets of features, far apart: a small distance is a difference of large numbers, and mostly rounding.

    There are more samples than features, so no covariance is singular.
    """
    features = d.quantity("features")
    sets = {
        name: d.generator(name).standard_normal((d.quantity("samples") + features, features))
        for name in ("features", "others")
    }
    return Drawn({}, {"features": sets["features"], "others": 2 + 1.5 * sets["others"]})


def inception_score(d: Drawer) -> Drawn:
    """Return logits of a classifier."""
    logits = d.numbers("logits", d.quantity("samples"), d.quantity("classes"))
    return Drawn({"splits": d.quantity("splits")}, {"logits": logits})
