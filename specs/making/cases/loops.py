"""LOOP, SHARE, ANYTIME: the loop, the gradient of its shared weights, and its prefix property."""

from typing import Any

from specs.making.case import Case
from specs.making.cases.decoding import sampled
from specs.making.cases.masked_parts import learning, reading


def looped(clause: str, slug: str, why: str, loops: int, **changes: Any) -> Case:
    """Return a case of the states of every loop."""
    return Case(clause, slug, "masked_states", why, **reading(f"{clause}/{slug}".lower(), loops=loops, **changes))


def predicted(clause: str, slug: str, why: str, loops: int, **changes: Any) -> Case:
    """Return a case of the logits after the last loop."""
    return Case(clause, slug, "masked_forward", why, **reading(f"{clause}/{slug}".lower(), loops=loops, **changes))


CASES = (
    looped("LOOP-01", "three-loops", "weights, input or index that change from loop to loop; a norm in the loop", 3),
    looped("LOOP-01", "one-loop", "the state after the first loop is not the embedded input", 1, layers=1),
    looped("LOOP-01", "one-layer-four-loops", "a loop of a single layer, in a batch of one", 4, layers=1, batch=1),
    looped("LOOP-02", "two-layers", "layers in reverse, or each repeated before the next", 3),
    looped("LOOP-02", "three-layers", "an order of three layers that two would hide", 2, layers=3, batch=1),
    predicted("LOOP-03", "three-loops", "a head inside of the loop, or a mean over loops", 3),
    predicted("LOOP-03", "two-loops", "a mean over the states of two loops", 2, layers=1, batch=1),
    looped("LOOP-04", "beyond-training", "loops that stop at L_max, or begin again there", 5, layers=1),
    looped("LOOP-04", "at-training", "loops that stop one short of L_max", 3, layers=1, grid=[5]),
    predicted("LOOP-04", "logits-beyond-training", "a prediction that stops at L_max = 2", 4, max_loops=2, batch=1),
    predicted("LOOP-02", "four-layers", "an unlooped network whose layers share weights", 1, layers=4, max_loops=1),
    looped("LOOP-02", "states-of-three-layers", "the state of an unlooped network", 1, layers=3, max_loops=1, batch=1),
    Case(
        "SHARE-01",
        "teacher-alone",
        "masked_gradient",
        "back-propagation cut before the last loop, or weights that count in one loop alone",
        **learning("share-01/teacher", student=None, layers=1),
    ),
    Case(
        "SHARE-01",
        "with-student",
        "masked_gradient",
        "shared weights in the terms of teacher and student",
        **learning("share-01/student", student=2, weight=0.5, batch=1),
    ),
    Case(
        "SHARE-01",
        "one-loop",
        "masked_gradient",
        "one loop: the sum has one term",
        **learning("share-01/one", student=None, max_loops=1, batch=1),
    ),
    Case(
        "SHARE-01",
        "sum",
        "masked_gradient",
        "shared weights in a loss that is a sum",
        **learning("share-01/sum", student=1, layers=1, batch=1, reduction="sum"),
    ),
    looped("ANYTIME-01", "states-of-two", "loops that are told how many there are", 2),
    looped("ANYTIME-01", "states-of-four", "loops that are told how many there are, beyond L_max", 4, layers=1),
    predicted("ANYTIME-01", "logits-of-one", "a prediction of one loop that takes more", 1),
    predicted("ANYTIME-01", "logits-of-two", "a prediction of two loops of three", 2, layers=1, batch=1),
    Case(
        "SAMPLE-02",
        "rising",
        "masked_sample",
        "loops of sampling steps that are read backwards, or once",
        **sampled("anytime-02/rising", loops=[1, 2, 3, 4], batch=4),
    ),
    Case(
        "SAMPLE-02",
        "falling-beyond-training",
        "masked_sample",
        "loops of sampling steps that stop at L_max",
        **sampled("anytime-02/falling", loops=[6, 4, 1, 1], batch=4),
    ),
    Case(
        "SAMPLE-02",
        "guided",
        "masked_sample",
        "an unconditional branch with other loops than the conditional",
        **sampled("anytime-02/guided", loops=[1, 1, 2, 1], batch=4, guidance_scale=3.0),
    ),
)
