"""The graph of named steps that a recipe's sections are sugar for.

A step is plain data: an operator (how data moves), the stages it applies, and the steps it reads. Steps
that change documents write a dataset; deduplication and late filters write only lists of rows to remove
(masks), which later readers apply; folds and tasks write artefacts.

    web.index -> web ...................................... dataset web + code + math ->
    dedup.exact.{scatter,gather} -> dedup.exact ... mask ... -> decontaminate, held_out (masks),
    tokenizer_sample, tokenizer, acceptance (artefacts), encode (dataset), mixture_sums, mixture (artefacts),
    pack.scatter -> pack (shards) -> train (artefact) pack.scatter -> long_context.0.pack (shards) ->
    long_context.0 (artefact, from train's) -> ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.stage import Deduplicate, Fold, Map, Regroup, Stage
from corpusmill.pipelines.run.operators.apply_removals import OPERATOR as APPLY_REMOVALS
from corpusmill.pipelines.run.operators.encode import OPERATOR as ENCODE
from corpusmill.pipelines.run.operators.fold_combine import OPERATOR as FOLD_COMBINE
from corpusmill.pipelines.run.operators.fold_finish import OPERATOR as FOLD_FINISH
from corpusmill.pipelines.run.operators.fold_map import OPERATOR as FOLD_MAP
from corpusmill.pipelines.run.operators.index import OPERATOR as INDEX
from corpusmill.pipelines.run.operators.map import OPERATOR as MAP
from corpusmill.pipelines.run.operators.mask import OPERATOR as MASK
from corpusmill.pipelines.run.operators.match import OPERATOR as MATCH
from corpusmill.pipelines.run.operators.read import OPERATOR as READ
from corpusmill.pipelines.run.operators.regroup import OPERATOR as REGROUP
from corpusmill.pipelines.run.operators.resolve import OPERATOR as RESOLVE
from corpusmill.pipelines.run.operators.scatter import OPERATOR as SCATTER
from corpusmill.pipelines.run.operators.task import OPERATOR as TASK
from corpusmill.pipelines.run.operators.write import OPERATOR as WRITE
from corpusmill.pipelines.run.step import StageSpec, Step, View

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import HoldingOut, Recipe, Source


def _source(steps: list[Step], source: Source) -> str:
    """Steps that read one source and run its stages; returns the name of its dataset."""
    reader = StageSpec.of(source.reader)
    label = {"source": source.name, "domain": source.domain}
    steps.append(Step(f"{source.name}.index", INDEX, (reader,), options=label))
    inputs: tuple[str, ...] = (f"{source.name}.index",)
    operator, run, part = READ, [reader], 0
    pending: list[Stage | None] = [*source.steps, None]
    here = source.name
    for position, stage in enumerate(pending):
        if isinstance(stage, Map):
            run.append(StageSpec.of(stage))
            continue
        if run or operator is READ:
            more = any(isinstance(s, Regroup) for s in pending[position:] if s is not None)
            here = f"{source.name}.{part}" if more else source.name
            steps.append(Step(here, operator, tuple(run), inputs, options=label))
            part += 1
        if isinstance(stage, Regroup):
            last = all(s is None for s in pending[position + 1 :])
            there = source.name if last else f"{source.name}.{stage.name}"
            spec = StageSpec.of(stage)
            steps.append(Step(f"{there}.scatter", SCATTER, (spec,), (here,)))
            steps.append(Step(there, REGROUP, (spec,), (f"{there}.scatter",), options=label))
            here, inputs, operator, run = there, (there,), MAP, []
    return here


def _deduplicate(steps: list[Step], name: str, view: View, stage: Deduplicate) -> View:
    spec = StageSpec.of(stage)
    steps.append(Step(f"{name}.scatter", SCATTER, (spec,), view.datasets, view.masks))
    steps.append(Step(f"{name}.gather", MATCH, (spec,), (f"{name}.scatter",)))
    found = f"{name}.gather"
    if type(stage).resolve is not Deduplicate.resolve:
        steps.append(Step(f"{name}.resolve", RESOLVE, (spec,), (found,)))
        found = f"{name}.resolve"
    steps.append(Step(name, APPLY_REMOVALS, (spec,), (found, *view.datasets), view.masks))
    return view.masked_by(name)


def _fold(steps: list[Step], name: str, view: View, stage: Stage, artefacts: Mapping[str, str]) -> None:
    spec = (StageSpec.of(stage),)
    steps.append(Step(f"{name}.partials", FOLD_MAP, spec, view.datasets, view.masks, artefacts))
    steps.append(Step(f"{name}.combine", FOLD_COMBINE, spec, (f"{name}.partials",), (), artefacts))
    steps.append(Step(name, FOLD_FINISH, spec, (f"{name}.combine",), (), artefacts))


def build_graph(recipe: Recipe) -> list[Step]:
    """All steps of a recipe in an order in which each comes after what it needs."""
    steps: list[Step] = []
    view = View(tuple(_source(steps, source) for source in recipe.sources))
    for position, stage in enumerate(recipe.dedup):
        name = f"dedup.{stage.name}"
        if any(step.name == name for step in steps):
            name = f"{name}.{position}"
        view = _deduplicate(steps, name, view, stage)
    if recipe.decontaminate is not None:
        judged = recipe.decontaminate
        benchmarks = View((_source(steps, judged.benchmarks),))
        _fold(steps, "benchmark_grams", benchmarks, judged.grams, {})
        artefacts = {"benchmarks": "benchmark_grams"}
        spec = (StageSpec.of(judged.filter),)
        steps.append(Step("decontaminate", MASK, spec, view.datasets, view.masks, artefacts))
        view = view.masked_by("decontaminate")
    if recipe.held_out is not None:
        view = _hold_out(steps, view, recipe.held_out)
    if recipe.tokenizer is not None:
        _tokenizer(steps, recipe, view)
    if recipe.pack is not None:
        _shards(steps, recipe, view)
    if recipe.train is not None:
        artefacts = {"shards": "pack", "tokenizer": "tokenizer"}
        steps.append(Step("train", TASK, (StageSpec.of(recipe.train),), artefacts=artefacts))
        _long_context(steps, recipe)
    return steps


def _hold_out(steps: list[Step], view: View, stages: HoldingOut) -> View:
    """The families held out, and the removal of what stands both in them and elsewhere."""
    families, index, overlap = (f"held_out.{part}" for part in ("families", "index", "overlap"))
    _fold(steps, families, view, stages.families, {})
    _fold(steps, index, view, stages.index, {"held_out": families})
    _fold(steps, overlap, view, stages.overlap, {"held_out": families, "held_out_index": index})
    needs = {"held_out": families, "held_out_overlap": overlap}
    steps.append(Step("held_out", MASK, (StageSpec.of(stages.filter),), view.datasets, view.masks, needs))
    return view.masked_by("held_out")


def _apart(recipe: Recipe) -> dict[str, str]:
    """The artefact that says what is held out, where anything is."""
    return {} if recipe.held_out is None else {"held_out": "held_out.families"}


def _tokenizer(steps: list[Step], recipe: Recipe, view: View) -> None:
    """The sample, the tokenizer made from it, and its judgement, which whatever uses it waits for."""
    stage = recipe.tokenizer
    assert stage is not None
    apart = _apart(recipe)
    if isinstance(stage, Fold):
        assert recipe.tokenizer_sample is not None
        _fold(steps, "tokenizer_sample", view, recipe.tokenizer_sample, apart)
        _fold(steps, "tokenizer", view, stage, {"tokenizer_sample": "tokenizer_sample"})
    else:
        steps.append(Step("tokenizer", TASK, (StageSpec.of(stage),)))
    if recipe.tokenizer_judge is not None:
        _fold(steps, "acceptance", view, recipe.tokenizer_judge, {"tokenizer": "tokenizer", **apart})


def _shards(steps: list[Step], recipe: Recipe, view: View) -> None:
    """Encode, plan the mixture, draw documents in their shuffled order, and pack them into shards."""
    assert recipe.pack is not None
    assert recipe.encode is not None
    assert recipe.mixture_sums is not None
    assert recipe.mixture is not None
    assert recipe.draw is not None
    artefacts = {"tokenizer": "tokenizer"}
    apart = _apart(recipe)
    encode = (StageSpec.of(recipe.encode),)
    judged = ("acceptance",) if recipe.tokenizer_judge is not None else ()
    needs = {**artefacts, **apart}
    steps.append(Step("encode", ENCODE, encode, view.datasets, view.masks, needs, after=judged))
    encoded = View(("encode",))
    _fold(steps, "mixture_sums", encoded, recipe.mixture_sums, {})
    _fold(steps, "mixture", encoded, recipe.mixture, {"mixture_sums": "mixture_sums"})
    plan = {"mixture": "mixture"}
    draw = (StageSpec.of(recipe.draw),)
    pack = StageSpec.of(recipe.pack)
    steps.append(
        Step("pack.scatter", SCATTER, draw, ("encode",), (), plan, {"tokens": pack.options["shard_tokens"]})
    )
    steps.append(Step("pack", WRITE, (pack,), ("pack.scatter",), (), {**artefacts, **plan}))


def _long_context(steps: list[Step], recipe: Recipe) -> None:
    """Every phase: what was drawn packed in longer rows, and the model before trained on them."""
    model = "train"
    for number, phase in enumerate(recipe.long_context):
        here = f"long_context.{number}"
        packed = {"tokenizer": "tokenizer", "mixture": "mixture"}
        steps.append(Step(f"{here}.pack", WRITE, (StageSpec.of(phase.pack),), ("pack.scatter",), (), packed))
        used = {"shards": f"{here}.pack", "tokenizer": "tokenizer", "model": model}
        steps.append(Step(here, TASK, (StageSpec.of(phase.train),), artefacts=used))
        model = here


def step_named(steps: Sequence[Step], name: str) -> Step:
    """The step of this name. Raises KeyError."""
    for step in steps:
        if step.name == name:
            return step
    raise KeyError(name)


def with_needs(steps: Sequence[Step], names: Sequence[str]) -> set[str]:
    """`names` and every step they need. Raises UserError with a line for each name that no step has."""
    by_name = {step.name: step for step in steps}
    unknown = [name for name in dict.fromkeys(names) if name not in by_name]
    if unknown:
        raise UserError("\n".join(f"no step `{name}`; {nearest(name, by_name)}" for name in unknown))
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += by_name[name].needs
    return wanted
