"""How much memory each row of an Arrow record batch takes once it stands as Python values.

Arrow keeps a repeated value once, wherever it is nested (a dictionary in a list, a struct or a map), and a
number in as little as a bit. As Python values each repetition is a copy, so that a file of a kilobyte may
become gigabytes. Sizes are taken from lengths alone: nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

VALUE_BYTES = 32  # of a Python object and the reference to it, about
Sizes = npt.NDArray[np.int64]


def row_sizes(part: pa.RecordBatch) -> Sizes:
    """Bytes of each row of `part` as Python values, int64[n]: `VALUE_BYTES` a value, and what texts hold."""
    total = np.zeros(part.num_rows, np.int64)
    for column in part.columns:
        total += _sizes(column)
    return total


def bounded(sizes: Sizes, limit: int) -> Iterator[tuple[int, int]]:
    """Spans (first row, number of rows) that cover all rows in order: as many rows as together take at most
    `limit` bytes, or one row that takes more."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
        yield start, end - start
        start = end


def _sizes(column: pa.Array) -> int | Sizes:
    """Of each element, int64[n]; a number where all have the same."""
    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _sizes(column.storage)
    if isinstance(column, pa.DictionaryArray):
        return _of_dictionary(column)
    if pa.types.is_run_end_encoded(kind):
        return _of_runs(column)
    if pa.types.is_union(kind):
        return _of_union(column)
    if pa.types.is_struct(kind):
        fields = [_sizes(column.field(place)) for place in range(kind.num_fields)]
        return sum(fields, start=VALUE_BYTES)
    if pa.types.is_map(kind):
        return _of_lists(_positions(column), None, _sizes(column.keys), _sizes(column.items))
    if pa.types.is_fixed_size_list(kind):
        starts = (np.arange(len(column), dtype=np.int64) + column.offset) * kind.list_size
        return _of_lists(starts, np.full(len(column), kind.list_size, np.int64), _sizes(column.values))
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        lengths = column.sizes.to_numpy(zero_copy_only=False).astype(np.int64)
        return _of_lists(_positions(column), lengths, _sizes(column.values))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _of_lists(_positions(column), None, _sizes(column.values))
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):  # a view begins with its length
        views = np.frombuffer(column.buffers()[1], np.int32).reshape(-1, 4)
        return _of_texts(column, views[column.offset : column.offset + len(column), 0])
    if pa.types.is_fixed_size_binary(kind):
        return VALUE_BYTES + int(kind.byte_width)
    if any(is_(kind) for is_ in (pa.types.is_string, pa.types.is_large_string)) or any(
        is_(kind) for is_ in (pa.types.is_binary, pa.types.is_large_binary)
    ):
        return _of_texts(column, pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False))
    return VALUE_BYTES


def _of_texts(column: pa.Array, lengths: npt.NDArray[np.integer]) -> Sizes:
    sizes = lengths.astype(np.int64)
    if column.null_count:
        sizes[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return sizes + VALUE_BYTES


def _of_dictionary(column: pa.DictionaryArray) -> int | Sizes:
    values = _sizes(column.dictionary)
    if isinstance(values, int):
        return values
    if not len(values):
        return VALUE_BYTES
    places = pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
    taken: Sizes = values[places]
    if column.indices.null_count:
        taken[column.indices.is_null().to_numpy(zero_copy_only=False)] = VALUE_BYTES
    return taken


def _of_runs(column: pa.RunEndEncodedArray) -> int | Sizes:
    values = _sizes(column.values)
    if isinstance(values, int):
        return values
    ends = column.run_ends.to_numpy(zero_copy_only=False)
    rows = np.arange(column.offset, column.offset + len(column))
    return values[np.searchsorted(ends, rows, side="right")]


def _of_union(column: pa.UnionArray) -> Sizes:
    total = np.full(len(column), VALUE_BYTES, np.int64)
    codes = column.type_codes.to_numpy(zero_copy_only=False)
    dense = column.type.mode == "dense"
    places = column.offsets.to_numpy(zero_copy_only=False) if dense else np.arange(len(column))
    for number, code in enumerate(column.type.type_codes):
        values = _sizes(column.field(number))
        mine = codes == code
        total[mine] += values if isinstance(values, int) else values[places[mine]]
    return total


def _positions(column: pa.Array) -> Sizes:
    """Where each list begins among the values; of lists, as offsets, with the end of the last behind them."""
    positions: Sizes = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    return positions


def _of_lists(starts: Sizes, lengths: Sizes | None, *values: int | Sizes) -> Sizes:
    """Of lists whose values take `values` each; `lengths` None: `starts` are n + 1 offsets."""
    first = starts if lengths is not None else starts[:-1]
    last = first + lengths if lengths is not None else starts[1:]
    total = np.full(len(first), VALUE_BYTES, np.int64)
    for one in values:
        if isinstance(one, int):
            total += (last - first) * one
        else:
            sums = np.concatenate(([0], np.cumsum(one)))
            total += sums[last] - sums[first]
    return total
