"""An idea's file: what it may hold, and the sentence that says what is wrong with it."""

import numpy as np
import pytest

from elt_ref.config import load_preset
from elt_ref.errors import RequestError
from elt_ref.idea import FUNCTIONS, Idea, idea_of
from elt_ref.run.idea import load_idea, shipped_ideas, try_idea

LOOP = "def loop_states(block, x, loops):\n    for _ in range(loops):\n        x = block(x)\n        yield x\n"

ONES = "import numpy as np\ndef init(config, generator):\n    return {'a': np.ones(1)}\n"


def check(text, family="masked"):
    """Read an idea and try it, as `elt-ref train` does before it makes a folder."""
    config = load_preset(f"digits-{family}", {"model.layers": 1, "model.width": 8, "model.mlp_width": 8})
    try_idea(config, idea_of(text, "mine"))


FILES = {
    "nothing": ("", "idea mine: expected at least one of the functions init, loop_states, "),
    "a slip in a name": ("def loop_state(block, x, loops):\n    pass\n", "did you mean 'loop_states'?"),
    "a claim without its function": ('__all__ = ["objective"]\n', "expected the function objective, which its __all__"),
    "a claim of a number": ('__all__ = ["objective"]\nobjective = 3\n', "expected the function objective, which"),
    "a claim of what nobody knows": ('__all__ = ["loss"]\ndef loss(x): return x\n', "_names for its own, got loss"),
    "a claim that is no list": ('__all__ = "init"\n' + LOOP, "expected __all__ to list names, got 'init'"),
    "no Python": (
        "def loop_states(block, x, loops:\n",
        "idea mine, line 1: expected a Python file that can be run, got",
    ),
    "a missing module": ("import numpy as np\nimport torchvision_of_mine\n" + LOOP, "line 2: expected a Python file"),
    "a missing name": ("from elt_ref.model import loop_stats\n" + LOOP, "cannot import name 'loop_stats'"),
    "an exit": ("raise SystemExit(3)\n", "line 1: expected a Python file that can be run, got SystemExit: 3"),
    "too few arguments": (
        "def loop_states(block, x):\n    yield x\n",
        "expected loop_states(block, x, loops), got loop_states(block, x)",
    ),
    "too many arguments": (
        "def truth_weight_at(step, steps, more):\n    return 0.5\n",
        "expected truth_weight_at(step, steps), got truth_weight_at(step, steps, more)",
    ),
    "another keyword": (
        "def objective(target, exits, *, weight):\n    return 0\n",
        "expected objective(target, exits, *, truth_weight), got objective(target, exits, *, weight)",
    ),
    "extra from nowhere": (
        "def objective(target, exits, *, truth_weight, extra):\n    return 0\n",
        "expected init, which makes the extra of objective, got none",
    ),
    "extra for nobody": (
        ONES,
        "expected a function with the argument extra to use what init makes, got none",
    ),
    "extra where none is": (
        ONES + "def truth_weight_at(step, steps, extra):\n    return 1\n",
        "expected truth_weight_at(step, steps), got truth_weight_at(step, steps, extra)",
    ),
    "another family": ('FAMILY = "clips"\n' + LOOP, "expected a configuration of the clips family, got masked"),
    "a family that is none": ("FAMILY = 3\n" + LOOP, "expected FAMILY to name a family, got 3"),
}
INIT = "import numpy as np\ndef init(config, generator):\n    return {}\n"
USE = "def loop_states(block, x, loops, extra):\n    for _ in range(loops):\n        yield block(x)\n"
ANSWERS = {
    "a state of another shape": (
        LOOP.replace("yield x", "yield x[:, 1:]"),
        "loop_states to yield a state 1 of float32",
    ),
    "a state of another dtype": (LOOP.replace("yield x", "yield x.astype('float64')"), "got float64 [2, 17, 8]"),
    "no array": (LOOP.replace("yield x", "yield None"), "got NoneType"),
    "too few states": (LOOP.replace("range(loops)", "range(loops - 1)"), "to yield 4 states, got 3"),
    "too many states": (LOOP.replace("range(loops)", "range(loops + 1)"), "to yield 4 states, got more"),
    "endless states": (
        "def loop_states(block, x, loops):\n    while True:\n        yield x\n",
        "to yield 4 states, got more",
    ),
    "no states": (
        "def loop_states(block, x, loops):\n    return None\n",
        "expected loop_states to yield states, got Ty",
    ),
    "an index out of range": (
        LOOP.replace("        x =", "        (1, 2, 3, 4)[_]\n        x ="),
        "idea mine, line 3: expected loop_states to yield states, got IndexError",
    ),
    "a number in place of an array": (
        LOOP.replace("yield x", "yield x + float(x.sum())"),
        "line 4: expected loop_states to yield states, got TypeError",
    ),
    "NaN": (LOOP.replace("yield x", "yield x * float('nan')"), "expected a finite loss and gradient of the first step"),
    "NaN beyond L_max": (
        LOOP.replace("for _", "for loop").replace("yield x", "yield x * (float('nan') if loop > 5 else 1.0)"),
        "expected finite predictions after 8 loops, got NaN or infinity",
    ),
    "an infinite loss": (
        "def objective(target, exits, *, truth_weight):\n    return sum(each.sum() for each in exits.values()) / 0\n",
        "expected a finite loss and gradient of the first step, got inf and nan",
    ),
    "a loss of another shape": (
        "def objective(target, exits, *, truth_weight):\n    return exits[4]\n",
        "expected objective to return a number of float32 [], got float32 [2, 16, ",
    ),
    "a layer of another shape": (
        "def post_norm_layer(parameters, x, *, heads, epsilon):\n    return x[:1]\n",
        "expected post_norm_layer to return a state of float32 [2, 17, 8], got float32 [1, 17, 8]",
    ),
    "no exits": (
        "def draw_exits(generator, *, min_loops, max_loops):\n    return []\n",
        "expected draw_exits to return at least one number of loops, got none",
    ),
    "exits that are none": (
        "def draw_exits(generator, *, min_loops, max_loops):\n    return [0.5]\n",
        "idea mine: draw_exits: expected an integer of at least 1, got 0.5",
    ),
    "one exit, not a list": (
        "def draw_exits(generator, *, min_loops, max_loops):\n    return 3\n",
        "expected draw_exits to return a list, got 3",
    ),
    "exits without an objective": (
        "def draw_exits(generator, *, min_loops, max_loops):\n    return [1, 2, 3]\n",
        "expected an objective for its 3 exits, got none",
    ),
    "λ above 1": (
        "def truth_weight_at(step, steps):\n    return 1 + step\n",
        "expected truth_weight_at to return λ in 0…1, got",
    ),
    "λ of NaN": ("def truth_weight_at(step, steps):\n    return float('nan')\n", "λ in 0…1, got nan at step 0"),
    "λ of nothing": ("def truth_weight_at(step, steps):\n    pass\n", "λ in 0…1, got None at step 0"),
    "an exit for the whole batch": (
        "def early_exit(predictions, unknown):\n    return 0.5\n",
        "expected early_exit to return 2 numbers, got float64 []",
    ),
    "an exit of NaN": (
        "import numpy as np\ndef early_exit(predictions, unknown):\n    return np.full(len(unknown), np.nan)\n",
        "expected early_exit to return numbers, got NaN",
    ),
    "tensors of nothing": (INIT + USE, "expected init to return arrays by name, got {}"),
    "tensors of integers": (
        INIT.replace("{}", "{'a': np.arange(3)}") + USE,
        "init to return floats for 'a', got int64 [3]",
    ),
    "tensors of NaN": (INIT.replace("{}", "{'a': np.full(3, np.nan)}") + USE, "finite numbers for 'a', got others"),
}


@pytest.mark.parametrize("what", [*FILES, *ANSWERS])
def test_what_is_wrong_is_one_sentence(what):
    text, message = {**FILES, **ANSWERS}[what]
    with pytest.raises(RequestError) as caught:
        check(text)
    sentence = str(caught.value)
    assert message in sentence, sentence
    assert sentence.startswith("idea mine"), sentence
    assert "\n" not in sentence


def test_a_layer_belongs_to_its_family():
    text = "def post_norm_layer(parameters, x, *, heads, epsilon):\n    return x\n"
    with pytest.raises(RequestError, match="expected adaln_zero_layer, the layer of the diffusion family, got post_no"):
        check(text, "diffusion")


def test_what_a_file_imports_is_not_what_it_replaces():
    text = "from elt_ref.model import loop_states\nfrom elt_ref.schedules import truth_weight_at\n" + LOOP
    assert idea_of(text, "mine").replaces == ("loop_states",)


def test_a_file_may_have_the_name_of_a_module_that_it_imports_from():
    text = "from math import cos\ndef truth_weight_at(step, steps):\n    return cos(0)\n"
    assert idea_of(text, "math").replaces == ("truth_weight_at",)


def test_a_claim_takes_what_is_no_function_of_the_file():
    text = (
        'from functools import partial\n__all__ = ["truth_weight_at"]\n'
        "def helper(half, step, steps):\n    return half\ntruth_weight_at = partial(helper, 0.5)\n"
    )
    assert idea_of(text, "mine").truth_weight_at(3, 10) == 0.5


def test_every_supported_name_is_a_field_of_an_idea():
    assert set(FUNCTIONS) <= set(Idea.__dataclass_fields__)


def test_an_idea_by_name_by_path_and_as_itself(tmp_path):
    path = tmp_path / "my idea.py"
    path.write_text(LOOP, encoding="utf-8")
    idea = load_idea(path)
    assert (idea.name, idea.text) == ("my idea", LOOP)
    assert load_idea(idea) is idea
    assert load_idea("loop_index").text == shipped_ideas()["loop_index"]
    assert len(idea.digest) == 64


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("loop_idnex", "did you mean 'loop_index'?"),
        ("there is none.py", "expected a readable file, got No such file or directory"),
    ],
)
def test_what_is_no_idea(source, message):
    with pytest.raises(RequestError, match=message):
        load_idea(source)


def test_errors_of_an_idea_after_the_trial_are_sentences():
    idea = idea_of("def truth_weight_at(step, steps):\n    return 1 / (step - 7)**2 if step == 7 else 0.5\n", "mine")
    assert idea.truth_weight_at(6, 9) == 0.5
    with pytest.raises(
        RequestError, match="idea mine, line 2: expected truth_weight_at to answer, got ZeroDivisionError"
    ):
        idea.truth_weight_at(7, 9)


def test_the_states_of_an_idea_are_those_of_its_file():
    idea = idea_of(LOOP, "mine")
    assert [*idea.loop_states(lambda x: x + 1, np.zeros(2), 3)][-1].tolist() == [3, 3]
