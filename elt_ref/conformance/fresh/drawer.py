"""The choices of a question: drawn at random, recorded, and replayed when a failing question is made smaller.

A question is a sequence of indices into lists whose first entries are the simplest. Any sequence is a question: an
index beyond its list means the last entry, and a missing one the first. So a smaller sequence is a smaller question.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from elt_ref.conformance.choices import CHOICES
from elt_ref.conformance.fresh.domain import quantities

Number: TypeAlias = int | float
SEEDS = 4096
"""Different sets of numbers for equal sizes and settings."""
SIZES = ("batch", "positions", "side", "codes", "classes", "steps", "training_steps", "width", "width_of_diffusion")
ALIKE = 6
"""One size in so many is, if it can be, one that the question already has."""
SEED_PLACE = 1
"""Place of their choice among a question's choices."""


@dataclass(frozen=True)
class Drawn:
    """Settings and inputs of a question, before it has an answer."""

    settings: Mapping[str, Any]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])


class Drawer:
    """Draws the sizes, settings and numbers of one question.

    Args:
        declared: the backend's alternatives; no other is drawn.
        rng: source of the choices; None replays `choices`.
        choices: indices to replay.
        corner: place of the favoured value to take wherever some are favoured; None draws.
    """

    def __init__(
        self,
        declared: Mapping[str, str],
        rng: np.random.Generator | None,
        choices: Sequence[int] = (),
        corner: int | None = None,
    ) -> None:
        self.declared, self.rng, self.replayed, self.corner = declared, rng, choices, corner
        self.choices: list[int] = []
        self.values: dict[str, list[Any]] = {}
        """Values of the domain's quantities in this question."""
        self.kind = self.quantity("numbers")
        self.seed = self.pick(range(SEEDS))

    def pick(self, values: Sequence[Any], favoured: Sequence[Any] = ()) -> Any:
        """Return one of the values; half of the draws are among the favoured ones, if there are any."""
        place = len(self.choices)
        if self.rng is None:
            index = min(self.replayed[place], len(values) - 1) if place < len(self.replayed) else 0
        elif favoured and self.corner is not None:
            index = values.index(favoured[self.corner % len(favoured)])
        elif favoured and self.rng.random() < 0.5:
            index = values.index(favoured[int(self.rng.integers(len(favoured)))])
        else:
            index = int(self.rng.integers(len(values)))
        self.choices.append(index)
        return values[index]

    def seldom(self, values: Sequence[Any]) -> Any:
        """Return one of the values; in a corner the first, which must be the usual one."""
        return self.pick(values, [] if self.corner is None else values[:1])

    def quantity(self, name: str, most: Number = np.inf) -> Any:
        """Return a value of a quantity of the domain, a number being at most `most`."""
        drawn = quantities()[name]
        fitting = [value for value in drawn.values if most == np.inf or value <= most]
        favoured = [value for value in drawn.favoured if value in fitting]
        if name in SIZES and self.seldom(range(ALIKE)) == ALIKE - 1:
            # Axes of the same length may be confused; such sizes are favoured over any others.
            others = [each for other in SIZES for each in self.values.get(other, []) if each in fitting]
            favoured = others or favoured
        value = self.pick(fitting, favoured)
        self.values.setdefault(name, []).append(value)
        return value

    def alternative(self, choice: str) -> Any:
        """Return a value of the setting that a choice names: the declared alternative, or any."""
        declared = self.declared.get(choice)
        value = self.quantity(choice.partition(".")[2])
        if declared is None:
            return value
        return {"true": True, "0.0": 0.0}.get(declared, declared) if choice in CHOICES else value

    def settings(self, *sources: str, **renamed: str) -> dict[str, Any]:
        """Return settings, drawn in this order.

        Args:
            sources: quantities (``shift``), choices (``diffusion.sampler``), and quantities that may be left out, which
                is the simplest (``clip?``).
            renamed: the same by name of a setting that is called otherwise.
        """
        named = {source.rpartition(".")[2].rstrip("?"): source for source in sources} | renamed
        drawn = {name: self._value(source) for name, source in named.items()}
        return {name: value for name, value in drawn.items() if value is not None}

    def _value(self, source: str) -> Any:
        if "." in source:
            return self.alternative(source)
        return None if source.endswith("?") and self.quantity("default") else self.quantity(source.rstrip("?"))

    def generator(self, name: str) -> np.random.Generator:
        """Return a generator for the array of this name."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def numbers(self, name: str, *shape: int, size: float = 1.0) -> np.ndarray:
        """Return numbers of the question's kind, with a deviation of about `size`."""
        rng = self.generator(name)
        if self.kind == "simple":
            return size * rng.integers(-4, 5, shape) / 4
        normal = size * rng.standard_normal(shape)
        if self.kind == "sparse":
            return normal * (rng.random(shape) < 0.5)
        return 6 * normal if self.kind == "large" else normal

    def uniform(self, name: str, *shape: int) -> np.ndarray:
        """Return numbers in [0, 1): eighths if numbers are simple."""
        rng = self.generator(name)
        return rng.integers(0, 8, shape) / 8 if self.kind == "simple" else rng.random(shape)

    def fraction(self, name: str, *shape: int) -> np.ndarray:
        """Return uniform numbers in [0, 1), whatever the question's kind."""
        return self.generator(name).random(shape)

    def normal(self, name: str, *shape: int) -> np.ndarray:
        """Return standard normal numbers, whatever the question's kind."""
        return self.generator(name).standard_normal(shape)

    def gumbel(self, name: str, *shape: int) -> np.ndarray:
        """Return standard Gumbel numbers."""
        return self.generator(name).gumbel(size=shape)

    def integers(self, name: str, high: int, *shape: int) -> np.ndarray:
        """Return integers in 0 … high − 1; the highest occurs as well if there is more than one."""
        drawn = self.generator(name).integers(high, size=shape)
        if drawn.size > 1:
            drawn.flat[-1] = high - 1
        return drawn
