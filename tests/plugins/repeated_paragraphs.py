"""`repeated_paragraphs`: of equal paragraphs the first stays, the others are cut from their documents."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import Field

from corpusmill.pipelines.stage import Emitted, Exchange, Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.documents import Documents
    from corpusmill.pipelines.stage import Round

# A line without text ends a paragraph. White space is that of ASCII here.
PARAGRAPH = re.compile(rb"\S.*?(?=\n[ \t\r\f\v]*\n|\Z)", re.DOTALL)


class RepeatedParagraphs(Exchange):
    """Cut paragraphs that stand in a document of smaller id, or before in their own.

    Paragraphs are equal when their bytes are, white space at the ends apart. A paragraph goes with the white
    space after it. Reason: `repeated_paragraph`. Memory: about 200 bytes a paragraph of the partition.
    """

    at_least: int = Field(1, ge=1, description="Bytes of the shortest paragraph that is compared.")

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import pyarrow as pa
        from xxhash import xxh3_128_intdigest

        found = []
        documents = docs.table.select(["text", "id", "source"]).to_pylist()
        for row, document in zip(rows.tolist(), documents, strict=True):
            text = document.pop("text").encode()
            bounds = [*(match.start() for match in PARAGRAPH.finditer(text)), len(text)]
            for start, end in pairwise(bounds):
                paragraph = text[start:end].rstrip()
                if len(paragraph) >= self.at_least:
                    key, rest = divmod(xxh3_128_intdigest(paragraph), 2**64)
                    found.append((key, rest, unit, row, start, end, *document.values()))
        columns = {"key": "uint64", "rest": "uint64", "unit": "uint32", "row": "uint32", "start": "uint64"}
        columns |= {"end": "uint64", "id": "string", "source": "string"}
        rows_found = [dict(zip(columns, values, strict=True)) for values in found]
        return Emitted(pa.Table.from_pylist(rows_found, pa.schema(columns)))

    def rounds(self) -> Sequence[Round]:
        return (self.keep_the_first,)

    def keep_the_first(self, rows: pa.Table) -> Found:
        import numpy as np
        import pyarrow as pa

        rows = rows.sort_by([(name, "ascending") for name in ("key", "rest", "id", "unit", "row", "start")])
        key, rest = rows.column("key").to_numpy(), rows.column("rest").to_numpy()
        new = np.append(True, (key[1:] != key[:-1]) | (rest[1:] != rest[:-1]))
        first = np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))
        survivors = rows.take(pa.array(first[~new]))
        edits = rows.filter(pa.array(~new)).select(["unit", "row", "start", "end"])
        edits = edits.append_column("reason", pa.array(["repeated_paragraph"] * len(edits), pa.string()))
        for name in ("unit", "row", "id", "source"):
            edits = edits.append_column(f"survivor_{name}", survivors.column(name))
        return Found(edits=edits)
