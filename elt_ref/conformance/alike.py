"""Known mistakes that fail alike: wrong implementations that fail in the same cases, by the same distances.

``specs/refusals.json`` holds, for each wrong implementation, the cases whose numbers refuse it and the distance of its
answers: `specs.making.matrix` measures it. The same mistake in other code gives the same numbers.
"""

import json
import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from elt_ref.conformance.finding import Finding
from elt_ref.paper.mistakes import mistakes
from elt_ref.run.specs import specs_folder

SHOWN = 3
"""Number of mistakes that are suggested."""
FILE = "refusals.json"
ELSEWHERE = 0.1
"""Weight of operations in which only the known mistake fails."""


class Suggestion(NamedTuple):
    """A known mistake."""

    name: str
    likeness: float
    """1 for the same failed cases with the same distances, 0 for none in common."""
    mistake: str
    """The mistake in words, and where it was seen."""


@cache
def refusals() -> dict[str, dict[str, float]]:
    """Return the departure of each wrong implementation in each case that refuses it."""
    stored = json.loads((specs_folder() / FILE).read_text(encoding="utf-8"))
    cases = stored["cases"]
    return {name: {cases[int(place)]: gap for place, gap in row.items()} for name, row in stored["departures"].items()}


def clause_of(case: str) -> str:
    """Return the clause of a case."""
    return case.partition("/")[0]


def likenesses(findings: Iterable[Finding]) -> dict[str, float]:
    """Return how alike each known mistake fails, by name; a mistake without a common case is left out.

    Only operations in which the backend fails count: a mistake may sit in one operation and not in those that could use
    it. Of mistakes that are equally alike there, those come first that fail nowhere else.
    """
    asked, seen, broken = dict[str, str](), dict[str, float](), set[str]()
    for finding in findings:
        if finding.error is not None:
            asked[finding.vector] = finding.operation
        if finding.departure is not None:
            seen.setdefault(finding.vector, finding.departure)
            broken.add(finding.operation)
    found = {}
    for name, known in refusals().items():
        judged = known.keys() & asked.keys()
        common = sum((1 + _closeness(seen[case], known[case])) / 2 for case in seen.keys() & known.keys())
        if common:
            there = {case for case in judged if asked[case] in broken}
            everywhere = common / len(judged | seen.keys())
            found[name] = (1 - ELSEWHERE) * common / len(there | seen.keys()) + ELSEWHERE * everywhere
    return found


def _closeness(one: float, other: float) -> float:
    """Return 1 for equal distances, and 0 if one is twice the other or more."""
    if one == other:
        return 1.0
    return max(0.0, 1 - abs(math.log2(one / other))) if one and other else 0.0


def suggestions(findings: Iterable[Finding]) -> list[Suggestion]:
    """Return the known mistakes that fail most alike, the most alike first."""
    found = likenesses(findings)
    first = sorted(found, key=lambda name: (-found[name], name))[:SHOWN]
    return [Suggestion(name, round(found[name], 3), mistakes()[name].text) for name in first]
