"""A digest of what goes into an export, to compare with what comes back from its files."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpusmill.pipelines.contract.documents import buffers, contiguous


class ContentDigest:
    """XXH3 of tables, column by column, or of bytes; batches leave no trace in it.

    Each column is read where it lies in memory: lengths and bytes of all values go into a hash of their own,
    so `a`, then `b`, gives what `a ++ b` gives. Of structs and lists each child is a column.
    """

    def __init__(self) -> None:
        self._hashes: defaultdict[str, xxhash.xxh3_128] = defaultdict(xxhash.xxh3_128)

    def add(self, table: pa.Table) -> None:
        """Add every column, nulls told from empty values. Raises TypeError for a type it does not know."""
        for name in table.column_names:
            self._add(name, contiguous(table.column(name)))

    def _add(self, name: str, values: pa.Array) -> None:
        kind = values.type
        if pa.types.is_dictionary(kind):
            values, kind = values.cast(kind.value_type), kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self._add_texts(name, values.cast(pa.large_string()))
            return
        self._hashes[f"{name} valid"].update(values.is_valid().to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_struct(kind):
            for field, child in zip(kind, values.flatten(), strict=True):
                self._add(f"{name}.{field.name}", child)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            lengths = pc.fill_null(pc.list_value_length(values).cast(pa.int64()), -1)
            self._hashes[f"{name} lengths"].update(lengths.to_numpy().tobytes())
            self._add(f"{name} items", values.flatten())
        elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            known = pc.drop_null(values).to_numpy(zero_copy_only=False)
            self._hashes[name].update(np.ascontiguousarray(known).tobytes())
        elif not pa.types.is_null(kind):
            raise TypeError(f"column {name} is of the type {kind}, which no export writes")

    def _add_texts(self, name: str, values: pa.Array) -> None:
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
        """16 bytes; equal for equal tables or bytes in the same order."""
        whole = xxhash.xxh3_128()
        for name in sorted(self._hashes):
            whole.update(name.encode())
            whole.update(self._hashes[name].digest())
        return whole.digest()
