"""The commands between corpusmill and other tools: `export`, `import` and `curves`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli.inspect import JsonOption
from corpusmill.pipelines.contract.conversion import Kind
from corpusmill.pipelines.exports.find import export_names, import_names

PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A file that defines a format of your own. May be repeated."),
]


def export(
    what: Annotated[
        Path,
        typer.Argument(
            parser=place,
            metavar="WHAT",
            help="A run, its step, a folder or file: of documents, shards, a tokenizer or a model.",
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Where to write: a path, or a URL.")],
    to: Annotated[str, typer.Option(help=f"A format: {', '.join(export_names())}.")],
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Of a model's weights: float32 by default.")
    ] = None,
    ema: Annotated[bool, typer.Option("--ema", help="Of a model: the averaged weights.")] = False,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Of a model: its tokenizer, where it is not found by itself.")
    ] = None,
    sequences: Annotated[
        Literal["rows", "documents"] | None,
        typer.Option(help="Of shards: rows as they were packed, or documents put together again."),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Of documents: a source to write. May be repeated.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Of documents: columns to write, with commas, such as id,text,scores.c4_lines."),
    ] = None,
    file_bytes: Annotated[
        str | None, typer.Option(help="Of documents: bytes of text after which a file ends: 512MiB.")
    ] = None,
    of: Annotated[
        Kind | None,
        typer.Option(help="What to write of a run where formats share a name: of documents by default."),
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write documents, shards, a model or a tokenizer for other libraries. All of it is read and compared."""
    from corpusmill.pipelines.contract.plugins import use_plugins
    from corpusmill.pipelines.exports.perform import perform
    from corpusmill.pipelines.storage.remote.exported import written_to

    use_plugins(plugin or [])
    options = {
        "dtype": dtype,
        "ema": ema or None,
        "tokenizer": tokenizer,
        "sequences": sequences,
        "source": source or None,
        "columns": None if columns is None else _names(columns),
        "file_bytes": None if file_bytes is None else _size(file_bytes),
    }
    with written_to(out) as made:
        found = perform(what, made, to, of, options)
    _print({name: out if value == str(made) else value for name, value in found.items()}, as_json)


def _names(text: str) -> list[str]:
    """The names between commas. Raises UserError where there is none."""
    from corpusmill.pipelines.contract.errors import UserError

    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UserError(f"--columns {text!r}: a name is empty; write names with commas, such as id,text")
    return names


def _size(text: str) -> int:
    """A number of bytes. Raises UserError for what is none."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.recipe.quantities import parse_quantity

    try:
        size = parse_quantity(text)
    except ValueError as error:
        raise UserError(f"--file-bytes: {error}") from error
    if size < 1:
        raise UserError("--file-bytes 0: a file holds at least one byte; give more")
    return size


def import_model(
    folder: Annotated[Path, typer.Argument(help="A DeepSeek-V3 folder: config.json and safetensors.")],
    out: Annotated[Path, typer.Argument(help="Where to write the model, a new folder.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="The folder of its tokenizer, where not beside the weights.")
    ] = None,
    layout: Annotated[
        str, typer.Option("--from", help=f"A format: {', '.join(import_names())}.")
    ] = "deepseek_v3",
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a model in the layout of DeepSeek-V3's releases, to generate with it or to train it on."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.contract.plugins import use_plugins
    from corpusmill.pipelines.exports.find import import_named

    use_plugins(plugin or [])
    chosen = import_named(layout)
    if tokenizer is not None and "tokenizer" not in chosen.options:
        raise UserError(f"--tokenizer is not for --from {layout}")
    options = {} if tokenizer is None else {"tokenizer": tokenizer}
    _print(chosen.read(folder, out, **options), as_json)


def curves(
    run: Annotated[
        Path,
        typer.Argument(
            parser=place, metavar="RUN", help="A run with a trained model, or one of its training steps."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Where to write, a new folder: TensorBoard's --logdir.")],
    by: Annotated[
        Literal["step", "tokens"], typer.Option(help="The x axis: optimiser steps, or tokens trained on.")
    ] = "step",
    as_json: JsonOption = False,
) -> None:
    """Write the curves of a training for TensorBoard. Losses, balance, learning rate and held-out scores."""
    from corpusmill.pipelines.recipe.registry import room_command

    _print(room_command("training_hooks", "curves")(run, out, by=by), as_json)


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False, default=str))
    else:
        typer.echo("\n".join(line for name, value in found.items() for line in _lines(name, value)))


def _lines(name: str, value: object, indent: str = "") -> Iterator[str]:
    """A figure as a line, a mapping as a line for each entry below its name."""
    from corpusmill.pipelines.inspection.plain_text import printable

    name = printable(name.replace("_", " ") if not indent else name, 120)
    if isinstance(value, Mapping):
        yield f"{indent}{name}:" if value else f"{indent}{name}: none"
        for key, inner in value.items():
            yield from _lines(str(key), inner, f"{indent}  ")
    elif isinstance(value, (list, tuple)):
        yield f"{indent}{name}: {', '.join(_plain(one) for one in value) or 'none'}"
    else:
        yield f"{indent}{name}: {_plain(value)}"


def _plain(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_plain, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(export)
    app.command("import")(import_model)
    app.command()(curves)
