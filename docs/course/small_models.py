"""Models of the course: the pages at a tiny size with a changed line, and the masked page as the demo trains it.

`masked_page` and `diffusion_page` make a page at a tiny size, and `trained` trains it by its own Algorithm 1, in
seconds. `demo_model` returns the masked page at its own size; the package, which computes the same and is faster,
trains it as ``elt-ref demo`` does. Trained parameters stand in ``docs/_build/course`` under a name that depends on
everything that they depend on, so that chapters share them and a changed page trains anew.
"""

import contextlib
import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import tiny_datasets
from elt_ref.config import load_preset
from elt_ref.objective import Batch
from elt_ref.paper.mistakes import Change, Mistake, page_with
from elt_ref.training import train as train_by_package

KEPT = Path(__file__).resolve().parent.parent / "_build" / "course"
STEPS = 200
CODES = 128
TINY = {"WIDTH": 32, "MLP_WIDTH": 96, "BATCH_SIZE": 32, "WARMUP_STEPS": 30, "LEARNING_RATE": 6e-3}
MASKED = TINY | {"LAYERS": 1, "MAX_LOOPS": 4, "CODES": CODES, "INITIAL_DEVIATION": 0.11, "AVERAGE_DECAY": 0.97}
DIFFUSION = TINY | {"LAYERS": 1, "MAX_LOOPS": 3, "TIME_FEATURES": 32, "AVERAGE_DECAY": 0.97}

np.seterr(over="ignore")  # as the pages do: the slope of tanh overflows harmlessly


def masked_page(*changes: tuple[str, str], **constants: Any) -> Any:
    """Return the masked page at a tiny size, with lines changed: pairs of the old lines and the new."""
    return _page("masked", changes, MASKED | constants)


def demo_page(*changes: tuple[str, str], **constants: Any) -> Any:
    """Return the masked page at its own size, with lines changed: pairs of the old lines and the new."""
    return _page("masked", changes, constants)


def diffusion_page(*changes: tuple[str, str], **constants: Any) -> Any:
    """Return the diffusion page at a tiny size, with lines changed: pairs of the old lines and the new."""
    return _page("diffusion", changes, DIFFUSION | constants)


def drifting_page(*changes: tuple[str, str], **constants: Any) -> Any:
    """Return the drifting page, with lines changed: pairs of the old lines and the new. No chapter trains it."""
    return _page("drifting", changes, constants)


def _page(name: str, changes: tuple[tuple[str, str], ...], constants: dict[str, Any]) -> Any:
    changed = Mistake("course", "", "", tuple(Change(name, old, new) for old, new in changes), "")
    page = page_with(name, changed)
    vars(page).update(constants)
    vars(page)["recipe"] = json.dumps([changes, constants], sort_keys=True)
    return page


VANILLA = (
    "    return teacher_truth + truth_weight * student_truth + (1 - truth_weight) * distilled",
    "    return teacher_truth",
)
"""The change that makes a plain looped transformer of either page: the first term of E5 alone."""


@cache
def digits() -> Any:
    """Return the handwritten digits that ship with the package."""
    return tiny_datasets.load("digits")


@cache
def codebook(codes: int = CODES) -> np.ndarray:
    """Return k-means centres of the training digits' 2×2 patches, as the masked page makes them."""
    patches = _patches(digits().train.examples)
    centres = np.random.default_rng(0).choice(np.unique(patches, axis=0), codes, replace=False)
    for _ in range(20):
        nearest = _nearest(patches, centres)
        centres = np.stack([patches[nearest == code].mean(axis=0) for code in range(codes)])
    return centres


def _patches(pictures: np.ndarray) -> np.ndarray:
    return (pictures / digits().white).reshape(-1, 4, 2, 4, 2).swapaxes(2, 3).reshape(-1, 4)


def _nearest(patches: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmin(np.sum(centres**2, axis=1) - 2 * patches @ centres.T, axis=1)


def tokens_of(pictures: np.ndarray) -> np.ndarray:
    """Return the 16 tokens of each picture of 8×8 pixels."""
    return _nearest(_patches(pictures), codebook()).reshape(-1, 16)


def picture_of(tokens: np.ndarray) -> np.ndarray:
    """Return pictures [count, 8, 8, 1] in [0, 1] of tokens [count, 16]."""
    return codebook()[tokens].reshape(-1, 4, 4, 2, 2).swapaxes(2, 3).reshape(-1, 8, 8, 1)


def learned_from(page: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the training examples of a page's family, tokens or pictures in [−1, 1], and their classes."""
    return _examples(page, digits().train), digits().train.labels


def held_out(page: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the 360 examples that no model has seen, and their classes."""
    return _examples(page, digits().test), digits().test.labels


def _examples(page: Any, part: Any) -> np.ndarray:
    if hasattr(page, "CODES"):
        return tokens_of(part.examples)
    return np.float32(part.examples / digits().white * 2 - 1)


def trained(page: Any, steps: int = STEPS, seed: int = 0) -> Any:
    """Return the averaged parameters of a page after Algorithm 1."""

    def train() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress
            return page.train(*learned_from(page), steps, seed)

    return _kept(page, f"{page.recipe} {steps} {seed}", train)


def demo_model() -> tuple[Any, Any]:
    """Return the masked page at its own size, and parameters that the package has trained as its demo does."""
    page = demo_page()
    settings = {"training.steps": 800, "training.average_decay": 0.99, "objective.kind": "ilsd"}

    def train() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            config = load_preset("digits-masked", settings)
            return train_by_package(config, Batch(*learned_from(page)), Path(folder)).average

    return page, _kept(page, json.dumps(settings), train)


def _kept(page: Any, recipe: str, train: Callable[[], Any]) -> Any:
    """Return parameters that were kept under the page's text and a recipe, or else train and keep them."""
    text = Path(page.__file__).read_text(encoding="utf-8") + recipe
    file = KEPT / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"
    unflatten = page.flatten(page.initial_parameters(np.random.default_rng(0)))[1]
    if not file.is_file():
        vector = page.flatten(train())[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
            pass
        save_file({"parameters": vector}, part.name)
        Path(part.name).replace(file)
    return unflatten(load_file(file)["parameters"])


def loss_by_loops(page: Any, parameters: Any, loops: range | list[int], seed: int = 0) -> dict[int, float]:
    """Return the loss of held-out examples (E7 or E9) after each number of loops, all under the same corruption."""
    examples, classes = held_out(page)
    random = np.random.default_rng(seed)
    if hasattr(page, "CODES"):
        order, ratio = random.random(examples.shape), random.random(len(examples))
        mask = page.lowest(order, np.maximum(1, page.masked_count(ratio)))
        weights = mask / mask.sum(axis=1, keepdims=True) / len(mask)
        one_hot = examples[..., None] == np.arange(page.CODES)
        hidden = np.where(mask, page.MASK, examples)

        def loss(count: int) -> float:
            return page.cross_entropy(
                one_hot, page.log_softmax(page.forward(parameters, hidden, classes, count)), weights
            )
    else:
        time, noise = (random.random(len(examples)), random.standard_normal(examples.shape))
        _, alpha, sigma, _ = page.noise_schedule(time[:, None, None, None])
        noisy = alpha * examples + sigma * noise

        def loss(count: int) -> float:
            return page.squared_error(examples, page.forward(parameters, noisy, time, classes, count), time)

    return {count: float(loss(count)) for count in loops}


def pictures_drawn(page: Any, parameters: Any, labels: np.ndarray, loops: int, **options: Any) -> np.ndarray:
    """Return pictures [count, 8, 8, 1] in [0, 1] that a trained page draws by Algorithm 2."""
    drawn = page.sample(parameters, labels, loops, **options)
    return picture_of(drawn) if hasattr(page, "CODES") else np.clip(drawn / 2 + 0.5, 0, 1)
