"""Parameters, multiply-adds and FLOPs by closed formula.

The ops count the same numbers while they run (`elt_ref.ops.counting`); a test compares the two. A forward pass takes
one sample through one branch of guidance, and predicts every token. Sampling does less: in the masked family the head
of each step, and the last layer of its last loop, work for tokens that are still unknown. `macs_per_sample` and
`flops_per_sample` count what is done. The paper counts every layer whole: its GFLOPs are multiply-adds of the looped
layers alone, both branches of guidance, all sampling steps: here `looped_macs_per_sample`.
"""

import math
from dataclasses import dataclass

import numpy as np

from elt_ref.arrays import check_loops, tree_items
from elt_ref.config import DiffusionModelConfig, Experiment, MaskedModelConfig, PatchModelConfig
from elt_ref.generation import branches
from elt_ref.model import declare_parameters
from elt_ref.schedules import guidance_scale_at, mask_lengths


@dataclass(frozen=True)
class Count:
    """Size and cost of a network at a number of loops."""

    layers: int
    """N"""
    loops: int
    """L"""
    layer_calls: int
    """N · L, the layer calls of one forward pass."""
    looped_parameters: int
    """Parameters of the N layers."""
    total_parameters: int
    """Parameters of the whole network."""
    looped_macs_per_forward: int
    macs_per_forward: int
    flops_per_forward: int
    """FLOPs: two a multiply-add, plus the element-wise work (see `elt_ref.ops.counter`)."""
    arithmetic_intensity: float
    """FLOPs of the looped multiply-adds of one forward pass ÷ bytes of the looped parameters, which it fetches once. A
    network of N · L layers does the same with L times as many bytes."""
    sampling_steps: int
    forwards_per_sample: int
    """Passes over all sampling steps and branches of guidance."""
    looped_macs_per_sample: int
    """As the paper counts: every layer call whole."""
    macs_per_sample: int
    """As done, from all tokens unknown."""
    flops_per_sample: int
    """As done, from all tokens unknown."""


def count(config: Experiment, loops: int | None = None) -> Count:
    """Count a network at `loops` loops (by default the configured sampling loops, or else L_max).

    Raises:
        RequestError: loops is not an integer of at least 1.
    """
    loops = check_loops(loops if loops is not None else config.sampling.loops or config.model.max_loops)
    model = config.model
    layer_macs, layer_elementwise, outside_macs, outside_elementwise = _work(model)
    calls = model.layers * loops
    macs = calls * layer_macs + outside_macs
    flops = 2 * macs + calls * layer_elementwise + outside_elementwise
    looped = parameter_count(config, "block.")
    forwards = forwards_per_sample(config)
    left_out_macs, left_out_elementwise = _left_out(config)
    return Count(
        layers=model.layers,
        loops=loops,
        layer_calls=calls,
        looped_parameters=looped,
        total_parameters=parameter_count(config),
        looped_macs_per_forward=calls * layer_macs,
        macs_per_forward=macs,
        flops_per_forward=flops,
        arithmetic_intensity=2 * calls * layer_macs / (looped * np.dtype(config.training.dtype).itemsize),
        sampling_steps=config.sampling.steps,
        forwards_per_sample=forwards,
        looped_macs_per_sample=forwards * calls * layer_macs,
        macs_per_sample=forwards * macs - left_out_macs,
        flops_per_sample=forwards * flops - 2 * left_out_macs - left_out_elementwise,
    )


def parameter_count(config: Experiment, prefix: str = "") -> int:
    """Return the number of parameters whose dotted name begins with `prefix`."""
    declared = tree_items(declare_parameters(config))
    return sum(math.prod(parameter.shape) for name, parameter in declared if name.startswith(prefix))


def forwards_per_sample(config: Experiment) -> int:
    """Return the forward passes of one sample: one a sampling step, two if the step is guided."""
    return sum(_branches_by_step(config))


def _branches_by_step(config: Experiment) -> list[int]:
    sampling = config.sampling
    scales = (
        guidance_scale_at(step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule)
        for step in range(sampling.steps)
    )
    return [*map(branches, scales)]


def _left_out(config: Experiment) -> tuple[int, int]:
    """Return MACs and element-wise FLOPs that a sample's steps leave out, because a token is known already."""
    model, sampling = config.model, config.sampling
    if isinstance(model, PatchModelConfig):
        return 0, 0
    start = unknown = np.array([model.tokens])
    whole, left_out = np.array(_wanted_work(model, model.tokens)), np.zeros(2, np.int64)
    for step, sides in enumerate(_branches_by_step(config)):
        left_out += sides * (whole - _wanted_work(model, int(unknown[0])))
        unknown = mask_lengths(start, unknown, step=step, steps=sampling.steps, precision=sampling.schedule_precision)
    # The class token is no token of a picture: every step's last layer leaves it out.
    class_token = np.subtract(_masked_layer_work(model, model.tokens + 1), _masked_layer_work(model, model.tokens))
    macs, elementwise = (left_out + forwards_per_sample(config) * class_token).tolist()
    return macs, elementwise


def _wanted_work(model: MaskedModelConfig, tokens: int) -> tuple[int, int]:
    """Return MACs and element-wise FLOPs of a last layer and head that work for `tokens` tokens of a sample."""
    layer_macs, layer_elementwise = _masked_layer_work(model, tokens)
    head_macs, head_elementwise = _masked_head_work(model, tokens)
    return layer_macs + head_macs, layer_elementwise + head_elementwise


def _work(model: MaskedModelConfig | PatchModelConfig) -> tuple[int, int, int, int]:
    """Return MACs and element-wise FLOPs of one layer call, and of everything outside the loop."""
    return _patch_work(model) if isinstance(model, PatchModelConfig) else _masked_work(model)


def _attention_and_mlp(n: int, d: int, m: int, heads: int, rows: int) -> tuple[int, int]:
    """N tokens, of which `rows` attend: 2nd² + rows (2d² + 2dm + 2nd) MACs; biases, softmax, GELU are element-wise."""
    macs = 2 * n * d * d + rows * (2 * d * d + 2 * d * m + 2 * n * d)
    return macs, 2 * n * d + rows * (3 * d + m + 6 * heads * n + 9 * m)


def _masked_work(model: MaskedModelConfig) -> tuple[int, int, int, int]:
    """Outside the loop are the embedding's norm, and the head over the tokens."""
    n, d = model.tokens + 1, model.width
    head_macs, head_elementwise = _masked_head_work(model, model.tokens)
    return *_masked_layer_work(model, n), head_macs, 8 * n * d + 5 * n + head_elementwise


def _masked_layer_work(model: MaskedModelConfig, rows: int) -> tuple[int, int]:
    """Two residual norms in a layer that returns `rows` rows."""
    macs, elementwise = _attention_and_mlp(model.tokens + 1, model.width, model.mlp_width, model.heads, rows)
    return macs, elementwise + 2 * (8 * rows * model.width + 5 * rows)


def _masked_head_work(model: MaskedModelConfig, tokens: int) -> tuple[int, int]:
    d, codes = model.width, model.codebook_size
    return tokens * (d * d + d * codes), tokens * (d + 9 * d + 7 * d + 5 + codes)


def _patch_work(model: PatchModelConfig) -> tuple[int, int, int, int]:
    """Two modulated norms and gates in a layer; outside the loop patches, conditioning, modulations and output."""
    n, d, features = model.tokens, model.width, model.patch_features
    macs, elementwise = _attention_and_mlp(n, d, model.mlp_width, model.heads, n)
    modulated_norm = 7 * n * d + 5 * n + d
    modulations = 6 * model.layers + 2
    outside = n * features * d + modulations * d * d + n * d * features
    conditioning = 4 * d  # SiLU
    if isinstance(model, DiffusionModelConfig):  # time's two maps: bias, SiLU, bias, the label's row
        outside += model.time_features * d + d * d
        conditioning += d + 4 * d + d + d
    patches = 2 * n * d  # bias, positions
    outside_elementwise = patches + conditioning + modulations * d + modulated_norm + n * features
    return macs, elementwise + 2 * (modulated_norm + 2 * n * d), outside, outside_elementwise
