"""Exchanges: partitions by key, and batches that are read back whatever wrote them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.run.operators.partitions import partition_of
from corpusmill.pipelines.run.operators.scatter import _partitioned

keys64 = st.integers(0, 2**64 - 1)


@given(st.lists(keys64, min_size=1, max_size=50), st.integers(1, 65_536))
def test_partition_is_the_exact_fraction_of_the_key_space(keys: list[int], partitions: int) -> None:
    placed = partition_of(np.array(keys, np.uint64), partitions)
    assert placed.tolist() == [(key * partitions) >> 64 for key in keys]


@given(st.lists(keys64, max_size=60), st.integers(1, 9))
def test_partitions_hold_every_row_once_in_key_order(keys: list[int], partitions: int) -> None:
    table = pa.table({"key": pa.array(keys, pa.uint64()), "row": pa.array(range(len(keys)), pa.uint32())})
    batches = _partitioned(table, partitions)
    assert len(batches) == partitions
    seen: list[tuple[int, int]] = []
    for number, batch in enumerate(batches):
        rows = list(zip(batch.column("key").to_pylist(), batch.column("row").to_pylist(), strict=True))
        assert all((key * partitions) >> 64 == number for key, _ in rows)
        seen += rows
    assert seen == sorted(zip(keys, range(len(keys)), strict=True))
