"""`held_out_index`: the shingles of held-out documents, to find their text elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import PrivateAttr

from corpusmill.pipelines.contract.stage import Context, Fold

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.pipelines.contract.context import Marks
    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.held_out import HeldOut

DOCUMENTS = "documents.arrow"


class HeldOutIndex(Fold):
    """Index the word 5-grams of the documents held out (`kernels.overlap.Index`).

    Artefact: its arrays in one .npz, and documents.arrow (id, source, level, bytes, `common`: its common
    shingles), one row a document and level, sorted by them. Memory: about 12 bytes a word held out.
    """

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy")
    artefacts: ClassVar[tuple[str, ...]] = ("held_out",)

    _held: HeldOut | None = PrivateAttr(default=None)

    def prepare(self, context: Context) -> Self:
        from corpusmill.pipelines.contract.held_out import ARTEFACT, FILE, read_held_out

        ready = self.model_copy()
        ready._held = read_held_out(context.artefact(ARTEFACT, FILE))
        return ready

    def marks(self) -> Marks:
        from corpusmill.pipelines.contract.held_out import marks_of_levels

        return marks_of_levels()

    def map(self, batches: Iterator[Documents]) -> pa.Table:
        """Id, source, level, bytes and shingle set of each document held out."""
        import pyarrow as pa

        from corpusmill.dedup.matching.held_out_sets import shingle_sets

        if self._held is None:
            raise RuntimeError("held_out_index needs the families held out: call prepare first")
        tables = [_schema().empty_table()]
        for docs in batches:
            level = self._held.levels(docs)
            docs = docs.keep(level > 0)
            if len(docs):
                ends, values = shingle_sets(*docs.utf8())
                sets = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values))
                columns = [docs.column("id"), docs.column("source").cast(pa.string()), level[level > 0]]
                tables.append(pa.table([*columns, docs.sizes(), sets], schema=_schema()))
        return self.combine(tables)

    def combine(self, parts: Sequence[pa.Table]) -> pa.Table:
        """All rows, sorted; of equal documents of a level one is enough."""
        import numpy as np
        import pyarrow as pa

        names = ("id", "level", "source")
        table = pa.concat_tables(parts).sort_by([(name, "ascending") for name in names]).combine_chunks()
        keys = list(zip(table.column("id").to_pylist(), table.column("level").to_pylist(), strict=True))
        first = [at for at, key in enumerate(keys) if at == 0 or keys[at - 1] != key]
        return table.take(pa.array(np.array(first, np.int64)))

    def finish(self, part: pa.Table, folder: Path) -> dict[str, Any]:
        """Write the index; returns documents, distinct shingles and those that are common."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.ipc as ipc

        from corpusmill.dedup.kernels.overlap import build_index
        from corpusmill.pipelines.contract.documents import contiguous

        part = self.combine([part]).combine_chunks()
        sets = contiguous(part.column("shingles"))
        ends = np.asarray(sets.offsets.to_numpy(), np.int64)
        values = sets.values.to_numpy(zero_copy_only=False)[ends[0] : ends[-1]].astype(np.uint32)
        ends = ends - ends[0]
        index = build_index(ends, values, part.column("level").to_numpy().astype(np.int8))
        index.save(folder)
        common = np.isin(values, index.shingles[index.common])
        sums = np.concatenate([[0], np.cumsum(common)])
        common_D = pa.array(sums[ends[1:]] - sums[ends[:-1]])
        about = part.drop_columns(["shingles"]).append_column("common", common_D)
        with ipc.new_file(folder / DOCUMENTS, about.schema) as file:
            file.write_table(about)
        return {
            "documents": part.num_rows,
            "shingles": len(index.shingles),
            "common_shingles": int(index.common.sum()),
        }


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("level", pa.int8()),
            ("bytes", pa.int64()),
            ("shingles", pa.large_list(pa.uint32())),
        ]
    )
