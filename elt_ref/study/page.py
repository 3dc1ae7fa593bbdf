"""The pages of studies, made from their JSON: ``python -m elt_ref.study.page FOLDER`` makes all of a folder again."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elt_ref.errors import RequestError, nearest
from elt_ref.files import write_text
from elt_ref.literal import in_markdown
from elt_ref.study.claims import STUDIES
from elt_ref.study.declare import Study
from elt_ref.study.figure import draw_figure
from elt_ref.study.rows import Rows
from elt_ref.study.verdict import RANKS, Verdict
from elt_ref.terminal import print_text
from elt_ref.text_files import read_text

INDEX = "README.md"
KEYS = ("study", "title", "claim", "criterion", "verdict", "quick", "seeds", "unlearned", "findings", "models", "rows")
COLUMNS = {"steps": "sampling steps", "training_steps": "training steps", "loops": "loops L"}
"""What labels mean that are no words by themselves."""
UNITS = {
    "frechet_distance": "Fréchet distance (lower is better)",
    "label_accuracy": "label accuracy",
    "valid_share": "share of valid pictures",
    "motion_accuracy": "motion accuracy",
    "held_out_loss": "held-out loss (lower is better)",
    "loss_over_ilsd": "geometric mean of the held-out losses over L, divided by ILSD's",
    "gflops_per_sample": "GFLOPs per sample",
    "update_norm": "mean norm of the update",
    "update_share": "share of the step's way",
}
"""Measures in words."""
HEADINGS = {
    Verdict.DOES_NOT: "Does not hold here",
    Verdict.UNDECIDED: "Not decidable here",
    Verdict.HOLDS: "Holds here",
}
EFFECTS = {
    Verdict.DOES_NOT: "That is not so here",
    Verdict.UNDECIDED: "The interval holds both answers",
    Verdict.HOLDS: "That is so",
}


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON of a study.

    Raises:
        RequestError: it cannot be read, or lacks something.
    """
    try:
        document = json.loads(read_text(path))
        lacking = [key for key in KEYS if key not in document]
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(f"{path}: expected the JSON of a study, got {error}") from error
    if lacking or not isinstance(document, dict):
        raise RequestError(f"{path}: expected the JSON of a study, got one without {', '.join(lacking)}")
    return document


def write_page(path: Path) -> None:
    """Write page and figure of a study beside its JSON, and the index of the folder.

    Raises:
        RequestError: the JSON is damaged or of an unknown study, or a file cannot be written.
    """
    document = read_document(path)
    study = find_study(document["study"])
    draw_figure(path.with_suffix(".png"), study.figure, document["rows"], document["title"])
    write_text(path.with_suffix(".md"), "\n".join(page_lines(study, document)) + "\n")
    write_index(path.parent)


def find_study(name: str) -> Study:
    """Return a study by name.

    Raises:
        RequestError: no study has that name; the sentence names the nearest.
    """
    if name not in STUDIES:
        raise RequestError(f"study: expected one of {', '.join(STUDIES)}, got '{name}'{nearest(name, STUDIES)}")
    return STUDIES[name]


def command_of(document: Mapping[str, Any]) -> str:
    """Return the command that makes a document again."""
    study, quick = find_study(document["study"]), document["quick"]
    seeds = "" if document["seeds"] == study.seeds_of(quick=quick) else f" --seeds {document['seeds']}"
    return f"elt-ref study {study.name}{' --quick' if quick else ''}{seeds} --out docs/study"


def page_lines(study: Study, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a page; the failing findings come first."""
    yield from (f"# {document['title']}", "")
    if document["quick"]:
        yield "**A quick run**: the models are small and hardly trained, so that it takes minutes. Its verdict is"
        yield "about these settings. The whole study has not been run yet."
        yield ""
    yield from (f"Verdict: **{document['verdict']}**.", "")
    yield from (f"**Claim** ({document['place']}). {document['claim']}", "")
    yield from (f"**Criterion**, written before the run. {document['criterion']}", "")
    yield from (f"**Found**, over {document['seeds']} seeds: {tally(document)}.", "")
    yield from _findings(document)
    yield from (f"![{document['title']}]({study.name}.png)", "")
    for measure in study.tables:
        yield from _table(study, document["rows"], measure)
    yield from (f"**Data.** {document['data']}", "")
    yield from (f"**Limits.** {document['limits']}", "")
    yield from (f"{document['intervals']}. The whole is in [{study.name}.json]({study.name}.json).", "")
    yield from ("The command:", "", f"    {command_of(document)}", "", "The models:", "")
    yield from _models(document["models"])


def tally(document: Mapping[str, Any]) -> str:
    """Return how many conditions of the criterion hold, do not, and are not decidable."""
    verdicts = [finding["verdict"] for finding in document["findings"]]
    holds, undecided, fails = (verdicts.count(verdict) for verdict in reversed(RANKS))
    parts = [f"{holds} of {len(verdicts)} conditions {'holds' if holds == 1 else 'hold'}"]
    parts += [f"{undecided} cannot be decided"] if undecided else []
    parts += [f"{fails} {'fails' if fails == 1 else 'fail'}"] if fails else []
    return ", ".join(parts)


def _findings(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the models that did not learn, and a table of the conditions; those that fail come first."""
    for sentence_ in _unlearned(document):
        yield from (sentence_, "")
    yield from ("| condition | found | asked | verdict |", "|---|---|---|---|")
    for finding in _ranked(document):
        quantity = in_markdown(finding["quantity"].rstrip(","))
        found = "could not be computed" if finding["mean"] is None else with_interval(finding)
        yield f"| {quantity} | {found} | {finding['asked']} | {finding['verdict']} |"
    yield ""


def _ranked(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(document["findings"], key=lambda finding: RANKS.index(Verdict(finding["verdict"])))


def _unlearned(document: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: nothing was learned in {count} of {document['seeds']} trainings; the loss is no better than guessing."
        for name, count in document["unlearned"].items()
    ]


def paragraph(document: Mapping[str, Any]) -> str:
    """Return what was found in sentences: first the models that did not learn, then the failing findings."""
    return " ".join([*_unlearned(document), *map(sentence, _ranked(document))])


def sentence(finding: Mapping[str, Any]) -> str:
    """Return a finding as two sentences."""
    effect = EFFECTS[Verdict(finding["verdict"])]
    if finding["mean"] is None:
        return f"{finding['quantity']} could not be computed; the criterion asks for {finding['asked']}."
    return f"{finding['quantity']} is {with_interval(finding)}; the criterion asks for {finding['asked']}. {effect}."


def with_interval(row: Mapping[str, Any]) -> str:
    """Return a mean and its interval."""
    if row["mean"] is None:
        return "–"
    ends = " to ".join("∞" if end is None else f"{end:.3g}" for end in (row["low"], row["high"]))
    return f"{row['mean']:.3g} [{ends}]"


def _table(study: Study, rows: Sequence[Mapping[str, Any]], measure: str) -> Iterator[str]:
    """Yield a table of one measure: a row a model and panel, a column a place."""
    figure = study.figure
    across, down = study.table_x or figure.x or "loops", study.table_series or figure.series
    shown = Rows(Rows(rows).matching({"measure": measure}))
    places = shown.labels(across)
    if not places:
        return
    panels = shown.labels(figure.panel) if figure.panel else [None]
    yield from (f"{UNITS.get(measure, measure)}:", "")
    yield f"| {down} \\ {COLUMNS.get(across, across)} | {' | '.join(map(str, places))} |"
    yield f"|{'---|' * (len(places) + 1)}"
    for panel in panels:
        for name in shown.labels(down):
            where = {down: name} | ({figure.panel: panel} if figure.panel else {})
            cells = [shown.matching({**where, across: place}) for place in places]
            if any(cells):
                texts = [with_interval(cell[0]) if cell else "" for cell in cells]
                title = in_markdown(str(name)) + (f", {panel}" if figure.panel else "")
                yield f"| {title} | {' | '.join(texts)} |"
    yield ""


def _models(models: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for model in models:
        settings = ", ".join(f"`{name}={value}`" for name, value in model["settings"].items())
        idea = f", the idea `{model['idea']}`" if "idea" in model else ""
        yield f"- {in_markdown(model['model'])}: `{model['preset']}` with {settings}{idea}"
        tried = model.get("held_out_loss_by_rate")
        if tried:
            losses = ", ".join(
                f"{rate}: {'diverged' if loss is None else f'{loss:.4g}'}" for rate, loss in tried.items()
            )
            inner = [float(rate) for rate in tried][1:-1]
            edge = model["settings"]["training.learning_rate"] not in inner
            remark = "; the best is an end of the grid" if edge and inner else ""
            yield f"  Held-out loss of seed 0 by learning rate: {losses}{remark}"


def write_index(folder: Path) -> None:
    """Write the index of the studies in a folder: what does not hold comes first.

    Raises:
        RequestError: a JSON is damaged, or the file cannot be written.
    """
    found = [folder / f"{name}.json" for name in STUDIES if (folder / f"{name}.json").exists()]
    documents = [read_document(path) for path in found]
    write_text(folder / INDEX, "\n".join(index_lines(documents)) + "\n")


def index_lines(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the index; what does not hold comes first."""
    yield from ("# Studies: the paper's claims, small", "")
    yield "Each page repeats one claim on small data, over several seeds, and judges it by a criterion that was written"
    yield "before the run. What does not hold comes first." + ("" if documents else " None has been run yet.")
    yield ""
    for verdict in RANKS:
        some = [document for document in documents if document["verdict"] == verdict]
        if some:
            yield from (f"## {HEADINGS[verdict]}", "")
            yield from map(_index_line, some)
            yield ""
    left = [study for name, study in STUDIES.items() if name not in {document["study"] for document in documents}]
    if left:
        yield from ("## Not run yet", "")
        yield from (f"- `elt-ref study {study.name}`: {study.claim}" for study in left)
        yield ""
    yield "`python -m elt_ref.study.page docs/study` makes every page again from its JSON."


def _index_line(document: Mapping[str, Any]) -> str:
    size = "quick" if document["quick"] else "whole"
    title = f"[{document['title']}]({document['study']}.md)"
    return f"- {title}: {document['claim']} ({size}, {document['seeds']} seeds; {tally(document)})"


def write_pages(folder: Path) -> None:
    """Make the pages of a folder again.

    Raises:
        RequestError: a JSON is damaged, or a file cannot be written.
    """
    for name in STUDIES:
        path = folder / f"{name}.json"
        if path.exists():
            write_page(path)
            print_text(str(path.with_suffix(".md")))
    write_index(folder)


def main() -> None:
    """Make the pages of the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m elt_ref.study.page")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder with the JSON of studies")
    try:
        write_pages(parser.parse_args().folder)
    except RequestError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
