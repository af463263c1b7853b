"""`corpusmill worker`: a process that works for a run of the engine `workers`."""

from __future__ import annotations

from typing import Annotated

import typer


def worker(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder or URL of the run.")],
    idle_seconds: Annotated[
        float, typer.Option("--idle-seconds", help="End after so long without work.", min=0)
    ] = 600.0,
) -> None:
    """Work for a run whose engine is `workers`. Started before it or after, on any machine that sees its
    folders or its objects, as often as there are cores to use."""
    import logging

    from corpusmill.pipelines.run.engines.serving import Server
    from corpusmill.pipelines.storage.remote.mirrors import asked_for

    logging.basicConfig(level="WARNING", format="%(message)s")
    server = Server(asked_for(run).resolve(), idle_seconds, lambda line: typer.echo(line, err=True))
    done = server.serve()
    typer.echo(f"worker {server.name}: {done} units done", err=True)


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command()(worker)
