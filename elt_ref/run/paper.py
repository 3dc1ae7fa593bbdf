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
        "arithmetic intensity (looped FLOPs ÷ bytes of looped parameters)": round(counted.arithmetic_intensity, 1),
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
    """Return the paper's row for this preset at these loops, or None if it has none.

    An image model's row holds the paper's own fit of FID over the Pareto front, at our count and at the printed one.
    """
    if counted.loops != (config.sampling.loops or config.model.max_loops):
        return None
    book = read_toml("paper_table.toml")
    if (printed := book["presets"].get(config.name)) is None:
        return None
    row = {**printed, "recipe": _line(book["recipes"][printed["recipe"]])}
    if printed["recipe"] == "image":
        ours = counted.looped_macs_per_sample / 1e9
        row["pareto_fit"] = {"fid_at_our_gflops": fitted_fid(ours)}
        if "gflops" in printed:
            row["pareto_fit"]["fid_at_printed_gflops"] = fitted_fid(1000 * float(printed["gflops"].rstrip("k")))
        row["pareto_finding"] = _line(book["pareto_fit"]["finding"])
    if "throughput" in printed:
        row["throughput_finding"] = _line(book["throughput"]["finding"])
    return row


def fitted_fid(gflops: float) -> float:
    """Return the FID on the paper's Pareto front at this cost, in 10⁹ operations a sample (the paper's GFLOPs)."""
    fit = read_toml("paper_table.toml")["pareto_fit"]
    return fit["factor"] * gflops ** fit["exponent"] + fit["offset"]


def paper_table(config: Experiment, counted: Count) -> Table | None:
    """Return our figures beside the paper's, with a verdict on each; None if the paper has none."""
    if (printed := paper_row(config, counted)) is None:
        return None
    table = Table(title="beside the paper's table")
    for column in ("", "paper", "ours", "verdict"):
        table.add_column(column)
    millions = Text(f"{counted.looped_parameters / 1e6:.2f}M looped\n{counted.total_parameters / 1e6:.2f}M total")
    table.add_row("parameters", printed.get("parameters", "–"), millions, printed.get("parameters_verdict", ""))
    if "depth" in printed:
        table.add_row("depth N·L", str(printed["depth"]), str(counted.layer_calls), "layer calls a forward pass")
    if config.model.family == "masked":
        billions = f"{counted.looped_macs_per_sample / 1e9:,.0f} (10⁹ looped MACs)"
        table.add_row("GFLOPs a sample", printed.get("gflops", "–"), billions, printed.get("gflops_verdict", ""))
    if "fid" in printed:
        table.add_row("FID", printed["fid"], "–", _on_the_fit(printed))
    if "throughput" in printed:
        table.add_row("throughput, looped ÷ unlooped", printed["throughput"], "–", "on one TPU v6e, batch of 8")
    table.add_row("recipe", printed["recipe"], _recipe(config), "printed settings only")
    finding = [printed[name] for name in ("pareto_finding", "throughput_finding") if name in printed]
    table.caption = " ".join([*finding, _line(read_toml("paper_table.toml")["conventions"][config.model.family])])
    return table


def _on_the_fit(row: dict[str, Any]) -> str:
    """Return what the paper's Pareto fit says of an image model; nothing of others."""
    fit = row.get("pareto_fit", {})
    costs = {"our count": fit.get("fid_at_our_gflops"), "the printed GFLOPs": fit.get("fid_at_printed_gflops")}
    said = [f"{fid:.2f} at {cost}" for cost, fid in costs.items() if fid is not None]
    return f"the paper's Pareto fit gives {' and '.join(said)}" if said else ""


def _recipe(config: Experiment) -> str:
    return f"{config.training.steps:,} steps, batch {config.training.batch_size}"


def _line(text: str) -> str:
    return " ".join(text.split())
