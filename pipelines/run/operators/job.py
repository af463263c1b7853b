"""What an operator is given: `Preparation` in the runner, `Job` in a worker."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy.typing as npt
import xxhash

from corpusmill.pipelines.contract.context import Marks
from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.plugins import plugin_digest, plugins
from corpusmill.pipelines.contract.stage import Context, Stage
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.operators.marker import Marker
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.datasets import DatasetView, unit_file_name
from corpusmill.pipelines.storage.run_folder import Attempt, StepFolder
from corpusmill.pipelines.storage.sealed import canonical

U = TypeVar("U")  # the specification of a unit of work


@dataclass(frozen=True)
class ViewUnit:
    """One unit of the step's view."""

    reads: int


@dataclass(frozen=True)
class ViewUnits:
    """Units of the step's view, from `first` up to `end`."""

    first: int
    end: int


@dataclass(frozen=True)
class Preparation:
    """What `units` may look at: the step, its complete inputs, and the files listed for its source."""

    step: Step
    inputs: Mapping[str, StepFolder]
    paths: Mapping[str, str]  # name -> path of input files, for `index` and `read`
    unit_bytes: int
    stamps: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)  # of the files, as listed
    seed: int = 0

    @property
    def first(self) -> StepFolder:
        return self.inputs[self.step.inputs[0]]

    @cached_property
    def view(self) -> DatasetView:
        return view_of(self.step, self.inputs)

    @cached_property
    def context(self) -> Context:
        """The step's artefacts, for a question to its stage; the folders are verified."""
        needed = self.step.artefacts.items()
        return Context(self.seed, {name: self.inputs[step].verified() for name, step in needed})


@dataclass(frozen=True)
class Done:
    """What a step of several levels has done so far: the number of units of each level, and their receipts by
    number."""

    counts: tuple[int, ...]
    receipts: Committed

    def first(self, level: int) -> int:
        """The number of a level's first unit."""
        return sum(self.counts[:level])


@dataclass(frozen=True)
class Lazily(Sequence[U]):
    """So many specifications of units, each made when it is asked for."""

    units: int
    make: Callable[[int], U]

    def __len__(self) -> int:
        return self.units

    @overload
    def __getitem__(self, index: int) -> U: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[U]: ...
    def __getitem__(self, index: int | slice) -> U | Sequence[U]:
        if isinstance(index, slice):
            return [self.make(place) for place in range(*index.indices(self.units))]
        return self.make(range(self.units)[index])


def view_units(preparation: Preparation) -> Sequence[ViewUnit]:
    """One unit of work for each unit of the step's view."""
    return Lazily(len(preparation.view), ViewUnit)


def view_content(given: Preparation | Job[Any], unit: ViewUnit) -> object:
    """What a unit of a view holds: its file, what the masks leave out of it, and the marks of its documents
    where the step's stages take nothing else from some artefacts."""
    view = given.view
    folder, number = view.place(unit.reads)
    left_out = xxhash.xxh3_128(view.removed_rows(unit.reads).tobytes())
    for column in view.cuts(unit.reads).columns:
        left_out.update(column.tobytes())
    content = [folder.entry(unit_file_name(folder, number)).sha256, left_out.hexdigest()]
    for marks in marks_of(given.step):
        found = xxhash.xxh3_128()
        for marked in _marks_in(given, unit, marks):
            found.update(marked.tobytes())
        content.append(found.hexdigest())
    return content


def any_marked(given: Preparation | Job[Any], unit: ViewUnit) -> bool:
    """Whether a document of a unit has a mark that is not 0."""
    return any(marked.any() for marks in marks_of(given.step) for marked in _marks_in(given, unit, marks))


def _marks_in(given: Preparation | Job[Any], unit: ViewUnit, marks: Marks) -> Iterator[npt.NDArray[Any]]:
    for docs, rows in given.view.batches(unit.reads, marks.columns):
        address = (unit.reads, rows) if marks.addressed else ()
        yield marks.of(given.context, docs, *address)


def marks_of(step: Step) -> list[Marks]:
    """Marks by which a step uses artefacts that the keys of its units leave out (`marked_artefacts`)."""
    found = [marks for spec in step.stages if (marks := build_stage(spec).marks()) is not None]
    return found if len(found) == len(step.stages) and _in_all(found) & set(step.artefacts) else []


def marked_artefacts(step: Step) -> set[str]:
    """Artefacts of which all stages of a step take the marks of documents alone."""
    marks = marks_of(step)
    return _in_all(marks) if marks else set()


def _in_all(marks: Sequence[Marks]) -> set[str]:
    return set.intersection(*(set(one.artefacts) for one in marks)) if marks else set()


def view_of(step: Step, inputs: Mapping[str, StepFolder]) -> DatasetView:
    """The documents a step sees: its input datasets with its masks applied."""
    return DatasetView([inputs[name] for name in step.datasets], [inputs[name] for name in step.masks])


@dataclass(frozen=True)
class Job(Generic[U]):
    """One unit of work in a worker."""

    step: Step
    folder: StepFolder
    unit: U
    seed: int
    inputs: Mapping[str, StepFolder]
    artefact_steps: Mapping[str, str]
    poison: Mapping[int, tuple[str, str]]  # ordinal (see `marker`) -> (stage, cause): quarantine unseen
    careful: bool
    limit: int | None = None  # documents to read, of a cut
    stamps: Mapping[str, tuple[int, int, str]] = field(default_factory=dict)  # of input files, as listed
    alone: int | None = None  # ordinal of the one document to work on, to learn whether it does harm
    scores: StepFolder | None = None  # the version of the step whose scores hold for this one

    @property
    def first(self) -> StepFolder:
        return self.inputs[self.step.inputs[0]]

    @cached_property
    def view(self) -> DatasetView:
        return view_of(self.step, self.inputs)

    def marker(self, attempt: Attempt) -> Marker | None:
        """Where to note what is in hand; None unless this is a careful attempt."""
        return Marker(self.folder.marker_path(attempt.unit), self.alone) if self.careful else None

    def limits(self, attempt: Attempt) -> Path:
        """Where to note the document that limited time is spent on."""
        return self.folder.limit_path(attempt.unit)

    @cached_property
    def context(self) -> Context:
        """What stages may know; the folders of artefacts are verified, each file once a process."""
        artefacts = {name: self.inputs[step].verified() for name, step in self.artefact_steps.items()}
        return Context(self.seed, artefacts)

    def stages(self) -> list[Any]:
        """The step's stages, built and prepared; kept between units of one step in one worker."""
        artefacts = {name: str(path) for name, path in self.context.artefacts.items()}
        specs = [encode(spec) for spec in self.step.stages]
        code = tuple(plugin_digest(path) for path in plugins())
        return _prepared(canonical(specs), canonical(artefacts), self.seed, code)


def stage_class(spec: StageSpec) -> type[Stage]:
    """The class of a stage. Raises CorpusmillError when it is not where it should be."""
    module = importlib.import_module(spec.module)
    cls: type[Stage] | None = getattr(module, spec.cls, None)
    if cls is None:
        raise CorpusmillError(f"{spec.module} has no class {spec.cls}; workers run another version")
    return cls


def build_stage(spec: StageSpec) -> Stage:
    """A stage from its specification. Raises as `stage_class`."""
    return stage_class(spec).model_validate(spec.options)


@lru_cache(maxsize=4)
def _prepared(specs: bytes, artefacts: bytes, seed: int, code: tuple[str, ...]) -> list[Any]:
    """`code`: digests of the plugins, which one worker may see edited between two runs."""
    folders = {name: Path(path) for name, path in json.loads(artefacts).items()}
    context = Context(seed, folders)
    known = [decode(StageSpec, spec, "a stage of a task") for spec in json.loads(specs)]
    stages = [build_stage(spec).prepare(context) for spec in known]
    for stage in stages:
        stage.warm()
    return stages
