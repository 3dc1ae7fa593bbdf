"""The commands. With ``--json`` a command prints one JSON object on stdout and nothing else; progress goes to stderr.

Exit codes: 0 done, 1 the thing judged failed (training diverged), 2 the request was wrong or its result cannot be
written, 130 interrupted (143 by SIGTERM, 129 by SIGHUP, 128 and its number by another), 141 the reader of stdout left.
"""

import os
import re
import shlex
import sys
import tomllib
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

import elt_ref
from elt_ref.config import Experiment, load_config
from elt_ref.errors import RequestError, TrainingError
from elt_ref.literal import sentence
from elt_ref.run.process import settle_process
from elt_ref.run.stop import signals_interrupt
from elt_ref.terminal import ReaderGoneError, Terminal, check_stdout, print_json, print_text, settled_streams

INTERRUPTED = 130


class NoCommandError(Exception):
    """A group was called without a command; the text is its help."""


class Group(TyperGroup):
    """Commands whose help is never cut, and is an error where a command is missing, whatever the version of click."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an empty line, and empty words: an unset variable of a shell would name the current folder."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        if not args:
            raise NoCommandError(ctx.get_help())
        before = "elt-ref"
        for word in args:
            if not word or re.fullmatch("--[a-z-]+=", word):
                raise RequestError(f"{word.rstrip('=') or f'after {before}'}: expected a value, got an empty one")
            before = word
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with its whole help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].help or "") for name in self.list_commands(ctx)])


app = typer.Typer(
    name="elt-ref",
    cls=Group,
    help="The golden reference of Elastic Looped Transformers.",
    rich_markup_mode=None,
)
data_app = typer.Typer(cls=Group, help="Data sets: the built-in ones and your own.")
app.add_typer(data_app, name="data")
conform_app = typer.Typer(cls=Group, help="Judge an implementation of ELT, clause by clause.")
app.add_typer(conform_app, name="conform")
learn_app = typer.Typer(cls=Group, help="Write the functions of the pages yourself; the judge grades them.")
app.add_typer(learn_app, name="learn")

Seed = Annotated[
    int,
    typer.Option(help="Seed of the noise; it gives the same noise at every loop count.", min=0, max=2**64 - 1),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Source = Annotated[str, typer.Argument(metavar="PRESET|FILE.toml", help="A preset by name, or a configuration file.")]
BackendName = Annotated[
    str | None, typer.Argument(metavar="BACKEND", help="package.module:Backend, or file.py:Backend.")
]
Exec = Annotated[
    str | None, typer.Option("--exec", metavar="COMMAND", help="A program that speaks JSON lines, instead of BACKEND.")
]
SECONDS = 60.0


def _finite(value: float | None) -> float | None:
    """Refuse NaN, which every comparison lets pass, and times beyond a century of seconds."""
    if value is not None and not value <= LONGEST_TIME:
        raise typer.BadParameter(f"{value} is not at most {LONGEST_TIME:g}.")
    return value


LONGEST_TIME = 3e9
Timeout = Annotated[
    float, typer.Option(help="Seconds that a backend may take for an answer.", min=0.1, callback=_finite)
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLAUSE|PROFILE|OPERATION",
        help="A clause, a family of clauses (MASK), a profile or an operation; may be repeated.",
    ),
]
KnownFile = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Known failures and waivers.")]
Reports = Annotated[
    list[Path] | None,
    typer.Option("--report", metavar="FILE", help="Also write .json, .md, .html, or badge.json; may be repeated."),
]
Every = Annotated[bool, typer.Option("--all", help="Show the clauses that pass, too.")]
Given = Annotated[
    str | None,
    typer.Option(
        metavar="FRAMES",
        help="For clips: keep these frames of held-out clips, e.g. 0-1 or 0-1,6-7, and generate the rest.",
    ),
]
FreshSeed = Annotated[str | None, typer.Option("--seed", metavar="N|random", help="Seed of fresh questions.")]
IdeaSource = Annotated[
    str | None,
    typer.Option("--idea", metavar="FILE.py|NAME", help="Functions in the place of the package's; see docs/ideas.md."),
]
BorrowedIdea = Annotated[
    str | None,
    typer.Option(
        "--idea",
        metavar="FILE.py|NAME",
        help="Draw with an idea that a plain run was not trained with; a run uses its own without being told.",
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def main() -> None:
    """Run a command; an error is one sentence on stderr."""
    settle_process()
    with settled_streams(), signals_interrupt() as stop:
        try:
            code = _answer()
        except Exception:
            if stop.signal is None:
                raise
            code = _fail("interrupted", INTERRUPTED)  # Python makes another error of it inside some imports
    # The library of commands answers every interruption with the code of Ctrl-C.
    sys.exit(stop.exit_code if stop.signal and code == INTERRUPTED else code)


def _answer() -> int:
    try:
        _check_completion()
        code = _commands().main(prog_name="elt-ref", standalone_mode=False)
        sys.stdout.flush()
    except TrainingError as error:
        return _fail(error, 1)
    except NoCommandError as error:
        Terminal(stderr=True).say(*str(error).splitlines())
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    except ReaderGoneError:
        return 141
    except Exception as error:
        if not _is_of_the_request(error):
            raise
        return _fail(error, 2)
    return code or 0


def _check_completion() -> None:
    """Check what bash says of the line to complete: typer takes it for granted.

    Raises:
        RequestError: something is missing, as where a user sets the first variable alone.
    """
    if os.environ.get("_ELT_REF_COMPLETE") == "complete_bash" and (
        "COMP_WORDS" not in os.environ or not os.environ.get("COMP_CWORD", "").isdecimal()
    ):
        raise RequestError("_ELT_REF_COMPLETE: expected COMP_WORDS and a number COMP_CWORD beside it, got others")


@cache
def _commands() -> Any:
    return typer.main.get_command(app)


def _is_of_the_request(error: Exception) -> bool:
    """Return whether an error is not ours: of the request, of a file or of the memory there is."""
    from tiny_datasets import DatasetError  # noqa: PLC0415  only on this path

    return isinstance(error, RequestError | DatasetError | OSError | MemoryError) or hasattr(error, "format_message")


def _fail(error: Exception | str, code: int) -> int:
    """Say on stderr what is wrong, and return the exit code."""
    message = str(error) or "expected more memory than there is"
    if hasattr(error, "format_message"):  # a usage error of typer's click, whichever version that is from
        message = error.format_message() + _got(error)  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(error, OSError):
        message = f"{error.filename or 'file'}: expected to read or write it, got {error.strerror or error}"
    Terminal(stderr=True).say(f"elt-ref: {sentence(message)}")
    return code


def _got(error: Any) -> str:
    """Return what was given to the option of a usage error, which click does not always say."""
    names, words = getattr(getattr(error, "param", None), "opts", []), sys.argv[1:]
    given = [value for name, value in pairwise(words) if name in names]
    given += [word.partition("=")[2] for word in words if word.partition("=")[0] in names and "=" in word]
    return f", got '{given[-1]}'" if given and given[-1] not in error.format_message() else ""


def _version(asked: bool) -> bool:
    if asked:
        print_text(f"elt-ref {elt_ref.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    help="Train ILSD and plain looped transformers of both families on digits, and compare them at every loop count."
)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the models, the pictures and the report.")] = Path("elt-demo"),
) -> None:
    from elt_ref.run.demo import run_demo  # noqa: PLC0415  commands load what they need

    console = Terminal(stderr=True)
    try:
        run_demo(out, console)
    except KeyboardInterrupt:
        words = shlex.join(["elt-ref", *sys.argv[1:]])
        console.say(f"Interrupted; progress is saved in {out}. Continue with: {words}")
        raise


@app.command(help="Train a model into a run folder.")
def train(
    source: Source,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. training.steps=500.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the whole run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    idea: IdeaSource = None,
) -> None:
    from elt_ref.run.record import read_record  # noqa: PLC0415
    from elt_ref.run.train import train_run  # noqa: PLC0415

    config = _configuration(source, settings, steps, seed)
    folder = out or Path("runs") / config.name
    console = Terminal(stderr=True)
    try:
        prepared = train_run(config, folder, resume=resume, console=console, idea=idea)
    except KeyboardInterrupt:
        saved = (folder / "checkpoint.safetensors").exists()
        words = [*sys.argv[1:], *(["--resume"] if saved and not resume else [])]
        state = f"progress is saved in {folder}. Continue" if saved else "there is no checkpoint yet. Start again"
        console.say(f"Interrupted; {state} with: elt-ref {shlex.join(words)}")
        raise
    if prepared.reconstruction_error is not None:
        error = f"{prepared.reconstruction_error:.5f}"
        console.say(f"Mean squared reconstruction error of a test pixel: {error}.")
    example = ["elt-ref", "sample", str(folder), "--loops", "1", "--out"]
    drawn = "samples.webp" if len(config.model.grid) == 3 else "samples.png"
    example.append(drawn if prepared.codec is not None else "samples.safetensors")
    record = read_record(folder)
    own = f" with the idea {record.idea['name']}" if record is not None and record.idea is not None else ""
    console.say(f"Trained to step {config.training.steps}{own} in {folder}. Try: {shlex.join(example)}")


def _configuration(source: str, settings: list[str] | None, steps: int | None, seed: int | None) -> Experiment:
    overrides: dict[str, Any] = {}
    for setting in settings or []:
        key, separator, value = setting.partition("=")
        if not (separator and key):
            raise RequestError(f"--set: expected KEY=VALUE, got '{setting}'")
        try:
            read = tomllib.loads(f"value = {value}")
        except (ValueError, RecursionError):
            read = {"value": value}  # a bare word is a string, and so is a number that Python cannot hold
        if list(read) != ["value"]:
            raise RequestError(f"--set: expected one value for {key}, got further lines: '{value}'")
        overrides[key] = read["value"]
    if steps is not None:
        overrides["training.steps"] = steps
    if seed is not None:
        overrides["seed"] = seed
    return load_config(source, overrides)


@app.command(help="Draw samples from a trained model at any number of loops.")
def sample(
    run: RunFolder,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A .png for pictures, also .gif or .webp for clips, .safetensors for tokens or latents.",
        ),
    ],
    loops: Annotated[
        str | None,
        typer.Option(
            metavar="L|SCHEDULE", help="4, or one a step (1,2,4,…), or early exit (exit:0.02); L_max by default."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Scale s of classifier-free guidance; 1 is none.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Masked family: scale of the noise on confidences, which decides what is kept.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Classes, used in turn, e.g. 0,1,2; by default all that have training examples.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Number of samples; ten of each label by default.")] = None,
    given: Given = None,
    seed: Seed = 0,
    idea: BorrowedIdea = None,
) -> None:
    import numpy as np  # noqa: PLC0415  after the process is settled

    from elt_ref.arrays import check_integers  # noqa: PLC0415
    from elt_ref.run.evaluate import MOST_SAMPLES  # noqa: PLC0415
    from elt_ref.run.folder import open_run  # noqa: PLC0415
    from elt_ref.run.given import give_frames  # noqa: PLC0415
    from elt_ref.run.idea import load_idea  # noqa: PLC0415
    from elt_ref.run.sample import learned_labels, sample_to_file, with_sampling  # noqa: PLC0415
    from elt_ref.run.warn import sampling_warnings  # noqa: PLC0415
    from elt_ref.schedules import EarlyExit, parse_loop_schedule  # noqa: PLC0415

    borrowed = None if idea is None else load_idea(idea)
    opened = with_sampling(open_run(run, idea=borrowed), steps=steps, guidance_scale=guidance, temperature=temperature)
    model = opened.config.model
    default = opened.config.sampling.loops or model.max_loops
    schedule = parse_loop_schedule(
        str(default) if loops is None else loops, max_loops=model.max_loops, steps=opened.config.sampling.steps
    )
    learned = learned_labels(opened)
    chosen = learned if labels is None else _numbers("--labels", labels)
    check_integers("--labels", np.array(chosen), (len(chosen),), below=model.label_rows, expected=model.label_range)
    number = 10 * len(chosen) if count is None else count
    if not 1 <= number <= MOST_SAMPLES:
        raise RequestError(f"--count: expected from 1 to {MOST_SAMPLES:,}, got {number:,}")
    classes = np.resize(chosen, number)
    frames = None if given is None else give_frames(opened, classes, given)
    console = Terminal(stderr=True)
    for warning in sampling_warnings(opened.config, schedule if isinstance(schedule, int) else None):
        console.say(f"Warning: {warning}.")
    if unseen := sorted({*chosen} - {*learned, model.unconditional_class}):
        labels = ", ".join(map(str, unseen))
        console.say(f"Warning: no training example has label {labels}, so its samples mean little.")
    sampled = sample_to_file(opened, classes, out, loops=schedule, seed=seed, given=frames)
    used = sampled.loops_used
    spread = f"{used.mean():.2f} loops a step on average, {used.min()} to {used.max()}"
    how = f"; early exit took {spread}" if isinstance(schedule, EarlyExit) else ""
    own = "" if opened.idea is None else f", with the idea {opened.idea.name}"
    console.say(f"Wrote {number} samples to {out}{own}{how}.")


def _numbers(what: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise RequestError(f"{what}: expected integers with commas between, got '{text}'") from None
    if max(map(abs, numbers)) >= 2**63:
        raise RequestError(f"{what}: expected integers of at most 64 bits, got '{text}'")
    return numbers


@app.command(
    help="Evaluate a trained model at several loop counts: Fréchet distance, inception score, label accuracy, distance "
    "to the nearest training picture, cost; beside held-out pictures."
)
def evaluate(
    run: RunFolder,
    loops: Annotated[
        str, typer.Option(metavar="L,L,…", help="Loop counts or schedules, e.g. 1,4,early:4,late:4,exit:0.02.")
    ] = "1,2,4,8",
    count: Annotated[int, typer.Option(help="Samples for each of them, at least 10.")] = 500,
    given: Given = None,
    seed: Seed = 0,
    idea: BorrowedIdea = None,
    as_json: Json = False,
) -> None:
    from elt_ref.run.evaluate import Evaluator, evaluate_run  # noqa: PLC0415
    from elt_ref.run.folder import open_run  # noqa: PLC0415
    from elt_ref.run.idea import load_idea  # noqa: PLC0415

    check_stdout()
    schedules = [int(part) if re.fullmatch("[0-9]{1,9}", part) else part for part in loops.split(",")]
    opened = open_run(run, idea=None if idea is None else load_idea(idea))
    judged = evaluate_run(opened, schedules, count=count, seed=seed, frames=given)
    real = Evaluator(opened).real()
    results = [result.row() for result in judged]
    if as_json:
        remarks = {"held_out": real, "notice": opened.notice, "idea": opened.idea_entry()}
        print_json({"results": results, **{name: remark for name, remark in remarks.items() if remark is not None}})
        return
    if opened.notice is not None:
        Terminal(stderr=True).say(opened.notice)
    table = Table(title=f"{opened.marked(run)}, {count} samples each")
    for name in results[0]:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=name == "loops")
    for result in results:
        table.add_row(*(value if isinstance(value, str) else f"{value:.4g}" for value in result.values()))
    table.add_section()
    table.add_row(
        *("held out" if name == "loops" else f"{real[name]:.4g}" if name in real else "" for name in results[0])
    )
    Terminal().table(table)


@app.command(help="Compare trained models at 1 to 2·L_max loops: a table, pictures, and a report to open in a browser.")
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run folders of one architecture, at most 4 models; those that differ only in their seed are one.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, the numbers and the report.")] = Path(
        "elt-compare"
    ),
    count: Annotated[int, typer.Option(help="Samples for each loop count, at least 10.")] = 500,
    labels: Annotated[
        str | None, typer.Option(help="Classes of the pictures shown, e.g. 0,0,1; by default one of each.")
    ] = None,
    idea: BorrowedIdea = None,
) -> None:
    from elt_ref.run.compare import compare_folders  # noqa: PLC0415

    shown = None if labels is None else _numbers("--labels", labels)
    compare_folders(runs, out, Terminal(stderr=True), count=count, labels=shown, idea=idea)


@app.command(
    help="Put trained models into one HTML file, where they run: turn loops, steps, guidance, seed; look inside."
)
def explore(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders; those of one architecture stand side by side.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page; it needs no other file and no server.")],
) -> None:
    from elt_ref.explore.page import explore as write_page  # noqa: PLC0415

    size = write_page(runs, out)
    Terminal(stderr=True).say(f"Wrote {out}, {size / 1e6:.2f} MB. Open it in a browser.")


@app.command(help="Count parameters, multiply-adds and FLOPs; the paper's models are shown beside the paper's table.")
def count(
    source: Source,
    loops: Annotated[int | None, typer.Option(help="L; the preset's by default.")] = None,
    as_json: Json = False,
) -> None:
    from elt_ref.measure import count as count_network  # noqa: PLC0415
    from elt_ref.run.paper import count_table, paper_row, paper_table  # noqa: PLC0415

    config = load_config(source)
    counted = count_network(config, loops)
    if as_json:
        print_json({"name": config.name, **asdict(counted), "paper": paper_row(config, counted)})
        return
    console = Terminal()
    console.table(count_table(config, counted))
    if (table := paper_table(config, counted)) is not None:
        console.table(table)


@app.command(help="Time training, sampling and conformance in interleaved pairs, on request beside PyTorch and JAX.")
def bench(
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PEER",
            help="torch, torch-compile, jax, or another checkout of elt_ref, e.g. ./before; may be repeated. "
            "Without a peer elt_ref is timed alone.",
        ),
    ] = None,
    work: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORK",
            help="train, sample, conform, profile, loop-cache, memory; may be repeated. Default: the first three.",
        ),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(metavar="FAMILY", help="masked, diffusion or video; may be repeated. Default: all."),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZE", help="tiny, small, medium or large; may be repeated. Default: the last three."),
    ] = None,
    pairs: Annotated[
        int,
        typer.Option(
            help="Repetitions of each side (for loop-cache, of each process); an even number.", min=2, max=10**6
        ),
    ] = 16,
    threads: Annotated[int, typer.Option(help="Threads of each side.", min=1, max=1024)] = 1,
    kernels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Kernels of our OpenBLAS, e.g. Haswell. Default: OpenBLAS chooses; the environment is ignored.",
        ),
    ] = None,
    ports: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of elt_torch.py and elt_jax.py, with their adapters. Default: our own."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Measure the parts of benchmarks.md; write page and pictures there."),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="With --out: part of the page; may be repeated. Default: all."),
    ] = None,
    as_json: Json = False,
) -> None:
    from elt_ref.bench.command import bench as measure  # noqa: PLC0415
    from elt_ref.bench.command import publish, request  # noqa: PLC0415
    from elt_ref.bench.table import tables  # noqa: PLC0415

    check_stdout()
    named = {"works": work, "families": family, "sizes": size, "peers": peer, "kernels": kernels, "ports": ports}
    chosen = {name: value for name, value in named.items() if value}
    if out is None:
        if part:
            raise RequestError("--part: expected --out with it, got none")
        documents = {"": measure([request(**chosen, pairs=pairs, threads=threads)])}.items()
    elif chosen or threads != 1:
        raise RequestError("--out: expected only --part and --pairs with it, because the page fixes the measurements")
    else:
        documents = publish(out, part or (), pairs)
    printed = {}
    for name, document in documents:
        printed[name] = document.json()
        for table in () if as_json else tables(document):
            Terminal().table(table)
    if as_json:
        print_json(printed if out else printed[""])


@app.command(
    help="Repeat a claim of the paper over several seeds and judge it: a verdict, a figure, a page. `list` names them."
)
def study(
    name: Annotated[str, typer.Argument(metavar="NAME|list", help="A study by name, or list.")],
    quick: Annotated[bool, typer.Option("--quick", help="Small models, in minutes; the whole takes hours.")] = False,
    seeds: Annotated[
        int | None,
        typer.Option(help="Number of seeds; by default 3, or 5 as `list` says. Fewer than 3 decide nothing."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder of trainings, results and pages; studies share trainings."),
    ] = Path("elt-study"),
    processes: Annotated[int, typer.Option(help="Processes at a time.")] = 2,
    as_json: Json = False,
) -> None:
    from elt_ref.study.command import LIST, run_study, show_list  # noqa: PLC0415

    if name == LIST:
        show_list(as_json=as_json)
        return
    check_stdout()
    try:
        run_study(name, quick=quick, seeds=seeds, out=out, processes=processes, as_json=as_json)
    except KeyboardInterrupt:
        words = shlex.join(["elt-ref", *sys.argv[1:]])
        Terminal(stderr=True).say(f"Interrupted; progress is saved in {out}. Continue with: {words}")
        raise


@app.command(
    help="Show an equation or algorithm with the page's lines, a choice, a clause, an operation, a mistake or a word."
)
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An equation (E5, E5.1), an algorithm (A1), a choice (objective.reduction), a clause (LOOP-01), an "
            "operation (decode_step), a known mistake (guidance_swapped), an idea (loop_index) or a word (teacher).",
        ),
    ],
    page: Annotated[
        bool, typer.Option("--page/--no-page", help="With or without the pages' lines, which solve the exercises.")
    ] = True,
) -> None:
    from elt_ref.run import show as texts  # noqa: PLC0415

    if texts.knows(name):
        print_text(texts.show(name, page=page))
        return
    from elt_ref.conformance import entries  # noqa: PLC0415
    from elt_ref.conformance.operations import TABLE  # noqa: PLC0415

    if re.fullmatch(r"[A-Z]+-[0-9]+", name):
        print_text(entries.clause_text(name))
    elif name in TABLE:
        print_text(entries.operation_text(name))
    elif name in entries.names():
        print_text(entries.mistake_text(name, page=page))
    else:
        print_text(texts.show(name, also=entries.names()))


@data_app.command("list", help="List the data sets that can be trained on.")
def data_list() -> None:
    import tiny_datasets  # noqa: PLC0415

    table = Table()
    for column in ("name", "kind", "train", "test", "classes", "description"):
        table.add_column(column)
    for name in tiny_datasets.names():
        try:
            dataset = tiny_datasets.load(name)
        except tiny_datasets.DatasetError as error:
            Terminal(stderr=True).say(f"elt-ref: {error}; '{name}' is left out")
            continue
        sizes = (str(len(dataset.train)), str(len(dataset.test)), str(len(dataset.classes)))
        table.add_row(name, dataset.kind, *sizes, dataset.description)
    Terminal().table(table)


@data_app.command("show", help="Describe a data set.")
def data_show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw the first pictures.")] = None,
) -> None:
    from elt_ref.run.describe import check_picture_name, describe, draw_dataset  # noqa: PLC0415

    if out is not None:
        check_picture_name(out)
    text = describe(name)
    if out is not None:
        draw_dataset(name, out)
    print_text(text)
    if out is not None:
        Terminal(stderr=True).say(f"Wrote {out}.")


@data_app.command("import", help="Import your own pictures, clips, tokens or latents, and print how to train on them.")
def data_import(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="pictures or clips (a folder a class), idx, cifar, npz, tokens, latents."),
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or a folder.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new data set.")],
    height: Annotated[int | None, typer.Option(help="Height in pixels; 8 for folders, else the data's own.")] = None,
    width: Annotated[int | None, typer.Option(help="Width in pixels; 8 for folders, else the data's own.")] = None,
    colour: Annotated[
        bool | None, typer.Option("--colour/--grey", help="Default: grey for folders, else as the data are.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of each clip in folders; 4 by default.")] = None,
    scale: Annotated[float | None, typer.Option(help="For latents: the factor that training multiplies by.")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share held out of training; 0.2 if the data are not already split.")
    ] = None,
) -> None:
    from elt_ref.run.describe import describe, draw_dataset, import_data  # noqa: PLC0415
    from elt_ref.run.suggest import training_command  # noqa: PLC0415
    from tiny_datasets import dataset_folder  # noqa: PLC0415

    check_stdout()
    options = {"height": height, "width": width, "colour": colour, "frames": frames, "scale": scale}
    dataset = import_data(kind, path, name, **options, test_fraction=test_fraction)
    print_text(describe(name))
    for remark in dataset.remarks:
        Terminal(stderr=True).say(f"Note. {remark}")
    print_text(training_command(dataset))
    if dataset.kind in ("pictures", "clips") or getattr(dataset, "codebook", None) is not None:
        sheet = dataset_folder(name) / f"{name}.png"
        draw_dataset(name, sheet)
        Terminal(stderr=True).say(f"Wrote {sheet}.")


@conform_app.command("list", help="List the clauses.")
def conform_list() -> None:
    from elt_ref.conformance.commands import list_clauses  # noqa: PLC0415

    list_clauses(Terminal())


@conform_app.command("smoke", help="Check the harness, not the numbers: shapes, dtypes, repetition.")
def conform_smoke(backend: BackendName = None, program: Exec = None, timeout: Timeout = SECONDS) -> None:
    from elt_ref.conformance.commands import open_door, run_smoke  # noqa: PLC0415

    check_stdout()
    raise typer.Exit(run_smoke(open_door(backend, program, timeout), Terminal()))


@conform_app.command("run", help="Judge a backend; exit code 1 if a clause does not hold.")
def conform_run(
    backend: BackendName = None,
    program: Exec = None,
    timeout: Timeout = SECONDS,
    only: Only = None,
    known: KnownFile = None,
    write_known: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Write a draft of known failures; fill in the reasons.")
    ] = None,
    report: Reports = None,
    every: Every = False,
    as_json: Json = False,
    seed: FreshSeed = None,
    questions: Annotated[
        int | None, typer.Option(min=0, max=10**9, help="Fresh questions; by default several of every operation.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Minutes for the fresh questions, at most.", callback=_finite)
    ] = None,
    case: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask only the question of this file, that a run wrote.")
    ] = None,
    laws: Annotated[
        bool, typer.Option("--laws", help="Ask for laws that need no oracle, at the size of --preset.")
    ] = False,
    preset: Annotated[str, typer.Option(metavar="NAME", help="Preset for --laws.")] = "digits-masked",
    idea: Annotated[
        str | None,
        typer.Option(
            "--idea", metavar="FILE.py|NAME", help="Judge the package with this idea: which clauses it leaves."
        ),
    ] = None,
) -> None:
    from elt_ref.conformance.commands import idea_backend, open_door, run, run_laws  # noqa: PLC0415
    from elt_ref.conformance.fresh.ask import Inquiry, seed_of  # noqa: PLC0415

    check_stdout()
    inquiry = Inquiry(seed_of(seed), questions, minutes)
    subject = backend if idea is None else idea_backend(backend, program, idea)
    door = open_door(subject, program, timeout)
    if laws:
        raise typer.Exit(run_laws(door, preset, as_json=as_json))
    named = ["--exec", program or ""] if backend is None else [backend]
    words = ["run", *(named if idea is None else ["--idea", idea])]
    called = shlex.join([*words, *([] if timeout == SECONDS else ["--timeout", f"{timeout:g}"])])
    raise typer.Exit(
        run(
            door,
            called=called,
            only=",".join(only or []),
            known=known,
            write_known=write_known,
            outputs=report or [],
            as_json=as_json,
            every=every,
            inquiry=inquiry,
            case=case,
            idea=idea,
            inputs=[Path(each) for each in ((backend or "").rpartition(":")[0], idea or "") if each],
        )
    )


@conform_app.command(
    "diff", help="Compare two reports; exit code 1 if a clause or a profile that was right is no longer."
)
def conform_diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="A report, as --json or --report writes it.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="A later one.")],
    as_json: Json = False,
) -> None:
    from elt_ref.conformance.commands import diff  # noqa: PLC0415

    raise typer.Exit(diff(old, new, as_json=as_json))


@conform_app.command(
    "export",
    help="Write the questions, without answers, for implementations that only read and write files.\n\n"
    "With --seed, fresh questions too.",
)
def conform_export(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder.")], seed: FreshSeed = None
) -> None:
    from elt_ref.conformance.commands import export_questions  # noqa: PLC0415
    from elt_ref.conformance.fresh.ask import seed_of  # noqa: PLC0415

    number = export_questions(out, None if seed is None else seed_of(seed))
    Terminal(stderr=True).say(f"Wrote {number} questions to {out}.")


@conform_app.command("judge", help="Judge a folder of answers.")
def conform_judge(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Answers: description.json, DTYPE/CLAUSE/SLUG.safetensors.")
    ],
    only: Only = None,
    known: KnownFile = None,
    report: Reports = None,
    every: Every = False,
    as_json: Json = False,
) -> None:
    from elt_ref.conformance.commands import FRESH, exported_inquiry, run  # noqa: PLC0415
    from elt_ref.conformance.doors import FilesDoor  # noqa: PLC0415

    check_stdout()
    raise typer.Exit(
        run(
            FilesDoor(folder),
            called=shlex.join(["judge", str(folder)]),
            only=",".join(only or []),
            known=known,
            write_known=None,
            outputs=report or [],
            as_json=as_json,
            every=every,
            inquiry=exported_inquiry(folder),
            inputs=[folder / "description.json", folder / FRESH],
        )
    )


Exercises = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `elt-ref learn start` has made.")]
AnswerTime = Annotated[
    float, typer.Option("--timeout", help="Seconds that a function may take.", min=0.1, callback=_finite)
]


def _exercise_words(incomplete: str) -> list[str]:
    from elt_ref.learn.commands import exercise_words  # noqa: PLC0415

    return [word for word in exercise_words() if word.startswith(incomplete)]


@learn_app.command("start", help="Write the next page with functions left out, each with its formula and a hint.")
def learn_start(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A new or empty folder, or one whose page is written.")
    ],
    every: Annotated[
        bool, typer.Option("--all", help="Write both pages at once; the second shows what the first asks for.")
    ] = False,
) -> None:
    from elt_ref.learn.commands import start_exercises  # noqa: PLC0415

    start_exercises(folder, Terminal(), every=every)


@learn_app.command("check", help="Grade the functions of a folder, or some of them; exit code 1 unless all are done.")
def learn_check(
    folder: Exercises,
    exercise: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXERCISE]...",
            help="Its number (9) or function (ilsd_loss); all by default.",
            autocompletion=_exercise_words,
        ),
    ] = None,
    timeout: AnswerTime = 10.0,
    as_json: Json = False,
) -> None:
    from elt_ref.learn.commands import check  # noqa: PLC0415

    check_stdout()
    raise typer.Exit(check(folder, exercise or [], timeout, as_json=as_json))


@learn_app.command("grade", help="For teachers: grade every folder in a folder, each in processes of its own.")
def learn_grade(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder with a folder for each student.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Also write the grades as CSV.")] = None,
    timeout: AnswerTime = 10.0,
    as_json: Json = False,
) -> None:
    from elt_ref.learn.commands import grade_all  # noqa: PLC0415

    check_stdout()
    grade_all(folder, out, timeout, as_json=as_json)


if __name__ == "__main__":
    main()
