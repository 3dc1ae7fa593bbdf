"""`elt-ref explore`: what it writes, and what it refuses, each in one sentence."""

import json
import re
import shutil

import numpy as np
import pytest
from made_runs import DIFFUSION, MASKED, SCHEDULE
from safetensors.numpy import save_file

import tiny_datasets
from elt_ref.config import load_preset, validate
from elt_ref.explore.document import packed
from elt_ref.explore.page import short_names
from elt_ref.ports import PORTS
from elt_ref.run.train import train_run
from elt_ref.terminal import Terminal
from specs.making.explore_page import DOCS, KINDS, missing, rewritten, write_pages
from tiny_datasets.catalogue import HOME_VARIABLE

TRAINING = {"steps": 2, "batch_size": 2, "warmup_steps": 1}


def trained(folder, model, data="digits", *, idea=None, **sections):
    """A run folder after two steps."""
    document = {"name": "tiny", "data": {"name": data}, "model": model, "training": TRAINING, **sections}
    train_run(validate(document, where="test"), folder, console=Terminal(stderr=True, quiet=True), idea=idea)
    return folder


@pytest.fixture(scope="session")
def masked(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "masked", MASKED, tokenizer={"patch_size": 2, "iterations": 2})


@pytest.fixture(scope="session")
def diffusion(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "diffusion", DIFFUSION, diffusion=SCHEDULE)


def test_a_page_holds_runs_port_and_no_link(done, masked, diffusion, tmp_path):
    out = tmp_path / "page.html"
    result = done("explore", masked, diffusion, "--out", out)
    page = out.read_text(encoding="utf-8")
    assert result.err == f"Wrote {out}, {out.stat().st_size / 1e6:.2f} MB. Open it in a browser.\n"
    for module in ("elt.mjs", "elt_streams.mjs", "elt_wasm.mjs"):
        assert (PORTS / module).read_text(encoding="utf-8") in page, module
    documents = json.loads(re.search(r'id="runs">(.*?)</script>', page)[1])
    assert [document["name"] for document in documents] == ["masked", "diffusion"]
    assert set(documents[0]["examples"]) == {str(label) for label in range(10)}
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert not re.search("^import ", page, re.MULTILINE)
    assert page.count("<script") == page.count("</script>")


def test_the_same_runs_give_the_same_page(done, masked, tmp_path):
    for name in ("a.html", "b.html"):
        done("explore", masked, "--out", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(("name", "most"), [("explore.html", 3_000_000), ("explore-emoji.html", 6_000_000)])
def test_the_ready_pages_have_the_present_code(name, most):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert rewritten(page) == page, "run python -m specs.making.explore_page"
    assert (DOCS / name).stat().st_size <= most


def test_ready_pages_are_written_from_a_folder_of_runs(masked, diffusion, tmp_path):
    folder = tmp_path / "runs"
    for part, run in (("digits", masked), ("emoji", diffusion)):
        for kind in KINDS:
            shutil.copytree(run, folder / part / kind)
    write_pages(folder, tmp_path)
    for name, family in (("explore.html", "masked"), ("explore-emoji.html", "diffusion")):
        documents = json.loads(re.search(r'id="runs">(.*?)</script>', (tmp_path / name).read_text("utf-8"))[1])
        assert [document["name"] for document in documents] == list(KINDS)
        assert {document["model"]["family"] for document in documents} == {family}
    (folder / "digits" / "vanilla" / "checkpoint.safetensors").unlink()
    shutil.rmtree(folder / "emoji" / "ilsd")
    assert [command[:2] for command in missing(folder)] == [["demo", "--out"], ["train", "emoji-diffusion"]]


def test_names_are_the_shortest_that_tell_runs_apart(tmp_path):
    folders = [tmp_path / name for name in ("demo/ilsd", "demo/diffusion/ilsd", "other/vanilla")]
    assert short_names(folders) == ["demo/ilsd", "diffusion/ilsd", "other/vanilla"]
    assert short_names(folders[1:]) == ["ilsd", "vanilla"]


def test_weights_take_less_than_their_bytes_in_base64():
    weights = np.random.default_rng(0).normal(0, 0.05, 50_000).astype(np.float32)
    assert len(packed({"weights": weights})["bytes"]) < 0.95 * weights.nbytes * 4 / 3


def test_nothing_is_written_where_a_run_is_refused(refused, masked, tmp_path):
    out = tmp_path / "page.html"
    out.write_text("before")
    refused("explore", masked, tmp_path / "none", "--out", out)
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_what_cannot_be_explored(refused, masked, tmp_path):
    out = tmp_path / "page.html"
    assert "expected a run folder (with config.toml), got none" in refused("explore", tmp_path, "--out", out)
    assert "expected a name ending in .html, got" in refused("explore", masked, "--out", tmp_path / "page.png")
    assert "expected a file in a folder that can be written to" in refused(
        "explore", masked, "--out", tmp_path / "no" / "page.html"
    )
    assert f"expected different run folders, got {masked} twice" in refused("explore", masked, masked, "--out", out)

    without = shutil.copytree(masked, tmp_path / "without")
    (without / "checkpoint.safetensors").unlink()
    sentence = refused("explore", without, "--out", out)
    assert sentence == f"checkpoint {without / 'checkpoint.safetensors'}: expected a file, got none"

    idea = trained(tmp_path / "idea", MASKED, idea="loop_index", tokenizer={"patch_size": 2, "iterations": 2})
    sentence = refused("explore", idea, "--out", out)
    assert sentence.startswith(f"{idea}: expected a run without an idea, for the page has its network in JavaScript")
    assert sentence.endswith("got one with the idea loop_index")

    one_step = tmp_path / "drifting"
    preset = load_preset("digits-drifting", {"training.steps": 2, "training.warmup_steps": 1})
    train_run(preset, one_step, console=Terminal(stderr=True, quiet=True))
    sentence = refused("explore", one_step, "--out", out)
    assert sentence == f"{one_step}: expected a run of the masked or the diffusion family, got drifting"

    many = [shutil.copytree(masked, tmp_path / f"run{number}") for number in range(5)]
    assert "expected at most 4 runs of the same data and network, got more" in refused("explore", *many, "--out", out)
    assert not out.exists()


def test_runs_that_draw_no_pictures(refused, tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    out = tmp_path / "page.html"
    draw = np.random.default_rng(0)
    labels = np.arange(40) % 2
    latents = {"latents": draw.normal(size=(40, 4, 4, 2)).astype(np.float32), "labels": labels}
    save_file(latents, tmp_path / "latents.safetensors")
    tiny_datasets.import_latents(tmp_path / "latents.safetensors", "mine", scale=1.0)
    run = trained(tmp_path / "latents", DIFFUSION | {"shape": [4, 4, 2], "classes": 2}, "mine", diffusion=SCHEDULE)
    sentence = refused("explore", run, "--out", out)
    wanted = f"{run}: expected a run whose samples are pictures or clips, got "
    assert sentence == f"{wanted}latents of 'mine', which the page does not decode"

    model = DIFFUSION | {"shape": [4, 4, 2], "patch_size": 1}
    run = trained(tmp_path / "autoencoder", model, diffusion=SCHEDULE, latents={"patch_size": 2, "channels": 2})
    assert "got latents of 'digits', which the page does not decode" in refused("explore", run, "--out", out)

    save_file({"tokens": draw.integers(12, size=(40, 4, 4)), "labels": labels}, tmp_path / "tokens.safetensors")
    tiny_datasets.import_tokens(tmp_path / "tokens.safetensors", "codes")
    size = tiny_datasets.load("codes").codebook_size
    run = trained(tmp_path / "codes", MASKED | {"classes": 2, "codebook_size": size}, "codes")
    assert "got tokens of 'codes', which came without a codebook" in refused("explore", run, "--out", out)
    assert not out.exists()


def test_no_path_of_the_machine_is_in_the_page(done, masked, tmp_path):
    done("explore", masked, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in page
    assert str(masked.parent) not in page
