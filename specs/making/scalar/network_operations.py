"""The operations on layers and networks: a loop over the samples of the batch around the scalar code."""

import numpy as np

from specs.making.scalar import inputs
from specs.making.scalar.boundary import Parameters, Section, floats, lists
from specs.making.scalar.layers import diffusion_layer, masked_layer
from specs.making.scalar.networks import Opened, open_diffusion, open_drifting, open_masked


class NetworkOperations:
    """Layers, embeddings, heads and networks; ``specs/operations.toml`` has arguments and results."""

    def masked_layer(self, *, parameters, x, heads, epsilon):
        """Apply one post-LN layer."""
        own = lists(parameters)
        return {"x": floats([masked_layer(own, rows, heads, epsilon) for rows in x.tolist()])}

    def diffusion_layer(self, *, parameters, x, conditioning, heads, epsilon):
        """Apply one adaLN-Zero layer."""
        own = lists(parameters)
        batch = zip(x.tolist(), conditioning.tolist(), strict=True)
        return {"x": floats([diffusion_layer(own, rows, c, heads, epsilon) for rows, c in batch])}

    def positions(self, *, rows, columns, width):
        """Return the fixed positions."""
        return {"positions": floats(inputs.positions(rows, columns, width))}

    def time_features(self, *, time, width, scale):
        """Return the features of each time."""
        return {"features": floats([inputs.time_features(t, width, scale) for t in time.tolist()])}

    def patchify(self, *, samples, patch_size):
        """Cut samples into patches."""
        return {"patches": floats([inputs.patchify(sample, patch_size) for sample in samples.tolist()])}

    def unpatchify(self, *, patches, shape, patch_size):
        """Put patches together."""
        height, width, channels = shape[-3:]
        samples = [inputs.unpatchify(rows, height, width, channels, patch_size) for rows in patches.tolist()]
        return {"samples": floats(samples)}

    def masked_states(self, *, model, parameters, tokens, labels, loops):
        """Return the states after each loop."""
        opened = _open_masked(model, parameters, tokens, labels, loops)
        return {"states": floats([[network.states[loop] for network in opened] for loop in range(loops)])}

    def masked_forward(self, *, model, parameters, tokens, labels, loops):
        """Return the logits after the last loop."""
        opened = _open_masked(model, parameters, tokens, labels, loops)
        return {"logits": floats([network.predict(loops) for network in opened])}

    def diffusion_states(self, *, model, parameters, noisy, time, labels, loops):
        """Return the states after each loop."""
        opened = _open_diffusion(model, parameters, noisy, time, labels, loops)
        return {"states": floats([[network.states[loop] for network in opened] for loop in range(loops)])}

    def diffusion_forward(self, *, model, parameters, noisy, time, labels, loops):
        """Return the prediction after the last loop."""
        opened = _open_diffusion(model, parameters, noisy, time, labels, loops)
        return {"prediction": floats([network.predict(loops) for network in opened])}

    def drifting_states(self, *, model, parameters, noise, labels, loops):
        """Return the states after each loop."""
        opened = _open_drifting(model, parameters, noise, labels, loops)
        return {"states": floats([[network.states[loop] for network in opened] for loop in range(loops)])}

    def drifting_forward(self, *, model, parameters, noise, labels, loops):
        """Return the samples after the last loop."""
        opened = _open_drifting(model, parameters, noise, labels, loops)
        return {"samples": floats([network.predict(loops) for network in opened])}


def _open_masked(
    model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
) -> list[Opened]:
    own = lists(parameters)
    batch = zip(tokens.tolist(), labels.tolist(), strict=True)
    return [open_masked(model, own, row, label, loops) for row, label in batch]


def _open_diffusion(
    model: Section, parameters: Parameters, noisy: np.ndarray, time: np.ndarray, labels: np.ndarray, loops: int
) -> list[Opened]:
    own = lists(parameters)
    batch = zip(noisy.tolist(), time.tolist(), labels.tolist(), strict=True)
    return [open_diffusion(model, own, sample, t, label, loops) for sample, t, label in batch]


def _open_drifting(
    model: Section, parameters: Parameters, noise: np.ndarray, labels: np.ndarray, loops: int
) -> list[Opened]:
    own = lists(parameters)
    batch = zip(noise.tolist(), labels.tolist(), strict=True)
    return [open_drifting(model, own, sample, label, loops) for sample, label in batch]
