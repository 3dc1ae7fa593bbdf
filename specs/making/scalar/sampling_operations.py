"""The operations on noise, on decoding and guidance, and the two samplers."""

from collections.abc import Mapping

import numpy as np

from specs.making.scalar import masking
from specs.making.scalar import noise as _noise
from specs.making.scalar import sampling as _sampling
from specs.making.scalar.boundary import floats, integers, lists
from specs.making.scalar.nesting import flat, shaped


class NoiseOperations:
    """The diffusion family's noise; ``specs/operations.toml`` has arguments and results."""

    def log_snr(self, *, diffusion, time):
        """Return λ and dλ/dt."""
        pairs = [_noise.log_snr_at(diffusion, t) for t in time.tolist()]
        return {"log_snr": floats([pair[0] for pair in pairs]), "derivative": floats([pair[1] for pair in pairs])}

    def loss_weight(self, *, diffusion, time):
        """Return w(t)."""
        return {"weight": floats([_noise.loss_weight(diffusion, t) for t in time.tolist()])}

    def add_noise(self, *, clean, noise, log_snr):
        """Return α x + σ ε."""
        rows = zip(map(flat, clean.tolist()), map(flat, noise.tolist()), log_snr.tolist(), strict=True)
        return {"noisy": _like(clean, [_noise.add_noise(*row) for row in rows])}

    def prediction_target(self, *, kind, clean, noise, log_snr):
        """Return x0, ε or v."""
        rows = zip(map(flat, clean.tolist()), map(flat, noise.tolist()), log_snr.tolist(), strict=True)
        return {"target": _like(clean, [_noise.prediction_target(kind, *row) for row in rows])}

    def to_clean(self, *, kind, prediction, noisy, log_snr):
        """Return x0."""
        rows = zip(map(flat, prediction.tolist()), map(flat, noisy.tolist()), log_snr.tolist(), strict=True)
        return {"clean": _like(noisy, [_noise.to_clean(kind, *row) for row in rows])}

    def denoise_step(self, *, diffusion, noisy, clean, noise, log_snr_t, log_snr_s, last):
        """Return the sample at the next time."""
        z, x, e = (flat(array.tolist()) for array in (noisy, clean, noise))
        stepped = _noise.denoise_step(diffusion, z, x, e, log_snr_t, log_snr_s, last=last)
        return {"noisy": _like(noisy, stepped)}

    def time_grid(self, *, steps):
        """Return the times of sampling."""
        return {"times": floats(_noise.time_grid(steps))}


class DecodingOperations:
    """Masked decoding, guidance and samplers; ``specs/operations.toml`` has arguments and results."""

    choices: Mapping[str, str]

    def mask_lengths(self, *, start, steps):
        """Return the numbers of masked tokens."""
        precision = self.choices["sampling.schedule_precision"]
        rows = [masking.mask_lengths(unknown, steps, precision) for unknown in start.tolist()]
        return {"lengths": integers(list(zip(*rows, strict=True)))}

    def decode_step(
        self,
        *,
        logits,
        tokens,
        start,
        token_noise,
        confidence_noise,
        step,
        steps,
        mask_token,
        choice_temperature,
        sampling_temperature,
    ):
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

    def guide(self, *, conditional, unconditional, scale):
        """Return u + s (c − u)."""
        guided = _sampling.guide(flat(conditional.tolist()), flat(unconditional.tolist()), scale)
        return {"guided": _like(conditional, guided)}

    def guidance_scales(self, *, scale, steps, schedule):
        """Return the scale of each step."""
        return {"scales": floats([_sampling.guidance_scale(step, steps, scale, schedule) for step in range(steps)])}

    def masked_sample(self, *, model, sampling, parameters, tokens, labels, token_noise, confidence_noise, loops):
        """Return the tokens after the last step."""
        own, precision = lists(parameters), self.choices["sampling.schedule_precision"]
        rows = zip(tokens.tolist(), labels.tolist(), strict=True)
        answers = []
        for sample, (row, label) in enumerate(rows):
            steps = zip(token_noise[:, sample].tolist(), confidence_noise[:, sample].tolist(), strict=True)
            answers.append(_sampling.masked_sample(model, sampling, own, row, label, list(steps), loops, precision))
        return {"tokens": integers(answers)}

    def diffusion_sample(self, *, model, diffusion, sampling, parameters, labels, initial_noise, step_noise, loops):
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
