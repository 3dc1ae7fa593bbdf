"""COUNT and METRIC: counts of parameters and work, Fréchet distance and inception score."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import diffusion_section, masked_section, normal


def counted(clause: str, slug: str, why: str, model: dict[str, Any], loops: int) -> Case:
    """Return a case of counts."""
    return Case(clause, slug, "count", why, {"model": model, "loops": loops})


def apart(slug: str, why: str, first: tuple[int, int], second: tuple[int, int], *, offset: float = 0.0) -> Case:
    """Return a case of a Fréchet distance; features are correlated and of different sizes."""
    mixing = np.eye(first[1]) + 0.5 * normal(f"{slug}/mixing", first[1], first[1])
    inputs = {
        "features": normal(f"{slug}/features", *first) @ mixing,
        "others": offset + 1.5 * normal(f"{slug}/others", *second),
    }
    return Case("METRIC-01", slug, "frechet_distance", why, {}, inputs)


def scored(slug: str, why: str, count: int, classes: int, splits: int, size: float = 2.0) -> Case:
    """Return a case of an inception score."""
    logits = size * normal(f"{slug}/logits", count, classes)
    return Case("METRIC-02", slug, "inception_score", why, {"splits": splits}, {"logits": logits})


CASES = (
    counted(
        "COUNT-01", "masked", "biases, norms and embeddings, each once however often it is looped", masked_section(), 3
    ),
    counted("COUNT-01", "diffusion", "modulations, their biases and the label table", diffusion_section(), 3),
    counted("COUNT-01", "no-null-row", "one row less in the embedding", masked_section(unconditional_row=False), 1),
    counted("COUNT-01", "masked-work", "a sequence of seven: six tokens and the class token", masked_section(), 2),
    counted("COUNT-01", "masked-one-loop", "one loop, four rows", masked_section(grid=[4, 3], heads=1), 1),
    counted("COUNT-01", "diffusion-work", "six patches and no class token, five loops", diffusion_section(), 5),
    counted("COUNT-01", "video", "a grid of three sides", masked_section(grid=[2, 3, 4]), 4),
    apart("means-apart", "sets of different sizes and means: covariances over n − 1", (12, 3), (10, 3), offset=1.0),
    apart("means-alike", "nearly the same mean: the trace of the root decides", (9, 4), (14, 4)),
    apart("singular", "fewer samples than features: covariances of less than full rank", (4, 6), (5, 6), offset=1.0),
    apart("one-feature", "one feature: variances are numbers", (6, 1), (8, 1), offset=0.5),
    scored("splits", "three splits of five: a mean of scores", 15, 4, 3),
    scored("uneven", "splits that are not all as large", 11, 3, 4),
    scored("one-split", "one split: the score of the whole", 8, 5, 1, size=1.0),
    scored("flat", "predictions nearly alike: a score near 1", 6, 4, 2, size=0.1),
)
