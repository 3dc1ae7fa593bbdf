"""`elt-ref show`: every equation with a number that is right, every choice in full."""

import inspect
import math
import re
from collections import Counter
from importlib import import_module

import pytest

from elt_ref.objective import draw_student_loops
from elt_ref.run.show import WORKED
from elt_ref.run.specs import choices, equations
from elt_ref.streams import stream


def decoding():
    """Masked after each of eight steps over sixteen tokens, by the formula of the cosine schedule."""
    lengths, left = [], 16
    for step in range(1, 9):
        left = max(1, min(left - 1, math.floor(16 * math.cos(math.pi / 2 * step / 8))))
        lengths.append(left)
    return str(lengths)


def draws():
    generator = stream(0, "show")
    drawn = Counter(draw_student_loops(generator, min_loops=1, max_loops=4) for _ in range(9000))
    assert set(drawn) == {1, 2, 3}
    # Three standard deviations of a binomial with n = 9000, p = 1/3, and some.
    assert all(abs(times - 3000) < 160 for times in drawn.values()), drawn
    return f"1: {drawn[1]}, 2: {drawn[2]}, 3: {drawn[3]}; never on 4"


EXPECTED = {
    "E1": decoding,
    "E2": lambda: f"= {math.sqrt(3 / 4) / 3 / math.sqrt(1 / 2):.6f}, variance (1/4)(2/3) = {1 / 6:.6f}",
    "E3": lambda: f"g_Θ(3) = {2 * 3 + 1}",
    "E4": lambda: f"are [{2 * 3 + 1}, {2 * 7 + 1}, {2 * 15 + 1}]; F_(2,3)(3) = 31",
    "E5": lambda: f"= {(4 - 5) ** 2 + 0.25 * (1 - 5) ** 2 + 0.75 * (1 - 4) ** 2}",
    "E6": draws,
    "E7": lambda: f"= {-math.log(3 / 4):.6f}",
    "E8": lambda: f"= {-(1 / 4 * math.log(1 / 2) + 3 / 4 * math.log(1 / 2)):.6f}",
    "E9": lambda: f"= {1 / 2 * (3 - 1) ** 2:.6f}",
    "E10": lambda: f"teacher 1: {1 / 2 * (3 - 1) ** 2:.6f}",
}


def test_every_equation_is_worked_here_and_there():
    assert set(equations()) == set(WORKED) == set(EXPECTED)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_an_equation(done, name):
    out = done("show", name).out
    equation = equations()[name]
    assert out.startswith(f"{name} · {equation['title']}\n")
    for line in (*equation["formula"].strip().splitlines(), f"Source   {equation['source']}"):
        assert line in out, f"'{line}' is not shown: {out}"
    worked = re.search("^Worked   (.*)$", out, re.MULTILINE)
    assert worked, f"no number is worked out: {out}"
    assert EXPECTED[name]() in worked[1]

    module, _, function = equation["owner"].partition(":")
    owner = getattr(import_module(module), function)
    assert f"Owner    {equation['owner']}" in out
    assert re.match(rf"{name}\b", inspect.getdoc(owner)), f"{equation['owner']} does not say that it owns {name}"


@pytest.mark.parametrize("name", list(choices()))
def test_a_choice(done, name):
    out = done("show", name).out
    assert out.startswith(f"{name}\n\n**"), f"a choice begins with what was chosen: {out}"
    assert "\n#" not in out, f"the next section is shown too: {out}"


def test_case_does_not_matter(done):
    assert done("show", "e5").out == done("show", "E5").out


def test_an_unknown_name_tells_the_nearest(refused):
    assert refused("show", "objective.reductoin").endswith(
        "got 'objective.reductoin'; did you mean 'objective.reduction'?"
    )
    assert "expected one of E1, E2, E3" in refused("show", "E99")
