"""The matrix product in WebAssembly has the bits of the one in JavaScript, at every shape and for every number."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NODE = shutil.which("node")
pytestmark = [pytest.mark.ports, pytest.mark.skipif(NODE is None, reason="needs node"), pytest.mark.timeout(600)]

FOLDER = Path(__file__).parents[2] / "docs" / "ports"
ASK = """
const [elt, wasm] = await Promise.all(process.argv.slice(1, 3).map((name) => import(name)));
const { readFileSync } = await import("node:fs");
const plain = elt.kernels.multiply, quick = wasm.simdMultiply();
const random = elt.uniforms(7), odd = [0, -0, Infinity, -Infinity, NaN, 1e-310, 3e38, 1e-40];
const parts = JSON.parse(readFileSync(0, "utf8")).filter(({ dtype, sides: [rows, inner, columns], special }) => {
  const some = (count) => elt.DTYPES[dtype].from({ length: count }, () => {
    const [which, value] = [random.next().value, random.next().value - 0.5];
    return which < special ? odd[Math.floor(which / special * odd.length)] : value;
  });
  const [a, b, start] = [some(rows * inner), some(inner * columns), some(columns)];
  const [right, found] = [0, 1].map(() => new elt.DTYPES[dtype](rows * columns));
  plain(a, b, start, right, rows, inner, columns);
  quick(a, b, start, found, rows, inner, columns);
  return !right.every((value, place) => Object.is(value, found[place]));
});
delete globalThis.WebAssembly;
console.log(JSON.stringify([quick !== plain, wasm.simdMultiply(), parts]));
"""


@st.composite
def products(draw):
    """A product of any sides, also of one row or column, with numbers that are hardly any."""
    return {
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "sides": draw(st.lists(st.integers(1, 21), min_size=3, max_size=3)),
        "special": draw(st.sampled_from([0, 0.02, 0.5])),
    }


def test_a_product_has_the_same_bits():
    asked = []

    @settings(max_examples=200, deadline=None)
    @given(products())
    def collect(one):
        asked.append(one)

    collect()
    for dtype in ("float32", "float64"):  # between small ones, one for which the memory grows
        asked.insert(len(asked) // 2, {"dtype": dtype, "sides": [170, 301, 385], "special": 0})
    # 4 inner + columns + inner columns + rows inner + rows columns numbers fill a page of memory, and no room is left.
    asked.insert(0, {"dtype": "float64", "sides": [5, 1, 1169], "special": 0})
    modules = [(FOLDER / name).as_uri() for name in ("elt.mjs", "elt_wasm.mjs")]
    words = [NODE, "--input-type=module", "-e", ASK, *modules]
    ended = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    other, missing, parts = json.loads(ended.stdout)
    assert other
    assert missing is None  # where there is no WebAssembly
    assert not parts
