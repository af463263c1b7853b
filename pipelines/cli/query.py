"""The commands that ask a run: `query`, `sample` and `nearest`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli.inspect import JsonOption

if TYPE_CHECKING:
    import polars as pl

    from corpusmill.pipelines.api.run import Run
    from corpusmill.pipelines.inspection.sampling import SampledDocument

RunArgument = Annotated[Path, typer.Argument(parser=place, metavar="RUN", help="The folder or URL of a run.")]


def query(
    run_folder: RunArgument,
    sql: Annotated[str | None, typer.Argument(metavar="SELECT", help="A query, in quotes.")] = None,
    tables: Annotated[bool, typer.Option("--tables", help="Show the tables and their columns.")] = False,
    limit: Annotated[int, typer.Option(help="How many rows to show; --json and --out have all.", min=1)] = 50,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the answer: .parquet, .csv or .jsonl.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a run by SQL: what is kept, removed and why, scores, duplicates, tokens, the mixture. Reads only.

    The SQL is that of polars. Only the columns that a query uses are read.
    """
    from corpusmill.pipelines.api.run import open_run
    from corpusmill.pipelines.contract.errors import UserError

    run = open_run(run_folder)
    if tables or sql is None:
        typer.echo(json.dumps(_described(run), indent=1) if as_json else render_tables(run))
        return
    if out is not None and (out.exists() or out.suffix not in (".parquet", ".csv", ".jsonl")):
        raise UserError(f"{out}: name a new file that ends in .parquet, .csv or .jsonl")
    if out is not None and not out.parent.is_dir():
        raise UserError(f"{out}: there is no folder {out.parent}; make it first")
    found = run.query(sql)
    if out is not None:
        _write(found, out)
        typer.echo(f"{out}: {found.height:,} rows", err=True)
    elif as_json:
        rows = _finite(found).to_dicts()
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False, default=str, allow_nan=False))
    else:
        typer.echo(render_frame(found, limit))


def sample(
    run_folder: RunArgument,
    count: Annotated[int, typer.Option("-n", "--count", help="How many documents.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    source: Annotated[str | None, typer.Option(help="Of this source alone.")] = None,
    lang: Annotated[str | None, typer.Option(help="Of this language alone.")] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Of what was removed or quarantined.")] = False,
    reason: Annotated[str | None, typer.Option(help="Removed for this reason.")] = None,
    stage: Annotated[str | None, typer.Option(help="Removed by this stage.")] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="The run's recipe: to read again what a source's steps removed."),
    ] = None,
    characters: Annotated[int, typer.Option(help="Of each text; --json has all.", min=0)] = 2000,
    as_json: JsonOption = False,
) -> None:
    """Show documents drawn at random, with their texts: kept ones, or those removed for a reason."""
    from dataclasses import asdict

    from corpusmill.pipelines.api.recipe import Recipe
    from corpusmill.pipelines.api.run import open_run

    found = open_run(run_folder).sample(
        count,
        seed=seed,
        source=source,
        lang=lang,
        removed=removed,
        reason=reason,
        stage=stage,
        recipe=None if recipe is None else Recipe.load(recipe),
    )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
    else:
        typer.echo("\n\n".join(render_document(one, characters) for one in found) or "none")


def nearest(
    run_folder: RunArgument,
    text: Annotated[
        Path,
        typer.Option(
            "--text", metavar="FILE", help="The text, UTF-8; `-` for standard input.", allow_dash=True
        ),
    ],
    count: Annotated[int, typer.Option("-n", "--count", help="How many documents.", min=1)] = 10,
    as_json: JsonOption = False,
) -> None:
    """Find the documents of a run that are most like a text, kept or removed.

    By what its deduplication stored of every document (`dedup: [minhash]`), so no text of the run is read.
    """
    from corpusmill.pipelines.api.run import open_run
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.inspection.nearest_rendering import render_nearest
    from corpusmill.pipelines.records.codec import encode

    try:
        raw = sys.stdin.buffer.read() if str(text) == "-" else text.read_bytes()
        read = raw.decode("utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"--text {text}: no such file; name a file of text, or `-` for standard input"
        ) from error
    except OSError as error:
        raise UserError(f"--text {text}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--text {text}: is not UTF-8 ({error}); convert it first") from error
    found = open_run(run_folder).nearest(read, count)
    typer.echo(json.dumps(encode(found), indent=1, ensure_ascii=False) if as_json else render_nearest(found))


def render_document(one: SampledDocument, characters: int) -> str:
    """A document drawn, with the beginning of its text."""
    from corpusmill.pipelines.inspection import plain_text

    said = [one.id or one.position or "no id", one.source, one.lang or "no language", f"{one.bytes:,} bytes"]
    if one.stage is not None:
        said.append(f"{one.stage}: {one.reason}" + (f" ({why})" if (why := _detail(one)) else ""))
    lines = ["--- " + "  ".join(plain_text.printable(word, 300) for word in said)]
    if one.text is None:
        lines.append(f"(no text: {one.why_not})")
        if one.excerpt:
            lines += ["it begins:", *(plain_text.printable(x, 10**6) for x in one.excerpt.splitlines())]
    else:
        more = len(one.text) - characters
        shown = [plain_text.printable(line, 10**6) for line in one.text[:characters].splitlines()]
        lines += shown + ([f"... {more:,} more characters"] if more > 0 else [])
    return "\n".join(lines)


def _detail(one: SampledDocument) -> str:
    """The scores that are known of a document, or what else is told of its end."""
    from corpusmill.pipelines.inspection.trails import detail_scores

    scores = detail_scores(one.detail)
    if not scores:
        return "" if one.detail in (None, "{}") else str(one.detail)
    known = {name: value for name, value in scores.items() if value is not None}
    return ", ".join(f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in known.items())


def render_tables(run: Run) -> str:
    """The tables with their columns, types and what they mean."""
    lines = []
    for table in run.tables.values():
        lines += ["", f"{table.name}: {table.about}"]
        width = max(len(column.name) for column in table.columns)
        lines += [
            f"  {column.name:{width}}  {str(column.type).replace('large_', '')!s:7}  {column.about}"
            for column in table.columns
        ]
    return "\n".join(lines[1:])


def _described(run: Run) -> dict[str, object]:
    return {
        table.name: {
            "about": table.about,
            "columns": {
                column.name: {"type": str(column.type), "about": column.about} for column in table.columns
            },
        }
        for table in run.tables.values()
    }


def render_frame(frame: pl.DataFrame, limit: int) -> str:
    """The first rows as columns of text."""
    from corpusmill.pipelines.inspection import plain_text

    rows = [
        ["" if value is None else plain_text.printable(_said(value), 80) for value in row]
        for row in frame.head(limit).iter_rows()
    ]
    widths = [max(len(cell) for cell in column) for column in zip(frame.columns, *rows, strict=True)]
    numbers = [kind.is_numeric() for kind in frame.dtypes]

    def line(cells: list[str]) -> str:
        placed = zip(cells, widths, numbers, strict=True)
        return "  ".join(f"{cell:>{w}}" if right else f"{cell:<{w}}" for cell, w, right in placed).rstrip()

    lines = [line(frame.columns), line(["-" * width for width in widths]), *map(line, rows)]
    if frame.height > limit:
        lines.append(f"... {frame.height - limit:,} more rows (--limit, --json, --out)")
    return "\n".join(lines)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(frame: pl.DataFrame, out: Path) -> None:
    """Write the answer whole or not at all. Raises UserError where the format or the disk refuses it."""
    import polars as pl

    from corpusmill.pipelines.contract.errors import UserError

    part = out.with_name(out.name + ".part")
    try:
        if out.suffix == ".parquet":
            frame.write_parquet(part)
        elif out.suffix == ".csv":
            frame.write_csv(part)
        else:
            _finite(frame).write_ndjson(part)
        part.replace(out)
    except (pl.exceptions.PolarsError, OSError) as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{out}: the answer cannot be written: {error}") from error


def _finite(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with numbers that JSON has: null for NaN and infinities, floats for decimals (`0.5`)."""
    import polars as pl
    from polars import selectors

    frame = frame.with_columns(selectors.decimal().cast(pl.Float64))
    floats = selectors.float()
    return frame.with_columns(pl.when(floats.is_finite()).then(floats).otherwise(None))


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(query)
    app.command()(sample)
    app.command()(nearest)
