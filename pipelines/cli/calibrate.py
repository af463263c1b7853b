"""The command that chooses limits: `calibrate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from corpusmill.pipelines.api.places import place


def calibrate(
    filter_name: Annotated[str, typer.Argument(metavar="FILTER", help="A filter with limits by language.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            parser=place,
            metavar="FILE...",
            help="A corpus you trust: JSON Lines or Parquet, each document with `text` and `lang`.",
        ),
    ],
    lang: Annotated[
        str | None, typer.Option(help="The language of documents that have no field `lang`.")
    ] = None,
    quantile: Annotated[
        float, typer.Option(help="The share of the corpus that one limit may remove.", min=0.0, max=0.5)
    ] = 0.01,
    least: Annotated[
        int, typer.Option(help="Documents, long enough, that a language needs for limits of its own.", min=1)
    ] = 100,
    stop_words: Annotated[int, typer.Option(help="At most so many stop words.", min=0)] = 16,
    parallel: Annotated[
        Path | None,
        typer.Option(
            parser=place,
            metavar="FOLDER",
            help="One text in several languages (en.txt, ja.txt, ...): scales limits that count words.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the YAML to this new file, not to standard output.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Choose limits of a filter by language on a corpus you trust, for `by_language` of a recipe."""
    import yaml

    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.system.written_files import write_text

    if output is not None and output.exists():
        raise UserError(f"{output} is there already; name a new file")
    found = room_command("filters", "calibrate")(
        filter_name,
        files,
        language=lang,
        quantile=quantile,
        least=least,
        stop_words=stop_words,
        parallel=parallel,
    )
    few = found.pop("_too_few", {})
    if as_json:
        content = json.dumps(found, indent=1, ensure_ascii=False)
    else:
        content = yaml.safe_dump(
            found, allow_unicode=True, sort_keys=False, width=100, default_flow_style=None
        ).rstrip("\n")
    if output is None:
        typer.echo(content)
    else:
        write_text(output, content + "\n")
    for code, count in sorted(few.items()):
        typer.echo(f"{code}: no limits chosen on {count} documents, {least} are needed", err=True)


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command()(calibrate)
