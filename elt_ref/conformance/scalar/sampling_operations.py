"""The operations on noise, on decoding and guidance, and the two samplers."""

from collections.abc import Mapping

import numpy as np

from elt_ref.conformance.scalar import masking
from elt_ref.conformance.scalar import noise as _noise
from elt_ref.conformance.scalar import sampling as _sampling
from elt_ref.conformance.scalar.boundary import Arrays, Parameters, Section, floats, integers, lists
from elt_ref.conformance.scalar.nesting import flat, shaped


class NoiseOperations:
    """The diffusion family's noise; see `Operations` for arguments and results."""

    def log_snr(self, *, diffusion: Section, time: np.ndarray) -> Arrays:
        """Return λ and dλ/dt."""
        pairs = [_noise.log_snr_at(diffusion, t) for t in time.tolist()]
        return {"log_snr": floats([pair[0] for pair in pairs]), "derivative": floats([pair[1] for pair in pairs])}

    def loss_weight(self, *, diffusion: Section, time: np.ndarray) -> Arrays:
        """Return w(t)."""
        return {"weight": floats([_noise.loss_weight(diffusion, t) for t in time.tolist()])}

    def add_noise(self, *, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Arrays:
        """Return α x + σ ε."""
        rows = zip(map(flat, clean.tolist()), map(flat, noise.tolist()), log_snr.tolist(), strict=True)
        return {"noisy": _like(clean, [_noise.add_noise(*row) for row in rows])}

    def prediction_target(self, *, kind: str, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Arrays:
        """Return x0, ε or v."""
        rows = zip(map(flat, clean.tolist()), map(flat, noise.tolist()), log_snr.tolist(), strict=True)
        return {"target": _like(clean, [_noise.prediction_target(kind, *row) for row in rows])}

    def to_clean(self, *, kind: str, prediction: np.ndarray, noisy: np.ndarray, log_snr: np.ndarray) -> Arrays:
        """Return x0."""
        rows = zip(map(flat, prediction.tolist()), map(flat, noisy.tolist()), log_snr.tolist(), strict=True)
        return {"clean": _like(noisy, [_noise.to_clean(kind, *row) for row in rows])}

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
    ) -> Arrays:
        """Return the sample at the next time."""
        z, x, e = (flat(array.tolist()) for array in (noisy, clean, noise))
        stepped = _noise.denoise_step(diffusion, z, x, e, log_snr_t, log_snr_s, last=last)
        return {"noisy": _like(noisy, stepped)}

    def time_grid(self, *, steps: int) -> Arrays:
        """Return the times of sampling."""
        return {"times": floats(_noise.time_grid(steps))}


class DecodingOperations:
    """Masked decoding, guidance and samplers; see `Operations` for arguments and results."""

    choices: Mapping[str, str]

    def mask_lengths(self, *, start: np.ndarray, steps: int) -> Arrays:
        """Return the numbers of masked tokens."""
        precision = self.choices["sampling.schedule_precision"]
        rows = [masking.mask_lengths(unknown, steps, precision) for unknown in start.tolist()]
        return {"lengths": integers(list(zip(*rows, strict=True)))}

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
    ) -> Arrays:
        """Take one step of parallel decoding (E1)."""
        arrays = (logits, tokens, start, token_noise, confidence_noise)
        decoded = [
            masking.decode_step(
                *row,
                step=step,
                steps=steps,
                mask_token=mask_token,
                choice_temperature=choice_temperature,
                sampling_temperature=sampling_temperature,
                precision=self.choices["sampling.schedule_precision"],
            )
            for row in zip(*(array.tolist() for array in arrays), strict=True)
        ]
        return {"tokens": integers([row[0] for row in decoded]), "answer": integers([row[1] for row in decoded])}

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Arrays:
        """Return u + s (c − u)."""
        guided = _sampling.guide(flat(conditional.tolist()), flat(unconditional.tolist()), scale)
        return {"guided": _like(conditional, guided)}

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Arrays:
        """Return the scale of each step."""
        return {"scales": floats([_sampling.guidance_scale(step, steps, scale, schedule) for step in range(steps)])}

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
    ) -> Arrays:
        """Return the tokens after the last step."""
        own, precision = lists(parameters), self.choices["sampling.schedule_precision"]
        rows = zip(tokens.tolist(), labels.tolist(), strict=True)
        answers = []
        for sample, (row, label) in enumerate(rows):
            steps = zip(token_noise[:, sample].tolist(), confidence_noise[:, sample].tolist(), strict=True)
            answers.append(_sampling.masked_sample(model, sampling, own, row, label, list(steps), loops, precision))
        return {"tokens": integers(answers)}

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
    ) -> Arrays:
        """Return the samples after the last step."""
        own = lists(parameters)
        samples = []
        for sample, label in enumerate(labels.tolist()):
            begin = flat(initial_noise[sample].tolist())
            steps = [flat(noise.tolist()) for noise in step_noise[:, sample]]
            samples.append(_sampling.diffusion_sample(model, diffusion, sampling, own, label, begin, steps, loops))
        return {"samples": _like(initial_noise, samples)}


def _like(array: np.ndarray, values: list) -> np.ndarray:
    """Return numbers in the shape of `array`."""
    return floats(shaped(flat(values), array.shape))
