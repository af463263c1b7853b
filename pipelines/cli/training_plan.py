"""The commands that plan a training on many devices: `schedule` and `plan-training`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

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


def plan_training(
    preset: Annotated[str, typer.Argument(help="A model's preset, such as v3-671b.")],
    nodes: Annotated[int, typer.Option(help="Machines.", min=1)],
    gpus: Annotated[int, typer.Option(help="GPUs of each.", min=1)],
    pipeline: Annotated[
        int | None, typer.Option(help="Pipeline ranks; else what is fastest of what fits.", min=1)
    ] = None,
    experts: Annotated[
        int | None, typer.Option(help="GPUs that the experts of a layer are spread over; likewise.", min=1)
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="1f1b, zb1p, dualpipe or dualpipev; else dualpipe where it can be.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Sequences of a step.", min=1)] = 15360,
    context: Annotated[int, typer.Option(help="Tokens of a sequence.", min=1)] = 4096,
    sequences: Annotated[int, typer.Option(help="Sequences of a chunk (micro-batch).", min=1)] = 1,
    precision: Annotated[Literal["fp8", "bf16"], typer.Option(help="Of products.")] = "fp8",
    efficiency: Annotated[float, typer.Option(help="Share of the peak that products reach.")] = 0.35,
    vocabulary: Annotated[int, typer.Option(help="Tokens of the vocabulary.", min=1)] = 129280,
    mtp: Annotated[int, typer.Option(help="Depth of multi-token prediction.", min=0)] = 1,
    hardware: Annotated[str, typer.Option(help="h800, h100 or h200.")] = "h800",
    figures: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIGURE=NUMBER", help="Change a figure of the hardware: memory=96e9"),
    ] = None,
    svg: SvgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a training on many GPUs: memory, bubble, all-to-all, tokens a second. Runs nothing.

    Every figure follows from the model's sizes and the hardware's, which --json shows. For v3-671b on 256
    nodes of 8 the figures of DeepSeek-V3's report stand beside, with what each rests on.
    """
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.records.codec import encode

    found, words = room_command("training_hooks", "plan_training")(
        preset,
        nodes=nodes,
        per_node=gpus,
        hardware=hardware,
        changes=_numbers(figures or []),
        work={
            "batch": batch,
            "context": context,
            "sequences": sequences,
            "precision": precision,
            "efficiency": efficiency,
        },
        vocabulary=vocabulary,
        mtp=mtp,
        pipeline=pipeline,
        experts=experts,
        method=schedule,
        svg=svg,
    )
    typer.echo(json.dumps(encode(found), indent=1) if as_json else words)


def _numbers(given: list[str]) -> dict[str, float]:
    from corpusmill.pipelines.contract.errors import UserError

    found = {}
    for one in given:
        name, _, number = one.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise UserError(f"--set {one}: write FIGURE=NUMBER, such as --set memory=96e9") from None
    return found


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(schedule)
    app.command("plan-training")(plan_training)
