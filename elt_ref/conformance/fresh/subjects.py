"""Which operation is asked how often, and which clauses a fresh question is about."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from elt_ref.conformance.fresh import networks, parts
from elt_ref.conformance.fresh.drawer import Drawer
from elt_ref.conformance.fresh.question import Drawn

QUESTIONS: Mapping[str, Callable[[Drawer], Drawn]] = {
    "masked_layer": partial(networks.layer, family="masked"),
    "diffusion_layer": partial(networks.layer, family="diffusion"),
    "positions": parts.positions,
    "time_features": parts.time_features,
    "patchify": parts.patchify,
    "unpatchify": parts.unpatchify,
    "masked_states": networks.masked_reading,
    "masked_forward": networks.masked_reading,
    "diffusion_states": networks.diffusion_reading,
    "diffusion_forward": networks.diffusion_reading,
    "masked_objective": networks.masked_loss,
    "masked_gradient": networks.masked_loss,
    "diffusion_objective": networks.diffusion_loss,
    "diffusion_gradient": networks.diffusion_loss,
    "truth_weights": parts.truth_weights,
    "student_draws": parts.student_draws,
    "mask_tokens": parts.mask_tokens,
    "drop_labels": parts.drop_labels,
    "log_snr": parts.noise_at,
    "loss_weight": parts.noise_at,
    "add_noise": parts.add_noise,
    "prediction_target": parts.prediction_target,
    "to_clean": parts.to_clean,
    "denoise_step": parts.denoise_step,
    "time_grid": parts.time_grid,
    "mask_lengths": parts.mask_lengths,
    "decode_step": parts.decode_step,
    "guide": parts.guide,
    "guidance_scales": parts.guidance_scales,
    "masked_sample": networks.masked_sampling,
    "diffusion_sample": networks.diffusion_sampling,
    "encode_clips": parts.encode_clips,
    "decode_clips": parts.decode_clips,
    "given_frames": parts.given_frames,
    "optimizer_step": parts.optimizer_step,
    "clip_gradient": parts.clip_gradient,
    "learning_rates": parts.learning_rates,
    "moving_average": parts.moving_average,
    "masked_training": networks.masked_learning,
    "masked_training_across": networks.masked_learning_across,
    "diffusion_training": networks.diffusion_learning,
    "count": networks.counting,
    "frechet_distance": parts.frechet_distance,
    "inception_score": parts.inception_score,
}
"""The strategy for every operation."""

CHEAP, MANY, SEVERAL, FEW = 16, 10, 6, 3
OFTEN = {
    **dict.fromkeys(QUESTIONS, CHEAP),
    **dict.fromkeys(("masked_layer", "diffusion_layer", "optimizer_step", "clip_gradient", "moving_average"), SEVERAL),
    **dict.fromkeys(("masked_states", "masked_forward", "masked_objective", "masked_gradient"), SEVERAL),
    **dict.fromkeys(("diffusion_states", "diffusion_forward", "diffusion_objective", "diffusion_gradient"), SEVERAL),
    **dict.fromkeys(("masked_sample", "diffusion_sample"), MANY),
    **dict.fromkeys(("masked_training", "diffusion_training"), FEW),
    **dict.fromkeys(("masked_training_across", "student_draws"), 2),
}
"""Questions of each operation in one round: many where an answer takes a millisecond, fewer where it takes long."""


def subjects(operation: str, settings: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:  # noqa: PLR0911  a table of conditions
    """Return the clauses that a question is about, the narrowest first."""
    model = settings.get("model", {})
    if operation == "masked_states":
        deep = ("LOOP-04",) if settings["loops"] > model["max_loops"] else ()
        clips = ("CLIP-02",) if len(model["grid"]) == 3 else ()
        return (*deep, *clips, "LOOP-01", "LOOP-02", "ANYTIME-01", "BLOCK-02")
    if operation == "masked_forward":
        deep = ("LOOP-04",) if settings["loops"] > model["max_loops"] else ()
        dropped = ("DROP-01",) if (inputs["labels"] == model["classes"]).any() else ()
        return (*deep, *dropped, "LOOP-03", "LOOP-02", "ANYTIME-01", "BLOCK-03")
    if operation == "masked_objective":
        if settings["student_loops"] is None:
            return ("DISTIL-08", "MASK-02", "MASK-03")
        smoothed = ("MASK-04",) if settings["label_smoothing"] else ()
        return (*smoothed, "DISTIL-01", "DISTIL-02", "DISTIL-05", "MASK-02", "MASK-03")
    if operation == "masked_gradient":
        student = () if settings["student_loops"] is None else ("DISTIL-03", "DISTIL-04")
        return (*student, "SHARE-01", "GRAD-01", "BLOCK-03")
    if operation == "masked_sample":
        sampling = settings["sampling"]
        clips = ("CLIP-03",) if len(model["grid"]) == 3 else ()
        ramp = ("GUIDE-03",) if sampling["guidance_schedule"] == "ramp" else ()
        return (*clips, *ramp, "GUIDE-02", "DECODE-03", "DECODE-06", "SAMPLE-02")
    if operation == "decode_step":
        return ("DECODE-03", "DECODE-04", "DECODE-05", "DECODE-06", "DECODE-07")
    if operation == "denoise_step":
        noise = settings["diffusion"]
        bound = ("DENOISE-02",) if settings["last"] or noise["clip"] is not None else ()
        return (*bound, "DENOISE-03" if noise["sampler"] == "ddim" else "DENOISE-01")
    if operation == "guide":
        return ("GUIDE-02", "GUIDE-01") if settings["scale"] in {0.0, 1.0} else ("GUIDE-01",)
    return ALWAYS[operation]


ALWAYS: Mapping[str, tuple[str, ...]] = {
    "masked_layer": ("BLOCK-01",),
    "diffusion_layer": ("DIFFBLOCK-01",),
    "positions": ("PATCH-02",),
    "time_features": ("PATCH-03",),
    "patchify": ("PATCH-01",),
    "unpatchify": ("PATCH-01",),
    "diffusion_states": ("DIFFLOOP-01", "DIFFLOOP-02"),
    "diffusion_forward": ("DIFFBLOCK-02", "DIFFBLOCK-03"),
    "diffusion_objective": ("WEIGHT-02", "DIFFDISTIL-01"),
    "diffusion_gradient": ("DIFFDISTIL-02",),
    "truth_weights": ("DISTIL-06",),
    "student_draws": ("DISTIL-07",),
    "mask_tokens": ("MASK-01",),
    "drop_labels": ("DROP-01",),
    "log_snr": ("NOISE-01",),
    "loss_weight": ("WEIGHT-01",),
    "add_noise": ("NOISE-02",),
    "prediction_target": ("NOISE-03",),
    "to_clean": ("NOISE-03",),
    "time_grid": ("DENOISE-04",),
    "mask_lengths": ("DECODE-01", "DECODE-02"),
    "guidance_scales": ("GUIDE-03",),
    "diffusion_sample": ("DIFFGUIDE-01", "SAMPLE-01"),
    "encode_clips": ("CLIP-01",),
    "decode_clips": ("CLIP-01",),
    "given_frames": ("CLIP-03",),
    "optimizer_step": ("STEP-01",),
    "clip_gradient": ("STEP-02",),
    "learning_rates": ("STEP-03",),
    "moving_average": ("STEP-04",),
    "masked_training": ("STEP-05",),
    "masked_training_across": ("STEP-07",),
    "diffusion_training": ("STEP-06",),
    "count": ("COUNT-01",),
    "frechet_distance": ("METRIC-01",),
    "inception_score": ("METRIC-02",),
}
"""Clauses of an operation whose questions are all about the same."""
