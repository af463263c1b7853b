"""The graph of named steps that a recipe's sections are sugar for.

A step is plain data: an operator (how data moves), the stages it applies, and the steps it reads. Steps
that change documents write a dataset; exchanges and late filters write only lists of rows to remove and of
spans to cut (masks), which later readers apply; folds and tasks write artefacts. Sources come first, then
every section adds its own steps, in the order of sections, through a `Builder`:

    web.index -> web ...................................... dataset web + code + math ->
    dedup.exact.{scatter,gather} -> dedup.exact ... mask ... -> ...

An exchange of three rounds has the steps scatter, round-1, round-2 and gather, which is the third round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.closest import nearest
from corpusmill.pipelines.contract.errors import CorpusmillError, RecipeError, UserError
from corpusmill.pipelines.contract.resolution import Resolution
from corpusmill.pipelines.contract.stage import (
    Deduplicate,
    Exchange,
    Filter,
    Fold,
    Map,
    Regroup,
    Scatter,
    Stage,
    Task,
    WithSides,
    Write,
)
from corpusmill.pipelines.recipe.builder import Builder, Needs, View, incomparable
from corpusmill.pipelines.recipe.sections import section_that_gives
from corpusmill.pipelines.records.graph import Graph, GraphStage, GraphStep, StepOptions
from corpusmill.pipelines.run.fingerprint import kept_options
from corpusmill.pipelines.run.operators.apply_removals import OPERATOR as APPLY_REMOVALS
from corpusmill.pipelines.run.operators.encode import OPERATOR as ENCODE
from corpusmill.pipelines.run.operators.fold_combine import OPERATOR as FOLD_COMBINE
from corpusmill.pipelines.run.operators.fold_finish import OPERATOR as FOLD_FINISH
from corpusmill.pipelines.run.operators.fold_map import OPERATOR as FOLD_MAP
from corpusmill.pipelines.run.operators.index import OPERATOR as INDEX
from corpusmill.pipelines.run.operators.map import OPERATOR as MAP
from corpusmill.pipelines.run.operators.mask import OPERATOR as MASK
from corpusmill.pipelines.run.operators.match import OPERATOR as MATCH
from corpusmill.pipelines.run.operators.operator import AnyOperator
from corpusmill.pipelines.run.operators.read import OPERATOR as READ
from corpusmill.pipelines.run.operators.regroup import OPERATOR as REGROUP
from corpusmill.pipelines.run.operators.remember import OPERATOR as REMEMBER
from corpusmill.pipelines.run.operators.remember import format_of
from corpusmill.pipelines.run.operators.resolve import OPERATOR as RESOLVE
from corpusmill.pipelines.run.operators.resolve_by_rule import OPERATOR as RESOLVE_BY_RULE
from corpusmill.pipelines.run.operators.round import OPERATOR as ROUND
from corpusmill.pipelines.run.operators.scatter import OPERATOR as SCATTER
from corpusmill.pipelines.run.operators.task import OPERATOR as TASK
from corpusmill.pipelines.run.operators.write import OPERATOR as WRITE
from corpusmill.pipelines.run.step import StageSpec, Step

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.models import Recipe, Source
    from corpusmill.pipelines.recipe.section import Section


_STEP_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")  # names of folders


class GraphBuilder(Builder):
    """Collects the steps of a recipe.

    Raises CorpusmillError where a section names a step that is not of its `step_roots`, is no name of a
    folder or is there already; where a step needs one that is not before it; and for a stage of the wrong
    kind.
    """

    def __init__(self, sources: Sequence[Source], run: str = "") -> None:
        self.steps: list[Step] = []
        self._run = run
        self._section: Section | None = None
        self.view = View(tuple(_source(self.steps, source) for source in sources))

    def add_section(self, section: Section) -> None:
        """Let a section add its steps."""
        self._section = section
        section.graph(self)

    def _add(self, step: Step) -> str:
        section = self._section
        assert section is not None
        if step.name.split(".")[0] not in section.step_roots:
            raise CorpusmillError(f"section {section.name} names a step {step.name}, which is not one of its "
                                  f"`step_roots` ({', '.join(section.step_roots)})")  # fmt: skip
        if not _STEP_NAME.fullmatch(step.name):
            raise CorpusmillError(f"section {section.name} names a step {step.name!r}; write letters, "
                                  "digits, hyphens and underscores, with dots between")  # fmt: skip
        there = [other.name for other in self.steps]
        if step.name in there:
            raise CorpusmillError(f"section {section.name} adds a step {step.name}, which there is already; "
                                  "rename one")  # fmt: skip
        if missing := sorted(set(step.needs) - set(there)):
            raise CorpusmillError(f"section {section.name}: step {step.name} needs a step {missing[0]!r}; "
                                  f"before it, {nearest(str(missing[0]), there)}")  # fmt: skip
        self.steps.append(step)
        return step.name

    def _spec(self, name: str, stage: Stage, kind: type[Stage]) -> tuple[StageSpec, ...]:
        """The stage of a step as data. Raises CorpusmillError where it is not of its kind."""
        if not isinstance(stage, kind):
            assert self._section is not None
            raise CorpusmillError(f"section {self._section.name}: the stage of step {name} must be derived "
                                  f"from {kind.__name__}; it is a {type(stage).__name__}")  # fmt: skip
        return (StageSpec.of(stage),)

    def read(self, source: Source) -> View:
        added: list[Step] = []
        dataset = _source(added, source)
        for step in added:
            self._add(step)
        return View((dataset,))

    def fold(
        self, name: str, stage: Fold, view: View | None = None, *, needs: Needs | None = None, gives: str = ""
    ) -> str:
        seen, spec, needs = view or self.view, self._spec(name, stage, Fold), needs or {}
        partials = self._add(Step(f"{name}.partials", FOLD_MAP, spec, seen.datasets, seen.masks, needs))
        combined = self._add(Step(f"{name}.combine", FOLD_COMBINE, spec, (partials,), (), needs))
        return self._add(Step(name, FOLD_FINISH, spec, (combined,), (), needs, gives=gives))

    def mask(self, name: str, stage: Filter, *, needs: Needs | None = None, gives: str = "") -> str:
        seen, spec = self.view, self._spec(name, stage, Filter)
        self._add(Step(name, MASK, spec, seen.datasets, seen.masks, needs or {}, gives=gives))
        self.view = seen.masked_by(name)
        return name

    def exchange(
        self, name: str, stage: Exchange, *, against: Sequence[Path] = (), remember: bool = False
    ) -> str:
        seen, spec = self.view, self._spec(name, stage, Exchange)
        if (against or remember) and (why := incomparable(stage)) is not None:
            raise CorpusmillError(f"{why}; leave out `against` and `remember`")
        known = tuple(str(folder) for folder in against)
        if isinstance(stage.rounds()[0], WithSides):
            raise CorpusmillError(f"stage {stage.name}: its first round asks for side tables, but `emit` "
                                  "has all of a document; let it send what they hold")  # fmt: skip
        sent = self._add(Step(f"{name}.scatter", SCATTER, spec, seen.datasets, seen.masks, known=known))
        inputs: tuple[str, ...] = (sent,)  # the rows that meet, and what was kept beside the first of them
        for number, this in enumerate(stage.rounds()[:-1], 1):
            sides = known if isinstance(this, WithSides) else ()
            options = StepOptions(round=number)
            step = Step(f"{name}.round-{number}", ROUND, spec, inputs, options=options, known=sides)
            inputs = (self._add(step), sent)
        found = self._add(Step(f"{name}.gather", MATCH, spec, inputs, known=known))
        if isinstance(stage, Deduplicate):
            at_once, rule = type(stage).resolve is not Deduplicate.resolve, stage.resolution()
            if not isinstance(rule, Resolution | None):
                raise CorpusmillError(f"stage {stage.name}: `resolution` must give a Resolution or None, not "
                                      f"{type(rule).__name__}")  # fmt: skip
            if at_once or rule is not None:
                operator = RESOLVE if at_once else RESOLVE_BY_RULE
                found = self._add(Step(f"{name}.resolve", operator, spec, (found,)))
        self._add(Step(name, APPLY_REMOVALS, spec, (found, *seen.datasets), seen.masks))
        if remember:
            assert isinstance(stage, Deduplicate)
            options = StepOptions(run=self._run, remembers=format_of(stage))
            inputs = (name, *seen.datasets)
            self._add(Step(f"{name}.known", REMEMBER, spec, inputs, seen.masks, options=options, known=known))
        self.view = seen.masked_by(name)
        return name

    def encode(
        self, name: str, stage: Map, *, needs: Needs | None = None, after: tuple[str, ...] = (), gives: str
    ) -> str:
        seen, spec = self.view, self._spec(name, stage, Map)
        step = Step(name, ENCODE, spec, seen.datasets, seen.masks, needs or {}, after=after, gives=gives)
        return self._add(step)

    def scatter(
        self, name: str, stage: Scatter, view: View, *, needs: Needs | None = None, gives: str
    ) -> str:
        spec = self._spec(name, stage, Scatter)
        return self._add(Step(name, SCATTER, spec, view.datasets, view.masks, needs or {}, gives=gives))

    def write(
        self, name: str, stage: Write, rows: str, *, needs: Needs | None = None, gives: str = ""
    ) -> str:
        return self._add(
            Step(name, WRITE, self._spec(name, stage, Write), (rows,), (), needs or {}, gives=gives)
        )

    def task(self, name: str, stage: Task, *, needs: Needs | None = None, gives: str = "") -> str:
        return self._add(Step(name, TASK, self._spec(name, stage, Task), artefacts=needs or {}, gives=gives))

    def offered(self, what: str) -> str | None:
        return next((step.name for step in reversed(self.steps) if step.gives == what), None)

    def need(self, what: str) -> str:
        found = self.offered(what)
        if found is not None:
            return found
        assert self._section is not None
        giver = section_that_gives(what)
        cure = "which no section gives" if giver is None else (
            f"which the section `{giver.name}` gives; add `{giver.name}: {giver.example}`"
            if not giver.implied
            else f"which follows from sections that ask for `{giver.name}`"
        )  # fmt: skip
        raise RecipeError(f"the section `{self._section.name}` needs what is called {what!r}, {cure}")


def build_graph(recipe: Recipe) -> list[Step]:
    """All steps of a recipe in an order in which each comes after what it needs.

    Raises RecipeError for a section that needs what no step before it gives.
    """
    builder = GraphBuilder(recipe.sources, recipe.name)
    for section in recipe.sections.values():
        builder.add_section(section)
    return builder.steps


def _source(steps: list[Step], source: Source) -> str:
    """Steps that read one source and run its stages; returns the name of its dataset."""
    reader = StageSpec.of(source.reader)
    label = StepOptions(source.name, source.domain)
    steps.append(Step(f"{source.name}.index", INDEX, (reader,), options=label))
    inputs: tuple[str, ...] = (f"{source.name}.index",)
    operator: AnyOperator = READ
    run, part = [reader], 0
    pending: list[Stage | None] = [*source.steps, None]
    here = source.name
    texts = _first_filter(source) if source.keep_texts else None
    for position, stage in enumerate(pending):
        if position == texts:
            here = f"{source.name}.texts"
            steps.append(Step(here, READ, tuple(run), inputs, options=label))
            inputs, operator, run = (here,), MAP, []
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


def _first_filter(source: Source) -> int | None:
    """The position of the first filter of texts among the steps that read a source; None where none is."""
    raw = "raw" in source.reader.produces
    for position, stage in enumerate(source.steps):
        if isinstance(stage, Regroup):
            return None
        if isinstance(stage, Filter) and not raw:
            return position
        raw = raw and "raw" not in stage.consumes
    return None


def graph_record(recipe: Recipe, steps: Sequence[Step]) -> Graph:
    """The steps of a recipe as `graph.json` keeps them."""
    return Graph(recipe.name, recipe.seed, tuple(_record(step) for step in steps))


def _record(step: Step) -> GraphStep:
    return GraphStep(
        name=step.name,
        operator=step.operator.name,
        stages=tuple(GraphStage(spec.name, kept_options(spec)) for spec in step.stages),
        inputs=step.inputs,
        masks=step.masks,
        artefacts=dict(step.artefacts),
        options=step.options,
        after=step.after,
        gives=step.gives,
    )


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
