"""The commands that something begins with: `init`, `sample-corpus` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from corpusmill.pipelines.cli.inspect import JsonOption


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
    app.command()(schema)
    app.command("sample-corpus")(sample_corpus)
