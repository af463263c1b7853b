"""Removed documents read again from their source, through the reader that read them first.

A removed document is nowhere but in its source. Its unit and its id are known: the ranges of files that the
unit covers are read again, and of what they hold only the documents asked for go through the stages before
the one that removed them. An id follows from a document's bytes, so what is found under it is the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.contract.stage import Context, Map
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord, StepRecord
from corpusmill.pipelines.recipe.listing import list_files
from corpusmill.pipelines.recipe.models import Recipe, Source
from corpusmill.pipelines.recipe.places import on_disk
from corpusmill.pipelines.run.fingerprint import kept_options
from corpusmill.pipelines.run.operators.job import Preparation
from corpusmill.pipelines.run.operators.read import RangeInUnit, SplitsUnit, batches_of
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.sources.reader import Split
from corpusmill.pipelines.storage.datasets import read_unit
from corpusmill.pipelines.storage.not_kept import not_kept
from corpusmill.pipelines.storage.objects.current import use_storage

NO_RECIPE = "the recipe was not given, which says where its source lies (--recipe)"


class Again:
    """Reads removed documents of a run again. `recipe`: the run's, None where it was not given."""

    def __init__(self, record: RunRecord, recipe: Recipe | None) -> None:
        self._record, self._recipe = record, recipe

    def texts(
        self, source: SourceRecord, step: StepRecord, unit: int, stage: str, ids: Sequence[str]
    ) -> tuple[dict[str, str], str]:
        """Texts by id of documents that `stage` of `step` removed of one unit, and why others have none."""
        try:
            if step.operator.reads == "splits":
                found = self._from_source(source, step, unit, stage, set(ids))
            else:
                found = self._from_dataset(source, step, unit, stage, set(ids))
        except (CorpusmillError, OSError) as error:
            return {}, str(error)
        return found, "it is not among what its source holds now, so its file has changed since the run"

    def _from_source(
        self, source: SourceRecord, step: StepRecord, unit: int, stage: str, ids: set[str]
    ) -> dict[str, str]:
        if self._recipe is None:
            raise UserError(NO_RECIPE)
        use_storage(self._recipe.storage)
        named = self._source(source.name)
        maps = self._maps(named, step, stage)
        paths = list_files(source.name, named.reader, self._recipe.data_folder, {})
        (index,) = step.inputs
        here = Step(step.name, step.operator, inputs=(index,))
        assert step.key.unit_bytes is not None
        folder = self._record.steps[index].data
        try:
            units = step.operator.units(Preparation(here, {index: folder}, paths, step.key.unit_bytes))
            splits: SplitsUnit = units[unit]
        except KeyError as error:
            raise UserError(f"the input file {error.args[0]} is not there any more") from error
        texts: dict[str, str] = {}
        for piece in splits.splits:
            with on_disk(piece.path) as file:
                for docs in _documents(named, file, piece.name, piece.split):
                    texts |= _texts_of(docs, maps, ids)
            if len(texts) == len(ids):
                break
        return texts

    def _source(self, name: str) -> Source:
        assert self._recipe is not None
        named = next((source for source in self._recipe.sources if source.name == name), None)
        if named is None:
            raise UserError(f"the recipe that was given has no source {name}")
        return named

    def _maps(self, named: Source, step: StepRecord, stage: str) -> list[Map]:
        """The maps of a reading step before `stage`, ready to work, if the recipe has them as the run had."""
        assert self._recipe is not None
        before = [named.reader, *(map_ for map_ in named.steps if isinstance(map_, Map))]
        maps: list[Map] = []
        for mine, key in zip(before, step.stages, strict=False):
            if key.name == stage:
                return maps
            if mine.name != key.name or kept_options(StageSpec.of(mine)) != dict(key.options):
                raise UserError(
                    f"the recipe that was given has another {key.name} in {named.name} than the run had"
                )
            if isinstance(mine, Map):
                ready = mine.prepare(Context(self._record.seed, {}))
                ready.warm()
                maps.append(ready)
        raise UserError(f"the recipe that was given has no {stage} in {named.name}")

    def _from_dataset(
        self, source: SourceRecord, step: StepRecord, unit: int, stage: str, ids: set[str]
    ) -> dict[str, str]:
        """Of a step that read a dataset: from there, through whatever of the step came before the stage."""
        (name,) = step.inputs
        read = self._record.steps[name]
        if (left := not_kept(read.data.path)) is not None:
            raise UserError(f"the texts of {name} were not kept (`keep: {left.keep}`)")
        if step.stages[0].name != stage and self._recipe is None:
            raise UserError(NO_RECIPE)
        maps = self._maps_after(source, step, stage)
        texts: dict[str, str] = {}
        for table in read_unit(read.data, unit):
            texts |= _texts_of(Documents(table), maps, ids)
        return texts

    def _maps_after(self, source: SourceRecord, step: StepRecord, stage: str) -> list[Map]:
        names = [key.name for key in step.stages]
        before = names[: names.index(stage)]
        if not before:
            return []
        found = {stage.name: stage for stage in self._source(source.name).steps if isinstance(stage, Map)}
        if missing := [name for name in before if name not in found]:
            raise UserError(f"the recipe that was given has no {missing[0]} in {source.name}")
        return [found[name].prepare(Context(self._record.seed, {})) for name in before]


def _documents(named: Source, file: Path, name: str, split: Split) -> Iterator[Documents]:
    if split.fault is not None:
        return
    place = RangeInUnit(0, None, None)
    for docs, _, _ in batches_of(named.reader, file, name, split, named.label, None, place):
        if docs is not None:
            yield docs


def _texts_of(docs: Documents, maps: Sequence[Map], ids: set[str]) -> Mapping[str, str]:
    """Texts by id of those of `docs` that are asked for, after the maps."""
    wanted = pc.is_in(docs.column("id"), value_set=pa.array(sorted(ids), pa.string()))
    mine = docs.keep(wanted.to_numpy(zero_copy_only=False))
    if not len(mine):
        return {}
    for map_ in maps:
        mine = map_.apply(mine).documents
    pairs = zip(mine.column("id").to_pylist(), mine.text.to_pylist(), strict=True)
    return {identity: text for identity, text in pairs if text is not None}
