"""The operations on objectives and their draws."""

import numpy as np

from specs.making.scalar.boundary import Arrays, floats, integers, lists
from specs.making.scalar.draws import student_draws
from specs.making.scalar.drifting import drifting_terms, field, unit
from specs.making.scalar.losses import Terms, truth_weight_at, weigh
from specs.making.scalar.masking import drop_label, mask_of_training
from specs.making.scalar.objectives import diffusion_terms, masked_terms
from specs.making.scalar.values import Number, gradient


class ObjectiveOperations:
    """E5 … E10, D1 … D6, gradients, and the draws of training; ``specs/operations.toml`` has arguments and results."""

    def masked_objective(
        self, *, model, parameters, tokens, mask, labels, student_loops, truth_weight, reduction, label_smoothing
    ):
        """Return the loss and its terms."""
        batch = (tokens.tolist(), mask.tolist(), labels.tolist(), student_loops)
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}
        terms = masked_terms(model, lists(parameters), *batch, **settings)
        return _answer(terms, truth_weight, student_loops)

    def masked_gradient(
        self, *, model, parameters, tokens, mask, labels, student_loops, truth_weight, reduction, label_smoothing
    ):
        """Return the gradient of the loss."""
        batch = (tokens.tolist(), mask.tolist(), labels.tolist(), student_loops)
        settings = {"reduction": reduction, "label_smoothing": label_smoothing}

        def objective(values: dict[str, list]) -> Number:
            return weigh(masked_terms(model, values, *batch, **settings), truth_weight)

        _, slopes = gradient(objective, lists(parameters))
        return {name: floats(leaf) for name, leaf in slopes.items()}

    def diffusion_objective(
        self, *, model, diffusion, parameters, clean, noise, time, labels, student_loops, truth_weight, reduction
    ):
        """Return the loss and its terms."""
        batch = (clean.tolist(), noise.tolist(), time.tolist(), labels.tolist(), student_loops)
        terms = diffusion_terms(model, diffusion, lists(parameters), *batch, reduction=reduction)
        return _answer(terms, truth_weight, student_loops)

    def diffusion_gradient(
        self, *, model, diffusion, parameters, clean, noise, time, labels, student_loops, truth_weight, reduction
    ):
        """Return the gradient of the loss."""
        batch = (clean.tolist(), noise.tolist(), time.tolist(), labels.tolist(), student_loops)

        def objective(values: dict[str, list]) -> Number:
            return weigh(diffusion_terms(model, diffusion, values, *batch, reduction=reduction), truth_weight)

        _, slopes = gradient(objective, lists(parameters))
        return {name: floats(leaf) for name, leaf in slopes.items()}

    def drift_field(self, *, queries, positives, temperatures):
        """Return the field and its unit."""
        samples = queries.tolist(), positives.tolist()
        return {"field": floats(field(*samples, temperatures)), "scale": floats(unit(*samples))}

    def drifting_objective(
        self, *, model, parameters, positives, labels, noise, temperatures, student_loops, truth_weight, reduction
    ):
        """Return the loss and its terms."""
        batch = (positives.tolist(), labels.tolist(), noise.tolist(), student_loops)
        settings = {"temperatures": temperatures, "reduction": reduction}
        return _answer(drifting_terms(model, lists(parameters), *batch, **settings), truth_weight, student_loops)

    def drifting_gradient(
        self, *, model, parameters, positives, labels, noise, temperatures, student_loops, truth_weight, reduction
    ):
        """Return the gradient of the loss."""
        batch = (positives.tolist(), labels.tolist(), noise.tolist(), student_loops)
        settings = {"temperatures": temperatures, "reduction": reduction}

        def objective(values: dict[str, list]) -> Number:
            return weigh(drifting_terms(model, values, *batch, **settings), truth_weight)

        _, slopes = gradient(objective, lists(parameters))
        return {name: floats(leaf) for name, leaf in slopes.items()}

    def truth_weights(self, *, steps):
        """Return λ of each step."""
        return {"weights": floats([truth_weight_at(step, steps) for step in range(steps)])}

    def student_draws(self, *, min_loops, max_loops, count, seed):
        """Draw uniformly from {L_min, …, L_max − 1} (E6)."""
        return {"loops": integers(student_draws(min_loops, max_loops, count, seed))}

    def mask_tokens(self, *, ratio, order):
        """Return the training mask."""
        batch = zip(ratio.tolist(), order.tolist(), strict=True)
        return {"mask": np.array([mask_of_training(share, row) for share, row in batch], bool)}

    def drop_labels(self, *, labels, draws, rate, classes):
        """Return the labels after dropping."""
        batch = zip(labels.tolist(), draws.tolist(), strict=True)
        return {"labels": integers([drop_label(label, draw, rate, classes) for label, draw in batch])}


def _answer(terms: Terms, truth_weight: float, student_loops: int | None) -> Arrays:
    if student_loops is None:
        return {"total": floats(terms.teacher_truth), "teacher_truth": floats(terms.teacher_truth)}
    answer = {name: floats(term) for name, term in terms._asdict().items()}
    return {"total": floats(weigh(terms, truth_weight)), **answer}
