"""`held_out_families`: which families of documents are held out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from corpusmill.pipelines.contract.stage import Fold, Seeded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents


class HeldOutFamilies(Seeded, Fold):
    """Choose the families that the tokenizer and the model are judged on (`contract.held_out`).

    Of the families that are not large, so many are held out that their documents come nearest to the share
    (more of them on a tie); of large ones, documents of their own draw. No family that is held out as one
    has more than the smaller share of its source, so what is reached is within half of what is asked, but for
    the chance in single documents.

    Artefact: families.json. Memory: a number a bin of families and source.
    """

    libraries: ClassVar[tuple[str, ...]] = ()
    consumes: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[str, ...] | None] = ("id", "source", "url", "repo")

    tokenizer: float = Field(
        0.0, ge=0.0, lt=1.0, description="Share of each source's documents to hold out from the tokenizer."
    )
    model: float = Field(
        0.0, ge=0.0, le=0.5, description="Share of each source's documents to hold out from the model."
    )

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """Documents by source and bin of families."""
        import numpy as np

        from corpusmill.pipelines.contract.held_out import BINS, family_bins

        counts: dict[str, npt.NDArray[np.int64]] = {}
        for docs in batches:
            if len(docs) == 0:
                continue
            bins = family_bins(docs, self.known_seed())
            sources = docs.column("source").to_pylist()
            for source in sorted(set(sources)):
                mine = np.array([name == source for name in sources])
                held = counts.setdefault(source, np.zeros(BINS, np.int64))
                held += np.bincount(bins[mine], minlength=BINS)
        return _rows(counts)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        table = pa.concat_tables(parts).group_by(["source", "bin"], use_threads=False)
        summed = table.aggregate([("documents", "sum")]).rename_columns(["source", "bin", "documents"])
        return summed.sort_by([("source", "ascending"), ("bin", "ascending")])

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write families.json; returns what it says."""
        from corpusmill.pipelines.contract.held_out import FILE, HeldOut

        shares = {"tokenizer": self.tokenizer, "model": self.model}
        rows: dict[str, list[tuple[int, int]]] = {}
        for row in self.combine([part]).to_pylist():
            rows.setdefault(row["source"], []).append((row["bin"], row["documents"]))
        sources = {source: _chosen(counts, shares) for source, counts in sorted(rows.items())}
        found = HeldOut(self.known_seed(), shares, sources).as_json()
        (folder / FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return found


def _rows(counts: dict[str, npt.NDArray[np.int64]]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    schema = pa.schema([("source", pa.string()), ("bin", pa.int64()), ("documents", pa.int64())])
    tables = [schema.empty_table()]
    for source, held in sorted(counts.items()):
        filled = np.flatnonzero(held)
        columns = [pa.array([source] * len(filled), pa.string()), pa.array(filled), pa.array(held[filled])]
        tables.append(pa.Table.from_arrays(columns, schema=schema))
    return pa.concat_tables(tables)


def _chosen(counts: list[tuple[int, int]], shares: dict[str, float]) -> dict[str, Any]:
    """What is held out of one source, whose bins of families hold so many documents (sorted by bin)."""
    total = sum(documents for _, documents in counts)
    cap = max(1.0, min((share for share in shares.values() if share > 0), default=0.0) * total)
    large = [bin_ for bin_, documents in counts if documents > cap]
    small = [(bin_, documents) for bin_, documents in counts if documents <= cap]
    thresholds = {use: _threshold(small, share) for use, share in shares.items()}
    in_large = sum(documents for _, documents in counts if documents > cap)
    return {"documents": total, "large": large, "in_large": in_large, "thresholds": thresholds}


def _threshold(counts: list[tuple[int, int]], share: float) -> int:
    """The bin below which families are held out."""
    wanted = share * sum(documents for _, documents in counts)
    if wanted == 0:
        return 0
    threshold, taken, miss = 0, 0, wanted
    for bin_, documents in counts:
        taken += documents
        if abs(taken - wanted) > miss:
            break
        threshold, miss = bin_ + 1, abs(taken - wanted)
    return threshold
