"""The commands that plan a training on many devices: `schedule` and `plan-training`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from corpusmill.pipelines.cli.inspect import JsonOption

SvgOption = Annotated[Path | None, typer.Option(help="Draw the schedule into this file.")]


def schedule(
    method: Annotated[
        str | None,
        typer.Argument(metavar="[METHOD]", help="1f1b, zb1p, dualpipe, dualpipev; without it, all."),
    ] = None,
    ranks: Annotated[int, typer.Option(help="Pipeline ranks.", min=1)] = 8,
    chunks: Annotated[int, typer.Option(help="Micro-batches of a step.", min=1)] = 20,
    forward: Annotated[float, typer.Option(help="Time of a forward pass through one rank's part.")] = 1.0,
    backward: Annotated[float, typer.Option(help="Time of a backward pass.")] = 2.0,
    weight: Annotated[float, typer.Option(help="Of this, time of the gradient of the weights.")] = 1.0,
    overlapped: Annotated[
        float | None,
        typer.Option(help="Time of a forward and a backward pass side by side; else that of both."),
    ] = None,
    svg: SvgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show pipeline schedules: what each rank does in order, bubbles, activations. Runs nothing."""
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.records.codec import encode

    found, words = room_command("training_hooks", "schedule")(
        method,
        ranks=ranks,
        chunks=chunks,
        forward=forward,
        backward=backward,
        weight=weight,
        overlapped=overlapped,
        svg=svg,
    )
    typer.echo(json.dumps([encode(one) for one in found], indent=1) if as_json else words)


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(schedule)
