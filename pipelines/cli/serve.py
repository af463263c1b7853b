"""The command that shows a run in the browser: `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpusmill.pipelines.api.places import place


def serve(
    run_folder: Annotated[
        Path, typer.Argument(parser=place, metavar="RUN", help="The folder or URL of a run.")
    ],
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 takes one that is free.", min=0, max=65535)] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the address in a browser.")
    ] = True,
) -> None:
    """Show a run in the browser, while it runs and after. This machine only, reads only, until Ctrl-C."""
    from corpusmill.pipelines.api.run import open_run

    open_run(run_folder).serve(port=port, browser=browser)


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command()(serve)
