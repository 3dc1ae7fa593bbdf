"""The declaration of a study: a claim, its criterion, the models to train and what to measure of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elt_ref.config import Experiment, load_preset
from elt_ref.study.measures import Measure
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import Finding

QUICK_SEEDS = 3


@dataclass(frozen=True)
class Arm:
    """One model of a study: a preset with changes, trained once a seed."""

    name: str
    """Name in rows, tables and figures."""
    preset: str
    settings: Mapping[str, Any]
    """Settings over the preset's, by dotted key."""
    measures: Sequence[Measure]
    labels: Mapping[str, Any] = field(default_factory=dict)
    """Further labels of its rows: N, width, …"""
    rates: Sequence[float] = ()
    """Learning rates to choose from; the preset's alone by default."""
    rate_of: str | None = None
    """Arm whose rate it takes."""
    share: float = 1.0
    """Share of the training examples of its data set."""
    idea: str | None = None
    """Idea that it trains with: a file of ``elt_ref/study/terms``, or a shipped one, by name."""
    may_fail: bool = False
    """Whether it is a result if it learns nothing; with any other model nothing is decided then."""

    def config(self, seed: int, rate: float | None = None) -> Experiment:
        """Return its configuration for a seed, at a learning rate."""
        chosen = {} if rate is None else {"training.learning_rate": rate}
        return load_preset(self.preset, {**self.settings, **chosen, "seed": seed})


@dataclass(frozen=True)
class Figure:
    """How the rows are drawn: one line a series, one panel a value of `panel`."""

    measure: str
    x: str | None
    """Label on the horizontal axis; values are numbers. None: ratios lie there, one below the other, a row a series."""
    x_title: str
    y_title: str = ""
    series: str = "model"
    panel: str | None = None
    log_x: bool = False
    faded: bool = False
    """Whether lines are faint, beside a fit."""


@dataclass(frozen=True)
class Study:
    """A claim of the paper, to be repeated here."""

    name: str
    title: str
    claim: str
    place: str
    """Place of the claim in the paper."""
    criterion: str
    """What must be so for the claim to hold, in words; written before the run, and `judge` in numbers."""
    data: str
    """Data and why these."""
    limits: str
    """What the miniature cannot say."""
    arms: Callable[[bool], Sequence[Arm]]
    """``arms(quick)``, the models to train."""
    judge: Callable[[Rows], Sequence[Finding]]
    """Findings, all of which must hold."""
    figure: Figure
    tables: Sequence[str]
    """Measures to tabulate."""
    table_x: str | None = None
    """Label of the columns; the figure's horizontal axis by default, and the loops where ratios lie there."""
    table_series: str | None = None
    """Label of the rows; the figure's series by default."""
    seeds: int = 3
    """Number of seeds of the whole; the quick one has `QUICK_SEEDS`."""
    derive: Callable[[Rows], Sequence[Mapping[str, Any]]] | None = None
    """Further rows, made of the measured ones."""

    def seeds_of(self, *, quick: bool) -> int:
        """Return how many seeds it has by default."""
        return QUICK_SEEDS if quick else self.seeds
