"""The commands that look at a file or a tokenizer, and hand a tokenizer on: `inspect` and `export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A run folder, dataset, token shard, removed file or tokenizer.")
    ],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="Further files for --against.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many rows to show.")] = 5,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Measure a tokenizer on this text, JSON Lines or Parquet."),
    ] = None,
    reference: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Measure this tokenizer beside it.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="The pre-tokenizer of a rank file (.tiktoken): cl100k, o200k, ...")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look into a run, a file of one, or a tokenizer. Of a run: steps, documents, mixture and packing.

    Of a tokenizer: compression, words, digits, white space, unused and strange entries.
    """
    from corpusmill.pipelines.errors import UserError
    from corpusmill.pipelines.inspection import inspect as inspection

    if more and not against:
        raise UserError(f"{more[0]}: one path at a time; files to measure a tokenizer on follow --against")
    if against or reference or pattern is not None:
        files = [*(against or []), *(more or [])]
        found = inspection.inspect_tokenizer(path, files, _references(reference or []), pattern)
    else:
        found = inspection.inspect(path, limit=limit)
    typer.echo(_json(found) if as_json else inspection.render_inspection(found))


def _references(given: list[str]) -> dict[str, Path]:
    from corpusmill.pipelines.errors import UserError

    found: dict[str, Path] = {}
    for one in given:
        name, equals, file = one.partition("=")
        if not equals or not name or not file:
            raise UserError(f"--reference {one}: expected NAME=FILE, such as o200k=o200k_base.tiktoken")
        if name in found:
            raise UserError(f"--reference {one}: there is a reference {name} already; name them apart")
        found[name] = Path(file)
    return found


def export(
    tokenizer: Annotated[Path, typer.Argument(help="A tokenizer's folder, a run, or its step `tokenizer`.")],
    out: Annotated[Path, typer.Argument(help="Where to write.")],
    to: Annotated[str, typer.Option(help="huggingface, tiktoken, gguf or sentencepiece.")],
    as_json: JsonOption = False,
) -> None:
    """Write a tokenizer for another library. What was written is loaded again and compared."""
    from corpusmill.pipelines.errors import UserError
    from corpusmill.pipelines.inspection.tokenizer_files import tokenizer_file
    from corpusmill.pipelines.registry import room_command

    file = tokenizer_file(tokenizer) if tokenizer.is_dir() else None
    if file is None:
        raise UserError(f"{tokenizer}: no tokenizer in this folder; give its folder, a run, or a run's step")
    facts = room_command("tokenizer", "export_tokenizer")(file.parent, to, out)
    if as_json:
        typer.echo(_json(facts))
    else:
        typer.echo("\n".join(f"{name}: {_plain(value)}" for name, value in facts.items()))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(inspect)
    app.command()(export)
