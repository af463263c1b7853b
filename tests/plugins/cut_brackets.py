"""`cut_brackets`: spans that overlap, nest and end within characters, in no favour of anyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round


class CutBrackets(Exchange):
    """Cut from every `[` to every later `]`, and one byte more than each of these spans at both ends."""

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import pyarrow as pa

        found = []
        for text, row in zip(docs.text.to_pylist(), rows.tolist(), strict=True):
            data = text.encode()
            opened = [place for place, byte in enumerate(data) if byte == ord("[")]
            closed = [place + 1 for place, byte in enumerate(data) if byte == ord("]")]
            spans = [(start, end) for start in opened for end in closed if start < end]
            spans += [(max(0, start - 1), min(len(data), end + 1)) for start, end in spans]
            found += [{"key": row << 40, "unit": unit, "row": row, "start": s, "end": e} for s, e in spans]
        columns = {"key": "uint64", "unit": "uint32", "row": "uint32", "start": "uint64", "end": "uint64"}
        return Emitted(pa.Table.from_pylist(found, pa.schema(columns)))

    def rounds(self) -> Sequence[Round]:
        return (self.all_of_them,)

    def all_of_them(self, rows: pa.Table) -> Found:
        import pyarrow as pa

        wide = [row["start"] % 2 == 0 for row in rows.to_pylist()]
        reasons = pa.array(["even" if even else "odd" for even in wide], pa.string())
        return Found(edits=rows.append_column("reason", reasons))
