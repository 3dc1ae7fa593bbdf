"""The specifications agree with the code: choices are defaults, equations have their owners."""

import ast
import inspect
import re
from importlib import import_module, resources
from operator import attrgetter
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic_core import PydanticUndefined

import elt_ref
from elt_ref.config import (
    Config,
    DiffusionConfig,
    DiffusionModelConfig,
    MaskedModelConfig,
    ObjectiveConfig,
    SamplingConfig,
    load_preset,
    preset_names,
)
from elt_ref.measure import count
from elt_ref.run.paper import paper_row
from elt_ref.run.specs import choices, equations, read_toml, specs_folder

PACKAGE = Path(elt_ref.__file__).parent


def field_of(name):
    """Return the field of the configuration that `name` spells, or None."""
    model = Config
    *sections, last = name.split(".")
    for section in sections:
        if section not in model.model_fields:
            return None
        if section == "model":
            model = MaskedModelConfig if last in MaskedModelConfig.model_fields else DiffusionModelConfig
        else:
            annotation = model.model_fields[section].annotation
            model = next(kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))
    return model.model_fields.get(last)


CHOICES = choices()
FIELDS = [name for name in CHOICES if "." in name]


def test_every_choice_is_read_from_its_heading():
    text = (specs_folder() / "choices.md").read_text(encoding="utf-8")
    assert list(CHOICES) == re.findall(r"^### `(.*)`$", text, re.MULTILINE)
    assert len(CHOICES) > 20


@pytest.mark.parametrize("name", FIELDS)
def test_a_choice_that_is_a_setting_states_its_default(name):
    field = field_of(name)
    assert field is not None, f"choices.md has a section '{name}', the configuration has no such field"
    stated = re.match(r"\*\*([^\s*]*[^\s*.,:])", CHOICES[name])
    assert stated, f"'{name}' does not begin with what was chosen"
    if field.default is PydanticUndefined:
        return
    default = field.default
    if isinstance(default, tuple):
        assert CHOICES[name].startswith(f"**{default}**")
        return
    expected = str(default).lower() if isinstance(default, bool | str) else float(default)
    found = stated[1] if isinstance(default, bool | str) else float(stated[1])
    assert found == expected, f"choices.md says that {name} is {stated[1]}, the configuration says {default!r}"


def test_settings_without_a_default_are_few():
    assert [name for name in FIELDS if field_of(name).default is PydanticUndefined] == [
        "model.max_loops",
        "diffusion.shift",
        "diffusion.bias",
    ]


@pytest.mark.parametrize("name", [name for name in CHOICES if "." not in name])
def test_a_choice_that_is_no_setting_says_so(name):
    # What the objective and the measures settle between them is said in their own sections.
    settled = {"answer", "parameters", "GFLOPs"}
    assert "Not configurable." in " ".join(CHOICES[name].split()) or name in settled


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("objective", ObjectiveConfig),
        ("diffusion", DiffusionConfig),
        ("sampling", SamplingConfig),
    ],
    ids=["objective", "diffusion", "sampling"],
)
def test_every_named_choice_is_listed_with_every_value(section, model):
    named = {name: field for name, field in model.model_fields.items() if get_origin(field.annotation) is Literal}
    assert named
    for name, field in named.items():
        text = CHOICES.get(f"{section}.{name}")
        assert text, f"choices.md does not list {section}.{name}"
        for value in get_args(field.annotation):
            assert value in text, f"choices.md does not say what {section}.{name} = '{value}' does"


# --- equations


def owners_in_the_code():
    """Yield (id, dotted function) for every function whose docstring begins with an equation's id."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "paper":  # the pages define; the package owns
            continue
        module = ".".join([PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts])
        top = ast.parse(path.read_text(encoding="utf-8")).body
        functions = [("", node) for node in top]
        functions += [
            (f"{owner.name}.", node) for owner in top if isinstance(owner, ast.ClassDef) for node in owner.body
        ]
        for prefix, node in functions:
            if isinstance(node, ast.FunctionDef) and (owned := re.match(r"([ADE]\d+):", ast.get_docstring(node) or "")):
                yield owned[1], f"{module}:{prefix}{node.name}"


def test_every_equation_is_owned_by_exactly_one_function():
    found = sorted(owners_in_the_code())
    stated = sorted((name, equation["owner"]) for name, equation in equations().items() if "." not in name)
    assert found == stated


@pytest.mark.parametrize("name", list(equations()))
def test_owners_are_there(name):
    module, _, function = equations()[name]["owner"].partition(":")
    owner = attrgetter(function)(import_module(module))
    assert re.search(rf"\b{re.escape(name)}\b", inspect.getdoc(owner))


def test_equations_are_complete_and_in_order():
    entries = read_toml("equations.toml")["equation"]
    names = [entry["id"] for entry in entries]
    in_order = sorted(set(names), key=lambda name: ("EDA".index(name[0]), [int(part) for part in name[1:].split(".")]))
    assert names == in_order, "an id twice, or out of order"
    for entry in entries:
        assert set(entry) == {"id", "title", "formula", "source", "owner"}
        assert all(entry.values())


# --- the paper's table


def test_the_papers_table_is_of_presets():
    table = read_toml("paper_table.toml")
    counted_only = {name for name in preset_names() if load_preset(name).data is None}
    assert set(table["presets"]) == counted_only, "every preset that only counts has a row, and no other has"
    for name, row in table["presets"].items():
        pairs = {("parameters", "parameters_verdict"), ("gflops", "gflops_verdict")}
        assert all((figure in row) == (verdict in row) for figure, verdict in pairs), f"{name}: a figure or its verdict"
        assert set(row) - {each for pair in pairs for each in pair} <= {"recipe", "depth", "fid", "throughput"}, name
        assert ("depth" in row) == (load_preset(name).model.family == "diffusion"), name
    assert all(table["conventions"][family] for family in ("masked", "diffusion"))


IMAGENET, UCF101 = 1_281_167, 13_320


@pytest.mark.parametrize("name", sorted(read_toml("paper_table.toml")["presets"]))
def test_presets_of_the_paper_have_the_printed_recipes_and_nothing_printed_for_another_family(name):
    config, row = load_preset(name), read_toml("paper_table.toml")["presets"][name]
    training, guidance = config.training, config.sampling.guidance_scale
    text = (resources.files("elt_ref") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    if config.model.family == "diffusion":
        assert (row["recipe"], training.steps, training.batch_size) == ("diffusion", 500_000, 512)
        assert (training.weight_decay, guidance, config.sampling.steps) == (0, 3.0, 512)
        assert "Adam" in text
        return
    pictures = config.model.classes == 1000
    assert row["recipe"] == ("image" if pictures else "video")
    assert training.steps == 270 * (IMAGENET if pictures else UCF101) // training.batch_size
    assert "270 epochs" in text
    assert "optimizer" in text, "what the paper does not print is said"
    if pictures:  # both branches are counted, with a scale that is not the diffusion models'
        assert guidance not in {1.0, 3.0}
        assert (config.objective.label_drop_rate, config.objective.label_drop_per) == (0.1, "batch")
    else:
        assert (guidance, config.objective.label_drop_rate) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "layers", "loops", "trained_loops", "width", "throughput"),
    [
        ("elt-b-6x2", 6, 2, 2, 768, "1.0"),
        ("elt-l-8x3", 8, 3, 3, 1024, "2.9"),
        ("elt-xl-7x4", 7, 4, 4, 1152, "3.3"),
        ("elt-h-8x4", 8, 4, 4, 1280, "3.5"),
        ("elt-g-8x3", 8, 3, 4, 1536, "1.1"),
    ],
)
def test_the_scales_of_the_papers_table_of_throughput(name, layers, loops, trained_loops, width, throughput):
    config = load_preset(name)
    counted = count(config)
    assert (counted.layers, counted.loops, config.model.max_loops, config.model.width) == (
        layers,
        loops,
        trained_loops,
        width,
    )
    row = paper_row(config, counted)
    assert row["throughput"].startswith(throughput)
    assert ("commented out" in row["throughput"]) == (name == "elt-g-8x3")
    assert "commented-out row: G, width 1536, ratio 1.1" in row["throughput_finding"]


@pytest.mark.parametrize(
    ("looped", "unlooped", "depth"),
    [("elt-b-6x2", "maskgit-b", 12), ("elt-h-8x4", "maskgit-h", 32), ("elt-g-8x3", "maskgit-g", 48)],
)
def test_unlooped_networks_of_the_scales(looped, unlooped, depth):
    ours, theirs = load_preset(looped), load_preset(unlooped)
    assert theirs.model.layers == depth
    assert theirs.model.max_loops == 1
    for size in ("width", "heads", "mlp_width", "grid", "codebook_size", "classes"):
        assert getattr(ours.model, size) == getattr(theirs.model, size)


@pytest.mark.parametrize(
    ("name", "at_ours", "at_printed", "fid"),
    [("elt-xl-7x4", 1.999, 2.225, "2.0"), ("elt-l-8x3", 2.229, 2.264, "2.2"), ("elt-g-8x3", 1.831, None, "1.9")],
)
def test_the_papers_own_fit_at_our_count_and_at_the_printed_one(name, at_ours, at_printed, fid):
    row = paper_row(load_preset(name), count(load_preset(name)))
    assert row["fid"] == fid
    assert round(row["pareto_fit"]["fid_at_our_gflops"], 3) == at_ours
    printed = row["pareto_fit"].get("fid_at_printed_gflops")
    assert (printed and round(printed, 3)) == at_printed
    finding = row["pareto_finding"]
    assert "gives an FID of 2.00" in finding
    assert "cannot prove" in finding


@pytest.mark.parametrize(
    ("name", "layers", "depth", "printed"),
    [
        ("dit-16", 16, 16, 1100),
        ("dit-32", 32, 32, 2100),
        ("elt-dit-1x32", 1, 32, 69),
        ("elt-dit-4x8", 4, 32, 271),
        ("elt-dit-8x4", 8, 32, 539),
        ("elt-dit-16x2", 16, 32, 1100),
    ],
)
def test_what_is_said_of_the_papers_diffusion_models(name, layers, depth, printed):
    """16 d² a layer, label table, patches and output without biases give every printed cell; DiT's layer gives none."""
    row = paper_row(load_preset(name), counted := count(load_preset(name)))
    assert (row["depth"], counted.layer_calls, counted.layers) == (depth, depth, layers)
    assert row["parameters"] == (f"{printed / 1000}B" if printed >= 1000 else f"{printed}M")
    plain = layers * 16 * 2048**2 + 1001 * 2048 + 16 * 2048 + 2048 + 16 * 2048 + 16
    unit = 1e8 if printed >= 1000 else 1e6
    assert round(plain / unit) == printed * 1e6 / unit
    assert f"{plain / 1e6:,.1f}M in all" in row["parameters_verdict"]
    d = 2048
    assert counted.looped_parameters == layers * (18 * d * d + 15 * d)
    outside = 16 * d + d + (256 * d + d) + (d * d + d) + 1001 * d + (2 * d * d + 2 * d) + 16 * d + 16
    assert counted.total_parameters - counted.looped_parameters == outside
    assert round(counted.total_parameters / unit) != printed * 1e6 / unit


@pytest.mark.parametrize(
    ("name", "printed", "printed_gflops"),
    [("elt-video-6x4", 76, "~4.3k"), ("elt-video-6x6", 76, "~13k"), ("magvit-l", 306, "~4.3k")],
)
def test_what_is_said_of_the_papers_video_models(name, printed, printed_gflops):
    """The layers alone give the cells of ELT, the whole network that of MAGVIT-L; the multiply-adds give all three."""
    row = paper_row(load_preset(name), counted := count(load_preset(name)))
    assert (row["parameters"], row["gflops"]) == (f"{printed}M", printed_gflops)
    looped, total = round(counted.looped_parameters / 1e6), round(counted.total_parameters / 1e6)
    assert (looped == printed, total == printed) == ((True, False) if "elt" in name else (False, True))
    assert row["parameters_verdict"].startswith("looped parameters" if looped == printed else "the whole network")
    digits = 1 if "." in printed_gflops else 0
    assert f"~{counted.looped_macs_per_sample / 1e12:.{digits}f}k" == printed_gflops
    assert row["gflops_verdict"] == f"reproduced: {counted.sampling_steps} forwards, no guidance"


def test_rows_are_found_by_preset():

    assert paper_row(load_preset("maskgit-xl"), count(load_preset("maskgit-xl")))["parameters"] == "446M"
    assert paper_row(load_preset("digits-masked"), count(load_preset("digits-masked"))) is None
