"""What comes back when a survivor goes: documents that a deduplication removed in its favour."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.inspection.identities import arrow_batches, has_removed, removed_path
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.inspection.scored import Chain
from corpusmill.pipelines.inspection.what_if.answer import Displaced

RemovedIds = Mapping[str, Mapping[str, int]]
"""Documents that would go: source -> id -> the link that would remove each."""

_COLUMNS = ["id", "source", "bytes", "survivor_id", "survivor_source", "similarity"]


def displaced(
    record: RunRecord, chains: Mapping[str, Chain], removed_ids: RemovedIds
) -> tuple[Displaced, ...]:
    """Of each deduplication that comes after a filter which would remove survivors, what these displaced.

    Memory: 100 bytes for each document that would go."""
    masks = [mask for mask in record.masks if mask.operator.reads == "pairs"]
    found = (_of_step(mask, chains, removed_ids) for mask in masks)
    return tuple(one for one in found if one is not None)


def _of_step(mask: StepRecord, chains: Mapping[str, Chain], removed_ids: RemovedIds) -> Displaced | None:
    before: dict[str, dict[str, int]] = {}  # those that would not come to this mask
    for source, ids in removed_ids.items():
        number = chains[source].at(mask.name, mask.stages[-1].name)
        if number is not None:
            before[source] = {identity: at for identity, at in ids.items() if at < number}
    wanted = {source: pa.array(sorted(ids), pa.string()) for source, ids in before.items() if ids}
    groups: dict[tuple[str, str], tuple[int, bool]] = {}  # of a survivor: documents, whether all equal it
    documents = size = 0
    for receipt in mask.units if wanted else ():
        if not has_removed(receipt):
            continue
        for batch in arrow_batches(removed_path(mask.data, receipt.unit), _COLUMNS):
            for source, survivors in wanted.items():
                ours = pc.and_(
                    pc.equal(batch.column("survivor_source"), source),
                    pc.is_in(batch.column("survivor_id"), value_set=survivors),
                )
                for row in batch.filter(pc.fill_null(ours, False)).to_pylist():
                    if row["id"] in before.get(row["source"], ()):
                        continue  # it would not come to the deduplication either
                    key = source, row["survivor_id"]
                    count, equal = groups.get(key, (0, True))
                    groups[key] = count + 1, equal and row["similarity"] == 1.0
                    documents, size = documents + 1, size + row["bytes"]
    if not groups:
        return None
    most = sum(1 if equal else count for count, equal in groups.values())
    return Displaced(mask.name, len(groups), documents, size, len(groups), most)
