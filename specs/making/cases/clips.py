"""CLIP: tubelets and their order, positions over time, decoding from known frames."""

from dataclasses import replace
from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.masked_parts import reading
from specs.making.cases.material import gumbel, integers, masked_section, normal, parameters, sampling_section

GRID = [2, 3, 2]
"""Tubelets in time, rows, columns: all sides differ, so that swapping two shows."""


def encoded(slug: str, why: str, shape: tuple[int, ...], patch_frames: int, patch_size: int, codes: int = 40) -> Case:
    """Return a case of the tokens of clips; `shape` is [frames, height, width, channels]."""
    features = patch_frames * patch_size**2 * shape[-1]
    return Case(
        "CLIP-01",
        slug,
        "encode_clips",
        why,
        {"patch_frames": patch_frames, "patch_size": patch_size},
        {"clips": normal(f"clip/{slug}", 2, *shape), "codebook": normal(f"clip/{slug}/codes", codes, features)},
    )


def tied() -> Case:
    """Return a case with equal codes, of zeros, so that rounding cannot separate them."""
    made = encoded("equal-codes", "the last of equal codes, or any of them", (4, 4, 4, 1), 2, 2, codes=12)
    codebook = made.inputs["codebook"].copy()
    codebook[[3, 7, 10]] = 0.0
    sizes = np.array([2.0, 0.3]).reshape(2, 1, 1, 1, 1)  # a clip of other codes, and one of these
    return replace(made, inputs={"clips": sizes * made.inputs["clips"], "codebook": codebook})


def drawn(slug: str, why: str, grid: list[int], patch_frames: int, patch_size: int, channels: int) -> Case:
    """Return a case of the clips of tokens."""
    features = patch_frames * patch_size**2 * channels
    return Case(
        "CLIP-01",
        slug,
        "decode_clips",
        why,
        {"grid": grid, "patch_frames": patch_frames, "patch_size": patch_size},
        {
            "tokens": integers(f"clip/{slug}", 9, 2, int(np.prod(grid))),
            "codebook": normal(f"clip/{slug}/codes", 9, features),
        },
    )


def watched(slug: str, why: str, loops: int, **changes: Any) -> Case:
    """Return a case of the states of a network that reads clips."""
    return Case(
        "CLIP-02", slug, "masked_states", why, **reading(f"clip-02/{slug}", loops=loops, **{"grid": GRID, **changes})
    )


def given(slug: str, why: str, grid: list[int], frames: list[int]) -> Case:
    """Return a case of the known tokens at the start."""
    return Case(
        "CLIP-03",
        slug,
        "given_frames",
        why,
        {"grid": grid, "mask_token": 11},
        {
            "tokens": integers(f"clip-03/{slug}", 7, 2, int(np.prod(grid))),
            "frames": np.array(frames, bool),
        },
    )


def predicted(slug: str, why: str, grid: list[int], known: list[int], loops: list[int], **sampling: Any) -> Case:
    """Return a case of a sampling that starts from the tubelets `known` in time."""
    model, name, batch = masked_section(grid=grid), f"clip-03/{slug}", 2
    count, codes = int(np.prod(grid)), model["codebook_size"]
    tokens = integers(f"{name}/tokens", codes, batch, *grid)
    tokens[:, [index for index in range(grid[0]) if index not in known]] = codes + model["classes"] + 1
    return Case(
        "CLIP-03",
        slug,
        "masked_sample",
        why,
        {"model": model, "sampling": sampling_section(**sampling), "loops": loops},
        {
            **parameters(model, name, spread=1.5),
            "tokens": tokens.reshape(batch, count),
            "labels": integers(f"{name}/labels", model["classes"], batch),
            "token_noise": gumbel(f"{name}/token", len(loops), batch, count, codes),
            "confidence_noise": gumbel(f"{name}/confidence", len(loops), batch, count),
        },
    )


CASES = (
    encoded("grey", "tokens in another order, tubelets flattened another way", (4, 6, 4, 1), 2, 2),
    encoded("colour", "channels before pixels, a tubelet of three frames", (3, 2, 4, 3), 3, 2),
    encoded("single-frames", "tubelets of one frame: pictures in a row", (3, 4, 2, 2), 1, 2),
    tied(),
    drawn("drawn-grey", "the way back of tokens and of tubelets", GRID, 2, 2, 1),
    drawn("drawn-colour", "the way back with channels, tubelets of one pixel", [2, 1, 3], 2, 1, 3),
    watched("two-loops", "positions that repeat from frame to frame, attention that is cut", 2),
    watched("one-layer", "the same of one layer and a longer clip", 1, layers=1, batch=1, grid=[3, 2, 1]),
    given("first", "frames to predict from: known along another axis, or the others", GRID, [1, 1, 0, 0]),
    given("between", "frames to fill in between two", [4, 1, 2], [1, 1, 0, 0, 0, 0, 1, 1]),
    given("none", "nothing given: all is the mask", GRID, [0, 0]),
    given("last-of-three", "the end is given, tubelets of three frames", [3, 2, 1], [0, 0, 0, 0, 0, 0, 1, 1, 1]),
    predicted("prediction", "given tokens drawn anew, or counted by the schedule", GRID, [0], [2, 1, 2, 1]),
    predicted("in-between", "two ends given, tempered", [3, 2, 2], [0, 2], [1, 2], sampling_temperature="elt"),
)
