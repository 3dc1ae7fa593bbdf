"""The interface of an implementation. NumPy arrays in, NumPy arrays out; everything except `describe` is optional.

An operation takes keyword arguments: arrays by name, and settings that JSON can hold. It returns a dict of arrays by
name; scalars are arrays without axes. Floating-point arrays arrive in the dtype under test, and the answer must have
the same dtype; if no floating-point array arrives, any floating dtype will do. Randomness is always an input. An
operation must not change its arguments.

Parameters are a flat dict from dotted name to array, as in ``specs/parameters.md``; kernels are [inputs, outputs].
`model`, `diffusion`, `objective`, `sampling`, `training` are the sections of a configuration as plain dicts:
``specs/configuration.md`` says what their keys mean. Every key is present, except ``loops`` of `sampling`.

The dtype under test applies to arrays. Schedules (γ, log-SNR, weights, sines and cosines, learning rates) are always
computed in float64, from arguments that were rounded to the dtype, and their results are rounded to it last. Computed
in float32 they must meet the same tolerance; no question has a floor that depends on it, but for the declared precision
of the mask schedule of decoding. The draws of `drop_labels` are not widened, nor is an argument `log_snr`.

Shapes: B batch, T tokens, V codes, d width, L loops, K sampling steps, F H W C frames, height, width and channels of a
sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

Tensors: TypeAlias = Mapping[str, np.ndarray]
Parameters: TypeAlias = Mapping[str, np.ndarray]
Section: TypeAlias = Mapping[str, Any]


class Unsupported(Exception):  # noqa: N818  an answer, not an error
    """Raised by a backend that lacks an operation or cannot answer a question; allowed for undeclared operations."""


@dataclass(frozen=True)
class Description:
    """A backend's description of itself, read before any question."""

    name: str
    version: str
    operations: tuple[str, ...]
    """Names of the operations it offers, including taps. Only these are judged and awarded."""
    dtypes: tuple[str, ...] = ("float64", "float32")
    """Dtypes that it supports, out of ``float64`` and ``float32``."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Its alternative for each choice that the paper leaves open: see `elt_ref.conformance.choices`.

    A backend that implements ``mask_lengths``, ``decode_step`` or ``masked_sample`` must declare
    ``sampling.schedule_precision``.
    """


@runtime_checkable
class Backend(Protocol):
    """An implementation to judge. Write the methods that you have; leave out the others."""

    def describe(self) -> Description:
        """Return name, version, operations, dtypes and choices."""
        ...


class Operations(Protocol):
    """The operations, their arguments and results, for readers and type checkers; no class needs to inherit it."""

    # --- layers and parts of the networks

    def masked_layer(self, *, parameters: Parameters, x: np.ndarray, heads: int, epsilon: float) -> Tensors:
        """Apply one post-LN layer. `parameters` without ``block.i.``. x [B, n, d] → ``x`` [B, n, d]."""
        ...

    def diffusion_layer(
        self, *, parameters: Parameters, x: np.ndarray, conditioning: np.ndarray, heads: int, epsilon: float
    ) -> Tensors:
        """Apply one adaLN-Zero layer, including its modulation Linear(SiLU(c)).

        x [B, n, d], conditioning c [B, d] before the SiLU → ``x`` [B, n, d].
        """
        ...

    def positions(self, *, rows: int, columns: int, width: int) -> Tensors:
        """Return ``positions`` [rows · columns, width] of the diffusion family."""
        ...

    def time_features(self, *, time: np.ndarray, width: int, scale: float) -> Tensors:
        """Return ``features`` [B, width] of t [B] in [0, 1], the input of the timestep MLP. Angles in float64."""
        ...

    def patchify(self, *, samples: np.ndarray, patch_size: int) -> Tensors:
        """Return ``patches`` [B, T, patch² · C] in the order the patch embedding reads. samples [B, H, W, C]."""
        ...

    def unpatchify(self, *, patches: np.ndarray, shape: list[int], patch_size: int) -> Tensors:
        """Return ``samples`` [B, H, W, C] from patches [B, T, patch² · C] in the order of the output layer.

        `shape` is [H, W, C].
        """
        ...

    # --- networks

    def masked_states(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        """Return ``states`` [L, B, T + 1, d], after 1 … L loops. tokens [B, T] int64 with the mask id, labels [B]."""
        ...

    def masked_forward(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        """Return ``logits`` [B, T, V] after L loops."""
        ...

    def diffusion_states(
        self,
        *,
        model: Section,
        parameters: Parameters,
        noisy: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        loops: int,
    ) -> Tensors:
        """Return ``states`` [L, B, T, d], after 1 … L loops. noisy [B, H, W, C], time [B], labels [B]."""
        ...

    def diffusion_forward(
        self,
        *,
        model: Section,
        parameters: Parameters,
        noisy: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        loops: int,
    ) -> Tensors:
        """Return the network's ``prediction`` [B, H, W, C] after L loops."""
        ...

    # --- objectives

    def masked_objective(
        self,
        *,
        model: Section,
        parameters: Parameters,
        tokens: np.ndarray,
        mask: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
        label_smoothing: float,
    ) -> Tensors:
        """Return the ILSD loss: ``total``, ``teacher_truth``, ``student_truth``, ``distillation``, all scalars.

        tokens [B, T] are the true codes; mask [B, T] bool marks the codes hidden from the network. The terms are not
        yet weighted by λ = `truth_weight`. If `student_loops` is None, the objective is vanilla, with ``total`` and
        ``teacher_truth`` only.
        """
        ...

    def masked_gradient(
        self,
        *,
        model: Section,
        parameters: Parameters,
        tokens: np.ndarray,
        mask: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
        label_smoothing: float,
    ) -> Tensors:
        """Return the gradient of ``total`` of `masked_objective`, an array for every parameter, by its name."""
        ...

    def diffusion_objective(
        self,
        *,
        model: Section,
        diffusion: Section,
        parameters: Parameters,
        clean: np.ndarray,
        noise: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
    ) -> Tensors:
        """Return the terms of `masked_objective` for clean and noise [B, H, W, C] and time [B].

        The noise level and the weight of a sample are computed from `time` widened to float64.
        """
        ...

    def diffusion_gradient(
        self,
        *,
        model: Section,
        diffusion: Section,
        parameters: Parameters,
        clean: np.ndarray,
        noise: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        student_loops: int | None,
        truth_weight: float,
        reduction: str,
    ) -> Tensors:
        """Return the gradient of ``total`` of `diffusion_objective`, an array for every parameter, by its name."""
        ...

    def truth_weights(self, *, steps: int) -> Tensors:
        """Return ``weights`` [steps]: λ at each training step."""
        ...

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        """Return ``loops`` [count] int64: the L_int of `count` training steps of a run with this seed."""
        ...

    def mask_tokens(self, *, ratio: np.ndarray, order: np.ndarray) -> Tensors:
        """Return the training ``mask`` [B, T] bool: ratio [B] in [0, 1); the lowest of order [B, T] are masked.

        Widen `ratio` to float64 before γ and the floor; compare `order` without widening.
        """
        ...

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        """Return ``labels`` [B]: a label whose draw [B] is below the rate becomes "no class", with id `classes`.

        Strictly below, with the rate in the dtype of `draws`; no question has a draw so close to the rate.
        """
        ...

    # --- diffusion

    def log_snr(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        """Return ``log_snr`` and ``derivative`` (dλ/dt) [B] at time [B]. Angle, tangent and sine in float64."""
        ...

    def loss_weight(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        """Return ``weight`` [B]: w(t) for the network's kind of prediction. In float64, rounded last."""
        ...

    def add_noise(self, *, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Tensors:
        """Return ``noisy`` [B, H, W, C]; log_snr [B]."""
        ...

    def prediction_target(self, *, kind: str, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Tensors:
        """Return ``target`` [B, H, W, C] of a network of kind ``x0``, ``epsilon`` or ``v``."""
        ...

    def to_clean(self, *, kind: str, prediction: np.ndarray, noisy: np.ndarray, log_snr: np.ndarray) -> Tensors:
        """Return ``clean`` [B, H, W, C]: the x0 that follows from a prediction."""
        ...

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
    ) -> Tensors:
        """Return ``noisy`` [B, H, W, C]: the sample at s < t, from the guided prediction `clean` of x0."""
        ...

    def time_grid(self, *, steps: int) -> Tensors:
        """Return ``times`` [steps + 1] of sampling."""
        ...

    # --- decoding and guidance

    def mask_lengths(self, *, start: np.ndarray, steps: int) -> Tensors:
        """Return ``lengths`` [K, B] int64: the number of tokens still masked after each step.

        start [B]: tokens unknown before the first step; later steps begin with the tokens that the previous step left
        masked. γ and n₀ γ, before its floor, are computed in the precision that `describe` declares as
        ``sampling.schedule_precision``, whatever the dtype under test. γ is clipped to [1e-6, 1], as in training, so
        that it is not 0 after the last step; below two million tokens that changes no length.
        """
        ...

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
        """Return ``tokens`` [B, T], some masked again, and ``answer`` [B, T], none masked.

        logits [B, T, V] are guided; token_noise [B, T, V] and confidence_noise [B, T] are standard Gumbel; start [B] as
        in `mask_lengths`; step from 0; sampling_temperature is ``plain`` or ``elt``. The number of masked tokens is as
        in `mask_lengths`, in the declared precision; logits and noise are added in the dtype under test.
        """
        ...

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        """Return ``guided``, with the shape of the arguments."""
        ...

    def guidance_scales(self, *, scale: float, steps: int, schedule: str) -> Tensors:
        """Return ``scales`` [K] of a ``constant`` or ``ramp`` schedule."""
        ...

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
        """Return ``tokens`` [B, T] after K = len(loops) steps, `loops[k]` loops at step k in both branches of guidance.

        tokens [B, T] are the start; token_noise [K, B, T, V] and confidence_noise [K, B, T] as in `decode_step`. Ignore
        the steps and the schedule precision of `sampling`: use len(loops) and the declared precision.
        """
        ...

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
    ) -> Tensors:
        """Return ``samples`` [B, H, W, C] after K = len(loops) steps. initial_noise [B, H, W, C], step_noise [K, …].

        Times and log-SNR in float64. Ignore the steps of `sampling`: use len(loops).
        """
        ...

    # --- clips

    def encode_clips(self, *, clips: np.ndarray, codebook: np.ndarray, patch_frames: int, patch_size: int) -> Tensors:
        """Return ``tokens`` [B, T] int64, T tubelets in C order (time, row, column).

        clips [B, F, H, W, C]; codebook [V, patch_frames · patch_size² · C], flattened (frame, row, column, channel).
        """
        ...

    def decode_clips(
        self, *, tokens: np.ndarray, codebook: np.ndarray, grid: list[int], patch_frames: int, patch_size: int
    ) -> Tensors:
        """Return ``clips`` [B, F, H, W, C] from codes, the inverse. `grid` is [tubelets in time, rows, columns]."""
        ...

    def given_frames(self, *, tokens: np.ndarray, frames: np.ndarray, grid: list[int], mask_token: int) -> Tensors:
        """Return ``tokens`` [B, T] to start a decoding from, with the mask at unknown places.

        tokens [B, T] of whole clips; frames [F] bool marks the known frames, in whole tubelets.
        """
        ...

    # --- training

    def optimizer_step(
        self,
        *,
        training: Section,
        step: int,
        parameters: Parameters,
        gradient: Parameters,
        first: Parameters,
        second: Parameters,
    ) -> Tensors:
        """Return ``parameters.NAME``, ``first.NAME``, ``second.NAME`` after AdamW's step `step` (from 0)."""
        ...

    def clip_gradient(self, *, gradient: Parameters, largest: float) -> Tensors:
        """Return ``gradient.NAME``, and ``norm``, the global norm before clipping."""
        ...

    def learning_rates(self, *, training: Section) -> Tensors:
        """Return ``rates`` [steps]: the learning rate at each step."""
        ...

    def moving_average(self, *, average: Parameters, parameters: Parameters, decay: float) -> Tensors:
        """Return ``average.NAME`` after a step that produced `parameters`."""
        ...

    def masked_training(
        self,
        *,
        model: Section,
        objective: Section,
        training: Section,
        parameters: Parameters,
        tokens: np.ndarray,
        labels: np.ndarray,
        mask_ratio: np.ndarray,
        mask_order: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
    ) -> Tensors:
        """Train from step 0 for S steps; return ``parameters.NAME``, ``average.NAME``, and ``total`` [S], the losses.

        S = len(tokens) ≤ training["steps"], the length for λ and the learning rate; tokens [S, B, T], labels [S, B],
        mask_ratio [S, B] (widen to float64), mask_order [S, B, T], label_drop [S, B], student_loops [S]. The objective
        is always ILSD; only ``reduction``, ``label_smoothing`` and ``label_drop_rate`` of `objective` are used.
        """
        ...

    def masked_training_across(
        self,
        *,
        processes: int,
        model: Section,
        objective: Section,
        training: Section,
        parameters: Parameters,
        tokens: np.ndarray,
        labels: np.ndarray,
        mask_ratio: np.ndarray,
        mask_order: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
    ) -> Tensors:
        """Do `masked_training` in `processes` processes; process p of P has rows p B / P … (p + 1) B / P of a batch.

        ``total`` [S] is the loss of the whole batch.
        """
        ...

    def diffusion_training(
        self,
        *,
        model: Section,
        diffusion: Section,
        objective: Section,
        training: Section,
        parameters: Parameters,
        clean: np.ndarray,
        labels: np.ndarray,
        time: np.ndarray,
        noise: np.ndarray,
        label_drop: np.ndarray,
        student_loops: np.ndarray,
    ) -> Tensors:
        """Do `masked_training` with clean and noise [S, B, H, W, C] and time [S, B] (widen to float64)."""
        ...

    # --- accounts and measures

    def count(self, *, model: Section, loops: int) -> Tensors:
        """Return ``looped_parameters``, ``total_parameters``, ``looped_macs`` (of one forward pass) as int64."""
        ...

    def frechet_distance(self, *, features: np.ndarray, others: np.ndarray) -> Tensors:
        """Return ``distance`` between the Gaussians of two sets of features [n, f] and [m, f]."""
        ...

    def inception_score(self, *, logits: np.ndarray, splits: int) -> Tensors:
        """Return ``score`` of logits [n, classes]: the mean over the splits."""
        ...

    # --- taps: not judged; when a network is wrong, they show the layer and loop in which its numbers diverge

    def masked_layers(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        """Return ``layers`` [L, N, B, T + 1, d]: the state after each layer of each loop, as in `masked_states`."""
        ...

    def diffusion_layers(
        self,
        *,
        model: Section,
        parameters: Parameters,
        noisy: np.ndarray,
        time: np.ndarray,
        labels: np.ndarray,
        loops: int,
    ) -> Tensors:
        """Return ``layers`` [L, N, B, T, d]: the state after each layer of each loop, as in `diffusion_states`."""
        ...


JUDGED_DTYPES = ("float64", "float32")
"""The dtypes that clauses are judged in."""
TAPS = ("masked_layers", "diffusion_layers")
"""Operations that no clause needs."""
OPERATIONS = tuple(name for name in vars(Operations) if not name.startswith("_") and name not in TAPS)
"""Every judged operation, in the order in which they build on one another."""
FAMILIES = {
    "masked": (
        *(name for name in OPERATIONS if name.startswith("masked_")),
        "mask_tokens",
        "mask_lengths",
        "decode_step",
        "encode_clips",
        "decode_clips",
        "given_frames",
    ),
    "diffusion": (
        *(name for name in OPERATIONS if name.startswith("diffusion_")),
        "positions",
        "time_features",
        "patchify",
        "unpatchify",
        "log_snr",
        "loss_weight",
        "add_noise",
        "prediction_target",
        "to_clean",
        "denoise_step",
        "time_grid",
    ),
}
"""Operations of only one family of networks."""
