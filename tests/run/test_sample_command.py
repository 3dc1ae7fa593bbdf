"""`elt-ref sample`: any loops, any labels, pictures and tokens; and refusals."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save

from elt_ref.generation import sample
from elt_ref.run.folder import open_run
from elt_ref.run.sample import sample_to_file
from elt_ref.training import CHECKPOINT


def tokens_of(path):
    tensors = load_file(path)
    assert tensors["tokens"].shape == (len(tensors["labels"]), 4, 4)
    assert 0 <= tensors["tokens"].min() <= tensors["tokens"].max() < 12
    return tensors


@pytest.mark.parametrize("loops", ["1", "2", "8", "1,2,3", "exit:0.02", "exit:0.02:5", "exit:1"])
def test_pictures_at_any_loops(done, trained, tmp_path, loops):
    out = tmp_path / "digits.png"
    result = done("sample", trained, "--loops", loops, "--out", out, "--count", 3)
    assert not result.out
    assert f"Wrote 3 samples to {out}" in result.err
    assert ("early exit took" in result.err) == loops.startswith("exit"), result.err
    with Image.open(out) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width > picture.height > 7


def test_tokens_are_those_of_the_average_and_the_request(done, trained, tmp_path):
    out = tmp_path / "some.safetensors"
    done("sample", trained, "--loops", 3, "--labels", "4,0", "--count", 5, "--seed", 7, "--out", out)
    tensors = tokens_of(out)
    assert tensors["labels"].tolist() == [4, 0, 4, 0, 4]
    run = open_run(trained)
    expected = sample(run.parameters, run.config, np.array([4, 0, 4, 0, 4]), seed=7, loops=3)
    np.testing.assert_array_equal(tensors["tokens"].reshape(5, -1), expected.samples)


def test_labels_that_do_not_lie_in_order_are_written_as_they_are(trained, tmp_path):
    labels = np.array([[4, 9], [0, 9], [2, 9]])[:, 0]
    sample_to_file(open_run(trained), labels, tmp_path / "some.safetensors", loops=1, seed=0)
    assert tokens_of(tmp_path / "some.safetensors")["labels"].tolist() == [4, 0, 2]


def test_defaults_are_ten_of_each_class_at_the_loops_of_training(done, trained, tmp_path):
    done("sample", trained, "--out", tmp_path / "a.safetensors")
    words = ["--loops", 2, "--seed", 0, "--guidance", 1, "--steps", 3, "--count", 100]
    done("sample", trained, *words, "--out", tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert np.bincount(tokens_of(tmp_path / "a.safetensors")["labels"]).tolist() == [10] * 10


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "1"],
        ["--guidance", "4"],
        ["--guidance", "0"],
        ["--steps", "7"],
        ["--loops", "5"],
        ["--temperature", "0"],
    ],
)
def test_every_setting_counts(done, trained, tmp_path, words):
    done("sample", trained, "--count", 20, "--out", tmp_path / "a.safetensors")
    done("sample", trained, "--count", 20, "--out", tmp_path / "b.safetensors", *words)
    assert (tmp_path / "a.safetensors").read_bytes() != (tmp_path / "b.safetensors").read_bytes()


def test_the_class_that_is_none_can_be_asked_for(done, trained, tmp_path):
    done("sample", trained, "--labels", "10", "--count", 2, "--out", tmp_path / "none.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--labels", "0,99", "--count", "1"],
            "--labels: expected classes in 0…9 or 10 for none, got 99 at position 1",
        ),
        (["--labels", "11"], "labels: expected classes in 0…9 or 10 for none, got 11 at position 0"),
        (["--labels", "0,-1"], "got -1 at position 1"),
        (["--labels", "a,b"], "--labels: expected integers with commas between, got 'a,b'"),
        (["--loops", "0"], "loops: expected an integer of at least 1, got 0"),
        (["--loops", "many"], "loops: expected a number (4), one a sampling step (1,2,4,4), more early or late"),
        (["--loops", "1.5"], "got '1.5'"),
        (["--loops", "1,2"], "loops: expected one number for each of 3 sampling steps, got 2"),
        (["--loops", "1,0,2"], "expected an integer of at least 1, got 0"),
        (["--loops", "exit:2"], "early exit: expected a threshold in 0…1, got 2.0"),
        (["--loops", "exit:"], "loops: expected "),
        (["--count", "0"], "--count: expected from 1 to 1,000,000, got 0"),
        (["--count", "1000001"], "--count: expected from 1 to 1,000,000, got 1,000,001"),
        (["--count", "1" + "0" * 399], "--count: expected from 1 to 1,000,000, got 1,000,000"),
        (["--count", "-3"], "--count: expected from 1 to 1,000,000, got -3"),
        (["--steps", "0"], "sampling.steps: expected greater than 0, got 0"),
        (["--guidance", "-1"], "sampling.guidance_scale: expected greater than or equal to 0, got -1.0"),
        (["--guidance", "nan"], "got nan"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**64)], "--seed"),
    ],
)
def test_wrong_requests(refused, trained, tmp_path, words, message):
    out = tmp_path / "digits.png"
    assert message in refused("sample", trained, "--count", 2, "--out", out, *words)
    assert not out.exists()


@pytest.mark.parametrize("name", ["digits.jpg", "digits", "digits.PNG.txt"])
def test_an_unknown_suffix(refused, trained, tmp_path, name):
    sentence = refused("sample", trained, "--out", tmp_path / name)
    assert sentence.startswith("--out: expected a name ending in .png or .safetensors, got ")
    assert not (tmp_path / name).exists()


def test_a_place_that_takes_no_file(refused, trained, tmp_path):
    for name in ("missing/digits.png", "missing/digits.safetensors"):
        assert "expected a file in a folder that can be written to" in refused(
            "sample", trained, "--count", 1, "--out", tmp_path / name
        )


def test_guidance_needs_the_unconditional_row(done, refused, tiny, tmp_path):
    words = ["--set", "model.unconditional_row=false", "--set", "objective.label_drop_rate=0.0", "--steps", 1]
    done("train", tiny, *words, "--out", tmp_path / "run")
    done("sample", tmp_path / "run", "--count", 1, "--out", tmp_path / "a.png")
    sentence = refused("sample", tmp_path / "run", "--guidance", 3, "--out", tmp_path / "b.png")
    assert "model.unconditional_row: expected true where labels are dropped or guidance is used, got false" in sentence
    assert "expected classes in 0…9, got 10" in refused(
        "sample", tmp_path / "run", "--labels", 10, "--out", tmp_path / "b.png"
    )


def test_what_is_no_run(refused, tmp_path):
    assert "expected a run folder (with config.toml), got none" in refused(
        "sample", tmp_path, "--out", tmp_path / "a.png"
    )


def test_a_run_without_a_checkpoint(refused, copied, tmp_path):
    (copied / CHECKPOINT).unlink()
    assert "expected a file, got none" in refused("sample", copied, "--out", tmp_path / "a.png")


@pytest.mark.parametrize("file", [CHECKPOINT, "tokenizer.safetensors"])
def test_damaged_files(refused, copied, tmp_path, file):
    whole = (copied / file).read_bytes()
    for content in (whole[:-1], whole[:50], b"", save({"a": np.zeros(3)})):
        (copied / file).write_bytes(content)
        assert file in refused("sample", copied, "--out", tmp_path / "a.png")


def test_a_checkpoint_of_another_network(refused, copied, tmp_path):
    config = copied / "config.toml"
    config.write_text(config.read_text().replace("mlp_width = 8", "mlp_width = 9"))
    sentence = refused("sample", copied, "--out", tmp_path / "a.png")
    assert "expected 'parameters.block.0.mlp.up.weight' to be float32 [8, 9], got float32 [8, 8]" in sentence


def test_a_damaged_configuration(refused, copied, tmp_path):
    (copied / "config.toml").write_text("name = ")
    assert "config.toml: expected TOML, got " in refused("sample", copied, "--out", tmp_path / "a.png")
