"""From overlaps of a batch of documents to what is removed, and what the others are left with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.dedup.kernels.overlap import Index, buckets, overlaps
from corpusmill.dedup.matching.held_out_sets import shingle_sets
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.held_out import MODEL, TOKENIZER, USES, HeldOut
from corpusmill.pipelines.records.overlap import (
    HeldOutCount,
    HeldOutOfDocuments,
    HeldOutShares,
    Overlap,
    RemovedForHolding,
)

LEFT, REMOVE_HELD_OUT, REMOVE_LEARNT, REMOVE_COMMON = 0, 1, 2, 3  # roles
LEAST = 0.25  # smaller overlaps are not looked at

# What is known of a document (id, level): LEFT, an overlap it has with a document that stays; else that it is
# removed, for which other document.
ROWS = pa.schema(
    [
        pa.field("role", pa.int8()),
        pa.field("id", pa.string()),
        pa.field("level", pa.int8()),
        pa.field("source", pa.string()),
        pa.field("overlap", pa.float64()),
        pa.field("jaccard", pa.float64()),
        pa.field("other", pa.string()),
    ]
)
_KEY = ("id", "level", "role")


def best(rows: pa.Table) -> pa.Table:
    """Of each document and role the row of the largest overlap; of LEFT ones also the largest Jaccard
    index."""
    order = [*((name, "ascending") for name in _KEY), ("overlap", "descending"), ("other", "ascending")]
    rows = rows.sort_by([*order, ("source", "ascending")]).combine_chunks()
    columns = (rows.column(name).to_pylist() for name in _KEY)
    keys = list(zip(*columns, strict=True))
    first = np.array([at for at, key in enumerate(keys) if at == 0 or keys[at - 1] != key], np.int64)
    if len(first) == 0:
        return rows
    jaccard = np.maximum.reduceat(rows.column("jaccard").to_numpy(), first)
    at = rows.column_names.index("jaccard")
    return rows.take(pa.array(first)).set_column(at, ROWS.field("jaccard"), pa.array(jaccard))


@dataclass(frozen=True)
class Measure:
    """The held-out documents to compare with: their index and facts (`about`, a row each)."""

    held: HeldOut
    index: Index
    about: pa.Table
    heads: npt.NDArray[np.int64]
    shift: int
    limit: float

    @classmethod
    def load(cls, held: HeldOut, folder: Path, limit: float) -> Measure:
        """From the artefact of `held_out_index`."""
        with ipc.open_file(folder / "documents.arrow") as file:
            about = file.read_all().combine_chunks()
        index = Index.load(folder)
        return cls(held, index, about, *buckets(index.shingles), limit)

    def rows(self, docs: Documents) -> pa.Table:
        """ROWS of what these documents share with those held out."""
        level = self.held.levels(docs)
        learnt = docs.keep(level < MODEL)
        level = level[level < MODEL]
        ends, values = shingle_sets(*learnt.utf8())
        index = self.index
        pairs, common = overlaps(
            ends,
            values,
            level,
            index.set_ends,
            index.values,
            index.levels,
            index.shingles,
            self.heads,
            self.shift,
            index.starts,
            index.postings,
            index.common,
            self.limit,
            min(LEAST, self.limit),
        )
        size_N, size_D = np.diff(ends), np.diff(index.set_ends)
        n, d, both = pairs.T
        one, other = size_N[n], size_D[d]
        smaller = np.minimum(one, other)
        overlap, jaccard = both / smaller, both / (one + other - both)
        reached = both >= self.limit * smaller
        role = np.where(~reached, LEFT, np.where(other <= one, REMOVE_HELD_OUT, REMOVE_LEARNT))
        goes_D = role != REMOVE_LEARNT  # the row tells of the held-out document
        ids = np.asarray(learnt.column("id").to_pylist(), object)
        sources = np.asarray(learnt.column("source").to_pylist(), object)
        about = {name: np.asarray(self.about.column(name).to_pylist(), object) for name in ("id", "source")}
        found = pa.table(
            {
                "role": role.astype(np.int8),
                "id": pa.array(np.where(goes_D, about["id"][d], ids[n]), pa.string()),
                "level": np.where(goes_D, index.levels[d], level[n]).astype(np.int8),
                "source": pa.array(np.where(goes_D, about["source"][d], sources[n]), pa.string()),
                "overlap": overlap,
                "jaccard": jaccard,
                "other": pa.array(np.where(goes_D, ids[n], about["id"][d]), pa.string()),
            },
            schema=ROWS,
        )
        plain = np.flatnonzero((size_N > 0) & (common >= self.limit * size_N))
        return pa.concat_tables([found, _common(ids[plain], level[plain], sources[plain])])

    def decided(self, rows: pa.Table) -> tuple[pa.Table, Overlap]:
        """Removals, one row a document and level, and the figures of overlap.json."""
        size_D = np.diff(self.index.set_ends)
        common_D = self.about.column("common").to_numpy()
        plain = np.flatnonzero((size_D > 0) & (common_D >= self.limit * size_D))
        about = self.about.take(pa.array(plain))
        ids, sources = (np.asarray(about.column(name).to_pylist(), object) for name in ("id", "source"))
        rows = best(pa.concat_tables([rows, _common(ids, about.column("level").to_numpy(), sources)]))
        taken_out: dict[tuple[str, int], dict[str, Any]] = {}
        left: list[dict[str, Any]] = []
        for row in rows.to_pylist():  # sorted by id, level and role
            if row["role"] == LEFT:
                left.append(row)
            else:
                taken_out.setdefault((row["id"], row["level"]), row)
        left = [row for row in left if (row["id"], row["level"]) not in taken_out]
        roles = [row["role"] for row in taken_out.values()]
        facts = Overlap(
            overlap=self.limit,
            shares=HeldOutShares(*(self.held.shares.get(use, 0.0) for use in USES)),
            compared=self.about.num_rows,
            removed=RemovedForHolding(
                held_out=roles.count(REMOVE_HELD_OUT),
                learnt=roles.count(REMOVE_LEARNT),
                common=roles.count(REMOVE_COMMON),
            ),
            highest_overlap=max((row["overlap"] for row in left), default=0.0),
            highest_jaccard=max((row["jaccard"] for row in left), default=0.0),
            sources=self._sources(taken_out),
        )
        return pa.Table.from_pylist(list(taken_out.values()), schema=ROWS), facts

    def _sources(self, taken_out: dict[tuple[str, int], dict[str, Any]]) -> dict[str, HeldOutOfDocuments]:
        """By source, documents there, and those held out that stay."""
        found = {}
        rows = self.about.select(["id", "source", "level", "bytes"]).to_pylist()
        kept = [row for row in rows if (row["id"], row["level"]) not in taken_out]
        for source, one in sorted((self.held.sources or {}).items()):
            mine = [row for row in kept if row["source"] == source]
            model = [row["bytes"] for row in mine if row["level"] == MODEL]
            tokenizer = [row["bytes"] for row in mine if row["level"] >= TOKENIZER]
            found[source] = HeldOutOfDocuments(
                documents=one["documents"],
                in_large_families=one["in_large"],
                model=HeldOutCount(len(model), sum(model)),
                tokenizer=HeldOutCount(len(mine), sum(tokenizer)),
            )
        return found


def _common(ids: Any, level: Any, sources: Any) -> pa.Table:
    """ROWS of documents of which nearly all is common."""
    n = len(ids)
    return pa.table(
        {
            "role": np.full(n, REMOVE_COMMON, np.int8),
            "id": pa.array(ids, pa.string()),
            "level": np.asarray(level, np.int8),
            "source": pa.array(sources, pa.string()),
            "overlap": np.full(n, 1.0),
            "jaccard": np.zeros(n),
            "other": pa.nulls(n, pa.string()),
        },
        schema=ROWS,
    )
