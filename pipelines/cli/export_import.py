"""The commands between corpusmill and other tools: `export`, `import` and `curves`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli.inspect import JsonOption
from corpusmill.pipelines.contract.conversion import Export, Of
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
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write documents, shards, a model or a tokenizer for other libraries. All of it is read and compared."""
    from corpusmill.pipelines.contract.plugins import use_plugins
    from corpusmill.pipelines.exports.find import export_named
    from corpusmill.pipelines.storage.remote.exported import written_to

    use_plugins(plugin or [])
    chosen = export_named(to)
    given = {"dtype": dtype, "ema": ema or None, "tokenizer": tokenizer, "sequences": sequences}
    options = {name: value for name, value in given.items() if value is not None}
    _refuse_options(options, chosen, to)
    source = _place(what, chosen.of, to)
    with written_to(out) as made:
        found = chosen.write(source, made, **options)
    _print({name: out if value == str(made) else value for name, value in found.items()}, as_json)


def _refuse_options(options: Mapping[str, Any], chosen: Export, to: str) -> None:
    """Raise UserError for the first option that the format does not take, naming those that do."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.exports.find import export_named

    for name in options:
        if name not in chosen.options:
            takers = [other for other in export_names() if name in export_named(other).options]
            raise UserError(
                f"--{name} is for {', '.join(f'--to {other}' for other in takers)}, not for --to {to}"
            )


def _place(what: Path, of: Of, to: str) -> Path:
    """What of `what` is exported. Raises UserError where it holds something else."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.inspection.tokenizer_files import looks_like_tokenizer

    if of == "a tokenizer":
        return _tokenizer_at(what)
    if of == "a model" and looks_like_tokenizer(what) and not (what / "config.json").is_file():
        from corpusmill.pipelines.exports.find import export_named

        others = [name for name in export_names() if export_named(name).of == "a tokenizer"]
        raise UserError(
            f"{what}: a tokenizer, not a model; --to {to} writes models, "
            f"a tokenizer goes --to {', '.join(others)}"
        )
    return what


def _tokenizer_at(what: Path) -> Path:
    """The folder or file of the tokenizer in `what`. Raises UserError where there is none."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.inspection.tokenizer_files import tokenizer_file

    if not what.exists():
        raise UserError(f"{what}: does not exist; give a tokenizer's folder, a run, or a tokenizer file")
    file = tokenizer_file(what)
    if file is None:
        model = any((folder / "config.json").is_file() for folder in (what, what / "data"))
        cure = "; the model here goes --to deepseek_v3" if model else ""
        raise UserError(
            f"{what}: no tokenizer in this folder; give its folder, a run, or the step that made it{cure}"
        )
    return file.parent if what.is_dir() else file


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
        typer.echo("\n".join(f"{name}: {_plain(value)}" for name, value in found.items()))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def add_commands(app: typer.Typer) -> None:
    """Make these commands of `app`."""
    app.command()(export)
    app.command("import")(import_model)
    app.command()(curves)
