"""Batches come back as they were written, and no flipped bit passes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.storage import checked_ipc as module
from corpusmill.pipelines.storage.checked_ipc import BatchWriter, CheckedFile, read_batches, write_batches

SCHEMA = pa.schema(
    [
        ("key", pa.uint64()),
        ("text", pa.large_string()),
        ("flag", pa.bool_()),
        ("tokens", pa.large_list(pa.uint16())),
        ("hashes", pa.list_(pa.uint64(), 2)),
        ("piece", pa.struct([("a", pa.int32()), ("b", pa.string())])),
    ]
)
rows = st.fixed_dictionaries(
    {
        "key": st.none() | st.integers(0, 2**64 - 1),
        "text": st.none() | st.text(max_size=9),
        "flag": st.none() | st.booleans(),
        "tokens": st.none() | st.lists(st.integers(0, 65535), max_size=5),
        "hashes": st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list),
        "piece": st.none()
        | st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.none() | st.text(max_size=3)}),
    }
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(rows, max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from(["lz4", "zstd", None]),
)
def test_slices_of_any_table_come_back(
    tmp_path: Path, values: list[dict[str, object]], cuts: list[int], compression: module.Compression
) -> None:
    table = pa.Table.from_pylist(values, schema=SCHEMA).combine_chunks()
    whole = table.to_batches()[0] if values else pa.RecordBatch.from_pylist([], schema=SCHEMA)
    edges = sorted({0, len(values), *(min(cut, len(values)) for cut in cuts)})
    parts = [whole.slice(a, b - a) for a, b in pairwise(edges)] or [whole]
    path = tmp_path / "x.arrow"
    write_batches(path, SCHEMA, parts, compression)
    assert [batch.to_pylist() for batch in read_batches(path)] == [part.to_pylist() for part in parts]
    with pytest.MonkeyPatch.context() as patch:  # as batches that are not copied
        patch.setattr(module, "_COPIED", 0)
        write_batches(tmp_path / "y.arrow", SCHEMA, parts, compression)
        assert (tmp_path / "y.arrow").read_bytes() == path.read_bytes()
        assert [batch.to_pylist() for batch in read_batches(path)] == [part.to_pylist() for part in parts]
    with CheckedFile(path) as file:
        assert len(file) == len(parts)
        assert file.batch(len(parts) - 1).to_pylist() == parts[-1].to_pylist()


def test_no_flipped_bit_passes(tmp_path: Path) -> None:
    values = [
        {"key": n, "text": f"text {n} " * 3, "flag": n % 2 == 0, "tokens": [n, n + 1]} for n in range(60)
    ]
    batch = pa.RecordBatch.from_pylist(values, schema=SCHEMA)
    path = tmp_path / "x.arrow"
    write_batches(path, SCHEMA, [batch.slice(0, 30), batch.slice(30)])
    content = path.read_bytes()
    whole = [part.to_pylist() for part in read_batches(path)]
    wrong = 0
    for position in range(0, len(content), 7):
        broken = bytearray(content)
        broken[position] ^= 1 << (position % 8)
        path.write_bytes(broken)
        try:
            found = [part.to_pylist() for part in read_batches(path)]
        except (IntegrityError, UnicodeDecodeError):
            continue
        wrong += found != whole  # a bit of padding may flip unseen; a value may not
    assert wrong == 0


def test_a_cut_file_names_itself_and_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    write_batches(path, SCHEMA, [pa.RecordBatch.from_pylist([{"key": 1}], schema=SCHEMA)])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match=r"x\.arrow: .*corpusmill run RECIPE --repair"):
        list(read_batches(path))


def test_batches_are_found_by_number(tmp_path: Path) -> None:
    path, schema = tmp_path / "x.arrow", pa.schema([("a", pa.int64())])
    with BatchWriter(path, schema) as writer:
        for place, number in enumerate((7, 2**32 - 1, 7, 0)):
            writer.write(pa.record_batch([pa.array([place], pa.int64())], schema=schema), number)
    with CheckedFile(path) as file:
        assert file.numbers.tolist() == [7, 2**32 - 1, 7, 0]
        assert [batch["a"].to_pylist() for batch in file.numbered(7)] == [[0], [2]]
        assert file.numbered(8) == []
        wanted = file.id
    with CheckedFile(path, wanted):
        pass
    with pytest.raises(IntegrityError, match=r"x\.arrow: it is another file, or its index was altered"):
        CheckedFile(path, "0" * 32).__enter__()


def test_batches_tell_between_which_keys_they_lie(tmp_path: Path) -> None:
    path, schema = tmp_path / "x.arrow", pa.schema([("a", pa.int64())])
    ids = set()
    for bounds in ((3, 2**64 - 2), (3, 2**64 - 1)):
        with BatchWriter(path, schema) as writer:
            writer.write(pa.record_batch([pa.array([1], pa.int64())], schema=schema))
            writer.write(pa.record_batch([pa.array([2], pa.int64())], schema=schema), bounds=bounds)
        with CheckedFile(path) as file:
            least, greatest = file.bounds
            assert least.tolist() == [0, 3]
            assert greatest.tolist() == [2**64 - 1, bounds[1]]
            ids.add(file.id)
    assert len(ids) == 2, "the receipt proves them"


@pytest.mark.parametrize("batches", [0, 1])
def test_a_file_without_an_index_is_told(tmp_path: Path, batches: int) -> None:
    path, schema = tmp_path / "x.arrow", pa.schema([("a", pa.int64())])
    with pa.ipc.new_file(path, schema) as file:
        for _ in range(batches):
            file.write_batch(pa.RecordBatch.from_pylist([], schema=schema))
    with pytest.raises(IntegrityError, match=r"x\.arrow: it has no index of its batches"):
        list(read_batches(path))
