"""The defects of the unofficial port of ELT, each alone and written without the judge's own mistakes: what it names.

The first, a second pass for the student, gives the same numbers unless a pass is random, so nothing can be judged. The
eighth is several: each is tried alone.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from autograd import grad

from elt_ref.arrays import tree_items
from elt_ref.conformance.alike import suggestions
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.doors import PythonDoor
from elt_ref.conformance.judge import judge
from elt_ref.conformance.reference import ReferenceBackend, configuration, tree
from elt_ref.paper.mistakes import page_with

VECTORS = read_vectors()


class OwnLoss(ReferenceBackend):
    """The loss of masked tokens with terms of its own, differentiated by autograd through the page's network."""

    def __init__(self):
        self.page = page_with("masked")

    def cross_entropy(self, logits, tokens, mask, reduction):
        """Return E7 of logits."""
        truth = np.eye(logits.shape[-1])[tokens]
        return self.weighed(-(truth * self.page.log_softmax(logits)).sum(axis=-1), mask, reduction)

    def distilled(self, student, teacher, mask, reduction):
        """Return E8 of the student's and the teacher's logits."""
        log_p, target = self.page.log_softmax(student), np.exp(self.page.log_softmax(teacher))
        return self.weighed(-(target * log_p).sum(axis=-1), mask, reduction)

    def weighed(self, each, mask, reduction):
        """Return the sum over masked tokens or the mean, by sample, then the mean over samples."""
        count = np.maximum(1, mask.sum(axis=1, keepdims=True)) if reduction == "mean_per_sample" else 1
        return (each * mask / count).sum() / len(mask)

    def logits(self, leaves, question, loops):
        """Return the page's logits of a question."""
        model, mask_token = question["model"], len(leaves["embedding"]["word"]) - 1
        constants = {"CODES": model["codebook_size"], "HEADS": model["heads"]}
        vars(self.page).update(constants, NORM_EPSILON=model["layer_norm_epsilon"])
        seen = np.where(question["mask"], mask_token, question["tokens"])
        return self.page.forward(leaves, seen, question["labels"], loops)

    def terms(self, leaves, question, held=None):
        """Return the terms of the loss by name; `held` are the teacher's logits without a gradient."""
        tokens, mask, reduction = (question[name] for name in ("tokens", "mask", "reduction"))
        teacher = self.logits(leaves, question, question["model"]["max_loops"])
        truth = self.cross_entropy(teacher, tokens, mask, reduction)
        if question["student_loops"] is None:
            return {"total": truth, "teacher_truth": truth}
        student, weight = self.logits(leaves, question, question["student_loops"]), question["truth_weight"]
        own = self.cross_entropy(student, tokens, mask, reduction)
        taught = self.distilled(student, teacher if held is None else held, mask, reduction)
        total = truth + weight * own + (1 - weight) * taught
        return {"total": total, "teacher_truth": truth, "student_truth": own, "distillation": taught}

    def masked_objective(self, **question):
        if question["label_smoothing"]:
            return super().masked_objective(**question)
        found = self.terms(tree(configuration(question["model"]), question["parameters"]), question)
        return {name: as_parameters(value, question) for name, value in found.items()}

    def masked_gradient(self, **question):
        if question["label_smoothing"]:
            return super().masked_gradient(**question)
        leaves = tree(configuration(question["model"]), question["parameters"])
        held = self.logits(leaves, question, question["model"]["max_loops"])
        gradient = grad(lambda other: self.terms(other, question, held)["total"])(leaves)
        return {name: as_parameters(leaf, question) for name, leaf in tree_items(gradient)}


def as_parameters(value, question):
    """Return a value in the dtype of the question's parameters."""
    return np.asarray(value, next(iter(question["parameters"].values())).dtype)


class DivergenceBatchmean(OwnLoss):
    """2: F.kl_div(…, reduction="batchmean")."""

    def distilled(self, student, teacher, mask, reduction):
        log_p, log_t = self.page.log_softmax(student), self.page.log_softmax(teacher)
        return ((np.exp(log_t) * (log_t - log_p)).sum(axis=-1) * mask).sum() / len(mask)


class MeanOverBatch(OwnLoss):
    """3: F.cross_entropy over the masked tokens of all samples."""

    def cross_entropy(self, logits, tokens, mask, reduction):
        each = -(np.eye(logits.shape[-1])[tokens] * self.page.log_softmax(logits)).sum(axis=-1)
        return (each * mask).sum() / max(1, mask.sum()) if reduction == "mean_per_sample" else (each * mask).sum()


class HalfOrMoreByCoin(ReferenceBackend):
    """4: each token is masked with a probability from U(1/2, 1)."""

    def mask_tokens(self, *, ratio, order):
        return {"mask": order < 0.5 + 0.5 * ratio[:, None]}


class NoClass(ReferenceBackend):
    """4: no conditioning on the class, masked family."""

    def masked_forward(self, *, labels, **given):
        return super().masked_forward(labels=0 * labels, **given)

    def masked_states(self, *, labels, **given):
        return super().masked_states(labels=0 * labels, **given)

    def masked_objective(self, *, labels, **given):
        return super().masked_objective(labels=0 * labels, **given)

    def masked_gradient(self, *, labels, **given):
        return super().masked_gradient(labels=0 * labels, **given)

    def masked_sample(self, *, labels, **given):
        return super().masked_sample(labels=0 * labels, **given)


class NoGuidance(ReferenceBackend):
    """4: cfg_scale is accepted and unused, masked family."""

    def masked_sample(self, *, sampling, **given):
        return super().masked_sample(sampling={**sampling, "guidance_scale": 1.0}, **given)


class Late(ReferenceBackend):
    """5: the schedule is read at k / K."""

    def mask_lengths(self, *, start, steps):
        unknown, lengths = start, []
        for step in range(steps):
            unknown = np.maximum(1, np.minimum(unknown - 1, np.floor(start * math.cos(math.pi / 2 * step / steps))))
            unknown = np.where(start == 0, 0, unknown).astype(np.int64)
            lengths.append(unknown)
        return {"lengths": np.stack(lengths)}


class Overwritten(ReferenceBackend):
    """6: known tokens are sampled again."""

    def decode_step(self, *, logits, tokens, token_noise, mask_token, **given):
        answer = super().decode_step(
            logits=logits, tokens=tokens, token_noise=token_noise, mask_token=mask_token, **given
        )
        fresh = np.argmax(logits + token_noise, axis=-1)
        if given["sampling_temperature"] != "plain":
            return answer
        after = np.where(answer["tokens"] == mask_token, mask_token, fresh)
        return {"tokens": after, "answer": fresh}


class Clamped(ReferenceBackend):
    """7: clamp(0, V − 1) inside the loop."""

    def decode_step(self, *, logits, **given):
        answer = super().decode_step(logits=logits, **given)
        return {**answer, "tokens": np.minimum(answer["tokens"], logits.shape[-1] - 1)}


class LinearBetas(ReferenceBackend):
    """8: betas rise linearly from 1e-4 to 0.02 over a thousand steps."""

    def log_snr(self, *, diffusion, time):
        def at(moment):
            share = np.exp(-(1e-4 * moment + 0.5 * (0.02 - 1e-4) * moment**2) * 1000)
            return np.log(share) - np.log1p(-share)

        wide = np.clip(np.asarray(time, np.float64), 1e-3, 1)
        slope = (at(wide + 1e-5) - at(wide - 1e-5)) / 2e-5
        return {"log_snr": at(wide).astype(time.dtype), "derivative": slope.astype(time.dtype)}


class Unweighted(ReferenceBackend):
    """8: the squared error has no weight."""

    def loss_weight(self, *, diffusion, time):
        return {"weight": np.ones_like(time)}


class NoiseIsTheTarget(ReferenceBackend):
    """8: the network of any kind learns the noise."""

    def prediction_target(self, *, kind, clean, noise, log_snr):
        return {"target": noise.copy()}


def unlabelled(parameters):
    """Return parameters with zeros for every label."""
    return {name: array * (name != "embedding.label") for name, array in parameters.items()}


class NoLabels(ReferenceBackend):
    """8: the denoiser has no labels."""

    def diffusion_forward(self, *, parameters, **given):
        return super().diffusion_forward(parameters=unlabelled(parameters), **given)

    def diffusion_states(self, *, parameters, **given):
        return super().diffusion_states(parameters=unlabelled(parameters), **given)

    def diffusion_objective(self, *, parameters, **given):
        return super().diffusion_objective(parameters=unlabelled(parameters), **given)

    def diffusion_sample(self, *, parameters, **given):
        return super().diffusion_sample(parameters=unlabelled(parameters), **given)


class NoDiffusionGuidance(ReferenceBackend):
    """8: no guidance of the denoiser."""

    def diffusion_sample(self, *, sampling, **given):
        return super().diffusion_sample(sampling={**sampling, "guidance_scale": 1.0}, **given)


class Scrambled(ReferenceBackend):
    """8: [B, C, H, W] read as [B, T, C · patch²] by a reshape."""

    def patchify(self, *, samples, patch_size):
        size = patch_size**2 * samples.shape[3]
        return {"patches": samples.transpose(0, 3, 1, 2).reshape(len(samples), -1, size)}


class Strided(ReferenceBackend):
    """9: range(0, 1000, 1000 // K)."""

    def time_grid(self, *, steps):
        return {"times": np.arange(1000, -1, -(1000 // steps))[: steps + 1] / 1000}


DEFECTS = {
    DivergenceBatchmean: {"divergence_of_batch"},
    MeanOverBatch: {"mean_over_batch"},
    HalfOrMoreByCoin: {"masked_by_coin_of_half_or_more"},
    NoClass: {"labels_unused"},
    NoGuidance: {"samples_unguided"},
    Late: {"lengths_one_step_late"},
    Overwritten: {"known_overwritten"},
    Clamped: {"mask_clamped_to_last_code"},
    LinearBetas: {"linear_betas"},
    Unweighted: {"weight_of_one"},
    NoiseIsTheTarget: {"target_always_noise"},
    NoLabels: {"label_row_missing"},
    NoDiffusionGuidance: {"samples_unguided"},
    Scrambled: {"patch_read_scrambled"},
    Strided: {"times_by_whole_stride"},
}


def test_the_own_loss_is_right_without_a_defect():
    vectors = [vector for vector in VECTORS if vector.stored.operation in vars(OwnLoss)]
    assert judge(PythonDoor(OwnLoss()), vectors).passed


@pytest.mark.few(5)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.__name__)
def test_a_defect_alone_is_named_among_the_suggestions(defect):
    """Only the operations that have the defect are asked: the others are the reference's."""
    own = {name for kind in defect.__mro__[:-2] if kind is not ReferenceBackend for name in vars(kind)}
    backend = defect()
    description = replace(backend.describe(), dtypes=("float64",))
    backend.describe = lambda: description
    report = judge(PythonDoor(backend), [vector for vector in VECTORS if vector.stored.operation in own])
    assert not report.passed
    named = [each.name for each in suggestions(report.findings)]
    assert DEFECTS[defect] & set(named), named
