"""Which benchmark items were found in documents, by benchmark and by how they stand in them.

Memory: the names of the items found, and a unit's rows of the documents they were found in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.given import BENCHMARKS, CONTAMINATION
from corpusmill.pipelines.inspection.identities import arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.inspection.trails import detail_scores, scores_of

_SCORES = ("match", "items", "item_benchmarks")


@dataclass(frozen=True)
class BenchmarkRow:
    """One benchmark: its items, those found in documents, and these documents, by how the best item of each
    stands in it, the most first."""

    benchmark: str
    items: int
    items_found: int
    documents: int
    matches: Mapping[str, int]


@dataclass(frozen=True)
class Contamination:
    """What the step found: documents with items, of these removed, and figures by benchmark, the most items
    first. Documents that hold items of several benchmarks count in each."""

    step: str
    stage: str
    documents: int
    removed: int
    benchmarks: tuple[BenchmarkRow, ...]


@dataclass(frozen=True)
class _Found:
    removed: bool
    match: str
    items: tuple[tuple[str, str], ...]  # benchmark and item


def contamination(record: RunRecord) -> Contamination | None:
    """None where the run has no such step, or has not come to it."""
    step = record.complete_giving(CONTAMINATION)
    known = record.complete_giving(BENCHMARKS)
    if step is None or known is None:
        return None
    sizes: dict[str, int] = known.units[0].summary["benchmarks"]
    items: dict[str, set[str]] = {name: set() for name in sizes}
    matches: dict[str, Counter[str]] = {name: Counter() for name in sizes}
    documents = removed = 0
    for found in _found(step):
        documents += 1
        removed += found.removed
        for benchmark, item in found.items:
            items[benchmark].add(item)
        for benchmark in {benchmark for benchmark, _ in found.items}:
            matches[benchmark][found.match] += 1
    rows = [
        BenchmarkRow(name, sizes[name], len(items[name]), sum(matches[name].values()), dict(ordered))
        for name in sizes
        for ordered in [sorted(matches[name].items(), key=lambda pair: (-pair[1], pair[0]))]
    ]
    rows.sort(key=lambda row: (-row.items_found, row.benchmark))
    return Contamination(step.name, step.stages[-1].name, documents, removed, tuple(rows))


def _found(step: StepRecord) -> Iterator[_Found]:
    """The documents in which items were found, removed ones and kept ones."""
    stage = step.stages[-1].name
    names = [f"{stage}.{name}" for name in _SCORES]
    for unit in step.units:
        if has_removed(unit):
            for batch in arrow_batches(removed_path(step.data, unit.unit), ["kind", "detail"]):
                removed = batch.filter(pc.equal(batch.column("kind"), "removed"))
                for detail in removed.column("detail").to_pylist():
                    scores = scores_of(stage, detail_scores(detail))
                    if scores.get("items"):
                        yield _of(True, *(scores[name] for name in _SCORES))
        path = step.data.file(f"{unit.unit:05d}.scores.parquet")
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if not set(names) <= set(file.schema_arrow.names):
                continue  # a unit without documents
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=names, use_threads=False)
                some = table.filter(pc.greater(pc.list_value_length(table.column(names[1])), 0))
                for row in some.to_pylist():
                    yield _of(False, *(row[name] for name in names))


def _of(removed: bool, match: str, items: list[str], benchmarks: list[str]) -> _Found:
    return _Found(removed, match, tuple(zip(benchmarks, items, strict=True)))
