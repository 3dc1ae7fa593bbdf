"""What a page is: short, alone, in the sizes of its preset, with every equation at its line."""

import ast
import re
import sys
from pathlib import Path

import pytest
from page_sizes import FAMILIES, PAGES, PRESETS, constants, constants_of_network

every_family = pytest.mark.parametrize("family", FAMILIES)
BOTH = {"E3", "E4", "E5", "E5.1", "E5.2", "E5.3", "E6", "A1", "A2"}
IDS = {
    "masked": BOTH | {"E1", "E7", "E8"},
    "diffusion": BOTH | {"E2", "E9", "E10"},
    "drifting": BOTH - {"E3", "E4"} | {f"D{number}" for number in range(1, 7)},  # its loops are those of diffusion
}
LINES = {"masked": 230, "diffusion": 230, "drifting": 150}
USED = {"masked": set(), "diffusion": set(), "drifting": {"elt_ref.paper"}}


def text_of(family):
    return Path(PAGES[family].__file__).read_text(encoding="utf-8")


@every_family
def test_it_is_short(family):
    assert len(text_of(family).splitlines()) <= LINES[family]


@every_family
def test_it_imports_the_standard_library_numpy_autograd_and_perhaps_a_page(family):
    tree = ast.parse(text_of(family))
    always = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    always |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    everywhere = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    everywhere |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    always -= USED[family]
    everywhere -= USED[family]
    assert {name.partition(".")[0] for name in always} <= sys.stdlib_module_names | {"numpy", "autograd"}
    assert everywhere - always == {"tiny_datasets", "elt_ref.paper.command"}


@every_family
def test_every_equation_stands_at_one_line(family):
    found = re.findall(r"\b(?:[ED]\d+(?:\.\d)?|A[12])\b", text_of(family))
    assert sorted(found) == sorted([*IDS[family], "A1"]), "A1 stands at a step and at the training made of steps"


@every_family
def test_constants_are_the_presets(family):
    """The number of training steps is the page's own: what eight minutes allow."""
    page, preset = PAGES[family], PRESETS[family]
    of_page = {name: value for name, value in vars(page).items() if name.isupper()}
    assert of_page.pop("TRAINING_STEPS") <= preset.training.steps
    assert of_page.pop("MASK", -1) == -1
    assert of_page == constants(preset)


def test_the_page_of_drifting_uses_the_sizes_of_diffusion_but_for_its_layers():
    network = constants_of_network(PRESETS["drifting"].model)
    assert network.pop("LAYERS") == PAGES["drifting"].LAYERS < PAGES["diffusion"].LAYERS
    assert {name: vars(PAGES["diffusion"])[name] for name in network} == network


def test_both_pages_have_the_same_functions_in_the_same_order():
    names = {
        family: [node.name for node in ast.parse(text_of(family)).body if isinstance(node, ast.FunctionDef)]
        for family in ("masked", "diffusion")
    }
    shared = {
        family: [name for name in names[family] if all(name in others for others in names.values())] for family in names
    }
    assert shared["masked"] == shared["diffusion"]
    assert set(shared["masked"]) >= {
        "layer_norm", "attention", "mlp", "layer", "loop_states", "embed", "head", "forward", "ilsd_loss", "draw",
        "train_step", "train", "sample", "initial_parameters",
    }  # fmt: skip
