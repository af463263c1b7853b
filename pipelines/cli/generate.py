"""The command that uses a trained model: `generate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli import export_import

if TYPE_CHECKING:
    from corpusmill.pipelines.records.generation import Completion, Generated, GenerationStatistics


def generate(
    model: Annotated[
        Path,
        typer.Argument(
            parser=place,
            metavar="MODEL",
            help="A run with a trained model, one of its training steps, or a model's folder.",
        ),
    ],
    prompt: Annotated[
        list[str] | None, typer.Option(help="Text to continue (may be given more than once).")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="Fill in between this text and --suffix.")] = None,
    suffix: Annotated[str | None, typer.Option(help="Fill in between --prefix and this text.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A text to continue, or .jsonl with `prompt` or `prefix` and `suffix` a line."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(help="At most so many new tokens.", min=1)] = 128,
    samples: Annotated[int, typer.Option(help="How many continuations of each.", min=1)] = 1,
    temperature: Annotated[
        float, typer.Option(help="0 takes the most likely token, 1 draws as the model says.", min=0.0)
    ] = 0.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k most likely.", min=1)] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the most likely that reach this probability.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws; the same gives the same text.")] = 0,
    draft: Annotated[
        int, typer.Option(help="MTP modules that draft ahead: faster, the same text.", min=0)
    ] = 0,
    ema: Annotated[bool, typer.Option("--ema", help="Use the averaged weights.")] = False,
    tokenizer: Annotated[
        Path | None, typer.Option(help="The model's tokenizer, where it is not found by itself.")
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where the model runs.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Processor threads.", min=1, max=1024)] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Speed, drafts and size of the cache, on standard error.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Continue a text with a trained model, or fill in its middle."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.records.codec import encode

    if (prefix is None) != (suffix is None):
        raise UserError("filling in needs both --prefix and --suffix; either may be empty")
    requests: list[dict[str, str]] = [{"prompt": one} for one in prompt or []]
    if prefix is not None and suffix is not None:
        requests.append({"prefix": prefix, "suffix": suffix})
    found: Generated = room_command("training_hooks", "generate")(
        model,
        requests=requests,
        file=file,
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        samples=samples,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        draft=draft,
        ema=ema,
        device=device,
        threads=threads,
    )
    if as_json:
        typer.echo(json.dumps(encode(found), indent=1, ensure_ascii=False))
    else:
        typer.echo(_texts(found.completions))
    if stats:
        typer.echo(render_statistics(found.statistics), err=True)


def _texts(completions: Sequence[Completion]) -> str:
    """The new texts alone; several with a line between."""
    texts = [one.text for one in completions]
    if len(texts) == 1:
        return texts[0]
    return "\n".join(f"--- {number} of {len(texts)}\n{text}" for number, text in enumerate(texts, start=1))


def render_statistics(found: GenerationStatistics) -> str:
    """Figures of `generate`, a line each."""
    speed = "" if found.tokens_per_second is None else f", {found.tokens_per_second:,.1f} a second"
    latent, expanded = found.cache_bytes_per_token, found.expanded_bytes_per_token
    lines = [
        f"prefill  {found.prompt_tokens:,} tokens in {found.prefill_seconds:.2f} s",
        f"decode   {found.new_tokens:,} tokens in {found.decode_seconds:.2f} s{speed}",
        f"cache    {latent:,} bytes a token; expanded keys and values would take {expanded:,}, "
        f"{expanded / latent:.1f} times as much",
    ]
    if found.draft_acceptance:
        shares = ["none judged" if one is None else f"{one:.1%}" for one in found.draft_acceptance]
        passes = "" if found.tokens_per_pass is None else f", {found.tokens_per_pass:.2f} tokens a pass"
        lines.append(f"drafts   {', '.join(shares)} accepted{passes}")
    return "\n".join(lines)


def add_commands(app: typer.Typer) -> None:
    """Make this command one of `app`, and those that take a model elsewhere."""
    app.command()(generate)
    export_import.add_commands(app)
