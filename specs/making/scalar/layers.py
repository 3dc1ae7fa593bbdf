"""f_θ, one layer of either family, over the tokens of one sample.

    masked      a = LN(x + Attn(x)),                      y = LN(a + MLP(a))               post-LN, MaskGIT
    diffusion   a = x + g₁ Attn(LN(x) (1 + s₁) + b₁),     y = a + g₂ MLP(LN(a) (1 + s₂) + b₂)   adaLN-Zero, DiT

`parameters` belong to one layer, without ``block.i.``: names and axis orders as in specs/parameters.md.
"""

from collections.abc import Mapping
from typing import Any

from specs.making.scalar.arithmetic import attention, gelu, layer_norm, linear, modulated_norm, silu
from specs.making.scalar.values import Number, Row, Rows


def masked_layer(parameters: Mapping[str, Any], rows: Rows, heads: int, epsilon: float) -> list[list[Number]]:
    """Return one post-LN layer's output."""
    for branch, norm in ((_attention, "attention_norm"), (_mlp, "mlp_norm")):
        scale, bias = parameters[f"{norm}.scale"], parameters[f"{norm}.bias"]
        added = branch(parameters, rows, heads)
        rows = [
            layer_norm([a + b for a, b in zip(x, y, strict=True)], scale, bias, epsilon)
            for x, y in zip(rows, added, strict=True)
        ]
    return [list(row) for row in rows]


def diffusion_layer(
    parameters: Mapping[str, Any], rows: Rows, conditioning: Row, heads: int, epsilon: float
) -> list[list[Number]]:
    """Return one adaLN-Zero layer's output; `conditioning` is c, before the SiLU."""
    chunks = modulation(parameters, "modulation", conditioning, 6)
    for branch, (shift, scale, gate) in ((_attention, chunks[:3]), (_mlp, chunks[3:])):
        normed = [modulated_norm(x, shift, scale, epsilon) for x in rows]
        added = branch(parameters, normed, heads)
        rows = [[a + g * b for a, g, b in zip(x, gate, y, strict=True)] for x, y in zip(rows, added, strict=True)]
    return [list(row) for row in rows]


def modulation(parameters: Mapping[str, Any], name: str, conditioning: Row, chunks: int) -> list[list[Number]]:
    """Return Linear(SiLU(c)), cut into equal chunks."""
    activated = [silu(entry) for entry in conditioning]
    (row,) = linear([activated], parameters[f"{name}.weight"], parameters[f"{name}.bias"])
    width = len(row) // chunks
    return [row[chunk * width : (chunk + 1) * width] for chunk in range(chunks)]


def _attention(parameters: Mapping[str, Any], rows: Rows, heads: int) -> list[list[Number]]:
    joint = linear(rows, parameters["attention.query_key_value.weight"], parameters["attention.query_key_value.bias"])
    return linear(attention(joint, heads), parameters["attention.output.weight"], parameters["attention.output.bias"])


def _mlp(parameters: Mapping[str, Any], rows: Rows, _heads: int) -> list[list[Number]]:
    hidden = linear(rows, parameters["mlp.up.weight"], parameters["mlp.up.bias"])
    activated = [[gelu(entry) for entry in row] for row in hidden]
    return linear(activated, parameters["mlp.down.weight"], parameters["mlp.down.bias"])
