"""The random streams in JavaScript are NumPy's: the same bits, and the same numbers to the last digits of a log."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_config, make_diffusion_config

from elt_ref.generation import draw_noise, initial_noise, step_noise
from elt_ref.streams import stream, stream_key

NODE = shutil.which("node")
pytestmark = [pytest.mark.ports, pytest.mark.skipif(NODE is None, reason="needs node"), pytest.mark.timeout(600)]

STREAMS = Path(__file__).parents[2] / "docs" / "ports" / "elt_streams.mjs"
ASK = """
const { sha256, stream, decodeNoise, initialNoise, stepNoise } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const inTwo = (next, count) => {
  const [most, last] = [next(count - 1), next(1)];
  return [[count, ...last.shape.slice(1)], ...most.data, ...last.data];
};
const list = (count, draw) => Array.from({ length: count }, draw);
const answers = JSON.parse(readFileSync(0, "utf8")).map(({ seed, name, step, count, model, family }) => {
  if (family === "masked") {
    return ["tokens", "confidence"].map((part) => {
      const next = decodeNoise(model, seed, step, Float64Array);
      return inTwo((B) => next(B)[part], count);
    });
  }
  if (family) {
    const noises = [initialNoise(model, seed, Float64Array), stepNoise(model, seed, step, Float64Array)];
    return noises.map((next) => inTwo(next, count));
  }
  const draws = stream(seed, name, step);
  const uniform = list(7, () => draws.uniform());
  return { key: sha256(`${seed}/${name}`).slice(0, 4), uniform, gumbel: list(count, () => draws.gumbel()),
    normal: list(count, () => draws.normal()) };
});
console.log(JSON.stringify(answers));
"""


def ask(questions):
    words = [NODE, "--input-type=module", "-e", ASK, STREAMS.as_uri()]
    ended = subprocess.run(words, input=json.dumps(questions), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def drawn(strategy):
    """Some draws, to ask all of them at once."""
    found = []

    @settings(max_examples=60, deadline=None)
    @given(strategy)
    def collect(one):
        found.append(one)

    collect()
    return found


SEEDS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**32, 2**64 - 1])).map(str)
STEPS = st.one_of(st.integers(0, 40), st.integers(0, 2**53 - 1))


def test_every_stream_is_numpys():
    questions = drawn(st.fixed_dictionaries({"seed": SEEDS, "name": st.text(max_size=80), "step": STEPS}))
    for question in questions:
        question["count"] = 200
    # So many normals reach the corners of the strips and the tail.
    questions.append({"seed": "5", "name": "initial_noise", "step": 0, "count": 200_000})
    for question, found in zip(questions, ask(questions), strict=True):
        seed, name = int(question["seed"]), question["name"]
        key = np.array(found["key"], ">u4").tobytes()
        assert key == stream_key(seed, name).astype("<u8").tobytes()
        right = stream(seed, name, question["step"])
        assert right.random(7).tolist() == found["uniform"]
        gumbel, normal = right.gumbel(size=question["count"]), right.standard_normal(question["count"])
        np.testing.assert_allclose(found["gumbel"], gumbel, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(found["normal"], normal, rtol=1e-13, atol=1e-13)
    assert np.abs(normal).max() > 3.66  # in the tail


def test_the_noise_of_a_request_is_the_packages():
    masked, diffusion = make_config(dtype="float64"), make_diffusion_config(dtype="float64")
    questions = []
    for config in (masked, diffusion):
        model = {**config.model.model_dump(mode="json"), "grid": list(config.model.grid)}
        questions.append({"seed": 7, "step": 2, "count": 3, "model": model, "family": config.model.family})
    decoding, denoising = ask(questions)
    pairs = [*zip(draw_noise(masked, 7, 2, 3), decoding, strict=True)]
    pairs += zip((initial_noise(diffusion, 7, 3), step_noise(diffusion, 7, 2, 3)), denoising, strict=True)
    for right, (shape, *found) in pairs:
        assert shape == list(right.shape)
        np.testing.assert_allclose(np.reshape(found, shape), right, rtol=1e-13, atol=1e-13)
