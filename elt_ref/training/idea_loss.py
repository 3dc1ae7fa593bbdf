"""The loss of a training with an idea: predictions at the exits that it draws, joined by its objective."""

from typing import Any

from elt_ref.arrays import Tree
from elt_ref.config import Experiment
from elt_ref.errors import RequestError
from elt_ref.idea import EXTRA, Idea
from elt_ref.model import NETWORKS, run
from elt_ref.objective import FamilyTarget, LossTerms, MaskedTarget, StudentLoops, ilsd_loss, vanilla_loss
from elt_ref.ops import value_and_gradient


def idea_loss_and_gradient(
    idea: Idea,
    parameters: Tree,
    config: Experiment,
    inputs: tuple[Any, ...],
    target: FamilyTarget,
    *,
    student_loops: StudentLoops,
    truth_weight: float,
) -> tuple[LossTerms, Tree]:
    """Return the loss of an idea, and its gradient: one pass as long as the last exit, a head at each.

    Where the idea has no objective, one exit is supervised as in `vanilla_loss`, and two are student and teacher of
    `ilsd_loss`.

    Args:
        idea: functions in the place of the package's.
        parameters: parameters of the network and of the idea.
        config: experiment.
        inputs: inputs of the network, corrupted and checked already.
        target: what the network should predict.
        student_loops: all exits, rising, where the idea draws them; else as for `loss_and_gradient`.
        truth_weight: λ in [0, 1].

    Raises:
        RequestError: a function of the idea fails, or more than two exits meet no objective.
    """
    network, max_loops = NETWORKS[type(config)], config.model.max_loops
    if isinstance(student_loops, tuple):
        exits = student_loops
    else:
        exits = (max_loops,) if student_loops is None else (student_loops, max_loops)
    if len(exits) > 2 and idea.objective is None:
        raise RequestError(f"idea {idea.name}: expected an objective for its {len(exits)} exits, got none")
    wanted = target.mask if isinstance(target, MaskedTarget) else None

    def loss(parameters: Tree) -> tuple[Any, LossTerms]:
        predictions = run(network, parameters, config, inputs, exits=exits, wanted=wanted, idea=idea)
        if idea.objective is not None:
            by_loops, extra = dict(zip(exits, predictions, strict=True)), parameters.get(EXTRA, {})
            total = idea.objective(target, by_loops, truth_weight=truth_weight, extra=extra)
            terms = LossTerms(total, target.ground_truth(predictions[-1]), None, None)
        elif len(exits) == 1:
            terms = vanilla_loss(target, *predictions)
        else:
            terms = ilsd_loss(target, *predictions, truth_weight=truth_weight)
        return terms.total, terms

    _, terms, gradient = value_and_gradient(loss, parameters)
    return terms, gradient
