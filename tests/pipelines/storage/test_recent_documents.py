"""Documents just written are read as decoding their file would give them, and only where it is sound."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.storage import datasets
from corpusmill.pipelines.storage.datasets import read_unit
from corpusmill.pipelines.storage.recent_documents import RECENT, Groups, RecentDocuments
from tests.made_datasets import dataset


def test_what_is_at_hand_is_what_the_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = dataset(tmp_path, ["é water", "", "mill", "stone", "wheel"])
    for columns in (None, ["text", "id"], ["url"]):
        with monkeypatch.context() as without:
            without.setattr(RECENT, "_known", OrderedDict())
            decoded = list(read_unit(step, 0, columns))
        with monkeypatch.context() as without:
            without.setattr(datasets, "_parquet_batches", None)
            found = list(read_unit(step, 0, columns))
        assert [table.num_rows for table in found] == [table.num_rows for table in decoded]
        for one, other in zip(found, decoded, strict=True):
            assert one.equals(other)
            assert one.schema.equals(other.schema, check_metadata=True)


def test_an_altered_file_is_damaged_whatever_is_at_hand(tmp_path: Path) -> None:
    step = dataset(tmp_path, ["water", "mill"])
    path = step.data / "00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="differ from the manifest"):
        list(read_unit(step, 0))


def groups(rows: int, most: int = 1000) -> Groups:
    made = Groups(most)
    for _ in range(rows):
        made.add(pa.table({"number": pa.array([1], pa.int64())}))
    return made


def test_the_oldest_leave_and_a_large_file_is_not_held() -> None:
    assert groups(3, most=30).bytes == 24
    assert groups(4, most=30).tables is None
    recent = RecentDocuments(most_bytes=40)
    for name, rows in (("a", 2), ("b", 3), ("c", 2)):
        recent.written(Path(name), groups(rows))
        recent.committed(Path("another"), "x")
        recent.committed(Path(name), name)
    assert recent.groups("x") is None
    assert [len(recent.groups(name) or []) for name in "abc"] == [0, 3, 2]
    recent.written(Path("d"), groups(4, most=30))
    recent.committed(Path("d"), "d")
    assert recent.groups("d") is None
