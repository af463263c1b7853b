"""`corpusmill mixture runs`: small models trained on drawn mixtures, and their losses as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from corpusmill.mixtures.fit.reuse import Reuse
    from corpusmill.mixtures.fit.run_table import Floats
    from corpusmill.mixtures.fit.supply import Supply
    from corpusmill.pipelines.recipe.models import Recipe
    from corpusmill.pipelines.records.mixture_plan import MixturePlan
    from corpusmill.pipelines.storage.run_folder import StepFolder

DECIMALS = 6  # of the weights in the recipe, and so in the table
LEAST = 10.0**-DECIMALS  # of a share: of a source without any, the documents held out would not be judged


def mixture_runs(
    load: Callable[[Sequence[str]], Recipe],
    table: Path,
    *,
    count: int = 20,
    seed: int = 0,
    mixtures: Path | None = None,
    reuse: Path | None = None,
    changed: Sequence[str] = (),
    say: Callable[[str], None] = lambda words: None,
    listener: Any = None,
) -> dict[str, Any]:
    """Train the recipe's model on `count` mixtures and write `table`, one row as each is done.

    `load` gives the recipe with these overrides. Mixture 0 is in proportion to the tokens there are, others
    are drawn around it (`fit.draws`), none beyond `max_epochs` of a source; with `mixtures`, a table, its
    mixtures are trained on instead. Documents held out are the same in all of them, so losses compare. Runs
    that the table has are not done again, so the same command goes on where it was stopped; all that comes
    before the mixture is done once.

    Returns the table's path, how many runs it has, and how many were done now. Raises UserError for a recipe
    without `mixture: {tokens: ...}`, `train` or documents held out, and for a table of other mixtures.
    """
    import numpy as np

    from corpusmill.mixtures.fit.run_table import RunTable, read_table, write_table
    from corpusmill.mixtures.fit.supply import supply_file, write_supply
    from corpusmill.pipelines.run.runner import run_recipe

    recipe = load([])
    _refuse_groups(recipe)
    trained, mixture = _steps(recipe)
    say("reading, judging and encoding the documents, once for all runs")
    result = run_recipe(recipe, listener, [mixture])
    supply = _supply(result.folder.current_step(mixture))
    names = tuple(sorted(name for name, tokens in supply.sources.items() if tokens))
    wanted = _wanted(names, supply, count, seed, mixtures, reuse, changed)
    write_supply(supply_file(table), supply)
    done = _done(table, names, wanted, read_table) if table.exists() else {}
    if beyond := sorted((name for name in done if int(name) >= len(wanted)), key=int):
        say(
            f"{table} has {len(beyond)} runs beyond these {len(wanted)}, from run {beyond[0]}: they stay in "
            "the table, and whether their mixtures are of this seed was not compared"
        )
    fresh = 0
    for number, weights in enumerate(wanted):
        if str(number) in done:
            continue
        say(f"run {number + 1} of {len(wanted)}: {_said(names, weights)}")
        left_out = {name: 0.0 for name in supply.sources if name not in names}
        given = {**dict(zip(names, weights.tolist(), strict=True)), **left_out}
        result = run_recipe(
            load([f"mixture.weights={json.dumps(given)}", "mixture.normalize=true"]), listener, [trained]
        )
        step = result.folder.current_step(trained)
        losses = _losses(step)
        unjudged = [name for name in names if name not in losses]
        if unjudged and not fresh:
            say(f"no documents of {', '.join(unjudged)} are held out: the table has no loss of theirs")
        measures = tuple(sorted(losses))
        _refuse_other_measures(table, done, losses)
        done[str(number)] = (weights, losses)
        rows = sorted(done, key=int)
        write_table(
            table,
            RunTable(
                tuple(rows),
                names,
                measures,
                np.stack([done[row][0] for row in rows]),
                np.array([[done[row][1][measure] for measure in measures] for row in rows]),
            ),
        )
        fresh += 1
    return {"table": str(table), "sources": str(supply_file(table)), "runs": len(done), "done_now": fresh}


def _refuse_groups(recipe: Recipe) -> None:
    """Raises UserError for a mixture with groups that other weights by source would take out."""
    from corpusmill.pipelines.contract.errors import UserError

    given = recipe.raw.get("mixture")
    mixture = given if isinstance(given, dict) else {}
    other = sorted({"by", "epochs", "phases", "policy", "temperature", "within"} & mixture.keys())
    if mixture.get("by") == "source":
        other.remove("by")
    if other:
        raise UserError(
            f"runs differ in weights by source, so `mixture: {{{other[0]}: ...}}` has no place in their "
            f"recipe; leave it out: --set mixture.{other[0]}=null"
        )


def _steps(recipe: Recipe) -> tuple[str, str]:
    """The step that trains, and the one that plans the mixture. Raises UserError."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.contract.given import MIXTURE, MODEL
    from corpusmill.pipelines.run.graph import build_graph

    steps = build_graph(recipe)
    trained = next((step.name for step in steps if step.gives == MODEL), None)
    mixture = next((step.name for step in steps if step.gives == MIXTURE), None)
    if trained is None or mixture is None:
        raise UserError(f"recipe {recipe.name} trains no model; add `train: {{preset: v3-tiny, steps: 200}}`")
    return trained, mixture


def _supply(step: StepFolder | None) -> Supply:
    from corpusmill.mixtures.fit.supply import Supply
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.records.mixture_plan import FILE, read_plan

    assert step is not None, "the mixture was planned just now"
    plan: MixturePlan = read_plan(step.file(FILE))
    if plan.requested_tokens is None:
        raise UserError("runs compare on a budget: add `mixture: {tokens: 4M}` to the recipe")
    if not plan.held_out.documents:
        raise UserError("runs are judged on documents held out: add `pack: {held_out: 0.02}` to the recipe")
    taken = {
        name: one.available_tokens if one.requested_share > 0 else 0 for name, one in plan.sources.items()
    }
    return Supply(taken, plan.requested_tokens, plan.max_epochs)


def _wanted(
    names: tuple[str, ...],
    supply: Supply,
    count: int,
    seed: int,
    mixtures: Path | None,
    reuse: Path | None,
    changed: Sequence[str],
) -> list[Floats]:
    """The mixtures to train on, each float64[S] with DECIMALS places."""
    import numpy as np

    from corpusmill.mixtures.fit.draws import drawn
    from corpusmill.mixtures.fit.reuse import reuse_of
    from corpusmill.mixtures.fit.run_table import read_mixtures
    from corpusmill.mixtures.fit.supply import read_weights
    from corpusmill.pipelines.contract.errors import UserError

    if mixtures is not None:
        return [_whole(weights) for weights in read_mixtures(mixtures, names)]
    prior, cap = supply.proportional(names), supply.caps(names)
    kept: Reuse | None = None
    if reuse is not None:
        kept = reuse_of(names, read_weights(reuse), changed)
        prior, cap = kept.taken_together(prior[None])[0], kept.cap(cap)
    elif changed:
        raise UserError("--changed names what --reuse does not keep; give --reuse FILE")
    found = np.stack([drawn(prior, cap, number, seed) for number in range(count)])
    return [_whole(weights) for weights in (found if kept is None else kept.spread(found))]


def _whole(weights: Floats) -> Floats:
    """`weights` with DECIMALS places, none 0, adding up to 1 but for rounding."""
    import numpy as np

    return np.asarray(np.round(np.maximum(weights, LEAST) / np.maximum(weights, LEAST).sum(), DECIMALS))


def _done(
    table: Path, names: tuple[str, ...], wanted: Sequence[Floats], read: Callable[[Path], Any]
) -> dict[str, tuple[Floats, Mapping[str, float]]]:
    """Runs that the table has. Raises UserError where they are of other mixtures."""
    import numpy as np

    from corpusmill.pipelines.contract.errors import UserError

    found = read(table)
    if found.sources != names:
        raise UserError(
            f"{table} is of the sources {', '.join(found.sources)}; name a new file for these runs"
        )
    for name, weights in zip(found.names, found.weights, strict=True):
        if not (name.isdecimal() and name.isascii() and str(int(name)) == name):
            raise UserError(
                f"{table}: run {name} is none of this command's, which are 0, 1, ...; name a new file"
            )
        ours = wanted[int(name)] if int(name) < len(wanted) else None
        if ours is not None and np.abs(ours / ours.sum() - weights).max() > 10.0**-DECIMALS:
            raise UserError(f"{table}: run {name} is of another mixture (another seed?); name a new file")
    return {
        name: (weights, dict(zip(found.measures, losses.tolist(), strict=True)))
        for name, weights, losses in zip(found.names, found.weights, found.losses, strict=True)
    }


def _refuse_other_measures(
    table: Path, done: Mapping[str, tuple[Floats, Mapping[str, float]]], losses: Mapping[str, float]
) -> None:
    """Raises UserError where runs of the table have losses of other sources than the run just done."""
    from corpusmill.pipelines.contract.errors import UserError

    for name, (_, theirs) in done.items():
        if other := sorted(theirs.keys() ^ losses.keys()):
            raise UserError(
                f"{table}: run {name} and the run just done have losses of other sources "
                f"({', '.join(other)}), as where other documents are held out; name a new file for these runs"
            )


def _losses(step: StepFolder | None) -> dict[str, float]:
    """Bits per byte of the documents held out, by source."""
    from corpusmill.pipelines.contract.errors import DataError
    from corpusmill.pipelines.records.codec import decode
    from corpusmill.pipelines.records.training_files import Evaluation

    assert step is not None, "the model was trained just now"
    path = step.file("evaluation.json")
    scores = decode(Evaluation, json.loads(path.read_bytes()), str(path)).scores
    by_source = {} if scores is None else scores["model"]
    found = {
        name: score.bits_per_byte
        for name, score in by_source.items()
        if name != "*" and score.bits_per_byte is not None
    }
    if not found:
        raise DataError(f"{path}: no source has documents held out; raise `pack: {{held_out: ...}}`")
    return found


def _said(names: Sequence[str], weights: np.ndarray) -> str:
    return ", ".join(f"{name} {weight:.3f}" for name, weight in zip(names, weights, strict=True))
