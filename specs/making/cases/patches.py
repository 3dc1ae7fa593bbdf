"""PATCH: patches, positions and time features."""

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import normal


def read(slug: str, why: str, size: int, *shape: int) -> Case:
    """Return a case of the patch embedding's input."""
    return Case(
        "PATCH-01", f"read-{slug}", "patchify", why, {"patch_size": size}, {"samples": normal(f"read/{slug}", *shape)}
    )


def written(slug: str, why: str, size: int, batch: int, *shape: int) -> Case:
    """Return a case of the output layer's order."""
    height, width, channels = shape
    patches = normal(f"written/{slug}", batch, height * width // size**2, size**2 * channels)
    settings = {"shape": list(shape), "patch_size": size}
    return Case("PATCH-01", f"written-{slug}", "unpatchify", why, settings, {"patches": patches})


def places(slug: str, why: str, rows: int, columns: int, width: int) -> Case:
    """Return a case of positions."""
    return Case("PATCH-02", slug, "positions", why, {"rows": rows, "columns": columns, "width": width})


def moments(slug: str, why: str, times: tuple[float, ...], width: int, scale: float) -> Case:
    """Return a case of time features."""
    settings = {"width": width, "scale": scale}
    return Case("PATCH-03", slug, "time_features", why, settings, {"time": np.array(times)})


CASES = (
    read("wide", "a sample wider than high, of four channels: (channel, row, column)", 2, 2, 4, 6, 4),
    read("one-channel", "one channel: row before column", 2, 1, 4, 4, 1),
    read("patch-of-three", "patches of side three and two channels", 3, 1, 6, 3, 2),
    read("patch-of-one", "patches of one value a channel: a reshape without a transpose mixes places", 1, 2, 2, 3, 3),
    written("wide", "a sample wider than high, of four channels: (row, column, channel)", 2, 2, 4, 6, 4),
    written("one-channel", "one channel: row before column", 2, 1, 4, 4, 1),
    written("patch-of-three", "patches of side three and two channels", 3, 1, 6, 3, 2),
    places("wide", "more columns than rows: the first half varies with the column", 2, 3, 16),
    places("high", "more rows than columns", 4, 2, 8),
    places("one-row", "one row: the second half stands still", 1, 5, 12),
    moments(
        "thousand", "times from 0 to 1 at the scale of DiT's steps: cosines first", (0.0, 0.001, 0.25, 1.0), 8, 1000.0
    ),
    moments("unit-scale", "a scale of one, a batch of one, an odd number of frequencies", (0.625,), 6, 1.0),
    moments("two-features", "one frequency: cosine, then sine", (0.0, 0.0625, 0.5), 2, 100.0),
)
