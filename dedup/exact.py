"""Exact duplicates: documents of equal text, all but one removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from corpusmill.pipelines.contract.stage import Deduplicate, Emitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round, WithSides


class Exact(Deduplicate):
    """Remove documents whose text equals another's, keeping one of each group.

    Two texts are equal when their length and their 128-bit XXH3 are (datatrove and text-dedup compare 64 bits
    or an md5; a wrong match here has probability n^2 / 2^129 over n documents of one length). `normalize:
    whitespace` compares texts with runs of Unicode white space as one space and none at the ends. Case and
    punctuation always count. Documents of empty text are equal to one another: one survives.

    Survivor: first by place of its source in `priority` (sources not named come last), then more bytes, then
    smaller id, then smaller address. Reason `exact_duplicate`, similarity 1.0. Memory: 100 bytes a document
    of the partition.
    """

    name: ClassVar[str] = "exact"
    libraries: ClassVar[tuple[str, ...]] = ("xxhash",)
    address_only: ClassVar[bool] = True
    remembers: ClassVar[int | None] = 1

    normalize: Literal["none", "whitespace"] = Field(
        "none",
        description="Compare byte for byte (datatrove, Curator), or with white space runs as one space.",
    )
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a document: key is the low half of the hash; `high`, `length` and facts travel along."""
        import numpy as np
        import pyarrow as pa
        from xxhash import xxh3_128_intdigest

        offsets, data = docs.utf8()
        low, high, length = np.empty(len(docs), np.uint64), np.empty(len(docs), np.uint64), np.diff(offsets)
        view = data.data
        for i in range(len(docs)):
            text: bytes | memoryview = view[offsets[i] : offsets[i + 1]]
            if self.normalize == "whitespace":
                text = " ".join(str(text, "utf-8").split()).encode()
                length[i] = len(text)
            digest = xxh3_128_intdigest(text)
            low[i], high[i] = digest & (2**64 - 1), digest >> 64
        columns = {
            "key": low,
            "unit": np.full(len(docs), unit, np.uint32),
            "row": rows.astype(np.uint32),
            "high": high,
            "length": length,
            "id": docs.column("id"),
            "source": docs.column("source"),
            "bytes": docs.sizes(),
        }
        return Emitted(pa.table(columns))

    def rounds(self) -> Sequence[Round | WithSides]:
        """One round, which learns the best document of each group first where copies are very many."""
        from corpusmill.dedup.matching.equals import keeping_one

        return (keeping_one(self.reduce, ("key", "high", "length"), self._ranks),)

    def reduce(self, rows: pa.Table) -> pa.Table:
        """Every document of a group but its best, as `DUPLICATES`."""
        from corpusmill.dedup.matching.equals import removals_of_equals

        return removals_of_equals(rows, ("key", "high", "length"), self._ranks(rows), "exact_duplicate")

    def _ranks(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        from corpusmill.pipelines.contract.survivors import ranks

        return ranks(rows, self.priority)
