"""Our counts beside the paper's table."""

from typing import Any

from rich.table import Table
from rich.text import Text

from elt_ref.config import Experiment
from elt_ref.measure import Count
from elt_ref.run.specs import read_toml


def count_table(config: Experiment, counted: Count) -> Table:
    """Return the counts of a network, as a table for the terminal."""
    table = Table(title=f"{config.name}: {counted.layers} layers × {counted.loops} loops", show_header=False)
    steps = "1 step" if counted.sampling_steps == 1 else f"{counted.sampling_steps} steps"
    rows = {
        "looped parameters": counted.looped_parameters,
        "total parameters": counted.total_parameters,
        "layer calls a forward pass": counted.layer_calls,
        "multiply-adds a forward pass": counted.macs_per_forward,
        "FLOPs a forward pass": counted.flops_per_forward,
        "looped multiply-adds a forward pass": counted.looped_macs_per_forward,
        f"forward passes a sample ({steps})": counted.forwards_per_sample,
        "looped multiply-adds a sample": counted.looped_macs_per_sample,
        "multiply-adds a sample": counted.macs_per_sample,
        "FLOPs a sample": counted.flops_per_sample,
    }
    table.add_column()
    table.add_column(justify="right")
    for name, number in rows.items():
        table.add_row(name, f"{number:,}")
    return table


def paper_row(config: Experiment, counted: Count) -> dict[str, Any] | None:
    """Return the paper's row for this preset at these loops, or None if it has none."""
    if counted.loops != (config.sampling.loops or config.model.max_loops):
        return None
    return read_toml("paper_table.toml")["presets"].get(config.name)


def paper_table(config: Experiment, counted: Count) -> Table | None:
    """Return our figures beside the paper's, with a verdict on each; None if the paper has none."""
    if (printed := paper_row(config, counted)) is None:
        return None
    table = Table(title="beside the paper's table")
    for column in ("", "paper", "ours", "verdict"):
        table.add_column(column)
    millions = Text(f"{counted.looped_parameters / 1e6:.2f}M looped\n{counted.total_parameters / 1e6:.2f}M total")
    table.add_row("parameters", printed["parameters"], millions, printed["parameters_verdict"])
    if "depth" in printed:
        table.add_row("depth N·L", str(printed["depth"]), str(counted.layer_calls), "layer calls a forward pass")
    if "gflops" in printed:
        billions = f"{counted.looped_macs_per_sample / 1e9:,.0f}"
        table.add_row("GFLOPs a sample", printed["gflops"], f"{billions} (10⁹ looped MACs)", printed["gflops_verdict"])
    table.caption = " ".join(read_toml("paper_table.toml")["conventions"][config.model.family].split())
    return table
