"""A tiny batch of documents to compile kernels on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpusmill.pipelines.contract.documents import Documents


def sample_documents() -> Documents:
    """Two short documents under the document schema."""
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import SCHEMA, Documents

    texts = ["Let x be in the set of all $n > 0$.\n\nThe end ...", ""]
    fields = {
        "id": ["0" * 32, "1" * 32], "text": texts, "source": ["sample"] * 2, "domain": ["web"] * 2,
        "url": [None] * 2, "path": ["a.py", None], "repo": [None] * 2, "license": [None] * 2,
        "lang": [None] * 2, "meta": ["{}"] * 2,
    }  # fmt: skip
    return Documents(pa.table(fields, schema=SCHEMA))
