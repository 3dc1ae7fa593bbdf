"""Settings that are allowed and hardly meant, each in one line."""

from collections.abc import Iterator

from elt_ref.config import Experiment, MaskedExperiment

STALE = 0.1
"""Share of the first parameters in the final average above which samples show little of the training."""
TRIAL = 20
"""Steps below which a training is a trial, whose samples nobody looks at."""


def training_warnings(config: Experiment, examples: int) -> list[str]:
    """Return what is odd about a training.

    Args:
        config: experiment.
        examples: number of training examples.
    """
    return [*_of_training(config, examples), *sampling_warnings(config)]


def _of_training(config: Experiment, examples: int) -> Iterator[str]:
    training, objective, classes = config.training, config.objective, config.model.classes
    steps, decay = training.steps, training.average_decay
    if steps >= TRIAL and (share := decay**steps) > STALE:
        better = STALE ** (1 / steps)
        yield (
            f"training.average_decay = {decay:g}: after {steps} steps the average, which sampling uses, still holds "
            f"{share:.0%} of the untrained parameters; at most {int(1000 * better) / 1000:g} suits so few steps"
        )
    if training.warmup_steps >= steps:
        yield (
            f"training.warmup_steps = {training.warmup_steps}: in {steps} steps the learning rate never reaches "
            f"{training.learning_rate:g}"
        )
    if training.batch_size > examples:
        yield f"training.batch_size = {training.batch_size}: a step sees some of the {examples} examples more than once"
    if objective.label_drop_rate == 1 and classes > 1:
        yield "objective.label_drop_rate = 1: no class is learned, so every class samples alike"
    if training.log_every > steps:
        yield f"training.log_every = {training.log_every}: the log holds the first and the last of {steps} steps only"


def sampling_warnings(config: Experiment, loops: int | None = None) -> list[str]:
    """Return what is odd about sampling with a configuration.

    Args:
        config: experiment, with the settings that will be used.
        loops: L asked for; the configured number by default.
    """
    return list(_of_sampling(config, loops or config.sampling.loops))


def _of_sampling(config: Experiment, loops: int | None) -> Iterator[str]:
    scale, model, steps = config.sampling.guidance_scale, config.model, config.sampling.steps
    if scale != 1 and config.objective.label_drop_rate == 0:
        yield (
            f"guidance scale {scale:g}: training with objective.label_drop_rate = 0 drops no labels, so guidance leads "
            "away from a prediction that was never trained"
        )
    if loops is not None and loops > 2 * model.max_loops:
        yield f"{loops} loops: training had at most L_max = {model.max_loops}, and quality is known up to twice that"
    if isinstance(config, MaskedExperiment) and steps > model.tokens:
        late = steps - model.tokens
        yield f"{steps} sampling steps: each decides at least one of {model.tokens} tokens, so {late} do little"
