"""Documents and what stages do with them, at the address by which plugins import them.

`contract.documents` defines them; this address stays where it is (see `pipelines.stage`).
"""

from __future__ import annotations

from corpusmill.pipelines.contract.documents import (
    SCHEMA,
    Columns,
    Documents,
    document_id,
    nothing,
    reason_where,
)

__all__ = ["SCHEMA", "Columns", "Documents", "document_id", "nothing", "reason_where"]
