"""`corpusmill`: commands and their exit codes.

0 success; 1 the recipe, the command, the data or the machine is at fault, and the user can mend it; 2
interrupted, files of a run are damaged (from every command, `doctor` too), or a fault of corpusmill's own.
Results go to standard output (as JSON with `--json`), everything else to standard error. Only what a
command needs is imported when it runs, so `--help` stays fast.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpusmill.pipelines.api.places import place
from corpusmill.pipelines.cli import (
    calibrate,
    completion,
    experts,
    generate,
    init,
    inspect,
    mixture,
    query,
    serve,
    training_plan,
    what_if,
    worker,
)
from corpusmill.pipelines.cli.inspect import JsonOption

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import Recipe
    from corpusmill.pipelines.storage.run_folder import RunFolder

app = typer.Typer(
    name="corpusmill",
    help="From raw web, code and mathematics to a tokenizer, token shards and a small trained model.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

VerifyOption = Annotated[
    bool,
    typer.Option("--verify-inputs", help="Read all input files to see whether their bytes changed."),
]
RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a YAML file.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value: mixture.tokens=8M")
]
OutOption = Annotated[
    str | None,
    typer.Option("--out", metavar="PATH", help="Folder or URL of the run, instead of the recipe's."),
]
RunArgument = Annotated[
    Path, typer.Argument(parser=place, metavar="RUN", help="The folder or URL of a run (a recipe's output).")
]


def _load(path: Path, overrides: list[str] | None, out: str | None = None) -> Recipe:
    from dataclasses import replace

    from corpusmill.pipelines.recipe.loader import load_recipe
    from corpusmill.pipelines.recipe.remote import run_place

    recipe = load_recipe(path, overrides or [], inputs=True)
    if out is None:
        return recipe
    return replace(recipe, output_folder=run_place(out, Path.cwd(), recipe.storage).resolve())


def _open(path: Path) -> RunFolder:
    """The run in a folder. Raises UserError where there is none."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.storage.run_folder import RunFolder

    folder = RunFolder(path)
    if not folder.begun:
        raise UserError(f"{folder.location}: not a run folder (no current.json); give the recipe's output")
    return folder


def _print(value: Any, as_json: bool, text: str) -> None:
    if as_json:
        from dataclasses import is_dataclass

        from corpusmill.pipelines.records.codec import encode

        value = encode(value) if is_dataclass(value) else value
        typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))
    else:  # for people, in the recipe's words where a recipe was read
        from corpusmill.pipelines.recipe.environment import hide_values

        typer.echo(hide_values(text))


def _warn(said: Sequence[str]) -> None:
    for words in said:
        typer.echo(f"warning: {words}", err=True)


def _say_version(asked: bool) -> None:
    if asked:
        from corpusmill import __version__

        typer.echo(f"corpusmill {__version__}")
        raise typer.Exit


@app.callback()
def corpusmill(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version.")
    ] = False,
) -> None:
    """What every command shares."""


init.add_commands(app)  # first in the help: a newcomer begins with it


@app.command()
def validate(recipe: RecipeArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Check a recipe and that its files are there. Runs nothing."""
    from corpusmill.pipelines.recipe.remarks import remarks
    from corpusmill.pipelines.run.graph import build_graph

    loaded = _load(recipe, overrides)
    build_graph(loaded)  # sections that need what no other gives, and steps that cannot be
    warned = remarks(loaded)
    found = {
        "recipe": loaded.name,
        "sources": [source.name for source in loaded.sources],
        "valid": True,
        "warnings": warned,
    }
    counts = [(len(loaded.sources), "source"), (len(loaded.stages()), "stage")]
    said = ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counts)
    _print(found, as_json, f"{recipe}: valid ({said})")
    _warn(warned)


@app.command()
def plan(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    out: OutOption = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate/--no-estimate", help="Run a small cut to estimate time, memory and disk."),
    ] = True,
    at: Annotated[
        str | None, typer.Option("--at", metavar="SIZE", help="Tell what so much input would cost: 10TB.")
    ] = None,
    core_hour: Annotated[float, typer.Option("--core-hour", help="Price of an hour of one core.")] = 0.04,
    disk_month: Annotated[float, typer.Option("--disk-month", help="Price of a gigabyte a month.")] = 0.02,
    million_writes: Annotated[
        float, typer.Option("--million-writes", help="Price of a million requests that write (PUT).")
    ] = 5.0,
    million_reads: Annotated[
        float, typer.Option("--million-reads", help="Price of a million requests that read (GET).")
    ] = 0.4,
    as_json: JsonOption = False,
) -> None:
    """Show what would run, why, and what it costs. Changes nothing.

    The estimate is of time, memory and disk, from a run of a small cut in a temporary folder. With --at it is
    carried on to input of another size.
    """
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.recipe.remarks import remarks
    from corpusmill.pipelines.run.at_scale import Prices, at_scale, size_of
    from corpusmill.pipelines.run.plan import make_plan, render_plan

    loaded = _load(recipe, overrides, out)
    size = None if at is None else size_of(at)
    prices = Prices(core_hour, disk_month, million_writes, million_reads)
    if size is not None and not estimate:
        raise UserError("--at carries an estimate on; leave out --no-estimate")
    made = make_plan(loaded)
    if estimate:
        from dataclasses import replace

        from corpusmill.pipelines.cli.progress import estimating
        from corpusmill.pipelines.run.estimate import NoEstimateError, estimate_run

        try:
            with estimating(len(made.steps)) as listener:
                cost = estimate_run(loaded, listener)
            made = replace(made, estimate=cost)
            if size is not None:
                made = replace(made, at=at_scale(loaded, cost, size, prices))
        except NoEstimateError as error:
            made = replace(made, no_estimate=str(error))
    _print(made, as_json, render_plan(made))
    _warn(remarks(loaded))


@app.command()
def run(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    out: OutOption = None,
    until: Annotated[
        list[str] | None, typer.Option("--until", help="Stop after this step (may be given more than once).")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Verify every file first and make again what is damaged.")
    ] = False,
    verify_inputs: VerifyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe, or go on where it stopped. After a change it redoes only what depends on the change."""
    command = _command(recipe, overrides, out)
    loaded = _load(recipe, overrides, out)
    _run(loaded, until, as_json, command=command, repair=repair, verify_inputs=verify_inputs)


@app.command()
def train(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    out: OutOption = None,
    ranks: Annotated[
        int | None, typer.Option("--ranks", min=1, help="Processes that train together: --set train.ranks=N.")
    ] = None,
    verify_inputs: VerifyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the recipe's small model. Makes whatever of its shards is still missing.

    Started by torchrun, its processes train together, as many as it starts.
    """
    from corpusmill.pipelines.recipe.registry import room_command

    def alone(ranks: int | None, more: list[str]) -> None:
        settings = [*(overrides or []), *([] if ranks is None else [f"train.ranks={ranks}"])]
        loaded = _load(recipe, [*settings, *more], out)
        command = _command(recipe, settings, out)
        _run(loaded, _training(loaded, recipe), as_json, command=command, verify_inputs=verify_inputs)

    if not room_command("training_hooks", "torchrun")(alone, ranks):
        alone(ranks, [])


def _training(loaded: Recipe, recipe: Path) -> list[str]:
    """The steps that train a model. Raises RecipeError where there is none."""
    from corpusmill.pipelines.contract.errors import RecipeError
    from corpusmill.pipelines.contract.given import MODEL
    from corpusmill.pipelines.recipe.sections import section_that_gives
    from corpusmill.pipelines.run.graph import build_graph

    steps = [step.name for step in build_graph(loaded) if step.gives == MODEL]
    if not steps:
        section = section_that_gives(MODEL)
        assert section is not None, "no section trains a model"
        what = f"has no `{section.name}` section; add `{section.name}: {section.example}`"
        raise RecipeError(f"{recipe}: {what}")
    return steps


def _command(recipe: Path, overrides: list[str] | None, out: str | None) -> str:
    """The command that runs this recipe with these settings, from any folder."""
    parts = ["corpusmill", "run", str(recipe.absolute())]
    for one in overrides or []:
        parts += ["--set", one]
    if out is not None:
        parts += ["--out", out if "://" in out else str(Path(out).absolute())]
    return shlex.join(parts)


def _run(
    recipe: Recipe,
    until: list[str] | None,
    as_json: bool,
    *,
    command: str,
    repair: bool = False,
    verify_inputs: bool = False,
) -> None:
    from corpusmill.pipelines.cli.progress import progress
    from corpusmill.pipelines.cli.summary import summary, summary_json
    from corpusmill.pipelines.cli.summary_rendering import render_summary
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.report.build import build_report
    from corpusmill.pipelines.run.repair import naming_repair
    from corpusmill.pipelines.run.runner import run_recipe
    from corpusmill.pipelines.storage.run_folder import RunFolder

    try:
        with progress() as listener:
            result = run_recipe(
                recipe, listener, until, repair=repair, command=command, verify_inputs=verify_inputs
            )
    except UserError as error:
        folder = RunFolder(recipe.output_folder)
        if listener.began and folder.begun:
            error.add_note(f"what came so far: corpusmill report {folder.location}")
        raise
    with naming_repair(command):
        written = build_report(result.folder)
    found = summary(result, written)
    _print(summary_json(found), as_json, render_summary(found))


@app.command()
def explain(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="A document's id or its start, its URL or its path.")
    ],
    run_folder: Annotated[
        Path, typer.Option("--run", parser=place, metavar="RUN", help="The folder or URL of the run.")
    ],
    limit: Annotated[
        int, typer.Option(min=0, help="How many of the documents that it displaced to list, of each step.")
    ] = 10,
    skip: Annotated[int, typer.Option(min=0, help="How many of them to leave out before.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Tell one document's whole story. From its file to its place in a shard, or why it was removed.

    Of a removed duplicate: what is kept in its place and where they differ. Of a survivor: what was removed
    in its favour.
    """
    from corpusmill.pipelines.inspection.displaced import Page
    from corpusmill.pipelines.inspection.explain import explain as tell
    from corpusmill.pipelines.inspection.story_rendering import render_story

    story = tell(_open(run_folder), identity, Page(limit, skip))
    _print(story, as_json, render_story(story))


@app.command()
def report(run_folder: RunArgument, as_json: JsonOption = False) -> None:
    """Write a run's report again. One HTML page and its JSON twin."""
    from corpusmill.pipelines.report.build import build_report
    from corpusmill.pipelines.storage.remote.mirrors import location_of

    written = build_report(_open(run_folder))
    page, twin = location_of(written.page), location_of(written.twin)
    _print({"html": page, "json": twin}, as_json, page)


@app.command()
def doctor(
    run_folder: Annotated[
        Path | None,
        typer.Argument(parser=place, metavar="[RUN]", help="A run, by folder or URL, whose files to verify."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read all files and compare them with their hashes.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files looked at at once; as many as processors.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the environment, and a run's files. Files by their sizes or hashes, and the ledger."""
    from corpusmill.pipelines.inspection.doctor import doctor as examine
    from corpusmill.pipelines.inspection.doctor import render_doctor

    found = examine(_open(run_folder) if run_folder is not None else None, deep=deep, workers=workers)
    _print(found, as_json, render_doctor(found))
    if code := found.exit_code:
        raise typer.Exit(code)


inspect.add_commands(app)
what_if.add_commands(app)
generate.add_commands(app)
experts.add_commands(app)
calibrate.add_commands(app)
worker.add_commands(app)
mixture.add_commands(app)
query.add_commands(app)
serve.add_commands(app)
completion.add_commands(app)
training_plan.add_commands(app)


def main() -> None:
    """Entry point of the console script."""
    from corpusmill.pipelines.cli.failures import run_and_exit
    from corpusmill.pipelines.recipe.environment import hide_values
    from corpusmill.pipelines.run.engines.isolation import leave_working_directory
    from corpusmill.pipelines.system.terminal import guard_streams

    leave_working_directory()
    guard_streams(hide_values)
    run_and_exit(app, sys.argv[1:])
