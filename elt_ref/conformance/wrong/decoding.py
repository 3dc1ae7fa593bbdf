"""Mistakes in parallel decoding: the number and choice of masked tokens, the draw of tokens, the answer."""

import math
from typing import Any

import numpy as np

from elt_ref.conformance.backend import Parameters, Section, Tensors
from elt_ref.conformance.reference import ReferenceBackend, masked_configuration
from elt_ref.conformance.wrong.composed import ComposedBackend
from elt_ref.ops import log_softmax
from elt_ref.schedules.steps import TEMPERATURES
from elt_ref.streams import stream


class Decoding:
    """The replaceable parts of decoding, one method each."""

    def progress(self, step: int, steps: int) -> float:
        """Return the progress after a step, as a share of all steps."""
        return (step + 1) / steps

    def fraction(self, progress: float) -> float:
        """Return γ."""
        return min(1.0, max(1e-6, math.cos(math.pi / 2 * progress)))

    def whole(self, wanted: np.ndarray) -> np.ndarray:
        """Return a whole number of tokens."""
        return np.floor(wanted)

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:  # noqa: ARG002
        """Return the number of `tokens` that stay masked."""
        wanted = self.whole(start * self.fraction(self.progress(step, steps))).astype(np.int64)
        return np.minimum(np.maximum(1, np.minimum(unknown - 1, wanted)), unknown)

    def mask_lengths(self, *, start: np.ndarray, steps: int) -> Tensors:
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

    def annealing(self, step: int, steps: int) -> float:
        """Return the share of the choice temperature at a step."""
        return 1 - (step + 1) / steps

    def noisy(self, confidence: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return the confidence with its noise."""
        return confidence + noise

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the mask of the tokens to mask again."""
        return np.argsort(np.argsort(confidence, axis=1, kind="stable"), axis=1) < lengths[:, None]

    def samples(self, tokens: np.ndarray, drawn: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """Return the answer of a step."""
        return np.where(unknown, drawn, tokens)

    def certain(self, confidence: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        """Return the confidence, including the known tokens'."""
        return np.where(unknown, confidence, np.inf)

    def result(self, tokens: np.ndarray, answer: np.ndarray, codes: int) -> Tensors:  # noqa: ARG002
        """Return the result of a step."""
        return {"tokens": tokens, "answer": answer}

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
        unknown = tokens == mask_token
        temperature = self.temperature(step, steps, sampling_temperature)
        drawn = self.drawn(logits, token_noise, temperature)
        samples = self.samples(tokens, drawn, unknown)
        noise = choice_temperature * self.annealing(step, steps) * confidence_noise
        confidence = self.certain(self.noisy(self.log_confidence(logits, drawn, temperature), noise), unknown)
        lengths = self.lengths(start, unknown.sum(axis=1), step, steps, tokens.shape[1])
        after = np.where(self.hidden(confidence, lengths), mask_token, samples)
        return self.result(after, samples, logits.shape[-1])

    def unguided(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Return the labels of the unconditional branch."""
        return np.full_like(labels, classes)

    def unguided_loops(self, loops: int, most: int) -> int:  # noqa: ARG002
        """Return the loops of the unconditional branch."""
        return loops

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
        backend: Any = self
        config, steps = masked_configuration(model), len(loops)
        network = config.model
        given = {name: sampling[name] for name in ("choice_temperature", "sampling_temperature")}
        start, answer = (tokens == network.mask_token).sum(axis=1), tokens
        scales = backend.guidance_scales(
            scale=sampling["guidance_scale"], steps=steps, schedule=sampling["guidance_schedule"]
        )["scales"]
        for step, taken in enumerate(loops):
            nobody, other = self.unguided(labels, network.classes), self.unguided_loops(taken, network.max_loops)
            conditional = backend.predict(config, parameters, taken, tokens, labels)
            unconditional = backend.predict(config, parameters, other, tokens, nobody)
            logits = backend.guide(conditional=conditional, unconditional=unconditional, scale=float(scales[step]))
            noise = {"token_noise": token_noise[step], "confidence_noise": confidence_noise[step]}
            places = {"start": start, "step": step, "steps": steps, "mask_token": network.mask_token}
            stepped = self.decode_step(logits=logits["guided"], tokens=tokens, **noise, **places, **given)
            tokens, answer = stepped["tokens"], stepped["answer"]
        return {"tokens": answer}


class LengthsRounded(Decoding, ComposedBackend):
    """Lengths are rounded, as in open-muse, diffusers and lucidrains, not floored."""

    def whole(self, wanted: np.ndarray) -> np.ndarray:
        return np.rint(wanted)


class LengthsLinear(Decoding, ComposedBackend):
    """The masked share falls linearly from step to step."""

    def fraction(self, progress: float) -> float:
        return 1 - progress


class LengthsOneStepLate(Decoding, ComposedBackend):
    """The schedule is read at k/K, not (k + 1)/K, so that it never ends, as in the unofficial port of ELT."""

    def progress(self, step: int, steps: int) -> float:
        return step / steps


class LengthsToTheEnd(Decoding, ComposedBackend):
    """The schedule is read at linspace(0, 1, K), as lucidrains and Halton-MaskGIT do (Halton-MaskGIT#17)."""

    def progress(self, step: int, steps: int) -> float:
        return step / max(1, steps - 1)


class LengthsMayBeZero(Decoding, ComposedBackend):
    """Nothing stays masked when the schedule gives less than one token."""

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:  # noqa: ARG002
        wanted = self.whole(start * self.fraction(self.progress(step, steps))).astype(np.int64)
        return np.minimum(np.maximum(0, unknown - 1), wanted)


class LengthsMayStand(Decoding, ComposedBackend):
    """A step may reveal nothing: the bound unknown − 1 is missing."""

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:  # noqa: ARG002
        wanted = self.whole(start * self.fraction(self.progress(step, steps))).astype(np.int64)
        return np.minimum(np.maximum(1, wanted), unknown)


class LengthsOfWholePicture(Decoding, ComposedBackend):
    """Lengths are shares of all tokens, not of the initially unknown ones, as in MAGVIT: partial starts go wrong."""

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:
        return super().lengths(np.full_like(start, tokens), unknown, step, steps, tokens)


class LengthsOfWhatIsLeft(Decoding, ComposedBackend):
    """Lengths are shares of the tokens still unknown: the schedule is applied to its own result."""

    def lengths(self, start: np.ndarray, unknown: np.ndarray, step: int, steps: int, tokens: int) -> np.ndarray:  # noqa: ARG002
        return super().lengths(unknown, unknown, step, steps, tokens)


class TieOfOtherPrecision(ReferenceBackend):
    """The schedule has the undeclared precision, which changes one token at (k + 1)/K = 2/3."""

    def mask_lengths(self, **arguments: Any) -> Tensors:
        return self._undeclared().mask_lengths(**arguments)

    def decode_step(self, **arguments: Any) -> Tensors:
        return self._undeclared().decode_step(**arguments)

    def masked_sample(self, **arguments: Any) -> Tensors:
        return self._undeclared().masked_sample(**arguments)

    def _undeclared(self) -> ReferenceBackend:
        other = {"float64": "float32", "float32": "float64"}[self.choices["sampling.schedule_precision"]]
        undeclared = ReferenceBackend()
        undeclared.choices = {**self.choices, "sampling.schedule_precision": other}
        return undeclared


class KnownOverwritten(Decoding, ComposedBackend):
    """Known tokens have full confidence but are overwritten: the unofficial port of ELT, Halton-MaskGIT#39."""

    def samples(self, tokens: np.ndarray, drawn: np.ndarray, unknown: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return drawn


class KnownMaskedAgain(Decoding, ComposedBackend):
    """Known tokens compete with their probability in the new prediction, so they can be masked again."""

    def certain(self, confidence: np.ndarray, unknown: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return confidence


class KnownAtProbabilityOne(Decoding, ComposedBackend):
    """Known tokens have probability 1, not ∞, and noise can lift unknown tokens above them."""

    def certain(self, confidence: np.ndarray, unknown: np.ndarray) -> np.ndarray:
        return np.where(unknown, confidence, 0.0)


class ChoiceNoiseInLastStep(Decoding, ComposedBackend):
    """The noise falls as 1 − k/K, so the last step still has noise."""

    def annealing(self, step: int, steps: int) -> float:
        return 1 - step / steps


class ChoiceNoiseConstant(Decoding, ComposedBackend):
    """The noise does not fall."""

    def annealing(self, step: int, steps: int) -> float:  # noqa: ARG002
        return 1.0


class ChoiceNoiseOverlooked(Decoding, ComposedBackend):
    """Confidence has no noise (lucidrains' muse-maskgit)."""

    def annealing(self, step: int, steps: int) -> float:  # noqa: ARG002
        return 0.0


class ChoiceNoiseOnProbability(Decoding, ComposedBackend):
    """The noise is added to the probability, not to its logarithm."""

    def noisy(self, confidence: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return np.exp(confidence) + noise


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


class DrawnGreedily(Decoding, ComposedBackend):
    """The most likely code is chosen; the sampling noise is ignored."""

    def drawn(self, logits: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        return super().drawn(logits, 0 * noise, temperature)


class DrawnWithTemperedNoise(Decoding, ComposedBackend):
    """The temperature divides logits and noise alike, so it has no effect."""

    def drawn(self, logits: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        return super().drawn(logits, noise / temperature, temperature)


class AnswerIsRunningTokens(Decoding, ComposedBackend):
    """The answer is the input of the next step, with one token masked again."""

    def result(self, tokens: np.ndarray, answer: np.ndarray, codes: int) -> Tensors:  # noqa: ARG002
        return {"tokens": tokens, "answer": tokens}


class AnswerIsNextInput(Decoding, ComposedBackend):
    """Nothing is masked again: the answer is the input of the next step."""

    def result(self, tokens: np.ndarray, answer: np.ndarray, codes: int) -> Tensors:  # noqa: ARG002
        return {"tokens": answer, "answer": answer}


class MaskClampedToLastCode(Decoding, ComposedBackend):
    """Running tokens are clamped to the codebook, masks to its last code, as in the unofficial port of ELT."""

    def result(self, tokens: np.ndarray, answer: np.ndarray, codes: int) -> Tensors:
        return {"tokens": np.minimum(tokens, codes - 1), "answer": answer}


class LeastConfidentKept(Decoding, ComposedBackend):
    """The most confident of the unknown tokens are masked again."""

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return super().hidden(np.where(np.isinf(confidence), np.inf, -confidence), lengths)


class RandomKept(Decoding, ComposedBackend):
    """The kept tokens are drawn at random, without the confidence (dome272/MaskGIT-pytorch#6)."""

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        drawn = stream(0, "random kept").random(confidence.shape)
        return super().hidden(np.where(np.isinf(confidence), np.inf, drawn), lengths)


class ConfidenceOfBestCode(Decoding, ComposedBackend):
    """The confidence belongs to the most likely code, not to the drawn one."""

    def log_confidence(self, logits: np.ndarray, choices: np.ndarray, temperature: float) -> np.ndarray:
        return super().log_confidence(logits, logits.argmax(axis=-1) + 0 * choices, temperature)


class ConfidenceOfLogit(Decoding, ComposedBackend):
    """The confidence is the logit, not normalised over the codes."""

    def log_confidence(self, logits: np.ndarray, choices: np.ndarray, temperature: float) -> np.ndarray:  # noqa: ARG002
        return np.take_along_axis(logits, choices[..., None], axis=-1)[..., 0]


class TiesMaskFewer(Decoding, ComposedBackend):
    """Only tokens strictly below the threshold are masked: ties mask fewer than the length (MaskGIT's rule)."""

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return confidence < _at(confidence, lengths)


class TiesMaskMore(Decoding, ComposedBackend):
    """All tokens up to the threshold are masked: ties mask more than the length (MAGVIT's rule)."""

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return confidence <= _at(confidence, lengths - 1)


class TiesMaskLast(Decoding, ComposedBackend):
    """Among equal confidences the last are masked."""

    def hidden(self, confidence: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return super().hidden(confidence[:, ::-1], lengths)[:, ::-1]


def _at(confidence: np.ndarray, places: np.ndarray) -> np.ndarray:
    places = np.clip(places, 0, confidence.shape[1] - 1)
    return np.take_along_axis(np.sort(confidence, axis=1), places[:, None], axis=1)


class UnguidedLoopsOfTraining(Decoding, ComposedBackend):
    """The unconditional branch of guidance always takes L_max loops."""

    def unguided_loops(self, loops: int, most: int) -> int:  # noqa: ARG002
        return most


class UnguidedReadsClassZero(Decoding, ComposedBackend):
    """The unconditional branch reads class 0."""

    def unguided(self, labels: np.ndarray, classes: int) -> np.ndarray:  # noqa: ARG002
        return np.zeros_like(labels)
