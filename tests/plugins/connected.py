"""`connected`: documents that share a line, directly or through others, are one; the best of them stays."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from pydantic import Field

from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, WithSides

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round

ADDRESS = {"key": "uint64", "unit": "uint32", "row": "uint32"}
LABEL = {"label": "string", "label_unit": "uint32", "label_row": "uint32"}  # the best document heard of
GONE = {
    "gone_unit": "uint32",
    "gone_row": "uint32",
    "gone_id": "string",
    "gone_source": "string",
    "gone_bytes": "int64",
}
NEXT = {"next_unit": "uint32", "next_row": "uint32"}  # a document that shares a line with this one


class Connected(Exchange):
    """Labels spread from line to document to line: `meet`, `spread` as often as asked, `decide`, `find`."""

    spreads: int = Field(1, ge=1, description="Rounds in which labels move to the documents next to theirs.")

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import pyarrow as pa
        from xxhash import xxh3_64_intdigest

        ids = docs.column("id").to_pylist()
        found = [
            (xxh3_64_intdigest(line.encode()), unit, row, identity)
            for text, row, identity in zip(docs.text.to_pylist(), rows.tolist(), ids, strict=True)
            for line in sorted({line for line in text.split("\n") if line.strip()})
        ]
        side = pa.table({"id": docs.column("id"), "source": docs.column("source"), "bytes": docs.sizes()})
        return Emitted(table(found, {**ADDRESS, "id": "string"}), side)

    def rounds(self) -> Sequence[Round | WithSides]:
        return (self.meet, *[self.spread] * self.spreads, WithSides(self.decide), WithSides(self.find))

    def meet(self, rows: pa.Table) -> pa.Table:
        """Of the documents of a line the best is next to every other."""
        found = []
        for group in groups(rows):
            documents = [(row["id"], row["unit"], row["row"]) for row in group]
            best = min(documents)
            for other in documents:
                found += [sent(other[1:], other, best[1:]), sent(best[1:], best, other[1:])]
        return table(found, {**ADDRESS, **LABEL, **NEXT})

    def spread(self, rows: pa.Table) -> pa.Table:
        """A document tells those next to it, and itself, of the best label that it heard of."""
        found = []
        for group in groups(rows):
            here, label = heard(group)
            for there in sorted({(row["next_unit"], row["next_row"]) for row in group}):
                found += [sent(there, label, here), sent(here, label, there)]
        return table(found, {**ADDRESS, **LABEL, **NEXT})

    def decide(self, rows: pa.Table, side: pa.Table) -> pa.Table:
        """A document whose best label is another's goes: with what is known of it, to that other."""
        found = []
        for group, facts in zip(groups(rows), side.to_pylist(), strict=True):
            here, label = heard(group)
            if label[1:] != here:
                found.append((*label[1:], *here, *facts.values()))
        return table(found, {"unit": "uint32", "row": "uint32", **GONE})

    def find(self, rows: pa.Table, side: pa.Table) -> Found:
        """The documents that are gone, and the one that each has gone to."""
        found = []
        for group, facts in zip(groups(rows), side.to_pylist(), strict=True):
            kept = {f"survivor_{name}": value for name, value in facts.items()}
            for row in group:
                kept |= {"survivor_unit": row["unit"], "survivor_row": row["row"]}
                gone = {name.removeprefix("gone_"): row[name] for name in GONE}
                found.append({**gone, **kept, "reason": "connected", "similarity": 1.0})
        import pyarrow as pa

        return Found(removals=pa.Table.from_pylist(found, DUPLICATES))


def sent(there: tuple[int, int], label: tuple[str, int, int], near: tuple[int, int]) -> tuple[Any, ...]:
    """A row for the document at an address."""
    key = (there[0] << 32 | there[1]) * 0x9E3779B97F4A7C15 % 2**64
    return (key, *there, *label, *near)


def heard(group: list[dict[str, Any]]) -> tuple[tuple[int, int], tuple[str, int, int]]:
    """The address of the document that the rows are of, and its best label."""
    labels = [(row["label"], row["label_unit"], row["label_row"]) for row in group]
    return (group[0]["unit"], group[0]["row"]), min(labels)


def groups(rows: pa.Table) -> Iterator[list[dict[str, Any]]]:
    """The rows of each key."""
    for _, group in groupby(rows.to_pylist(), lambda row: row["key"]):
        yield list(group)


def table(rows: list[tuple[Any, ...]], columns: dict[str, str]) -> pa.Table:
    """Rows as a table of these columns."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], pa.schema(columns))
