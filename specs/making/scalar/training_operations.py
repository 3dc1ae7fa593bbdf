"""The operations on training, counts and measures."""

import numpy as np

from specs.making.scalar import measures, optimizer
from specs.making.scalar.boundary import Arrays, Section, floats, integers, lists, named
from specs.making.scalar.losses import Terms
from specs.making.scalar.masking import drop_label, mask_of_training
from specs.making.scalar.objectives import diffusion_terms, masked_terms
from specs.making.scalar.training import train


class TrainingOperations:
    """The optimiser and whole training runs; ``specs/operations.toml`` has arguments and results."""

    def optimizer_step(self, *, training, step, parameters, gradient, first, second):
        """Return parameters and moments after a step of AdamW."""
        trees = (lists(tree) for tree in (parameters, gradient, first, second))
        new, m, v = optimizer.adamw(training, step, *trees)
        return named("parameters", new) | named("first", m) | named("second", v)

    def clip_gradient(self, *, gradient, largest):
        """Return the clipped gradient and its original norm."""
        clipped, norm = optimizer.clip_gradient(lists(gradient), largest)
        return named("gradient", clipped) | {"norm": floats(norm)}

    def learning_rates(self, *, training):
        """Return the rate of each step."""
        return {"rates": floats([optimizer.learning_rate(training, step) for step in range(training["steps"])])}

    def moving_average(self, *, average, parameters, decay):
        """Return the moving average after a step."""
        return named("average", optimizer.moving_average(lists(average), lists(parameters), decay))

    def masked_training(
        self,
        *,
        model,
        objective,
        training,
        parameters,
        tokens,
        labels,
        mask_ratio,
        mask_order,
        label_drop,
        student_loops,
    ):
        """Train the masked family."""
        loops = _students(objective, student_loops)

        def terms_at(step: int, values: dict[str, list]) -> Terms:
            rows = zip(mask_ratio[step].tolist(), mask_order[step].tolist(), strict=True)
            return masked_terms(
                model,
                values,
                tokens[step].tolist(),
                [mask_of_training(ratio, order) for ratio, order in rows],
                _left(labels[step], label_drop[step], objective, model),
                loops[step],
                reduction=objective["reduction"],
                label_smoothing=objective["label_smoothing"],
            )

        return _answer(*train(training, lists(parameters), terms_at, len(tokens)))

    def masked_training_across(
        self,
        *,
        processes,
        model,
        objective,
        training,
        parameters,
        tokens,
        labels,
        mask_ratio,
        mask_order,
        label_drop,
        student_loops,
    ):
        """Train the masked family on whole batches: the right result for any number of processes."""
        if tokens.shape[1] % processes:
            raise ValueError(f"processes: expected a divisor of {tokens.shape[1]} rows, got {processes}")
        return self.masked_training(
            model=model,
            objective=objective,
            training=training,
            parameters=parameters,
            tokens=tokens,
            labels=labels,
            mask_ratio=mask_ratio,
            mask_order=mask_order,
            label_drop=label_drop,
            student_loops=student_loops,
        )

    def diffusion_training(
        self,
        *,
        model,
        diffusion,
        objective,
        training,
        parameters,
        clean,
        labels,
        time,
        noise,
        label_drop,
        student_loops,
    ):
        """Train the diffusion family."""
        loops = _students(objective, student_loops)

        def terms_at(step: int, values: dict[str, list]) -> Terms:
            return diffusion_terms(
                model,
                diffusion,
                values,
                clean[step].tolist(),
                noise[step].tolist(),
                time[step].tolist(),
                _left(labels[step], label_drop[step], objective, model),
                loops[step],
                reduction=objective["reduction"],
            )

        return _answer(*train(training, lists(parameters), terms_at, len(clean)))


class MeasureOperations:
    """Counts and measures; ``specs/operations.toml`` has arguments and results."""

    def count(self, *, model, loops):
        """Count parameters and multiply-adds."""
        names = ("looped_parameters", "total_parameters", "looped_macs")
        return dict(zip(names, map(integers, measures.count(model, loops)), strict=True))

    def frechet_distance(self, *, features, others):
        """Return d²."""
        return {"distance": floats(measures.frechet_distance(features.tolist(), others.tolist()))}

    def inception_score(self, *, logits, splits):
        """Return the mean score."""
        return {"score": floats(measures.inception_score(logits.tolist(), splits))}


def _students(objective: Section, student_loops: np.ndarray) -> list[int | None]:
    """Return L_int of each step; none where the objective is vanilla."""
    return [None if objective["kind"] == "vanilla" else loops for loops in student_loops.tolist()]


def _left(labels: np.ndarray, draws: np.ndarray, objective: Section, model: Section) -> list[int]:
    batch = zip(labels.tolist(), draws.tolist(), strict=True)
    return [drop_label(label, draw, objective["label_drop_rate"], model["classes"]) for label, draw in batch]


def _answer(parameters: dict[str, list], average: dict[str, list], losses: list[float]) -> Arrays:
    return named("parameters", parameters) | named("average", average) | {"total": floats(losses)}
