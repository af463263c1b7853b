"""The commands that look for weights of a mixture: `mixture runs` and `mixture fit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from corpusmill.pipelines.cli.inspect import JsonOption

if TYPE_CHECKING:
    from corpusmill.pipelines.records.fitted_mixture import FittedMixture

app = typer.Typer(
    name="mixture",
    help="Find weights of a mixture by small runs.",
    add_completion=False,
    rich_markup_mode=None,
)
ReuseOption = Annotated[
    Path | None,
    typer.Option(help="Weights of an earlier mixture (YAML) whose ratios are kept but for --changed."),
]
ChangedOption = Annotated[
    list[str] | None, typer.Option(metavar="SOURCE", help="A source that --reuse does not keep.")
]


@app.command()
def runs(
    recipe: Annotated[Path, typer.Argument(help="A recipe that trains a small model on a budget of tokens.")],
    table: Annotated[Path, typer.Option(help="The CSV to write, or to go on with.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override one value: train.steps=400"),
    ] = None,
    count: Annotated[int, typer.Option(help="How many mixtures, the proportional one first.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Of the draws of mixtures.")] = 0,
    mixtures: Annotated[
        Path | None, typer.Option(help="A CSV of mixtures to train on, in place of drawn ones.")
    ] = None,
    reuse: ReuseOption = None,
    changed: ChangedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a small model on each of many mixtures. Writes their weights and losses as a table.

    All that comes before the mixture is done once. The same command goes on where it was stopped.
    """
    from corpusmill.pipelines.cli.progress import progress
    from corpusmill.pipelines.recipe.loader import load_recipe
    from corpusmill.pipelines.recipe.registry import room_command

    with progress() as listener:
        found = room_command("mixtures", "mixture_runs")(
            lambda more: load_recipe(recipe, [*(overrides or []), *more], inputs=True),
            table,
            count=count,
            seed=seed,
            mixtures=mixtures,
            reuse=reuse,
            changed=changed or [],
            say=lambda words: typer.echo(words, err=True),
            listener=listener,
        )
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        typer.echo(
            f"{found['table']}: {found['runs']} runs, {found['done_now']} of them now; "
            f"next: corpusmill mixture fit {found['table']}"
        )


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="A CSV of runs, as `mixture runs` writes it.")],
    metrics: Annotated[
        Path | None, typer.Argument(help="A second CSV with the losses, joined by the column `run`.")
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(help="YAML of the tokens there are; else TABLE.sources.yaml if it is there."),
    ] = None,
    prior: Annotated[Path | None, typer.Option(help="Weights (YAML) to stay near to.")] = None,
    value: Annotated[
        list[str] | None, typer.Option(metavar="MEASURE=NUMBER", help="Weight of a loss; else all alike.")
    ] = None,
    form: Annotated[
        Literal["linear", "log_linear"] | None,
        typer.Option(help="Form of the regression; else the one that predicts runs left out better."),
    ] = None,
    kl: Annotated[
        float, typer.Option(help="Penalty on leaving the prior, in the loss's unit for a nat.", min=0.0)
    ] = 0.1,
    tokens: Annotated[int | None, typer.Option(help="Tokens of the mixture to propose.", min=1)] = None,
    max_epochs: Annotated[float | None, typer.Option(help="Most epochs of a source.", min=0.01)] = None,
    reuse: ReuseOption = None,
    changed: ChangedOption = None,
    unseen: Annotated[
        Path | None, typer.Option(help="A CSV of runs that are not fitted, to compare predictions with.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the redraws that tell how sure it is.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Propose weights of a mixture from the losses of small runs. Says how sure they are."""
    from corpusmill.pipelines.recipe.registry import room_command
    from corpusmill.pipelines.records.codec import encode

    found: FittedMixture = room_command("mixtures", "mixture_fit")(
        table,
        metrics,
        sources=sources,
        prior=prior,
        values=_values(value or []),
        form=form,
        kl=kl,
        tokens=tokens,
        max_epochs=max_epochs,
        reuse=reuse,
        changed=changed or [],
        unseen=unseen,
        seed=seed,
    )
    typer.echo(json.dumps(encode(found), indent=1, ensure_ascii=False) if as_json else render_fit(found))
    for words in found.warnings:
        typer.echo(f"warning: {words}", err=True)


def _values(given: list[str]) -> dict[str, float]:
    from corpusmill.pipelines.contract.errors import UserError

    found = {}
    for one in given:
        name, separator, number = one.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise UserError(f"--value {one}: write MEASURE=NUMBER, such as --value code=2")
    return found


def render_fit(found: FittedMixture) -> str:
    """The proposal as YAML for a recipe, with what is known of it as comments."""
    better = found.predicted_of_prior - found.predicted
    lines = [
        f"# {found.runs} runs, {len(found.measures)} losses; form {found.form}",
        *(
            f"#   {name}: runs left out are predicted to {one.error:.4f} "
            f"(rank correlation {one.rank_correlation:.2f})"
            for name, one in found.forms.items()
        ),
        f"#   the mean of the other runs: {found.error_of_mean:.4f}",
        f"# predicted {found.predicted:.4f}, of the prior {found.predicted_of_prior:.4f} "
        f"({found.prior_from}): better by {better:.4f}, "
        f"in nine of ten redraws by {found.gain.low:.4f} to {found.gain.high:.4f}",
    ]
    if found.unseen is not None:
        of = found.unseen
        lines += [
            f"# {len(of.runs)} runs that were not fitted are predicted to {of.error:.4f} "
            f"(rank correlation {of.rank_correlation:.2f}), by the mean of the others {of.error_of_mean:.4f}",
            *(
                f"#   {name}: {one.predicted:.4f}, measured {one.measured:.4f}"
                for name, one in of.runs.items()
            ),
        ]
    if found.reused:
        lines.append(f"# in their ratio of before: {', '.join(found.reused)}")
    lines.append("weights:")
    width = max(len(name) for name in found.shares) + 1
    for name, share in found.shares.items():
        limit = f", at most {share.most:.3f}" if share.most < 1 else ""
        lines.append(
            f"  {name + ':':{width}} {share.weight:.4f}  "
            f"# {share.between.low:.3f} to {share.between.high:.3f}; "
            f"prior {share.prior:.3f}, simulated {found.simulated[name]:.3f}{limit}"
        )
    return "\n".join(lines)


def add_commands(other: typer.Typer) -> None:
    """Make these commands a group of `other`."""
    other.add_typer(app)
