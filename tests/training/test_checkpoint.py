"""Checkpoints: the same state gives the same bytes, and nothing but a whole checkpoint of this run is read."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load, save
from tiny_training import FAMILIES, batch_of, tiny

from elt_ref.arrays import tree_leaves
from elt_ref.errors import RequestError
from elt_ref.objective import draw
from elt_ref.training import init_state, load_checkpoint, save_checkpoint, train_step
from elt_ref.training.checkpoint import UNSEALED, seal


def trained(config, steps=2):
    state = init_state(config)
    batch = batch_of(config)
    for step in range(steps):
        state, _ = train_step(state, batch, draw(config, step), config=config)
    return state


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, trained(tiny()), tiny())
    return path


def refusal(path, config):
    with pytest.raises(RequestError) as caught:
        load_checkpoint(path, config)
    sentence = str(caught.value)
    assert "\n" not in sentence, f"not one sentence: {sentence!r}"
    assert str(path) in sentence, f"does not say which file: {sentence}"
    assert "expected " in sentence, sentence
    assert "got " in sentence, sentence
    return sentence


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_round_trip_keeps_every_bit(tmp_path, dtype, family):
    config = tiny(seed=2**64 - 1, dtype=dtype, family=family)
    state = trained(config)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state, config)
    loaded = load_checkpoint(path, config)
    assert loaded.step == 2
    names = ("parameters", "moments", "average")
    for name in names:
        ours, theirs = (list(tree_leaves(list_of(getattr(s, name)))) for s in (state, loaded))
        assert all(a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True)), name
    save_checkpoint(tmp_path / "again.safetensors", loaded, config)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def list_of(tree):
    return list(tree) if isinstance(tree, tuple) else tree


def test_infinities_and_negative_zeros_survive(tmp_path):
    config = tiny()
    state = init_state(config)
    strange = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    state.parameters["head"]["bias"][:] = strange
    save_checkpoint(tmp_path / "c.safetensors", state, config)
    loaded = load_checkpoint(tmp_path / "c.safetensors", config)
    assert loaded.parameters["head"]["bias"].tobytes() == strange.tobytes()


@pytest.mark.whole
def test_the_same_state_gives_the_same_bytes_in_every_process(tmp_path, saved):
    code = (
        "from pathlib import Path\n"
        "from elt_ref.training import save_checkpoint\n"
        "from test_checkpoint import trained, tiny\n"
        "save_checkpoint(Path('checkpoint.safetensors'), trained(tiny()), tiny())\n"
    )
    for number, hash_seed in enumerate(("1", "2")):
        folder = tmp_path / str(number)
        folder.mkdir()
        search = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": search}
        subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)
        assert (folder / "checkpoint.safetensors").read_bytes() == saved.read_bytes(), f"hash seed {hash_seed}"


def test_the_names_are_those_of_the_parameters(saved):
    names = set(load(saved.read_bytes()))
    assert "parameters.block.0.attention.query_key_value.weight" in names
    assert {name.partition(".")[0] for name in names} == {"parameters", "first_moment", "second_moment", "average"}


# --- what is refused


def test_a_missing_file(tmp_path):
    assert "expected a file, got none" in refusal(tmp_path / "none.safetensors", tiny())


def test_truncated_at_any_length(saved):
    content = saved.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for length in (0, 1, 7, 8, 9, 100, header - 1, header, header + 1, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        assert "expected a whole safetensors file" in refusal(saved, tiny()), f"cut to {length} bytes"


def test_too_long(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    refusal(saved, tiny())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "checkpoint.safetensors"
    save_checkpoint(path, trained(tiny()), tiny())
    return path


@given(st.data())
def test_a_changed_byte_is_found_wherever_it_is(whole, data):
    content = whole.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    places = st.one_of(st.integers(0, header - 1), st.integers(header, len(content) - 1))
    place, value = data.draw(places), data.draw(st.one_of(st.integers(0, 255), st.sampled_from(b' \t\n\r01"\\,')))
    if value == content[place]:
        return
    spoiled = whole.with_name("spoiled.safetensors")
    spoiled.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
    refusal(spoiled, tiny())


def test_a_weight_that_changed_is_told_as_what_it_is(saved):
    content = bytearray(saved.read_bytes())
    content[-2] ^= 1
    saved.write_bytes(content)
    assert "expected the checksum of its header, got another: a byte has changed" in refusal(saved, tiny())


def test_a_file_of_the_ports_has_no_checksum_and_is_read(saved):
    """But a file that has one is not taken for such a file."""
    tensors, metadata = load(saved.read_bytes()), json.loads(safe_open(saved, "numpy").metadata()["elt_ref"])
    older = {**metadata, "format": "elt_ref checkpoint 1"}
    saved.write_bytes(save(tensors, metadata={"elt_ref": json.dumps(older)}))
    assert "a byte has changed" in refusal(saved, tiny())
    del older["sha256"]
    saved.write_bytes(save(tensors, metadata={"elt_ref": json.dumps(older)}))
    assert load_checkpoint(saved, tiny()).step == metadata["step"]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (None, "another program's file"),
        ({"format": "pt"}, "another program's file"),
        ({"elt_ref": "{}"}, "another program's file"),
        ({"elt_ref": "[]"}, "damaged metadata"),
        ({"elt_ref": "{"}, "damaged metadata"),
        ({"elt_ref": json.dumps({"format": "elt_ref checkpoint 3"})}, "got elt_ref checkpoint 3"),
    ],
)
def test_a_foreign_file(saved, metadata, told):
    saved.write_bytes(save({"weights": np.zeros(3, np.float32)}, metadata=metadata))
    assert told in refusal(saved, tiny())


def test_a_foreign_file_in_a_dtype_that_numpy_lacks(saved):
    header = json.dumps({"weights": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    saved.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    assert "expected a whole safetensors file, got " in refusal(saved, tiny())


def test_no_safetensors_at_all(saved):
    saved.write_bytes(b"PK\x03\x04 a zip file, such as another framework would write" * 9)
    refusal(saved, tiny())


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "checkpoint.safetensors").mkdir()
    refusal(tmp_path / "checkpoint.safetensors", tiny())


@pytest.mark.parametrize("step", ["2", -1, None, 1.5])
def test_a_step_that_is_none(saved, step):
    saved.write_bytes(sealed(load(saved.read_bytes()), {**metadata_of(saved), "step": step}))
    assert "expected a number of steps" in refusal(saved, tiny())


def sealed(tensors, metadata):
    text = json.dumps({**metadata, "sha256": UNSEALED}, sort_keys=True)
    return seal(save(tensors, metadata={"elt_ref": text}))


def metadata_of(path):
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    return json.loads(header["__metadata__"]["elt_ref"])


@pytest.mark.parametrize(
    ("family", "of_the_family"), [("masked", {"mask_ratio", "mask_order"}), ("diffusion", {"time", "noise"})]
)
def test_the_metadata_tell_step_seed_and_streams(tmp_path, family, of_the_family):
    path, config = tmp_path / "checkpoint.safetensors", tiny(family=family)
    save_checkpoint(path, trained(config), config)
    metadata = metadata_of(path)
    assert (metadata["step"], metadata["seed"]) == (2, 0)
    assert set(metadata["streams"]) == {"order", "label_drop", "student_loops"} | of_the_family


def test_another_family(saved):
    assert "got others" in refusal(saved, tiny(family="diffusion"))


def test_another_seed(saved):
    assert "expected seed 1, got 0" in refusal(saved, tiny(seed=1))


def test_another_dtype(saved):
    assert "expected 'parameters.embedding.word' to be float64 [9, 4], got float32 [9, 4]" in refusal(
        saved, tiny(dtype="float64")
    )


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"width": 6}, "expected 'parameters.embedding.word' to be float32 [9, 6], got float32 [9, 4]"),
        ({"mlp_width": 5}, "'parameters.block.0.mlp.up.weight' to be float32 [4, 5], got float32 [4, 4]"),
        ({"layers": 2}, "expected a tensor 'parameters.block.1.attention.query_key_value.weight' of float32 [4, 12]"),
        ({"grid": [4, 4]}, "parameters.embedding.position"),
        ({"classes": 3}, "to be float32 [10, 4]"),
    ],
)
def test_another_network(saved, model, told):
    assert told in refusal(saved, tiny(model=model))


def test_a_smaller_network_of_the_same_shapes(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    deep = tiny(model={"layers": 2})
    save_checkpoint(path, init_state(deep), deep)
    assert "expected no tensor 'average.block.1." in refusal(path, tiny())


@pytest.mark.parametrize("part", ["parameters", "first_moment", "second_moment", "average"])
def test_a_missing_tensor_and_one_too_many(saved, part):
    tensors, metadata = load(saved.read_bytes()), metadata_of(saved)
    name = f"{part}.head.bias"
    saved.write_bytes(sealed({key: value for key, value in tensors.items() if key != name}, metadata))
    assert f"expected a tensor '{name}' of float32 [5], got none" in refusal(saved, tiny())
    saved.write_bytes(sealed({**tensors, f"{part}.extra": np.zeros(1, np.float32)}, metadata))
    assert f"expected no tensor '{part}.extra' in this network, got one" in refusal(saved, tiny())


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="expected a file in a folder that can be written to, got "):
        save_checkpoint(tmp_path / "file" / "checkpoint.safetensors", init_state(tiny()), tiny())
