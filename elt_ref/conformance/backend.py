"""What an implementation may be asked to do. NumPy arrays in, NumPy arrays out; all but `describe` is optional.

An operation takes keyword arguments: arrays by name, and settings that JSON can hold. It returns a dict of arrays by
name; scalars are arrays without axes. Floating-point arrays arrive in the dtype under test and are to be answered in
it; where none arrives, any floating dtype will do. Randomness is always an input. Nothing that is passed may be
changed.

Parameters are a flat dict from dotted name to array, as in ``specs/parameters.md``; kernels are [inputs, outputs].
`model`, `diffusion`, `objective`, `sampling`, `training` are the sections of a configuration as plain dicts:
``specs/configuration.md`` says what their keys mean. Every key is present, of `sampling` every one but ``loops``.

The dtype under test is that of arrays. Schedules (γ, log-SNR, weights, sines and cosines, learning rates) are computed
in float64 whatever it is, from arguments that were rounded to it, and rounded to it last. Done in float32 they are held
to the same tolerance, and a floor may fall on the other side. The draws of `drop_labels` are not widened, nor is a
`log_snr` that is an argument; the mask schedule of decoding has the precision that is declared.

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


class Unsupported(Exception):  # noqa: N818  an answer, not a mistake
    """Raised by a backend that lacks the operation or cannot do what was asked; allowed where declared absent."""


@dataclass(frozen=True)
class Description:
    """What a backend says of itself before anything is asked."""

    name: str
    version: str
    operations: tuple[str, ...]
    """Names of the operations it offers, taps too. What is offered is judged; what is not is not awarded."""
    dtypes: tuple[str, ...] = ("float64", "float32")
    """Of ``float64`` and ``float32``."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Its names for what the paper leaves open, by choice: see `elt_ref.conformance.choices`.

    Who offers ``mask_lengths`` must declare ``sampling.schedule_precision``.
    """


@runtime_checkable
class Backend(Protocol):
    """An implementation under judgement. Write the methods that you have; leave out the others."""

    def describe(self) -> Description:
        """Return name, version, operations, dtypes and choices."""
        ...


class Operations(Protocol):
    """The operations, their arguments and results. For reading and for type checkers; nothing needs to inherit it."""

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
        """Return ``features`` [B, width] of t [B] in [0, 1]: what goes into the timestep MLP. Angles in float64."""
        ...

    def patchify(self, *, samples: np.ndarray, patch_size: int) -> Tensors:
        """Return ``patches`` [B, T, patch² · C] in the order the patch embedding reads. samples [B, H, W, C]."""
        ...

    def unpatchify(self, *, patches: np.ndarray, shape: list[int], patch_size: int) -> Tensors:
        """Return ``samples`` [B, H, W, C] of patches [B, T, patch² · C] as the output layer writes them.

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
        """Return ``prediction`` [B, H, W, C] after L loops, of whatever the network predicts."""
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

        tokens [B, T] are the true codes, mask [B, T] bool says which the network does not see. The terms are those
        before λ = `truth_weight` weighs them. With `student_loops` None: the vanilla objective, ``total`` and
        ``teacher_truth`` alone.
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
        """Return what `masked_objective` returns, for clean and noise [B, H, W, C] and time [B].

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
        """Return ``weights`` [steps]: λ at each step of a training."""
        ...

    def student_draws(self, *, min_loops: int, max_loops: int, count: int, seed: int) -> Tensors:
        """Return ``loops`` [count] int64: L_int as drawn at `count` training steps of a run with this seed."""
        ...

    def mask_tokens(self, *, ratio: np.ndarray, order: np.ndarray) -> Tensors:
        """Return ``mask`` [B, T] bool of training: ratio [B] in [0, 1); of order [B, T] the lowest are masked.

        `ratio` is to be widened to float64 before γ and the floor; `order` is compared as it comes.
        """
        ...

    def drop_labels(self, *, labels: np.ndarray, draws: np.ndarray, rate: float, classes: int) -> Tensors:
        """Return ``labels`` [B]: those whose draw [B] falls below the rate become "no class", whose id is `classes`.

        Strictly below, with the rate in the dtype of `draws`; no question has a draw so near the rate that it matters.
        """
        ...

    # --- diffusion

    def log_snr(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        """Return ``log_snr`` and ``derivative`` (dλ/dt) [B] at time [B]. Angle, tangent and sine in float64."""
        ...

    def loss_weight(self, *, diffusion: Section, time: np.ndarray) -> Tensors:
        """Return ``weight`` [B]: w(t) for what the network predicts. In float64, rounded last."""
        ...

    def add_noise(self, *, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Tensors:
        """Return ``noisy`` [B, H, W, C]; log_snr [B]."""
        ...

    def prediction_target(self, *, kind: str, clean: np.ndarray, noise: np.ndarray, log_snr: np.ndarray) -> Tensors:
        """Return ``target`` [B, H, W, C]: what a network of kind ``x0``, ``epsilon`` or ``v`` is to predict."""
        ...

    def to_clean(self, *, kind: str, prediction: np.ndarray, noisy: np.ndarray, log_snr: np.ndarray) -> Tensors:
        """Return ``clean`` [B, H, W, C]: the x0 that a prediction means."""
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
        """Return ``lengths`` [K, B] int64: how many tokens stay masked after each step.

        start [B]: tokens unknown before the first step; as many are unknown before a step as the one before left. γ and
        n₀ γ, of which the floor is taken, are computed in the precision that `describe` declares as
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

        logits [B, T, V] guided already; token_noise [B, T, V] and confidence_noise [B, T] are standard Gumbel; start
        [B] as in `mask_lengths`; step from 0; sampling_temperature is ``plain`` or ``elt``. As many stay masked as
        `mask_lengths` says, in the declared precision; logits and noise are added in the dtype under test.
        """
        ...

    def guide(self, *, conditional: np.ndarray, unconditional: np.ndarray, scale: float) -> Tensors:
        """Return ``guided``, of the shape of both."""
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

        tokens [B, T] to start from; token_noise [K, B, T, V], confidence_noise [K, B, T] as of `decode_step`. Of
        `sampling`, K and the precision of the schedule are not read: len(loops) is, and the declared precision.
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

        Times and log-SNR in float64, of `sampling` K is not read.
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
        """Return ``clips`` [B, F, H, W, C]: the inverse, of codes. `grid` is [tubelets in time, rows, columns]."""
        ...

    def given_frames(self, *, tokens: np.ndarray, frames: np.ndarray, grid: list[int], mask_token: int) -> Tensors:
        """Return ``tokens`` [B, T] to start a decoding from, the mask where nothing is known.

        tokens [B, T] of whole clips, frames [F] bool: which frames are given, whole tubelets of them.
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
        """Return ``average.NAME`` after a step that led to `parameters`."""
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

        S = len(tokens) ≤ training["steps"], which λ and the learning rate go by; tokens [S, B, T], labels [S, B],
        mask_ratio [S, B] (to be widened to float64), mask_order [S, B, T], label_drop [S, B], student_loops [S].
        Always the ILSD objective; of `objective`, ``reduction``, ``label_smoothing`` and ``label_drop_rate`` are read.
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
        """Do as `masked_training`, in that many processes; process p of P has rows p B / P … (p + 1) B / P of a batch.

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
        """Do as `masked_training` for clean and noise [S, B, H, W, C], time [S, B] (to be widened to float64)."""
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

    # --- taps: not judged, but asked when a network is wrong, to say in which layer of which loop its numbers part

    def masked_layers(
        self, *, model: Section, parameters: Parameters, tokens: np.ndarray, labels: np.ndarray, loops: int
    ) -> Tensors:
        """Return ``layers`` [L, N, B, T + 1, d]: the state after each layer of each loop, as of `masked_states`."""
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
        """Return ``layers`` [L, N, B, T, d]: the state after each layer of each loop, as of `diffusion_states`."""
        ...


JUDGED_DTYPES = ("float64", "float32")
"""The dtypes that clauses are judged in."""
TAPS = ("masked_layers", "diffusion_layers")
"""Operations that no clause needs."""
OPERATIONS = tuple(name for name in vars(Operations) if not name.startswith("_") and name not in TAPS)
"""Every operation that is judged, in the order in which they build on one another."""
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
"""Operations that one family of networks alone has."""
