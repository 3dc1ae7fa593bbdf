"""`elt-ref show`: every equation with a number that is right, every choice in full."""

import inspect
import math
import re
from collections import Counter
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

import elt_ref
from elt_ref.objective import draw_student_loops
from elt_ref.run import page_lines
from elt_ref.run.show import WORKED
from elt_ref.run.specs import choices, equations, glossary
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


def on_a_line(real, temperature):
    """Return S, W and V_τ of generated samples at −1 and 1 and a real one; each is the only negative of the other."""
    scale = (2 + 2 + abs(real + 1) + abs(real - 1)) / 4
    other, far, near = (math.exp(-each / scale / temperature) for each in (2, abs(real + 1), abs(real - 1)))
    weights = [
        (math.sqrt(other / (other + one)), math.sqrt(one / (other + one) * one / (far + near))) for one in (far, near)
    ]
    (repel, attract), (repel_too, attract_too) = weights
    return scale, weights, [repel * attract * (real - 1) / scale, repel_too * attract_too * (real + 1) / scale]


def drift_on_a_line():
    fields = [on_a_line(2, temperature)[2] for temperature in (1, 0.2)]
    sizes = [math.hypot(*field) / math.sqrt(2) for field in fields]
    drift = [sum(field[place] / size for field, size in zip(fields, sizes, strict=True)) for place in (0, 1)]
    return f"squares {sizes[0]:.6f} and {sizes[1]:.6f}, V = ({drift[0]:.6f}, {drift[1]:.6f})"


EXPECTED = {
    "E1": decoding,
    "E2": lambda: f"= {math.sqrt(3 / 4) / 3 / math.sqrt(1 / 2):.6f}, variance (1/4)(2/3) = {1 / 6:.6f}",
    "E3": lambda: f"g_Θ(3) = {2 * 3 + 1}",
    "E4": lambda: f"are [{2 * 3 + 1}, {2 * 7 + 1}, {2 * 15 + 1}]; F_(2,3)(3) = 31",
    "E5": lambda: f"= {(4 - 5) ** 2 + 0.25 * (1 - 5) ** 2 + 0.75 * (1 - 4) ** 2}",
    "E5.1": lambda: f"(4 − 5)² = {(4 - 5) ** 2}",
    "E5.2": lambda: f"0.25 (1 − 5)² = {0.25 * (1 - 5) ** 2:g}",
    "E5.3": lambda: f"0.75 (1 − 4)² = {0.75 * (1 - 4) ** 2:g}",
    "E6": draws,
    "E7": lambda: f"= {-math.log(3 / 4):.6f}",
    "E8": lambda: f"= {-(1 / 4 * math.log(1 / 2) + 3 / 4 * math.log(1 / 2)):.6f}",
    "E9": lambda: f"= {1 / 2 * (3 - 1) ** 2:.6f}",
    "E10": lambda: f"teacher 1: {1 / 2 * (3 - 1) ** 2:.6f}",
    "D1": lambda: f"S = {on_a_line(1, 1)[0]}",
    "D2": lambda: "(½ · 1) = {:.6f} to the generated one and √(½ · e^(−4/3) / (e^(−4/3) + 1)) = {:.6f}".format(
        *on_a_line(1, 1)[1][0]
    ),
    "D3": lambda: "V_τ = ({:.6f}, {:.6f})".format(*on_a_line(2, 1)[2]),
    "D4": drift_on_a_line,
    "D5": lambda: "division is 1.000000",
    "D6": lambda: f"= {(1**2 + 1**2) / 2 / 2**2:.6f}",
    "A1": lambda: f"λ = {', '.join(f'{1 - step / 4:g}' for step in range(5))};",
    "A2": lambda: f"L = 1, 4, 8 take {8 * 2}, {8 * 2 * 4}, {8 * 2 * 8} layer calls",
}


def test_every_equation_is_worked_here_and_there():
    assert set(equations()) == set(WORKED) == set(EXPECTED)


@pytest.mark.few(6)
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
    owner = attrgetter(function)(import_module(module))
    assert f"Owner    {equation['owner']}" in out
    documented = inspect.getdoc(owner)
    assert name in documented, f"{equation['owner']} does not say that it owns {name}"


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


# --- the pages' lines

PAPER = Path(elt_ref.__file__).parent / "paper"
FAMILY = {"E1": "masked", "E7": "masked", "E8": "masked", "E2": "diffusion", "E9": "diffusion", "E10": "diffusion"}
FAMILY |= {f"D{number}": "drifting" for number in range(1, 7)}


@pytest.mark.few(6)
@pytest.mark.parametrize("name", list(EXPECTED))
def test_the_lines_of_the_page_are_shown_word_for_word(done, name):
    out = done("show", name).out
    for family in [FAMILY[name]] if name in FAMILY else ["masked", "diffusion"]:
        assert f"elt_ref/paper/{family}.py, line " in out, f"{name} does not show its lines of {family}.py"
    shown = re.split(r"^elt_ref/paper/(\w+\.py), line (\d+)$", out, flags=re.MULTILINE)[1:]
    for page, first, text in zip(shown[::3], shown[1::3], shown[2::3], strict=True):
        lines = [line[4:] for line in text.strip("\n").splitlines()]
        there = (PAPER / page).read_text(encoding="utf-8").splitlines()[int(first) - 1 :][: len(lines)]
        margin = len(there[0]) - len(there[0].lstrip())
        assert lines == [line[margin:] for line in there]
        assert any(re.search(rf"\b{re.escape(name)}\b(?!\.\d)", line) for line in lines)


PAGE = """def f(x):
    \"\"\"E5: a loss.\"\"\"
    for y in x:  # E3: a block
        x = y
    return (
        x  # E5.1
    )
"""


def test_lines_are_read_from_the_page_so_that_they_cannot_drift(monkeypatch):
    monkeypatch.setattr(page_lines, "PAGES", ("one.py",))
    monkeypatch.setattr(page_lines, "page_text", lambda _: PAGE)
    text = {name: [excerpt.text for excerpt in page_lines.excerpts(name)] for name in ("E3", "E5", "E5.1", "E1")}
    assert text["E3"] == ["for y in x:  # E3: a block\n    x = y"]
    assert text["E5.1"] == ["return (\n    x  # E5.1\n)"]
    assert text["E5"] == [PAGE.rstrip()]
    assert text["E1"] == []


# --- the judge's names, and the glossary


@pytest.mark.parametrize("word", list(glossary()))
def test_a_word_of_the_glossary(done, word):
    out = done("show", word).out
    if word.lower() not in {name.lower() for name in (*equations(), *choices())}:
        assert out.startswith(f"{word}\n\n{glossary()[word]['meaning']}\n")


def test_a_word_of_two_parts_may_have_a_hyphen(done):
    assert done("show", "student-loops").out == done("show", "student loops").out
    assert "`student_loops`" in done("show", "Student loops").out


def test_an_operation_a_mistake_a_clause(done):
    out = done("show", "decode_step").out
    assert out.startswith("decode_step (operation)\n\nOne step of decoding: `tokens` with some masked again")
    assert "  logits               real [B, T, V]\n" in out
    assert "results\n  tokens               int [B, T]\n" in out
    assert "clauses    DECODE-02, DECODE-03, DECODE-04" in out
    assert "clauses    none: it is a tap" in done("show", "masked_layers").out
    out = done("show", "guidance_swapped").out
    assert out.startswith("guidance_swapped (known mistake)\n\n")
    assert "refused by GUIDE-01: " in out
    assert "  GUIDE-01/" in out
    assert done("show", "LOOP-01").out.startswith("LOOP-01 (must, profile loop-core")


def test_the_nearest_operation_or_mistake_is_named(refused):
    assert refused("show", "decode_stop").endswith("got 'decode_stop'; did you mean 'decode_step'?")
    assert refused("show", "guidance_swaped").endswith("did you mean 'guidance_swapped'?")
