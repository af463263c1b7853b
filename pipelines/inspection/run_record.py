"""The record of a run: its steps in order with their states, and the documents they stand for.

Everything comes from `current.json`, `graph.json`, manifests, `recipe.json` and the log; the recipe file and
the code of stages and sections are not needed, so a run can be looked at on another machine. Memory: the
manifests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from corpusmill.pipelines.contract.errors import IntegrityError, UserError
from corpusmill.pipelines.contract.given import ENCODED
from corpusmill.pipelines.inspection.run_log import RunLog, read_log
from corpusmill.pipelines.records.graph import Graph
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.records.manifest import Manifest, StageKey, StepKey
from corpusmill.pipelines.records.opaque import RawRecipe
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.operators.operator import UNKNOWN, AnyOperator, operator_named
from corpusmill.pipelines.storage.committed import count_committed
from corpusmill.pipelines.storage.datasets import DatasetView
from corpusmill.pipelines.storage.graph_file import read_graph
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.staleness import outdated

State = Literal["complete", "outdated", "stale", "unfinished", "not_reached"]
STATES: Mapping[State, str] = {
    "complete": "complete",
    "outdated": "from an earlier version of its inputs; run the recipe again",
    "stale": "stale: made from other inputs or options than the run has now; not asked for by the last run",
    "unfinished": "begun but not complete; run the recipe again",
    "not_reached": "asked for by the recipe but not begun",
}


@dataclass(frozen=True)
class StepRecord:
    """One step. `manifest` is None unless the step is complete, outdated or stale."""

    name: str
    state: State
    folder: StepFolder | None = None
    manifest: Manifest | None = None
    receipts: int = 0  # committed units of an unfinished step

    @property
    def complete(self) -> bool:
        return self.state == "complete"

    @property
    def key(self) -> StepKey:
        """What the step's output was made from. Raises IntegrityError where it has none."""
        if self.manifest is None:
            raise IntegrityError(f"step {self.name} left nothing; run the recipe again")
        return self.manifest.key

    @property
    def operator(self) -> AnyOperator:
        """How the step moves data; `UNKNOWN` while the step has no output. Raises IntegrityError."""
        return operator_named(self.manifest.key.operator) if self.manifest is not None else UNKNOWN

    @property
    def stages(self) -> tuple[StageKey, ...]:
        """Every stage the step applies, in order."""
        return self.manifest.key.stages if self.manifest is not None else ()

    @property
    def units(self) -> Sequence[Receipt]:
        """Receipts of the step's units."""
        return self.manifest.units if self.manifest is not None else ()

    @property
    def content(self) -> str | None:
        """The content hash of its output, None where there is none."""
        return self.manifest.content if self.manifest is not None else None

    @property
    def rows(self) -> int:
        return self.manifest.rows if self.manifest is not None else 0

    @property
    def output_bytes(self) -> int:
        return self.manifest.bytes if self.manifest is not None else 0

    @cached_property
    def ledger(self) -> Ledger:
        """Read it; do not add to it."""
        return Ledger.total([self.manifest.ledger] if self.manifest is not None else [])

    @property
    def data(self) -> StepFolder:
        """The step's folder. Raises IntegrityError where the step has none."""
        if self.folder is None:
            raise IntegrityError(f"step {self.name} left nothing; run the recipe again")
        return self.folder

    @property
    def inputs(self) -> dict[str, str]:
        """Content hashes of the steps that this one reads, by name, in order."""
        return dict(self.manifest.key.inputs) if self.manifest is not None else {}

    @property
    def masks(self) -> dict[str, str]:
        """Content hashes of the masks that this step applies, by name, in order."""
        return dict(self.manifest.key.masks) if self.manifest is not None else {}

    @property
    def artefacts(self) -> dict[str, str]:
        """Content hashes of the steps that made what this one uses, by the artefacts' names."""
        return dict(self.manifest.key.artefacts) if self.manifest is not None else {}


@dataclass(frozen=True)
class SourceRecord:
    """One source: the steps that wrote its documents, in order; the last is what other steps read."""

    name: str
    domain: str
    steps: tuple[StepRecord, ...]

    @property
    def last(self) -> StepRecord:
        return self.steps[-1]

    scatters: tuple[StepRecord, ...] = ()  # that brought documents together for one of the steps

    @property
    def whole(self) -> bool:
        """Whether the source's last dataset is there, rather than one half-way to it."""
        return self.last.name == self.name


@dataclass(frozen=True)
class RunRecord:
    """A run as it lies in its folder."""

    folder: RunFolder
    name: str
    recipe: RawRecipe
    graph: Graph
    steps: dict[str, StepRecord]
    log: RunLog
    until: tuple[str, ...] = ()  # what the last run was asked for; empty: all of the recipe

    def complete(self, name: str) -> StepRecord | None:
        """The step of this name if its output can be used, else None."""
        step = self.steps.get(name)
        return step if step is not None and step.complete else None

    def finished(self, name: str) -> StepRecord | None:
        """The step of this name if it has an output, be it one that no longer holds (`stale`), else None."""
        step = self.steps.get(name)
        return step if step is not None and step.manifest is not None else None

    def giving(self, what: str) -> list[StepRecord]:
        """Steps that give it (a word of `contract.given`) and have an output, be it one that is stale."""
        named = [step.name for step in self.graph.steps if step.gives == what]
        return [step for name in named if (step := self.finished(name)) is not None]

    def finished_giving(self, what: str) -> StepRecord | None:
        """The first step that gives it, if it has an output, else None."""
        return next(iter(self.giving(what)), None)

    def complete_giving(self, what: str) -> StepRecord | None:
        """The first step that gives it, if its output can be used, else None."""
        step = self.finished_giving(what)
        return step if step is not None and step.complete else None

    @property
    def stale(self) -> list[str]:
        """Steps whose output no longer holds: it was made from other inputs or options than the run has."""
        return [name for name, step in self.steps.items() if step.state in ("outdated", "stale")]

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return int(self.recipe.get("seed", 0))

    @cached_property
    def sources(self) -> list[SourceRecord]:
        """The recipe's sources with anything complete, sorted by name."""
        return [source for source in self._datasets if source.name in self.recipe["sources"]]

    @cached_property
    def beside(self) -> list[SourceRecord]:
        """What sections read beside the sources, such as benchmarks, sorted by name."""
        return [source for source in self._datasets if source.name not in self.recipe["sources"]]

    @cached_property
    def _datasets(self) -> list[SourceRecord]:
        found: dict[str, list[StepRecord]] = {}
        for step in self.steps.values():
            if step.complete and step.operator.writes == "documents":
                found.setdefault(step.key.options.need_source, []).append(step)
        return [
            SourceRecord(name, steps[0].key.options.need_domain, tuple(steps), self._scatters(steps))
            for name, steps in sorted(found.items())
        ]

    def _scatters(self, steps: list[StepRecord]) -> tuple[StepRecord, ...]:
        """The first halves of the exchanges among the steps of a source."""
        halves = (self.complete(f"{step.name}.scatter") for step in steps if step.operator.reads == "rows")
        return tuple(half for half in halves if half is not None)

    @cached_property
    def masks(self) -> list[StepRecord]:
        """Steps that remove documents by masks, in their order."""
        return [step for step in self.steps.values() if step.complete and step.operator.writes == "removals"]

    @cached_property
    def taken_by_masks(self) -> dict[str, tuple[int, int]]:
        """Documents that the masks remove, and bytes that they remove and cut, by source."""
        found: dict[str, tuple[int, int]] = {}
        for mask in self.masks:
            for entry in mask.ledger:
                documents, size = found.get(entry.source, (0, 0))
                lost, bytes_lost = entry.lost
                found[entry.source] = documents + lost, size + bytes_lost
        return found

    @cached_property
    def first_units(self) -> dict[str, int]:
        """Number of each source's first unit in the view of all sources, by source.

        Raises IntegrityError where nothing the run wrote tells the order of the sources.
        """
        whole = {source.name: len(source.last.units) for source in self.sources if source.whole}
        if len(whole) == 1:
            return dict.fromkeys(whole, 0)
        for step in (*self.masks, self.complete_giving(ENCODED)):
            if step is not None:  # a key lists its inputs in the order of the view
                return _starts([name for name in step.inputs if name in whole], whole)
        raise IntegrityError(f"{self.folder.path}: nothing tells in which order the sources were read")

    def view(self) -> DatasetView:
        """All sources' documents with every mask applied, numbered as the run numbered them.

        Sources of which no step ever saw a document come last: nothing addresses them.
        """
        starts = self.first_units if self.masks else {}
        whole = [source for source in self.sources if source.whole]
        order = sorted(whole, key=lambda source: (starts.get(source.name, 2**31), source.name))
        return DatasetView([source.last.data for source in order], [mask.data for mask in self.masks])

    def removing(self) -> Iterator[StepRecord]:
        """Complete steps that wrote lists of removed documents, in order; a scatter may have written some."""
        for step in self.steps.values():
            if step.complete and step.operator.lists_removed != "never" and not step.operator.leaves_in_place:
                yield step


def _starts(order: list[str], sizes: Mapping[str, int]) -> dict[str, int]:
    starts, total = {}, 0
    for name in order:
        starts[name] = total
        total += sizes[name]
    return starts


def load_record(folder: RunFolder) -> RunRecord:
    """The record of the run in `folder`. Raises UserError where there is no run, IntegrityError on damage."""
    if not folder.begun:
        raise UserError(f"{folder.location}: not a run folder (no current.json); give the recipe's output")
    current = folder.current()
    recipe = folder.recipe()
    manifests: dict[str, tuple[StepFolder, Manifest]] = {}
    found: dict[str, StepRecord] = {}
    for name, fingerprint in current.steps.items():
        step = folder.step(name, fingerprint)
        manifests[name] = (step, step.need_manifest())  # pointed at only once it is complete
    only = current.asked  # with --until
    stale = outdated({name: manifest for name, (_, manifest) in manifests.items()})
    stale |= set(current.stale)
    for name, (step, manifest) in manifests.items():
        state: State = "complete"
        if name in stale:
            state = "outdated" if only is None or name in only else "stale"
        found[name] = StepRecord(name, state, step, manifest)
    graph = read_graph(folder)
    known = {step.name for step in graph.steps}
    for name, step in _unfinished(folder):
        wanted = name in known and (only is None or name in only)
        if wanted and (name not in found or found[name].state == "outdated"):
            found[name] = StepRecord(name, "unfinished", step, receipts=count_committed(step))
    for name in _named_for_people(known):
        if name not in found and (only is None or name in only):
            found[name] = StepRecord(name, "not_reached")
    log = read_log(folder.path / "log" / "run.jsonl")
    name = str(recipe.get("name", current.recipe or ""))
    return RunRecord(folder, name, recipe, graph, _ordered(found, graph), log, current.until or ())


def _unfinished(folder: RunFolder) -> Iterator[tuple[str, StepFolder]]:
    """Versions of steps that were begun but have no manifest."""
    for step in folder.begun_versions():
        if not step.complete_already:
            yield step.path.parent.name, step


def _named_for_people(steps: Set[str]) -> list[str]:
    """Steps that are not part of another: `web.index` is part of `web`, `dedup.exact` of none."""
    return sorted(
        name
        for name in steps
        if not any(name[:at] in steps for at, letter in enumerate(name) if letter == ".")
    )


def _ordered(steps: Mapping[str, StepRecord], graph: Graph) -> dict[str, StepRecord]:
    """Steps in the order of their work."""
    place = {step.name: number for number, step in enumerate(graph.steps)}
    return {name: steps[name] for name in sorted(steps, key=lambda name: (place.get(name, len(place)), name))}
