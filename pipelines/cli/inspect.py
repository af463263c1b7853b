"""The command that looks at a file or a tokenizer: `inspect`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpusmill.pipelines.api.places import place

if TYPE_CHECKING:
    from corpusmill.pipelines.inspection.found import Found

MIXTURE = "mixture"  # the view of a run, where a run follows the word
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def inspect(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A run (folder or URL), a step by name, a dataset, shard, removed file or tokenizer; or "
            "the word `mixture` before a run (./mixture is a path).",
        ),
    ],
    further: Annotated[
        list[str] | None, typer.Argument(metavar="[FILES]...", help="Further ones, or files for --against.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many rows to show.")] = 5,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Measure a tokenizer on this text, JSON Lines or Parquet."),
    ] = None,
    reference: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Measure this tokenizer beside it.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="The pre-tokenizer of a rank file (.tiktoken): cl100k, o200k, ...")
    ] = None,
    s_curve: Annotated[
        bool,
        typer.Option(
            "--s-curve",
            help="Of a step that removes duplicates: the pairs it finds, by theory and measured.",
        ),
    ] = False,
    sample: Annotated[
        int, typer.Option(min=2, max=1_000_000, help="How many documents to compare for --s-curve.")
    ] = 20_000,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="ROW[:END]", help="Of a token shard: these rows as text, by document, source and part."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="ROW[:TOKEN]", help="Of a token shard: the documents there, and their files."),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Of a run or one of its steps: how scores are distributed.")
    ] = False,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="RUN2",
            help="Of a run: what came and went, and why, from it to another one, by folder or URL.",
        ),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(min=0, help="Of --diff: how many documents to show that came, and that went."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Of `mixture`: how many languages, licences and domains to show."),
    ] = None,
    run_folder: Annotated[
        Path | None,
        typer.Option("--run", parser=place, metavar="RUN", help="The run that PATH names a step of."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look into a run, a file of one, or a tokenizer. Of a run: steps, documents, mixture and packing.

    `inspect mixture RUN` tells what is drawn of each source and group, and why a share is missed; of each
    language, licence and domain; and how long documents are. `inspect RUN --diff RUN2` tells what came and
    went from one run to another. Several paths, such as the versions of one file, are shown one after the
    other. Of a tokenizer: compression, words, digits, white space, unused and strange entries.
    """
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.inspection import inspect as inspection
    from corpusmill.pipelines.inspection.rendering import render_inspection
    from corpusmill.pipelines.records.codec import encode_told

    more = [place(one) for one in further or []]
    if what == MIXTURE and len(more) == 1:
        if against or reference or s_curve or pattern is not None or rows or at or scores:
            raise UserError("inspect mixture takes one run, and no other option but --top and --json")
        _show_mixture(more[0], top, as_json)
        return
    if top is not None:
        raise UserError("--top is an option of `inspect mixture RUN`")
    path = place(what)
    if diff is not None:
        if more or against or reference or s_curve or pattern is not None or rows or at or scores:
            raise UserError("--diff takes one run before it, and no other option but --examples and --json")
        _show_difference(path, place(diff), examples, as_json)
        return
    if examples is not None:
        raise UserError("--examples is an option of --diff")
    if more and not against and (reference or pattern is not None):
        raise UserError(f"{more[0]}: files to measure a tokenizer on follow --against")
    path = _step_or_path(path, run_folder)
    more = more if against or not more else [_step_or_path(one, run_folder) for one in more]
    if scores:
        if more or against or reference or s_curve or pattern is not None:
            raise UserError("--scores takes one run or step, and no other option but --json")
        told = inspection.inspect_scores(path)
        typer.echo(_json(encode_told(told)) if as_json else render_inspection(told))
        return
    if rows is not None or at is not None:
        if more or against or reference or s_curve or pattern is not None or (rows and at):
            raise UserError("--rows and --at take one token shard, and no other option but --json")
        _show_rows(path, rows, at, as_json)
        return
    if more and not against:
        several = [inspection.inspect(each, limit=limit) for each in (path, *more)]
        shown = "\n\n".join(render_inspection(one) for one in several)
        typer.echo(_json([encode_told(one) for one in several]) if as_json else shown)
        return
    found: Found
    if s_curve:
        found = inspection.inspect_recall(path, limit=limit, sample=sample)
    elif against or reference or pattern is not None:
        files = [*(against or []), *(more or [])]
        found = inspection.inspect_tokenizer(path, files, _references(reference or []), pattern)
    else:
        found = inspection.inspect(path, limit=limit)
    typer.echo(_json(encode_told(found)) if as_json else render_inspection(found))


def _show_mixture(run: Path, top: int | None, as_json: bool) -> None:
    from corpusmill.pipelines.api.run import open_run
    from corpusmill.pipelines.inspection.statistics_rendering import render_statistics
    from corpusmill.pipelines.records.codec import encode_told

    opened = open_run(run)
    found = opened.mixture_statistics() if top is None else opened.mixture_statistics(top)
    typer.echo(_json(encode_told(found)) if as_json else render_statistics(found))


def _show_difference(run: Path, other: Path, examples: int | None, as_json: bool) -> None:
    from corpusmill.pipelines.api.run import open_run
    from corpusmill.pipelines.inspection.run_diff.rendering import render_difference
    from corpusmill.pipelines.records.codec import encode_told

    before, after = open_run(run), open_run(other)
    found = before.diff(after) if examples is None else before.diff(after, examples)
    typer.echo(_json(encode_told(found)) if as_json else render_difference(found))


def _step_or_path(path: Path, run: Path | None) -> Path:
    """What PATH means: what lies there, else the step of that name."""
    if run is None and (path.exists() or len(path.parts) != 1):
        return path
    from corpusmill.pipelines.inspection.at_hand import step_at_hand

    return step_at_hand(str(path), run, Path.cwd())


def _show_rows(path: Path, rows: str | None, at: str | None, as_json: bool) -> None:
    """Rows of a shard, coloured where they go to a terminal that is not asked to do without (NO_COLOR)."""
    from corpusmill.pipelines.inspection.provenance import places_in, render_places
    from corpusmill.pipelines.inspection.shard_rows import shard_rows
    from corpusmill.pipelines.records.codec import encode_told
    from corpusmill.pipelines.storage.verified import verified

    verified(path)
    if rows is None:
        assert at is not None
        places = places_in(path, at)
        typer.echo(_json(encode_told(places)) if as_json else render_places(places))
        return
    found = shard_rows(path, rows)
    if as_json:
        typer.echo(_json(encode_told(found)))
        return
    from rich.console import Console

    from corpusmill.pipelines.inspection.row_rendering import render_rows
    from corpusmill.pipelines.system.terminal import unguarded

    shown = render_rows(found)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        console = Console(file=unguarded(sys.stdout))  # what it shows of documents is harmless already
        console.print(shown, highlight=False, soft_wrap=True)
    else:
        typer.echo(shown.plain)


def _references(given: list[str]) -> dict[str, Path]:
    from corpusmill.pipelines.contract.errors import UserError

    found: dict[str, Path] = {}
    faults = []
    for one in given:
        name, equals, file = one.partition("=")
        if not equals or not name or not file:
            faults.append(f"--reference {one}: expected NAME=FILE, such as o200k=o200k_base.tiktoken")
        elif name in found:
            faults.append(f"--reference {one}: there is a reference {name} already; name them apart")
        found[name] = Path(file)
    if faults:
        raise UserError("\n".join(faults))
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command()(inspect)
