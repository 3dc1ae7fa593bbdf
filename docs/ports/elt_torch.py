"""Elastic Looped Transformers in PyTorch: every family, training with self-distillation, any-time sampling.

A complete port of elt_ref that does not import it. It reads and writes the same checkpoints and draws the same random
numbers. Beside it, `elt_torch_backend.py` is the adapter by which elt_ref judges it, and `elt_torch_distributed.py`
trains from the command line, in one process or many.

Shapes: B batch, T tokens (n with the class token), V codes, d width, m MLP width, H W C sample sides, K sampling steps.
"""

import copy
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  everyone's name for it
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint as rematerialised

Settings = SimpleNamespace  # one section of a configuration

# ---------------------------------------------------------------------------------------------------------------------
# Layers


class Attention(nn.Module):
    """Multi-head softmax attention of every token to every token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n, d] → [B, n, d]."""
        split = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))  # [B, n, 3, heads, d / heads]
        query, key, value = split.permute(2, 0, 3, 1, 4)
        return self.output(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Linear up, GELU in its tanh form, linear down."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, mlp_width)
        self.down = nn.Linear(mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n, d] → [B, n, d]."""
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class PostNormLayer(nn.Module):
    """The masked family's f_θ, as in BERT: a = LN(x + Attn(x)), y = LN(a + MLP(a))."""

    def __init__(self, width: int, heads: int, mlp_width: int, epsilon: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.mlp = MLP(width, mlp_width)
        self.mlp_norm = nn.LayerNorm(width, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n, d] → [B, n, d]."""
        x = self.attention_norm(x + self.attention(x))
        return self.mlp_norm(x + self.mlp(x))


class AdaLNZeroLayer(nn.Module):
    """The diffusion family's f_θ, as in DiT: modulated norms before attention and MLP, gates after them."""

    def __init__(self, width: int, heads: int, mlp_width: int, epsilon: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.mlp = MLP(width, mlp_width)
        self.modulation = nn.Linear(width, 6 * width)
        self.epsilon = epsilon

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """[B, n, d] → [B, n, d]; the modulation [B, 6 d] is `self.modulation` of SiLU(c)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation[:, None].chunk(6, dim=-1)  # [B, 1, d] each
        x = x + gate1 * self.attention(modulated_norm(x, shift1, scale1, self.epsilon))
        return x + gate2 * self.mlp(modulated_norm(x, shift2, scale2, self.epsilon))


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor, epsilon: float) -> Tensor:
    """Normalise x [B, n, d]; shift and scale [B, 1, d] come from the conditioning."""
    return F.layer_norm(x, x.shape[-1:], eps=epsilon) * (1 + scale) + shift


def frequencies(count: int, device: torch.device | None = None) -> Tensor:
    """Return the falling frequencies 10000^(−i / count) in float64."""
    return torch.exp(-math.log(10000) * torch.arange(count, dtype=torch.float64, device=device) / count)


def sine_cosine_positions(rows: int, columns: int, width: int) -> Tensor:
    """Return [rows · columns, d] in float64: sines and cosines of the column (DiT: "w goes first"), then of the row."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = torch.stack([column, row]).flatten(1)[..., None] * frequencies(width // 4)  # [2, T, d / 4]
    return torch.cat([angles.sin(), angles.cos()], dim=-1).transpose(0, 1).flatten(1)


def time_features(time: Tensor, width: int, scale: float) -> Tensor:
    """[B] → [B, width] in float64: cosines first, unlike the positions. float32 angles would lose three digits."""
    angles = scale * time.double()[:, None] * frequencies(width // 2, time.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def patchify(samples: Tensor, patch_size: int) -> Tensor:
    """[B, H, W, C] → [B, T, C · size²], each patch as (channel, row, column): the order of a convolution's weights."""
    return F.unfold(samples.permute(0, 3, 1, 2), patch_size, stride=patch_size).mT


def unpatchify(patches: Tensor, shape: Sequence[int], patch_size: int) -> Tensor:
    """[B, T, size² · C], each patch as (row, column, channel) → [B, H, W, C]."""
    height, width, channels = shape[-3:]
    split = patches.unflatten(2, (patch_size, patch_size, channels))
    split = split.unflatten(1, (height // patch_size, width // patch_size))  # [B, rows, columns, size, size, C]
    return split.transpose(2, 3).reshape(-1, height, width, channels)


# ---------------------------------------------------------------------------------------------------------------------
# Networks: the embedding before the loop, the block g_Θ, the head after the loop


class ELT(nn.Module):
    """E3, E4: the block of N layers, applied L times. Submodules have elt_ref's names; see `reference_names`."""

    block: nn.ModuleList
    rematerialise = False
    """Whether training keeps one state a loop and evaluates the block again in the backward pass."""

    def open(self, **inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Embed the inputs. Return the state before the first loop [B, n, d], the block g_Θ, and the head."""
        raise NotImplementedError

    def loop(self, block: Callable[[Tensor], Tensor], x: Tensor, loops: int) -> Iterator[Tensor]:
        """Yield the states after 1 … L loops. A loop is the block alone: no input again, no loop index, no norm."""
        if self.rematerialise and torch.is_grad_enabled():
            block = partial(rematerialised, block, use_reentrant=False)
        for _ in range(loops):
            x = block(x)
            yield x

    def forward(self, *, exits: Sequence[int], **inputs: Tensor) -> list[Tensor]:
        """Return the predictions after each number of loops in `exits`, from one pass: a student is a prefix."""
        x, block, head = self.open(**inputs)
        states = enumerate(self.loop(block, x, max(exits)), start=1)
        predictions = {loops: head(state) for loops, state in states if loops in exits}
        return [predictions[loops] for loops in exits]


class MaskedELT(ELT):
    """Tokens [B, T], with the mask id where unknown, and labels [B] → logits [B, T, V]."""

    def __init__(self, model: Settings) -> None:
        super().__init__()
        width, epsilon = model.width, model.layer_norm_epsilon
        self.codes, self.no_class = model.codebook_size, model.classes
        self.embedding = nn.ModuleDict(
            {
                "word": nn.Embedding(mask_token(model) + 1, width),  # codes, classes, "no class", mask
                "position": nn.Embedding(math.prod(model.grid) + 1, width),
                "norm": nn.LayerNorm(width, epsilon),
            }
        )
        self.block = nn.ModuleList(
            PostNormLayer(width, model.heads, model.mlp_width, epsilon) for _ in range(model.layers)
        )
        self.head = MaskedHead(width, model.codebook_size, epsilon)

    def open(self, *, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Callable, Callable]:
        """Embed the class token and the tokens; the class token comes first and goes through the loop too."""
        words = self.embedding.word(torch.cat([self.codes + labels[:, None], tokens], dim=1))
        x = self.embedding.norm(words + self.embedding.position.weight)
        return x, nn.Sequential(*self.block), partial(self.head, table=self.embedding.word.weight[: self.codes])


class MaskedHead(nn.Module):
    """Linear, GELU, norm, then the tied word embedding with its own bias: logits over the codebook alone."""

    def __init__(self, width: int, codes: int, epsilon: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, epsilon)
        self.bias = nn.Parameter(torch.zeros(codes))

    def forward(self, state: Tensor, table: Tensor) -> Tensor:
        """[B, T + 1, d] → [B, T, V]; the class token predicts nothing."""
        hidden = F.gelu(self.dense(state[:, 1:]), approximate="tanh")
        return F.linear(self.norm(hidden), table, self.bias)


class PatchELT(ELT):
    """Patches of a sample [B, H, W, C] through layers that a conditioning [B, d] modulates → [B, H, W, C]."""

    positions: Tensor

    def __init__(self, model: Settings, **embeddings: nn.Module) -> None:
        super().__init__()
        self.settings = model
        (height, breadth, channels), size, width = model.shape, model.patch_size, model.width
        self.embedding = nn.ModuleDict({"patch": nn.Linear(size**2 * channels, width), **embeddings})
        self.block = nn.ModuleList(
            AdaLNZeroLayer(width, model.heads, model.mlp_width, model.layer_norm_epsilon) for _ in range(model.layers)
        )
        self.head = nn.ModuleDict(
            {"modulation": nn.Linear(width, 2 * width), "output": nn.Linear(width, size**2 * channels)}
        )
        positions = sine_cosine_positions(height // size, breadth // size, width)
        self.register_buffer("positions", positions, persistent=False)

    def modulated(self, samples: Tensor, conditioning: Tensor) -> tuple[Tensor, Callable, Callable]:
        """Embed the patches, and compute the modulations once: no loop changes the conditioning."""
        conditioning = F.silu(conditioning)
        modulations = [layer.modulation(conditioning) for layer in self.block]
        final = self.head.modulation(conditioning)

        def block(x: Tensor) -> Tensor:
            for layer, modulation in zip(self.block, modulations, strict=True):
                x = layer(x, modulation)
            return x

        def head(state: Tensor) -> Tensor:
            shift, scale = final[:, None].chunk(2, dim=-1)
            normed = modulated_norm(state, shift, scale, self.settings.layer_norm_epsilon)
            return unpatchify(self.head.output(normed), self.settings.shape, self.settings.patch_size)

        patches = self.embedding.patch(patchify(samples, self.settings.patch_size))
        return patches + self.positions.to(patches), block, head


class DiffusionELT(PatchELT):
    """Noisy samples [B, H, W, C], time [B] in [0, 1] and labels [B] → x0, ε or v [B, H, W, C]."""

    def __init__(self, model: Settings) -> None:
        width = model.width
        time = {"time_in": nn.Linear(model.time_features, width), "time_out": nn.Linear(width, width)}
        super().__init__(model, **time, label=nn.Embedding(model.classes + 1, width))
        self.no_class = model.classes

    def open(self, *, noisy: Tensor, time: Tensor, labels: Tensor) -> tuple[Tensor, Callable, Callable]:
        """Embed the patches under the conditioning of time and label."""
        return self.modulated(noisy, self.condition(time, labels))

    def condition(self, time: Tensor, labels: Tensor) -> Tensor:
        """Return the conditioning c [B, d]: the MLP of the time plus the row of the label."""
        features = time_features(time, self.settings.time_features, self.settings.time_scale)
        hidden = F.silu(self.embedding.time_in(features.to(self.embedding.time_in.weight)))
        return self.embedding.time_out(hidden) + self.embedding.label(labels)


class DriftingELT(PatchELT):
    """Noise [B, H, W, C] and labels [B] → samples [B, H, W, C], in one evaluation; there is no time."""

    def __init__(self, model: Settings) -> None:
        super().__init__(model, label=nn.Embedding(model.classes, model.width))

    def open(self, *, noise: Tensor, labels: Tensor) -> tuple[Tensor, Callable, Callable]:
        """Embed the patches under the conditioning of the label alone."""
        return self.modulated(noise, self.embedding.label(labels))


NETWORKS = {"masked": MaskedELT, "diffusion": DiffusionELT, "drifting": DriftingELT}


def build(model: Settings) -> ELT:
    """Return the configured family's network."""
    return NETWORKS[model.family](model)


def mask_token(model: Settings) -> int:
    """Return the mask's id: the last row of the embedding."""
    return model.codebook_size + model.classes + model.unconditional_row


# ---------------------------------------------------------------------------------------------------------------------
# elt_ref's names. Kernels are [inputs, outputs] there, and no other parameter's name ends in `.weight`.


def reference_names(model: nn.Module) -> dict[str, str]:
    """Map elt_ref's names to PyTorch's. In elt_ref norms have a `scale`, and a table has its module's name alone."""
    names = {}
    for path, module in model.named_modules():
        suffix = {nn.LayerNorm: ".scale", nn.Embedding: ""}.get(type(module), ".weight")
        for name, _ in module.named_parameters(path, recurse=False):
            names[re.sub(r"\.weight$", suffix, name)] = name
    return names


def reference_layout(name: str, tensor: Tensor) -> Tensor:
    """Transpose a kernel, from one layout to the other; return any other tensor as it is."""
    return tensor.T.contiguous() if is_kernel(name) else tensor


def is_kernel(name: str) -> bool:
    """Whether elt_ref's `name` is the weight of a linear map."""
    return name.endswith(".weight")


def parameters_by_name(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters, in PyTorch's layout, by elt_ref's names."""
    return {name: model.get_parameter(own) for name, own in reference_names(model).items()}


def dump_parameters(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the parameters, in elt_ref's layout, by elt_ref's names."""
    return {name: reference_layout(name, p.detach().clone()) for name, p in parameters_by_name(model).items()}


def load_parameters(model: nn.Module, parameters: Mapping[str, Tensor]) -> None:
    """Load elt_ref's parameters; a missing or an extra one is an error."""
    names = reference_names(model)
    model.load_state_dict({names[name]: reference_layout(name, tensor) for name, tensor in parameters.items()})


@torch.no_grad()
def initialise(model: nn.Module, settings: Settings, generator: torch.Generator) -> None:
    """Draw initial parameters: MaskGIT's truncated normal, or DiT's scheme, whose layers start as the identity.

    DiT's output starts at zero, but not of drifting: samples that are all alike have no field.
    """
    for name, parameter in parameters_by_name(model).items():
        if parameter.ndim == 1:
            parameter.fill_(name.endswith(".scale"))
        elif settings.family == "masked":
            deviation = settings.initial_deviation
            nn.init.trunc_normal_(parameter, 0, deviation, -2 * deviation, 2 * deviation, generator)
        elif "modulation" in name or (name == "head.output.weight" and settings.family == "diffusion"):
            nn.init.zeros_(parameter)
        elif name.startswith(("embedding.time", "embedding.label")):
            nn.init.normal_(parameter, 0, 1.0 if settings.family == "drifting" else 0.02, generator)
        else:
            nn.init.xavier_uniform_(parameter, generator=generator)


# ---------------------------------------------------------------------------------------------------------------------
# Noise: λ = log(α² / σ²) falls as t goes from clean (0) to noise (1); computed in float64


def log_snr(diffusion: Settings, time: Tensor) -> tuple[Tensor, Tensor]:
    """Return λ(t) and dλ/dt [B] of the shifted cosine schedule. The bounds come before the shift."""
    time = time.double()
    lowest = math.atan(math.exp(-diffusion.log_snr_max / 2))
    span = math.atan(math.exp(-diffusion.log_snr_min / 2)) - lowest
    angle = lowest + time * span
    at_noise = diffusion.shift if diffusion.shift_at_noise is None else diffusion.shift_at_noise
    snr = -2 * angle.tan().log() + time * at_noise + (1 - time) * diffusion.shift
    return snr, -4 * span / (2 * angle).sin() + at_noise - diffusion.shift


def signal_and_noise(log_snr: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return each sample's α and σ, [B, 1, 1, 1] in the dtype of `like`."""
    snr = log_snr.double().view(-1, *[1] * (like.ndim - 1))
    return snr.sigmoid().sqrt().to(like), (-snr).sigmoid().sqrt().to(like)


def add_noise(clean: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Return z = α x + σ ε."""
    alpha, sigma = signal_and_noise(log_snr, clean)
    return alpha * clean + sigma * noise


def prediction_target(kind: str, clean: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Return the prediction's target: x0, ε or v."""
    alpha, sigma = signal_and_noise(log_snr, clean)
    return {"x0": clean, "epsilon": noise, "v": alpha * noise - sigma * clean}[kind]


def to_clean(kind: str, prediction: Tensor, noisy: Tensor, log_snr: Tensor) -> Tensor:
    """Convert a prediction to x0."""
    alpha, sigma = signal_and_noise(log_snr, noisy)
    if kind == "x0":
        return prediction
    return (noisy - sigma * prediction) / alpha if kind == "epsilon" else alpha * noisy - sigma * prediction


def loss_weight(diffusion: Settings, time: Tensor) -> Tensor:
    """Return w(t) [B]: the sigmoid weight for x0, times e^−λ for ε and sigmoid(−λ) for v: the same loss in x0."""
    snr, derivative = log_snr(diffusion, time)
    bias = diffusion.bias
    log_weight = {
        "x0": bias + F.logsigmoid(snr - bias),
        "epsilon": F.logsigmoid(bias - snr),
        "v": bias + F.logsigmoid(snr - bias) + F.logsigmoid(-snr),
    }[diffusion.prediction]
    return log_weight.exp() * (-derivative if diffusion.weight_derivative else 1)


# ---------------------------------------------------------------------------------------------------------------------
# Objectives


class Losses(NamedTuple):
    """E5's total, and its three terms before λ weighs them."""

    total: Tensor
    teacher_truth: Tensor
    student_truth: Tensor | None = None
    distillation: Tensor | None = None


def ilsd_loss(
    predict: Callable[[Sequence[int]], list[Tensor]],
    ground_truth: Callable[[Tensor], Tensor],
    distillation: Callable[[Tensor, Tensor], Tensor],
    *,
    max_loops: int,
    student_loops: int | None,
    truth_weight: float,
) -> Losses:
    """E5: intra-loop self-distillation in one pass of L_max loops; without a student, the first term alone."""
    if student_loops is None:
        (teacher,) = predict([max_loops])
        truth = ground_truth(teacher)
        return Losses(truth, truth)
    student, teacher = predict([student_loops, max_loops])
    terms = ground_truth(teacher), ground_truth(student), distillation(student, teacher.detach())
    return Losses(terms[0] + truth_weight * terms[1] + (1 - truth_weight) * terms[2], *terms)


def masked_losses(
    network: nn.Module,
    model: Settings,
    *,
    tokens: Tensor,
    mask: Tensor,
    labels: Tensor,
    reduction: str,
    label_smoothing: float,
    **ilsd: Any,
) -> Losses:
    """E7 and E8 over the masked tokens; true tokens [B, T], mask [B, T]."""
    weight = mask.double() / len(mask)  # always a mean over the batch, so that equal slices may be averaged
    if reduction == "mean_per_sample":
        weight = weight / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0) -> Tensor:
        # Smoothing applies to the truth alone; the teacher's prediction is soft already.
        flat = target.flatten(0, 1)
        losses = F.cross_entropy(logits.flatten(0, 1), flat, reduction="none", label_smoothing=smoothing)
        return (losses.reshape(weight.shape) * weight.to(losses)).sum()

    seen = tokens.masked_fill(mask, mask_token(model))
    return ilsd_loss(
        lambda exits: network(tokens=seen, labels=labels, exits=exits),
        lambda logits: cross_entropy(logits, tokens, label_smoothing),
        lambda student, teacher: cross_entropy(student, teacher.softmax(-1)),
        max_loops=model.max_loops,
        **ilsd,
    )


def diffusion_losses(
    network: nn.Module,
    model: Settings,
    *,
    diffusion: Settings,
    clean: Tensor,
    noise: Tensor,
    time: Tensor,
    labels: Tensor,
    reduction: str,
    **ilsd: Any,
) -> Losses:
    """E9 and E10 with one time, noise and weight; clean and noise [B, H, W, C], time [B]."""
    snr, _ = log_snr(diffusion, time)
    noisy, target = add_noise(clean, noise, snr), prediction_target(diffusion.prediction, clean, noise, snr)
    weight = loss_weight(diffusion, time) / (clean[0].numel() if reduction == "mean_per_sample" else 1)

    def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
        return ((prediction - target).square().flatten(1).sum(dim=1) * weight.to(prediction)).mean()

    return ilsd_loss(
        lambda exits: network(noisy=noisy, time=time, labels=labels, exits=exits),
        lambda prediction: squared_error(prediction, target),
        squared_error,
        max_loops=model.max_loops,
        **ilsd,
    )


@torch.no_grad()
def drift_field(queries: Tensor, positives: Tensor, temperatures: Sequence[float]) -> tuple[Tensor, Tensor]:
    """D1 to D4: the field V [Q, D] at generated samples of one class, in units of S, and S. In float64.

    The queries are the negatives, too, but none is its own.
    """
    queries, positives = queries.double(), positives.double()
    others = torch.cat([queries, positives])
    # cdist's fast way would lose half of the digits of small distances.
    distances = torch.cdist(queries, others, compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.eye(*distances.shape, dtype=torch.bool, device=distances.device)
    mean = distances[~own].mean()
    scale = mean / math.sqrt(queries.shape[1])
    field = torch.zeros_like(queries)
    for temperature in temperatures:
        logits = (-distances / mean / temperature).masked_fill(own, -torch.inf)
        negative, positive = (logits.softmax(1) * logits.softmax(0)).sqrt().split([len(queries), len(positives)], dim=1)
        pull = negative.sum(dim=1, keepdim=True) * (positive @ positives)
        push = positive.sum(dim=1, keepdim=True) * (negative @ queries)
        one = (pull - push) / scale
        field += one / one.square().mean().sqrt().clamp(min=torch.finfo(one.dtype).tiny)
    return field, scale


def drifting_losses(
    network: nn.Module,
    model: Settings,
    *,
    positives: Tensor,
    labels: Tensor,
    noise: Tensor,
    temperatures: Sequence[float],
    reduction: str,
    **ilsd: Any,
) -> Losses:
    """D5 and D6; positives [c, P, H, W, C] of the classes `labels` [c], noise [B, H, W, C] in c equal groups."""
    each = len(noise) // len(labels)

    def fields(samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return V and S of the samples, in their shape and dtype."""
        groups = samples.detach().unflatten(0, (len(labels), each)).flatten(2)
        found = [drift_field(*pair, temperatures) for pair in zip(groups, positives.flatten(2), strict=True)]
        field = torch.cat([field for field, _ in found]).view_as(samples)
        return field.to(samples), torch.stack([scale for _, scale in found]).repeat_interleave(each).to(samples)

    def squared_error(samples: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        errors = (samples - target).square().flatten(1) / scale.square()[:, None]
        return (errors.mean(dim=1) if reduction == "mean_per_sample" else errors.sum(dim=1)).mean()

    def ground_truth(samples: Tensor) -> Tensor:
        field, scale = fields(samples)
        return squared_error(samples, samples.detach() + scale.view(-1, 1, 1, 1) * field, scale)

    return ilsd_loss(
        lambda exits: network(noise=noise, labels=labels.repeat_interleave(each), exits=exits),
        ground_truth,
        lambda student, teacher: squared_error(student, teacher, fields(teacher)[1]),
        max_loops=model.max_loops,
        **ilsd,
    )


def truth_weight_at(step: int, steps: int) -> float:
    """Return the truth weight λ: linear, exactly 1 at the first step and 0 at the last."""
    return 1 - step / max(1, steps - 1)


def draw_student_loops(seed: int, step: int, min_loops: int, max_loops: int) -> int:
    """E6: draw L_int from L_min … L_max − 1, one for the whole batch."""
    return int(stream(seed, "student_loops", step).integers(min_loops, max_loops))


def masked_fraction(ratio: Tensor) -> Tensor:
    """Return γ(r) = cos(π r / 2), clipped to [1e-6, 1]."""
    return (math.pi / 2 * ratio).cos().clamp(1e-6, 1)


def lowest(scores: Tensor, count: Tensor) -> Tensor:
    """Mark exactly the `count` [B] lowest scores of each row [B, T]; among equal scores, the first."""
    return scores.argsort(dim=1, stable=True).argsort(dim=1) < count[:, None]


def mask_tokens(ratio: Tensor, order: Tensor) -> Tensor:
    """Return the mask [B, T] of the tokens to hide. float64, like the mask schedule of decoding."""
    count = (order.shape[1] * masked_fraction(ratio.double())).floor().clamp(min=1)
    return lowest(order, count)


def drop_labels(labels: Tensor, draws: Tensor, rate: float, classes: int) -> Tensor:
    """Replace some labels [B] by "no class", whose id is `classes`."""
    return labels.masked_fill(draws < rate, classes)


# ---------------------------------------------------------------------------------------------------------------------
# Sampling, at any number of loops


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return u + s (c − u): s = 1 is conditional."""
    return unconditional + scale * (conditional - unconditional)


def guidance_scale_at(step: int, steps: int, scale: float, schedule: str) -> float:
    """Return the guidance scale s at a sampling step; a ramp starts at 1."""
    return scale if schedule == "constant" else 1 + (scale - 1) * step / max(1, steps - 1)


@torch.no_grad()
def predict(network: ELT, labels: Tensor, loops: int, scale: float, **inputs: Tensor) -> Tensor:
    """Return the guided prediction: one branch for s = 0 or 1, otherwise both branches in one batch."""
    none = torch.full_like(labels, network.no_class)
    sides = [side for side, used in ((labels, scale != 0), (none, scale != 1)) if used]
    repeated = {name: torch.cat([x] * len(sides)) for name, x in inputs.items()}
    (prediction,) = network(**repeated, labels=torch.cat(sides), exits=[loops])
    return guide(*prediction.chunk(2), scale) if len(sides) == 2 else prediction


def masked_length(start: Tensor, unknown: Tensor, step: int, steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return how many tokens [B] stay masked after a step: fewer than before, and at least one.

    The dtype decides the tie at (step + 1) / steps = 2/3, where γ is one half: 128 of 256 in float64, 127 in float32.
    """
    fraction = masked_fraction(torch.tensor((step + 1) / steps, dtype=dtype, device=start.device))
    wanted = (start.to(dtype) * fraction).floor().long()
    return wanted.minimum(unknown - 1).clamp(min=1).minimum(unknown)


def decode_step(
    logits: Tensor,  # [B, T, V]
    tokens: Tensor,  # [B, T]
    *,
    start: Tensor,  # [B]
    token_noise: Tensor,  # [B, T, V], Gumbel
    confidence_noise: Tensor,  # [B, T], Gumbel
    step: int,
    steps: int,
    mask_token: int,
    choice_temperature: float,
    sampling_temperature: str,
    schedule_dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """E1: sample every unknown token, mask the least confident again. Return the tokens, and the unmasked answer."""
    unknown = tokens == mask_token
    left = 1 - (step + 1) / steps
    temperature = 0.5 + 0.8 * left if sampling_temperature == "elt" else 1
    answer = torch.where(unknown, (logits / temperature + token_noise).argmax(dim=-1), tokens)
    # Confidence comes from the untempered prediction; known tokens have infinite confidence.
    chosen = answer.where(unknown, 0)[..., None]
    confidence = logits.log_softmax(dim=-1).gather(-1, chosen)[..., 0] + choice_temperature * left * confidence_noise
    length = masked_length(start, unknown.sum(dim=1), step, steps, schedule_dtype)
    again = lowest(confidence.where(unknown, torch.inf), length)
    return answer.masked_fill(again, mask_token), answer


def masked_sample(
    network: ELT,
    model: Settings,
    *,
    sampling: Settings,
    tokens: Tensor,
    labels: Tensor,
    token_noise: Tensor,
    confidence_noise: Tensor,
    loops: Sequence[int],
) -> Tensor:
    """Decode tokens [B, T] in K = len(loops) steps; return the last answer, before masking."""
    mask, answer, steps = mask_token(model), tokens, len(loops)
    start = (tokens == mask).sum(dim=1)
    for step in range(steps):
        scale = guidance_scale_at(step, steps, sampling.guidance_scale, sampling.guidance_schedule)
        tokens, answer = decode_step(
            predict(network, labels, loops[step], scale, tokens=tokens),
            tokens,
            start=start,
            token_noise=token_noise[step],
            confidence_noise=confidence_noise[step],
            step=step,
            steps=steps,
            mask_token=mask,
            choice_temperature=sampling.choice_temperature,
            sampling_temperature=sampling.sampling_temperature,
            schedule_dtype=getattr(torch, sampling.schedule_precision),
        )
    return answer


def denoise_step(
    diffusion: Settings, noisy: Tensor, clean: Tensor, noise: Tensor, *, log_snr_t: float, log_snr_s: float, last: bool
) -> Tensor:
    """E2: step from z_t to z_s at s < t with the guided x̂. The last step returns x̂."""
    if diffusion.clip is not None:
        clean = clean.clamp(-diffusion.clip, diffusion.clip)
    if last:
        return clean
    (alpha_t, alpha_s), (sigma_t, sigma_s) = (
        torch.tensor([sign * log_snr_t, sign * log_snr_s], dtype=torch.float64).sigmoid().sqrt().tolist()
        for sign in (1, -1)
    )
    if diffusion.sampler == "ddim":  # the step's noise is the ε̂ that the (clipped) prediction implies
        return alpha_s * clean + sigma_s * ((noisy - alpha_t * clean) / sigma_t)
    share = -math.expm1(log_snr_t - log_snr_s)
    fraction = {"small": 0, "large": 1, "interpolated": diffusion.variance_fraction}[diffusion.variance]
    deviation = sigma_s ** (1 - fraction) * sigma_t**fraction * math.sqrt(share)
    return alpha_s * ((1 - share) / alpha_t * noisy + share * clean) + deviation * noise


def diffusion_sample(
    network: ELT,
    model: Settings,  # noqa: ARG001  both samplers have the same signature
    *,
    diffusion: Settings,
    sampling: Settings,
    labels: Tensor,
    initial_noise: Tensor,
    step_noise: Tensor,
    loops: Sequence[int],
) -> Tensor:
    """Denoise initial_noise [B, H, W, C] in K = len(loops) steps."""
    noisy, steps = initial_noise, len(loops)
    times = time_grid(steps)
    snr, _ = log_snr(diffusion, times)
    for step in range(steps):
        scale = guidance_scale_at(step, steps, sampling.guidance_scale, sampling.guidance_schedule)
        time = times[step].expand(len(noisy)).to(noisy.device)
        prediction = predict(network, labels, loops[step], scale, noisy=noisy, time=time)
        noisy = denoise_step(
            diffusion,
            noisy,
            to_clean(diffusion.prediction, prediction, noisy, snr[step].to(noisy.device)),
            step_noise[step],
            log_snr_t=snr[step].item(),
            log_snr_s=snr[step + 1].item(),
            last=step == steps - 1,
        )
    return noisy


@torch.no_grad()
def drifting_sample(network: ELT, labels: Tensor, noise: Tensor, loops: int) -> Tensor:
    """Generate samples [B, H, W, C] in one evaluation of any number of loops."""
    (samples,) = network(noise=noise, labels=labels, exits=[loops])
    return samples


def time_grid(steps: int) -> Tensor:
    """Return the K + 1 sampling times, from 1 to 0."""
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


# ---------------------------------------------------------------------------------------------------------------------
# Clips: tubelets as tokens, and a decoding's start from known frames


def encode_clips(clips: Tensor, codebook: Tensor, patch_frames: int, patch_size: int) -> Tensor:
    """[B, F, H, W, C] → [B, T], the code nearest to each tubelet, time slowest and columns fastest."""
    sides = (patch_frames, patch_size, patch_size)
    tubelets = clips
    for axis, side in enumerate(sides, start=1):  # [B, times, rows, columns, C, frame, row, column]
        tubelets = tubelets.unfold(axis, side, side)
    tubelets = tubelets.movedim(4, -1).flatten(4).flatten(1, 3)  # each as (frame, row, column, channel)
    return (tubelets.unsqueeze(2) - codebook).square().sum(dim=-1).argmin(dim=-1)


def decode_clips(tokens: Tensor, codebook: Tensor, grid: Sequence[int], patch_frames: int, patch_size: int) -> Tensor:
    """[B, T] → [B, F, H, W, C], each token's code as a tubelet."""
    values = F.embedding(tokens, codebook).unflatten(2, (patch_frames, patch_size, patch_size, -1))
    values = values.unflatten(1, tuple(grid))  # [B, times, rows, columns, frame, row, column, C]
    values = values.permute(0, 1, 4, 2, 5, 3, 6, 7)
    return values.flatten(5, 6).flatten(3, 4).flatten(1, 2)


def given_frames(tokens: Tensor, frames: Tensor, grid: Sequence[int], mask_token: int) -> Tensor:
    """Keep a token of [B, T] if all frames of its tubelet are known (`frames` [F]); put the mask elsewhere."""
    known = frames.unflatten(0, (grid[0], -1)).all(dim=1)
    return tokens.where(known.repeat_interleave(grid[1] * grid[2]), mask_token)


# ---------------------------------------------------------------------------------------------------------------------
# Training


def adamw(parameters: Mapping[str, Tensor], training: Settings) -> torch.optim.AdamW:
    """Return PyTorch's AdamW, which equals the reference's: ε outside the root, decoupled decay, here of kernels only.

    θ ← θ − η (m̂ / (√v̂ + ε) + w θ)
    """
    kernels = [p for name, p in parameters.items() if is_kernel(name)]
    others = [p for name, p in parameters.items() if not is_kernel(name)]
    groups = [{"params": kernels, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    betas = training.beta1, training.beta2
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, betas=betas, eps=training.epsilon, fused=True)


def optimizer_step(optimizer: torch.optim.Optimizer, step: int, training: Settings) -> None:
    """Do one optimizer step at the learning rate of `step`, counted from 0."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, training)
    optimizer.step()


def set_moments(optimizer: torch.optim.Optimizer, step: int, tensors: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Restore the optimizer's state after `step` steps; tensors are (parameter, first moment, second moment)."""
    for parameter, first, second in tensors:
        optimizer.state[parameter] = {"step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second}


def learning_rate_at(step: int, training: Settings) -> float:
    """Return η: a linear warm-up, then constant or a cosine that reaches zero one step after the last."""
    rate, warmup = training.learning_rate, training.warmup_steps
    if step < warmup:
        return rate * (step + 1) / warmup
    if training.schedule == "constant":
        return rate
    way = min(1, (step - warmup) / max(1, training.steps - warmup))
    return rate * (1 + math.cos(math.pi * way)) / 2


def clip_gradient(gradient: Sequence[Tensor], largest: float) -> Tensor:
    """Scale in place to a global norm of at most `largest`; return the norm before.

    nn.utils.clip_grad_norm_ would add 1e-6 to the norm. A norm of NaN changes nothing, so that it stays visible.
    """
    norm = nn.utils.get_total_norm(gradient)
    if norm > largest:
        for leaf in gradient:
            leaf.mul_(largest / norm)
    return norm


@torch.no_grad()
def moving_average(average: Iterable[Tensor], parameters: Iterable[Tensor], decay: float) -> None:
    """Update in place, after the step. swa_utils.AveragedModel would start as a copy after the first step."""
    for mean, parameter in zip(average, parameters, strict=True):
        mean.lerp_(parameter, 1 - decay)


class Trainer:
    """Everything that a step changes, and the step. If a process group exists, it averages gradients."""

    def __init__(self, model: ELT, config: Settings) -> None:
        self.config, self.model, self.step = config, model, 0
        self.average = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self.network = DistributedDataParallel(model) if dist.is_initialized() else model
        self.parameters = parameters_by_name(model)
        self.optimizer = adamw(self.parameters, config.training)

    def losses(self, examples: Tensor, labels: Tensor, draws: Mapping[str, Tensor], **ilsd: Any) -> Losses:
        """Corrupt the examples, tokens [B, T] or samples [B, H, W, C]; return the network's losses on them.

        Of drifting, the examples are real samples [c, P, H, W, C] of c classes, and nothing is corrupted.
        """
        config, model, objective = self.config, self.config.model, self.config.objective
        asked = {"reduction": objective.reduction, **ilsd}
        if model.family == "drifting":
            asked |= {"positives": examples, "labels": labels, "noise": draws["noise"]}
            return drifting_losses(self.network, model, temperatures=config.drifting.temperatures, **asked)
        asked["labels"] = drop_labels(labels, draws["label_drop"], objective.label_drop_rate, model.classes)
        if model.family == "masked":
            asked |= {"tokens": examples, "mask": mask_tokens(draws["mask_ratio"], draws["mask_order"])}
            return masked_losses(self.network, model, label_smoothing=objective.label_smoothing, **asked)
        asked |= {"clean": examples, "noise": draws["noise"], "time": draws["time"]}
        return diffusion_losses(self.network, model, diffusion=config.diffusion, **asked)

    def train_step(
        self, examples: Tensor, labels: Tensor, draws: Mapping[str, Tensor], student_loops: int | None
    ) -> Losses:
        """Do one step on the examples, with their draws."""
        training = self.config.training
        truth_weight = truth_weight_at(self.step, training.steps)
        losses = self.losses(examples, labels, draws, student_loops=student_loops, truth_weight=truth_weight)
        self.optimizer.zero_grad()
        losses.total.backward()  # DistributedDataParallel averages here, so every process clips the same gradient
        clip_gradient([p.grad for p in self.parameters.values()], training.gradient_clip)
        optimizer_step(self.optimizer, self.step, training)
        moving_average(self.average.parameters(), self.model.parameters(), training.average_decay)
        self.step += 1
        return losses

    def save(self, path: Path) -> None:
        """Write a checkpoint of elt_ref."""
        state = self.optimizer.state
        moments = {
            part: {n: reference_layout(n, state[p].get(key, torch.zeros_like(p))) for n, p in self.parameters.items()}
            for part, key in MOMENTS.items()
        }
        trees = {"parameters": dump_parameters(self.model), "average": dump_parameters(self.average), **moments}
        seed, step = self.config.seed, self.step
        save_checkpoint(path, trees, checkpoint_metadata(self.config.model.family, seed, step))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that this port or elt_ref wrote."""
        trees, metadata = load_checkpoint(path)
        self.step = metadata["step"]
        load_parameters(self.model, trees["parameters"])
        load_parameters(self.average, trees["average"])
        moments = [{n: reference_layout(n, t) for n, t in trees[part].items()} for part in MOMENTS]
        tensors = ((p, *(tree[name].to(p.device) for tree in moments)) for name, p in self.parameters.items())
        set_moments(self.optimizer, self.step, tensors)


# ---------------------------------------------------------------------------------------------------------------------
# Checkpoints: four trees of tensors, and one JSON string

MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}
STREAMS = {
    "masked": ("order", "mask_ratio", "mask_order", "label_drop", "student_loops"),
    "diffusion": ("order", "time", "noise", "label_drop", "student_loops"),
    "drifting": ("classes", "positives", "noise", "student_loops"),
}


def load_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return the trees (parameters, average, first_moment, second_moment) with elt_ref's names, and the metadata."""
    trees: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118  safe_open is not a dict
            part, _, rest = name.partition(".")
            trees.setdefault(part, {})[rest] = file.get_tensor(name)
        metadata = json.loads(file.metadata()["elt_ref"])
    if "idea" in metadata:
        raise ValueError(f"{path}: expected a checkpoint of the paper's network, got one that was trained with an idea")
    return trees, metadata


def save_checkpoint(path: Path, trees: Mapping[str, Mapping[str, Tensor]], metadata: Mapping[str, Any]) -> None:
    """Write a whole checkpoint; a failure leaves the old file."""
    tensors = {f"{part}.{name}": tensor.cpu() for part, tree in trees.items() for name, tensor in tree.items()}
    temporary = path.with_name(f".{path.name}.tmp")
    save_file(tensors, temporary, {"elt_ref": json.dumps(metadata, sort_keys=True)})
    temporary.replace(path)


def checkpoint_metadata(family: str, seed: int, step: int) -> dict[str, Any]:
    """Return the metadata that elt_ref reads: seed and step determine every random stream of the run."""
    streams = {
        name: {"generator": "Philox", "key": stream_key(seed, name).tolist(), "counter": "[0, 0, 0, step]"}
        for name in STREAMS[family]
    }
    return {"format": "elt_ref checkpoint 1", "seed": seed, "step": step, "streams": streams}


def stream_key(seed: int, name: str) -> np.ndarray:
    """Return the two key words of a stream."""
    return np.frombuffer(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], "<u8").astype(np.uint64)


def stream(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """Open one of elt_ref's named streams, a function of (seed, name, step): the same in every process and device."""
    return np.random.Generator(np.random.Philox(key=stream_key(seed, name), counter=[0, 0, 0, step]))


# ---------------------------------------------------------------------------------------------------------------------
# Counting and measures


def count(model: Settings, loops: int) -> tuple[int, int, int]:
    """Return the looped parameters, all parameters, and the loop's multiply-adds in a forward pass."""
    with torch.device("meta"):  # shapes without memory
        sizes = {name: p.numel() for name, p in parameters_by_name(build(model)).items()}
    d, m = model.width, model.mlp_width
    if model.family == "masked":
        n = math.prod(model.grid) + 1
    else:
        n = model.shape[0] * model.shape[1] // model.patch_size**2
    macs = n * (4 * d * d + 2 * d * m) + 2 * n * n * d  # projections and MLP; scores and weighted sums
    looped = sum(size for name, size in sizes.items() if name.startswith("block."))
    return looped, sum(sizes.values()), loops * model.layers * macs


def frechet_distance(features: Tensor, others: Tensor) -> Tensor:
    """Return ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½): Tr (Σ₁ Σ₂)^½ is the sum of the singular values of Σ₁^½ Σ₂^½."""
    features, others = features.double(), others.double()
    first, second = (torch.atleast_2d(x.T.cov()) for x in (features, others))

    def root(covariance: Tensor) -> Tensor:  # eigenvalues that are zero but for rounding are zero
        values, vectors = torch.linalg.eigh(covariance)
        least = len(values) * torch.finfo(values.dtype).eps * values.max()
        return vectors * values.where(values > least, 0).sqrt() @ vectors.T

    root_trace = torch.linalg.svdvals(root(first) @ root(second)).sum()
    spread = (first.trace() + second.trace() - 2 * root_trace).clamp(min=0)
    return (features.mean(0) - others.mean(0)).square().sum() + spread


def inception_score(logits: Tensor, splits: int) -> Tensor:
    """Return exp E KL(p(y|x) ‖ p(y)), averaged over splits of neighbouring samples."""
    scores, count = [], len(logits)
    for part in logits.double().log_softmax(dim=-1).tensor_split([i * count // splits for i in range(1, splits)]):
        log_average = part.logsumexp(dim=0) - math.log(len(part))
        scores.append((part.exp() * (part - log_average)).sum(dim=1).mean().exp())
    return torch.stack(scores).mean()
