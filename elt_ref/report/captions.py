"""Captions of the figures on the report page, in plain language."""

from typing import NamedTuple


class Caption(NamedTuple):
    """The words around a figure: its name, and what to look for in it."""

    name: str
    what_to_see: str


CAPTIONS = {
    "samples": Caption(
        "The same noise after 1, 2, 3, ... loops",
        "Read a column downwards: the noise is the same, only the number of loops changes. The framed row is L_max, "
        "the shaded rows use more loops than training ever did. Look for the row where pictures become recognisable, "
        "and check whether the last row still is.",
    ),
    "trajectory": Caption(
        "One sample, loop by loop and step by step",
        "Each row is one step of the sampler. From left to right the model works on the same input for one loop, two "
        "loops and so on, and its answer settles. The last column is the state that the step kept; the next row starts "
        "from it. Where the first columns already look like the last loop, stopping early costs little. Hatched "
        "places, if any, are still masked.",
    ),
    "loss": Caption(
        "Loss over training",
        "A panel for each term of the loss, a colour and a dash for each model; bold lines are smoothed, faint lines "
        "raw. For ILSD the student, stopped after a random number of loops, learns from the truth and from the "
        "teacher, which is the same network after all loops; λ says how much from the truth. The closer the student's "
        "line is to the teacher's, the less an early exit costs.",
    ),
}
