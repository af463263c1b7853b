"""The commands between corpusmill and other tools: `export`, `import` and `curves`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from corpusmill.pipelines.cli.looking import JsonOption

TOKENIZER_FORMATS = ("huggingface", "tiktoken", "gguf", "sentencepiece")
MODEL_FORMATS = ("deepseek_v3",)
DATASET_FORMATS = ("dataset",)


def export(
    what: Annotated[
        Path, typer.Argument(help="A run, its step, or the folder of a tokenizer or model; a tokenizer file.")
    ],
    out: Annotated[Path, typer.Argument(help="Where to write.")],
    to: Annotated[
        str,
        typer.Option(
            help="dataset (a run's documents), deepseek_v3 (its model); of a tokenizer: huggingface, "
            "tiktoken, gguf or sentencepiece."
        ),
    ],
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Of a model's weights: float32 by default.")
    ] = None,
    ema: Annotated[bool, typer.Option("--ema", help="Of a model: the averaged weights.")] = False,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Of a model: its tokenizer, where it is not found by itself.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write documents, a model or a tokenizer for other libraries. What was written is read and compared."""
    from corpusmill.pipelines.errors import UserError

    if to in MODEL_FORMATS:
        found = _export_model(what, to, out, dtype or "float32", ema, tokenizer)
    elif to in TOKENIZER_FORMATS or to in DATASET_FORMATS:
        for option, given in (("--dtype", dtype is not None), ("--ema", ema), ("--tokenizer", tokenizer)):
            if given:
                kind = "documents" if to in DATASET_FORMATS else "a tokenizer"
                raise UserError(f"{option} is for models (--to deepseek_v3), not for {kind} (--to {to})")
        found = _export_tokenizer(what, to, out) if to in TOKENIZER_FORMATS else _export_dataset(what, out)
    else:
        raise UserError(
            f"no export format {to!r}; there are {', '.join(MODEL_FORMATS)} for a model, "
            f"{', '.join(TOKENIZER_FORMATS)} for a tokenizer and {', '.join(DATASET_FORMATS)} for documents"
        )
    _print(found, as_json)


def _export_dataset(what: Path, out: Path) -> dict[str, Any]:
    from corpusmill.pipelines.exports.dataset_folder import export_dataset

    return export_dataset(what, out)


def _export_model(
    what: Path, to: str, out: Path, dtype: str, ema: bool, tokenizer: Path | None
) -> dict[str, Any]:
    from corpusmill.pipelines.errors import UserError
    from corpusmill.pipelines.inspection.tokenizer_files import looks_like_tokenizer
    from corpusmill.pipelines.registry import room_command

    if what.exists() and looks_like_tokenizer(what) and not (what / "config.json").is_file():
        raise UserError(
            f"{what}: a tokenizer, not a model; --to {to} writes models, "
            f"a tokenizer goes --to {', '.join(TOKENIZER_FORMATS)}"
        )
    export_model = room_command("training_hooks", "export_model")
    found: dict[str, Any] = export_model(what, to, out, dtype=dtype, ema=ema, tokenizer=tokenizer)
    return found


def _export_tokenizer(what: Path, to: str, out: Path) -> dict[str, Any]:
    from corpusmill.pipelines.errors import UserError
    from corpusmill.pipelines.inspection.tokenizer_files import tokenizer_file
    from corpusmill.pipelines.registry import room_command

    if not what.exists():
        raise UserError(f"{what}: does not exist; give a tokenizer's folder, a run, or a tokenizer file")
    file = tokenizer_file(what)
    if file is None:
        model = any((folder / "config.json").is_file() for folder in (what, what / "data"))
        cure = "; the model here goes --to deepseek_v3" if model else ""
        raise UserError(
            f"{what}: no tokenizer in this folder; give its folder, a run, or a run's step `tokenizer`{cure}"
        )
    source = file.parent if what.is_dir() else file
    found: dict[str, Any] = room_command("tokenizer", "export_tokenizer")(source, to, out)
    return found


def import_model(
    folder: Annotated[Path, typer.Argument(help="A DeepSeek-V3 folder: config.json and safetensors.")],
    out: Annotated[Path, typer.Argument(help="Where to write the model, a new folder.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="The folder of its tokenizer, where not beside the weights.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a model in the layout of DeepSeek-V3's releases, to generate with it or to train it on."""
    from corpusmill.pipelines.registry import room_command

    _print(room_command("training_hooks", "import_model")(folder, out, tokenizer=tokenizer), as_json)


def curves(
    run: Annotated[Path, typer.Argument(help="A run with a trained model, or one of its training steps.")],
    out: Annotated[Path, typer.Argument(help="Where to write, a new folder: TensorBoard's --logdir.")],
    by: Annotated[
        Literal["step", "tokens"], typer.Option(help="The x axis: optimiser steps, or tokens trained on.")
    ] = "step",
    as_json: JsonOption = False,
) -> None:
    """Write the curves of a training for TensorBoard. Losses, balance, learning rate and held-out scores."""
    from corpusmill.pipelines.registry import room_command

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
