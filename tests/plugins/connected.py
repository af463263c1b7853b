"""`connected`: documents that share a line, directly or through others, are one; the best of them stays."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from pydantic import Field

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round, Sides

ADDRESS = {"key": "uint64", "unit": "uint32", "row": "uint32"}
LABEL = {"label": "string", "label_unit": "uint32", "label_row": "uint32"}  # the best document heard of
NEXT = {"next_unit": "uint32", "next_row": "uint32"}  # a document that shares a line with this one


class Connected(Exchange):
    """Labels spread from line to document to line: round `meet`, `spread` as often as asked, `decide`."""

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

    def rounds(self) -> Sequence[Round]:
        return (self.meet, *[self.spread] * self.spreads, self.decide)

    def meet(self, rows: pa.Table, sides: Sides) -> pa.Table:
        """Of the documents of a line the best is next to every other."""
        found = []
        for group in groups(rows):
            documents = [(row["id"], row["unit"], row["row"]) for row in group]
            best = min(documents)
            for other in documents:
                found += [sent(other[1:], other, best[1:]), sent(best[1:], best, other[1:])]
        return table(found, {**ADDRESS, **LABEL, **NEXT})

    def spread(self, rows: pa.Table, sides: Sides) -> pa.Table:
        """A document tells those next to it, and itself, of the best label that it heard of."""
        found = []
        for group in groups(rows):
            here, label = heard(group)
            for there in sorted({(row["next_unit"], row["next_row"]) for row in group}):
                found += [sent(there, label, here), sent(here, label, there)]
        return table(found, {**ADDRESS, **LABEL, **NEXT})

    def decide(self, rows: pa.Table, sides: Sides) -> Found:
        """A document whose best label is another's is removed."""
        import numpy as np
        import pyarrow as pa

        heard_of = [heard(group) for group in groups(rows)]
        pairs = [(*here, *label[1:]) for here, label in heard_of if label[1:] != here]
        addresses = np.array(pairs, np.uint32).reshape(-1, 4).T
        mine, kept = sides.take(*addresses[:2]), sides.take(*addresses[2:])
        columns = dict(zip(("unit", "row", "survivor_unit", "survivor_row"), addresses, strict=True))
        for name in ("id", "source", "bytes"):
            columns |= {name: mine.column(name), f"survivor_{name}": kept.column(name)}
        columns |= {
            "reason": pa.array(["connected"] * len(pairs), pa.string()),
            "similarity": np.ones(len(pairs)),
        }
        return Found(removals=pa.table(columns))


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
