"""The two networks for one sample: the embedding, the loop (E3 and E4), and the head.

    E3   g_Θ(x) = f_θN(… f_θ1(x))          E4   F_(N,L)(x) = g_Θ^L(x)

A network that has read its input is `Opened`: the states after 1, 2, … loops, and the head that predicts from any.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from specs.making.scalar.arithmetic import gelu, layer_norm, linear, modulated_norm, silu
from specs.making.scalar.inputs import patchify, positions, time_features, unpatchify
from specs.making.scalar.layers import diffusion_layer, masked_layer, modulation
from specs.making.scalar.values import Number, dot

State = list[list[Number]]
Section = Mapping[str, Any]
Parameters = Mapping[str, Any]


class Opened(NamedTuple):
    """A network that has read one sample."""

    states: list[State]
    """States after 1, 2, …, L loops."""
    head: Callable[[State], Any]
    """Head from any state to a prediction; the same for all."""

    def predict(self, loops: int) -> Any:
        """Return the prediction after `loops` loops."""
        return self.head(self.states[loops - 1])


def loop(layers: list[Callable[[State], State]], state: State, loops: int) -> list[State]:
    """E4 over E3: return the states after 1, 2, …, `loops` passes through all layers."""
    states = []
    for _ in range(loops):
        for layer in layers:
            state = layer(state)
        states.append(state)
    return states


def mask_token(model: Section) -> int:
    """Return the mask id: the last row, after codes, classes and the unconditional row, if there is one."""
    return model["codebook_size"] + model["classes"] + int(model["unconditional_row"])


def open_masked(model: Section, parameters: Parameters, tokens: list[int], label: int, loops: int) -> Opened:
    """Read [class | tokens]; in the word table labels come after the codes."""
    heads, epsilon = model["heads"], model["layer_norm_epsilon"]
    words, places = parameters["embedding.word"], parameters["embedding.position"]
    scale, bias = parameters["embedding.norm.scale"], parameters["embedding.norm.bias"]
    ids = [model["codebook_size"] + label, *tokens]
    state = [
        layer_norm([w + p for w, p in zip(words[token], places[place], strict=True)], scale, bias, epsilon)
        for place, token in enumerate(ids)
    ]
    layers = [
        lambda rows, own=own: masked_layer(own, rows, heads, epsilon) for own in _layers(parameters, model["layers"])
    ]
    return Opened(loop(layers, state, loops), lambda rows: masked_head(model, parameters, rows))


def masked_head(model: Section, parameters: Parameters, rows: State) -> State:
    """Return logits of the tokens over the codes: Dense, GELU, LN, the word table again, and a separate bias."""
    dense = linear(rows[1:], parameters["head.dense.weight"], parameters["head.dense.bias"])
    scale, bias = parameters["head.norm.scale"], parameters["head.norm.bias"]
    hidden = [layer_norm([gelu(x) for x in row], scale, bias, model["layer_norm_epsilon"]) for row in dense]
    codes = parameters["embedding.word"][: model["codebook_size"]]
    return [[dot(row, word) + b for word, b in zip(codes, parameters["head.bias"], strict=True)] for row in hidden]


def open_diffusion(
    model: Section, parameters: Parameters, noisy: list[list[list[float]]], time: float, label: int, loops: int
) -> Opened:
    """Read a noisy sample, its time and its label. The conditioning is the same in every loop."""
    return open_patches(model, parameters, noisy, condition(model, parameters, time, label), loops)


def open_drifting(
    model: Section, parameters: Parameters, noise: list[list[list[float]]], label: int, loops: int
) -> Opened:
    """Read noise and its label, whose row is the whole conditioning."""
    return open_patches(model, parameters, noise, parameters["embedding.label"][label], loops)


def open_patches(
    model: Section, parameters: Parameters, noisy: list[list[list[float]]], conditioning: list[Number], loops: int
) -> Opened:
    """Read a sample in patches; the conditioning is the same in every loop."""
    heads, epsilon, size = model["heads"], model["layer_norm_epsilon"], model["patch_size"]
    height, width, _ = model["shape"]
    embedded = linear(patchify(noisy, size), parameters["embedding.patch.weight"], parameters["embedding.patch.bias"])
    places = positions(height // size, width // size, model["width"])
    state = [[x + p for x, p in zip(row, place, strict=True)] for row, place in zip(embedded, places, strict=True)]
    layers = [
        lambda rows, own=own: diffusion_layer(own, rows, conditioning, heads, epsilon)
        for own in _layers(parameters, model["layers"])
    ]
    return Opened(loop(layers, state, loops), lambda rows: diffusion_head(model, parameters, conditioning, rows))


def condition(model: Section, parameters: Parameters, time: float, label: int) -> list[Number]:
    """Return c = Linear(SiLU(Linear(features of t))) + the label's row; the last row means no class."""
    features = time_features(time, model["time_features"], model["time_scale"])
    (hidden,) = linear([features], parameters["embedding.time_in.weight"], parameters["embedding.time_in.bias"])
    (of_time,) = linear(
        [[silu(x) for x in hidden]],
        parameters["embedding.time_out.weight"],
        parameters["embedding.time_out.bias"],
    )
    return [t + y for t, y in zip(of_time, parameters["embedding.label"][label], strict=True)]


def diffusion_head(model: Section, parameters: Parameters, conditioning: list[Number], rows: State) -> list[State]:
    """Return the prediction [height][width][channel]: modulated norm (shift, scale), Linear, patches put back."""
    shift, scale = modulation(parameters, "head.modulation", conditioning, 2)
    normed = [modulated_norm(row, shift, scale, model["layer_norm_epsilon"]) for row in rows]
    patches = linear(normed, parameters["head.output.weight"], parameters["head.output.bias"])
    height, width, channels = model["shape"]
    return unpatchify(patches, height, width, channels, model["patch_size"])


def _layers(parameters: Parameters, count: int) -> list[dict[str, Any]]:
    """Return the parameters of each layer, without their ``block.i.``."""
    return [
        {name.removeprefix(start): x for name, x in parameters.items() if name.startswith(start)}
        for start in (f"block.{i}." for i in range(count))
    ]
