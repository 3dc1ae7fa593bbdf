"""Mistakes in parallel decoding: the number and choice of masked tokens, the draw of tokens, the answer."""

import math
from typing import Any

import numpy as np

from elt_ref.config import MaskedExperiment
from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import of_family
from elt_ref.ops import log_softmax
from elt_ref.schedules.steps import TEMPERATURES
from specs.making.wrong.composed import ComposedBackend


class Decoding:
    """The replaceable parts of decoding, one method each."""

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:  # noqa: ARG002
        """Return the number of `tokens` that stay masked."""
        share = min(1.0, max(1e-6, math.cos(math.pi / 2 * (step + 1) / steps)))
        wanted = np.floor(start * share).astype(np.int64)
        return np.minimum(np.maximum(1, np.minimum(unknown - 1, wanted)), unknown)

    def mask_lengths(self, *, start, steps) -> Tensors:
        lengths, unknown = [], start
        for step in range(steps):
            unknown = self.lengths(start, unknown, step, steps, int(start.max()))
            lengths.append(unknown)
        return {"lengths": np.stack(lengths)}

    def temperature(self, step: int, steps: int, preset: str) -> float:
        """Return STemp."""
        bias, scale = TEMPERATURES[preset]
        return bias + scale * (1 - (step + 1) / steps)

    def drawn(self, logits: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        """Return a code for every token."""
        return (logits / temperature + noise).argmax(axis=-1)

    def log_confidence(self, logits: np.ndarray, choices: np.ndarray, temperature: float) -> np.ndarray:  # noqa: ARG002
        """Return the log-confidence of the choices."""
        return np.take_along_axis(log_softmax(logits), choices[..., None], axis=-1)[..., 0]

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the mask of the tokens to mask again."""
        return np.argsort(np.argsort(confidence, axis=1, kind="stable"), axis=1) < lengths[:, None]

    def certain(self, confidence: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """Return the confidence, including the known tokens'."""
        return np.where(unknown, confidence, np.inf)

    def decode_step(
        self, *, token_noise, confidence_noise, choice_temperature, sampling_temperature, **places
    ) -> Tensors:
        names = ("logits", "tokens", "start", "step", "steps", "mask_token")
        logits, tokens, start, step, steps, mask_token = (places[name] for name in names)
        unknown = tokens == mask_token
        temperature = self.temperature(step, steps, sampling_temperature)
        drawn = self.drawn(logits, token_noise, temperature)
        samples = np.where(unknown, drawn, tokens)
        noise = choice_temperature * (1 - (step + 1) / steps) * confidence_noise
        confidence = self.certain(self.log_confidence(logits, drawn, temperature) + noise, unknown)
        lengths = self.lengths(start, unknown.sum(axis=1), step, steps, tokens.shape[1])
        after = np.where(self.hidden(confidence, lengths), mask_token, samples)
        return {"tokens": after, "answer": samples}

    def masked_sample(
        self, *, model, sampling, parameters, tokens, labels, token_noise, confidence_noise, loops
    ) -> Tensors:
        backend: Any = self
        config, steps = of_family(MaskedExperiment, model), len(loops)
        network = config.model
        given = {name: sampling[name] for name in ("choice_temperature", "sampling_temperature")}
        start, answer = (tokens == network.mask_token).sum(axis=1), tokens
        scales = backend.guidance_scales(
            scale=sampling["guidance_scale"], steps=steps, schedule=sampling["guidance_schedule"]
        )["scales"]
        for step, taken in enumerate(loops):
            conditional = backend.predict(config, parameters, taken, tokens, labels)
            unconditional = backend.predict(config, parameters, taken, tokens, np.full_like(labels, network.classes))
            logits = backend.guide(conditional=conditional, unconditional=unconditional, scale=float(scales[step]))
            noise = {"token_noise": token_noise[step], "confidence_noise": confidence_noise[step]}
            places = {"start": start, "step": step, "steps": steps, "mask_token": network.mask_token}
            stepped = self.decode_step(logits=logits["guided"], tokens=tokens, **noise, **places, **given)
            tokens, answer = stepped["tokens"], stepped["answer"]
        return {"tokens": answer}


class LengthsOfWholePicture(Decoding, ComposedBackend):
    """Lengths are shares of all tokens, not of the initially unknown ones, as in MAGVIT: partial starts go wrong."""

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:
        return super().lengths(np.full_like(start, tokens), unknown, step, steps, tokens)


class TemperatureMultiplied(Decoding, ComposedBackend):
    """The temperature multiplies the logits, as sm_temp does in Halton-MaskGIT."""

    def temperature(self, step: int, steps: int, preset: str) -> float:
        return 1 / super().temperature(step, steps, preset)


class TemperatureOneStepLate(Decoding, ComposedBackend):
    """The temperature is read at k/K."""

    def temperature(self, step: int, steps: int, preset: str) -> float:
        bias, scale = TEMPERATURES[preset]
        return bias + scale * (1 - step / steps)


class TemperatureRising(Decoding, ComposedBackend):
    """The temperature rises with the steps: bias + scale (k + 1)/K."""

    def temperature(self, step: int, steps: int, preset: str) -> float:
        bias, scale = TEMPERATURES[preset]
        return bias + scale * (step + 1) / steps


class TemperatureOfConfidence(Decoding, ComposedBackend):
    """The confidence is of the tempered prediction."""

    def log_confidence(self, logits: np.ndarray, choices: np.ndarray, temperature: float) -> np.ndarray:
        return super().log_confidence(logits / temperature, choices, temperature)


class DrawnWithTemperedNoise(Decoding, ComposedBackend):
    """The temperature divides logits and noise alike, so it has no effect."""

    def drawn(self, logits: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        return super().drawn(logits, noise / temperature, temperature)
