"""The command that shows how devices share a served model's experts: `experts`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli.inspect import JsonOption


def experts(
    model: Annotated[
        Path,
        typer.Argument(
            parser=place, metavar="MODEL", help="A run with a trained model, or a model's folder."
        ),
    ],
    devices: Annotated[int, typer.Option(help="Devices of each pool.", min=1, max=4096)] = 8,
    slots: Annotated[
        int | None,
        typer.Option(
            help="Experts that a device has room for, of each layer; else an even share and one.", min=1
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(help="Nodes that the devices stand in.", min=1)] = 2,
    every: Annotated[int, typer.Option(help="Plan anew after so many tokens of a pool.", min=1)] = 2048,
    requests: Annotated[int, typer.Option(help="Prompts to serve.", min=1)] = 64,
    prompt: Annotated[int, typer.Option(help="Tokens of each.", min=1)] = 64,
    new: Annotated[int, typer.Option(help="New tokens of each.", min=2)] = 32,
    batch: Annotated[int, typer.Option(help="Prompts that are served at once.", min=1)] = 16,
    temperature: Annotated[float, typer.Option(help="Of the draws of new tokens.", min=0.0)] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the draws of new tokens.")] = 0,
    file: Annotated[
        Path | None, typer.Option(help="A text to take prompts from; else the run's held-out documents.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", min=1, max=1024)] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve prompts through simulated devices with redundant experts, and show how even their load is.

    One pool of devices reads the prompts, another writes, each with plans of its own from the loads that it
    measures. Without redundant experts the same tokens are counted beside.
    """
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.records.codec import encode

    found, words = room_command("training_hooks", "experts")(
        model,
        shards=() if file is not None else _held_out(model),
        file=file,
        devices=devices,
        slots=slots,
        nodes=nodes,
        every=every,
        requests=requests,
        prompt=prompt,
        new=new,
        batch=batch,
        temperature=temperature,
        seed=seed,
        threads=threads,
    )
    typer.echo(json.dumps(encode(found), indent=1) if as_json else words)


def _held_out(model: Path) -> tuple[Path, ...]:
    from corpusmill.pipelines.api.library import open_run
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.storage.run_folder import RunFolder

    if not RunFolder(model).begun:
        raise UserError(f"{model}: no run, so no held-out documents to take prompts from; give --file")
    return open_run(model).shards().held_out


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`."""
    app.command()(experts)
