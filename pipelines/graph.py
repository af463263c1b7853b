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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.errors import UserError
from corpusmill.pipelines.registry import nearest
from corpusmill.pipelines.stage import Deduplicate, Fold, Map, Regroup, Stage

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import HoldingOut, Recipe, Source

Json = dict[str, Any]

# Names that steps of sections begin with, in the order of their work; steps of sources, named like them, come
# before all of these.
SECTION_STEPS = (
    "dedup",
    "benchmarks",
    "benchmark_grams",
    "decontaminate",
    "held_out",
    "tokenizer_sample",
    "tokenizer",
    "acceptance",
    "encode",
    "mixture_sums",
    "mixture",
    "pack",
    "train",
    "long_context",
)


@dataclass(frozen=True)
class StageSpec:
    """A stage as data: where its class lives and its options. Enough to build it in any worker."""

    module: str
    cls: str
    name: str
    options: Json

    @classmethod
    def of(cls, stage: Stage) -> StageSpec:
        kind = type(stage)
        return cls(kind.__module__, kind.__name__, stage.name, stage.model_dump(mode="json"))

    def as_json(self) -> Json:
        return {"module": self.module, "cls": self.cls, "name": self.name, "options": self.options}

    @property
    def room(self) -> str:
        """`filters`, ...; for a plugin, its module."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "corpusmill" else self.module


@dataclass(frozen=True)
class Step:
    """One named step. `inputs` are datasets read one after the other; `masks` apply to all of them.

    `after`: steps that must be complete first though nothing of them is read (a judgement, for one).
    """

    name: str
    operator: str
    stages: tuple[StageSpec, ...] = ()
    inputs: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    artefacts: Mapping[str, str] = field(default_factory=dict)  # artefact name -> step
    options: Json = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Every step that must be complete before this one, without repeats, in order."""
        return tuple(dict.fromkeys([*self.inputs, *self.masks, *self.artefacts.values(), *self.after]))


@dataclass(frozen=True)
class View:
    """Datasets read one after the other with masks applied: what a later step sees as its documents."""

    datasets: tuple[str, ...]
    masks: tuple[str, ...] = ()

    def masked_by(self, step: str) -> View:
        return View(self.datasets, (*self.masks, step))


def _source(steps: list[Step], source: Source) -> str:
    """Steps that read one source and run its stages; returns the name of its dataset."""
    reader = StageSpec.of(source.reader)
    label = {"source": source.name, "domain": source.domain}
    steps.append(Step(f"{source.name}.index", "index", (reader,), options=label))
    inputs: tuple[str, ...] = (f"{source.name}.index",)
    operator, run, part = "read", [reader], 0
    pending: list[Stage | None] = [*source.steps, None]
    here = source.name
    for position, stage in enumerate(pending):
        if isinstance(stage, Map):
            run.append(StageSpec.of(stage))
            continue
        if run or operator == "read":
            more = any(isinstance(s, Regroup) for s in pending[position:] if s is not None)
            here = f"{source.name}.{part}" if more else source.name
            steps.append(Step(here, operator, tuple(run), inputs, options=label))
            part += 1
        if isinstance(stage, Regroup):
            last = all(s is None for s in pending[position + 1 :])
            there = source.name if last else f"{source.name}.{stage.name}"
            spec = StageSpec.of(stage)
            steps.append(Step(f"{there}.scatter", "scatter", (spec,), (here,)))
            steps.append(Step(there, "regroup", (spec,), (f"{there}.scatter",), options=label))
            here, inputs, operator, run = there, (there,), "map", []
    return here


def _deduplicate(steps: list[Step], name: str, view: View, stage: Deduplicate) -> View:
    spec = StageSpec.of(stage)
    steps.append(Step(f"{name}.scatter", "scatter", (spec,), view.datasets, view.masks))
    steps.append(Step(f"{name}.gather", "find", (spec,), (f"{name}.scatter",)))
    found = f"{name}.gather"
    if type(stage).resolve is not Deduplicate.resolve:
        steps.append(Step(f"{name}.resolve", "resolve", (spec,), (found,)))
        found = f"{name}.resolve"
    steps.append(Step(name, "settle", (spec,), (found, *view.datasets), view.masks))
    return view.masked_by(name)


def _fold(steps: list[Step], name: str, view: View, stage: Stage, artefacts: Mapping[str, str]) -> None:
    spec = (StageSpec.of(stage),)
    steps.append(Step(f"{name}.partials", "fold_map", spec, view.datasets, view.masks, artefacts))
    steps.append(Step(f"{name}.combine", "fold_combine", spec, (f"{name}.partials",), (), artefacts))
    steps.append(Step(name, "fold_finish", spec, (f"{name}.combine",), (), artefacts))


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
        steps.append(Step("decontaminate", "mask", spec, view.datasets, view.masks, artefacts))
        view = view.masked_by("decontaminate")
    if recipe.held_out is not None:
        view = _hold_out(steps, view, recipe.held_out)
    if recipe.tokenizer is not None:
        _tokenizer(steps, recipe, view)
    if recipe.pack is not None:
        _shards(steps, recipe, view)
    if recipe.train is not None:
        artefacts = {"shards": "pack", "tokenizer": "tokenizer"}
        steps.append(Step("train", "task", (StageSpec.of(recipe.train),), artefacts=artefacts))
        _long_context(steps, recipe)
    return steps


def _hold_out(steps: list[Step], view: View, stages: HoldingOut) -> View:
    """The families held out, and the removal of what stands both in them and elsewhere."""
    families, index, overlap = (f"held_out.{part}" for part in ("families", "index", "overlap"))
    _fold(steps, families, view, stages.families, {})
    _fold(steps, index, view, stages.index, {"held_out": families})
    _fold(steps, overlap, view, stages.overlap, {"held_out": families, "held_out_index": index})
    needs = {"held_out": families, "held_out_overlap": overlap}
    steps.append(Step("held_out", "mask", (StageSpec.of(stages.filter),), view.datasets, view.masks, needs))
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
        steps.append(Step("tokenizer", "task", (StageSpec.of(stage),)))
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
    steps.append(Step("encode", "encode", encode, view.datasets, view.masks, needs, after=judged))
    encoded = View(("encode",))
    _fold(steps, "mixture_sums", encoded, recipe.mixture_sums, {})
    _fold(steps, "mixture", encoded, recipe.mixture, {"mixture_sums": "mixture_sums"})
    plan = {"mixture": "mixture"}
    draw = (StageSpec.of(recipe.draw),)
    pack = StageSpec.of(recipe.pack)
    steps.append(
        Step("pack.scatter", "scatter", draw, ("encode",), (), plan, {"tokens": pack.options["shard_tokens"]})
    )
    steps.append(Step("pack", "write", (pack,), ("pack.scatter",), (), {**artefacts, **plan}))


def _long_context(steps: list[Step], recipe: Recipe) -> None:
    """Every phase: what was drawn packed in longer rows, and the model before trained on them."""
    model = "train"
    for number, phase in enumerate(recipe.long_context):
        here = f"long_context.{number}"
        packed = {"tokenizer": "tokenizer", "mixture": "mixture"}
        steps.append(
            Step(f"{here}.pack", "write", (StageSpec.of(phase.pack),), ("pack.scatter",), (), packed)
        )
        used = {"shards": f"{here}.pack", "tokenizer": "tokenizer", "model": model}
        steps.append(Step(here, "task", (StageSpec.of(phase.train),), artefacts=used))
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
