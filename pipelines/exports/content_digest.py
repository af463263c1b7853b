"""A digest of what goes into an export, to compare with what comes back from its files."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpusmill.pipelines.contract.documents import SCHEMA, Documents, buffers, contiguous


class ContentDigest:
    """XXH3 of documents, column by column of the document schema, or of bytes; batches leave no trace in it.

    Each column is read where it lies in memory: lengths and bytes of all values go into a hash of their own,
    so `a`, then `b`, gives what `a ++ b` gives.
    """

    def __init__(self) -> None:
        self._hashes: defaultdict[str, xxhash.xxh3_128] = defaultdict(xxhash.xxh3_128)

    def add(self, docs: Documents) -> None:
        """Add every column of the schema, nulls told from empty texts. Raises KeyError for a missing one."""
        for name in SCHEMA.names:
            values = contiguous(docs.table.column(name)).cast(pa.large_string())
            offsets, data = buffers(pc.fill_null(values, ""))
            lengths = np.diff(offsets)
            if values.null_count:
                lengths[~values.is_valid().to_numpy(zero_copy_only=False)] = -1
            self._hashes[f"{name} lengths"].update(lengths.data)
            self._hashes[name].update(data[offsets[0] : offsets[-1]].data)

    def add_bytes(self, data: bytes) -> None:
        """Add part of a file that is compared byte for byte."""
        self._hashes["bytes"].update(data)

    def value(self) -> bytes:
        """16 bytes; equal for equal documents or bytes in the same order."""
        whole = xxhash.xxh3_128()
        for name in sorted(self._hashes):
            whole.update(name.encode())
            whole.update(self._hashes[name].digest())
        return whole.digest()
