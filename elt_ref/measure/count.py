"""Parameters, multiply-adds and FLOPs by closed formula.

The ops count the same numbers while they run (`elt_ref.ops.counting`); a test compares the two. A forward pass takes
one sample through one branch of guidance. The paper's GFLOPs are multiply-adds of the looped layers alone, both
branches of guidance, all sampling steps: here `looped_macs_per_sample`.
"""

import math
from dataclasses import dataclass

from elt_ref.arrays import check_loops, tree_items
from elt_ref.config import DiffusionModelConfig, Experiment, MaskedModelConfig
from elt_ref.generation import branches
from elt_ref.model import declare_parameters
from elt_ref.schedules import guidance_scale_at


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
    sampling_steps: int
    forwards_per_sample: int
    """Passes over all sampling steps and branches of guidance."""
    looped_macs_per_sample: int
    macs_per_sample: int
    flops_per_sample: int


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
    forwards = forwards_per_sample(config)
    return Count(
        layers=model.layers,
        loops=loops,
        layer_calls=calls,
        looped_parameters=parameter_count(config, "block."),
        total_parameters=parameter_count(config),
        looped_macs_per_forward=calls * layer_macs,
        macs_per_forward=macs,
        flops_per_forward=flops,
        sampling_steps=config.sampling.steps,
        forwards_per_sample=forwards,
        looped_macs_per_sample=forwards * calls * layer_macs,
        macs_per_sample=forwards * macs,
        flops_per_sample=forwards * flops,
    )


def parameter_count(config: Experiment, prefix: str = "") -> int:
    """Return the number of parameters whose dotted name begins with `prefix`."""
    declared = tree_items(declare_parameters(config))
    return sum(math.prod(parameter.shape) for name, parameter in declared if name.startswith(prefix))


def forwards_per_sample(config: Experiment) -> int:
    """Return the forward passes of one sample: one a sampling step, two if the step is guided."""
    sampling = config.sampling
    scales = (
        guidance_scale_at(step, sampling.steps, scale=sampling.guidance_scale, schedule=sampling.guidance_schedule)
        for step in range(sampling.steps)
    )
    return sum(map(branches, scales))


def _work(model: MaskedModelConfig | DiffusionModelConfig) -> tuple[int, int, int, int]:
    """Return MACs and element-wise FLOPs of one layer call, and of everything outside the loop."""
    return _diffusion_work(model) if isinstance(model, DiffusionModelConfig) else _masked_work(model)


def _attention_and_mlp(n: int, d: int, m: int, heads: int) -> tuple[int, int]:
    """N (4d² + 2dm) + 2n²d MACs; biases, softmax and GELU are element-wise."""
    return n * (4 * d * d + 2 * d * m) + 2 * n * n * d, n * (5 * d + m) + 6 * heads * n * n + 9 * n * m


def _masked_work(model: MaskedModelConfig) -> tuple[int, int, int, int]:
    """Two residual norms in a layer; outside the loop the embedding's norm, and the head over the tokens."""
    n, t, d, codes = model.tokens + 1, model.tokens, model.width, model.codebook_size
    macs, elementwise = _attention_and_mlp(n, d, model.mlp_width, model.heads)
    residual_norm = 8 * n * d + 5 * n
    head = t * (d + 9 * d + 7 * d + 5 + codes)
    return macs, elementwise + 2 * residual_norm, t * (d * d + d * codes), residual_norm + head


def _diffusion_work(model: DiffusionModelConfig) -> tuple[int, int, int, int]:
    """Two modulated norms and gates in a layer; outside the loop patches, conditioning, modulations and output."""
    n, d, features, f = model.tokens, model.width, model.patch_features, model.time_features
    macs, elementwise = _attention_and_mlp(n, d, model.mlp_width, model.heads)
    modulated_norm = 7 * n * d + 5 * n + d
    modulations = 6 * model.layers + 2
    outside = n * features * d + f * d + d * d + modulations * d * d + n * d * features
    conditioning = d + 4 * d + d + d + 4 * d  # bias, SiLU, bias, the label's row, SiLU
    patches = 2 * n * d  # bias, positions
    outside_elementwise = patches + conditioning + modulations * d + modulated_norm + n * features
    return macs, elementwise + 2 * (modulated_norm + 2 * n * d), outside, outside_elementwise
