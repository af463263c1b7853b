"""The command that asks a run about other thresholds: `what-if`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli.inspect import JsonOption

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import Recipe


def what_if(
    run_folder: Annotated[
        Path, typer.Argument(parser=place, metavar="RUN", help="The folder or URL of a run.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another threshold: web.gopher_quality.min_words=30, web.language.at_least=0.7.",
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(metavar="KEY=FROM:TO:STEP", help="The kept share for many values of one threshold."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="The run's recipe: to read removed documents again, and for its plugins."),
    ] = None,
    examples: Annotated[int, typer.Option(help="Documents to show of each source and direction.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Ask a run what other thresholds would keep. From stored scores; runs nothing.

    Documents, bytes and tokens that would change sides, by source, language and reason, and examples of both
    directions. What no later stage has judged is counted as that.
    """
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.inspection.what_if import rendering
    from corpusmill.pipelines.inspection.what_if.sweep import sweep as draw
    from corpusmill.pipelines.inspection.what_if.what_if import what_if as answer
    from corpusmill.pipelines.recipe.environment import hide_values
    from corpusmill.pipelines.records.codec import encode
    from corpusmill.pipelines.storage.run_folder import RunFolder

    if sweep is not None and overrides:
        raise UserError("give --set or --sweep, not both")
    loaded = _load(recipe)
    folder = RunFolder(run_folder)
    if sweep is not None:
        curve = draw(folder, sweep)
        shown, told = rendering.render_sweep(curve), encode(curve)
    else:
        found = answer(folder, overrides or [], loaded, examples)
        shown, told = rendering.render_answer(found), encode(found)
    typer.echo(json.dumps(told, indent=1, ensure_ascii=False, default=str) if as_json else hide_values(shown))


def _load(path: Path | None) -> Recipe | None:
    from corpusmill.pipelines.recipe.loader import load_recipe

    return None if path is None else load_recipe(path)


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command(name="what-if")(what_if)
