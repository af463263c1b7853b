"""The commands that something begins with: `init`, `sample-corpus` and `schema`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from corpusmill.pipelines.cli.inspect import JsonOption


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of data.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "--out", metavar="FILE", help="The recipe, a new file; else FOLDER.yaml."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a first recipe for a folder of data. It looks at the data, and overwrites nothing.

    JSON Lines, Parquet, Arrow, CSV, WARC, pages, texts, source trees and archives are told apart; fields of
    texts, languages and sizes are found by looking at the first records. The recipe is valid and runs.
    """
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.system.written_files import write_text

    name = (folder.resolve() if folder.name == ".." else folder.absolute()).name or "corpus"
    path = Path(f"{name}.yaml") if output is None else output
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: is there already; name a new file with --output")
    text, sources, left_out = room_command("filters", "starting_recipe")(folder, path)
    write_text(path, text, new=True)
    if as_json:
        told = {
            "recipe": str(path),
            "sources": {
                one.name: {"reader": one.kind, "files": one.files, "bytes": one.bytes, "lang": one.languages}
                for one in sources
            },
            "left_out": left_out,
        }
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    for one in sources:
        typer.echo(f"{one.name}: {one.kind}, {one.counted}, {one.bytes:,} bytes")
    for why, names in left_out.items():
        typer.echo(f"not read: {names[0]}{f' and {len(names) - 1:,} more' if len(names) > 1 else ''}: {why}")
    typer.echo(f"{path} is written; corpusmill plan {shlex.quote(str(path))} tells what it would do")


def schema(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe whose plugins the schema is to know; it may have faults.")
    ] = None,
) -> None:
    """Print the JSON Schema of recipes, for editors."""
    from corpusmill.pipelines.recipe.json_schema import recipe_schema
    from corpusmill.pipelines.recipe.loader import load_plugins

    if recipe is not None:
        load_plugins(recipe)
    typer.echo(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))


def sample_corpus(
    folder: Annotated[Path, typer.Argument(help="Where to write the sample.")],
    megabytes: Annotated[
        int, typer.Option(help="Millions of bytes of text to aim for.", min=2, max=200)
    ] = 30,
    as_json: JsonOption = False,
) -> None:
    """Build a corpus of what is installed here. Reads only, no network."""
    from corpusmill.pipelines.cli.sample_table import render_sample
    from corpusmill.pipelines.sample.build import build_sample

    found = build_sample(folder, megabytes=megabytes)
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, default=str))
    else:
        typer.echo(render_sample(folder, found))


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(init)
    app.command()(schema)
    app.command("sample-corpus")(sample_corpus)
