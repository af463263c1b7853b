"""Pairs as files hold them come back as they were, whatever part of a file is read."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.addresses import DUPLICATES, EDITS
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.run.operators.buckets import merge_buckets, read_bucket, read_found, write_buckets
from corpusmill.pipelines.run.operators.partitions import sorted_by_address
from corpusmill.pipelines.storage.checked_ipc import CheckedFile
from corpusmill.pipelines.storage.datasets import MASK_UNITS
from corpusmill.pipelines.storage.hex_ids import as_bytes, as_digits
from corpusmill.pipelines.storage.pairs import packed, unpacked
from corpusmill.pipelines.storage.run_folder import StepFolder

SOURCES = ("web", "~00001.00002+earlier/\u4e2d")


def pairs(count: int, seed: int, sources: tuple[str, ...] = SOURCES) -> pa.Table:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        row: dict[str, object] = {"unit": draw.randrange(300), "row": number, "bytes": draw.randrange(2**40)}
        row |= {"survivor_unit": draw.randrange(2**32), "survivor_row": draw.randrange(2**32)}
        row |= {"survivor_bytes": draw.randrange(2**40), "similarity": draw.random(), "reason": "near"}
        for end in ("", "survivor_"):
            row |= {f"{end}id": f"{draw.getrandbits(128):032x}", f"{end}source": draw.choice(sources)}
        rows.append(row)
    return pa.Table.from_pylist(rows, DUPLICATES)


@given(st.lists(st.integers(0, 2**128 - 1), max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_ids_are_bytes_and_back(numbers: list[int], start: int, count: int) -> None:
    ids = pa.array([f"{number:032x}" for number in numbers], pa.string()).slice(start, count)
    found = as_bytes(ids)
    assert found.to_pylist() == [bytes.fromhex(one) for one in ids.to_pylist()]
    assert as_digits(found).to_pylist() == ids.to_pylist()
    assert as_digits(as_bytes(pa.array([f"{number:032x}" for number in numbers])).slice(start, count)) == ids


@pytest.mark.parametrize("wrong", ["A" * 32, "g" * 32, "\u00e9" * 16, "0" * 31, "0" * 31 + "/", None])
def test_what_is_no_id_is_refused(wrong: str | None) -> None:
    """Bytes of it would be another document's id."""
    with pytest.raises(ValueError, match="32 hex digits"):
        as_bytes(pa.array(["0" * 32, wrong], pa.string()))


@st.composite
def found_pairs(draw: st.DrawFn) -> pa.Table:
    """Pairs of few documents, whose facts are sometimes told differently; some pairs several times."""
    documents = [
        {
            "unit": draw(st.sampled_from([0, 1, 64, 2**32 - 1])),
            "row": draw(st.sampled_from([0, 5, 2**32 - 1])),
            "id": draw(st.sampled_from(["0" * 32, "f" * 32, "0" * 16 + "f" * 16])),
            "source": draw(st.sampled_from(SOURCES)),
            "bytes": draw(st.sampled_from([0, 2**40])),
        }
        for _ in range(draw(st.integers(1, 6)))
    ]
    ends = st.sampled_from(documents)
    rows = [
        one
        | {f"survivor_{name}": value for name, value in other.items()}
        | {"reason": "near", "similarity": draw(st.sampled_from([0.8, 1.0]))}
        for one, other in draw(st.lists(st.tuples(ends, ends), max_size=8))
    ]
    return sorted_by_address(pa.Table.from_pylist(rows, DUPLICATES)).combine_chunks()


@given(found_pairs())
def test_pairs_come_back_as_they_were(found: pa.Table) -> None:
    stored = packed(found)
    assert unpacked(pa.Table.from_batches([stored])).equals(found)
    batches = [packed(found.slice(0, 3)), packed(found.slice(3))]
    assert unpacked(pa.Table.from_batches(batches)).equals(found)


def test_other_rows_stay_as_they_are() -> None:
    edits = EDITS.empty_table()
    assert unpacked(edits) is edits


def test_files_with_other_sources_are_merged(tmp_path: Path) -> None:
    step = StepFolder(tmp_path / "steps" / "s" / "v")
    step.data.mkdir(parents=True)
    tables, entries = [pairs(50, 1, ("b", "d")), pairs(60, 2, ("c", "a", "b"))], []
    for number, found in enumerate(tables):
        path = step.data / f"{number}.found.arrow"
        write_buckets(path, found, 2)
        assert sorted(read_found(path).to_pylist(), key=str) == sorted(found.to_pylist(), key=str)
        with CheckedFile(path) as file:
            entries.append(FileEntry(path.name, 1, "", file.id))
    assert merge_buckets(step, entries, step.data / "merged") == 110
    with CheckedFile(step.data / "merged") as file:
        merged = [FileEntry("merged", 1, "", file.id)]
    read = [
        read_bucket(step, merged, number, DUPLICATES, range(300)) for number in range(-(-300 // MASK_UNITS))
    ]
    whole = pa.concat_tables(read).to_pylist()
    assert sorted(whole, key=str) == sorted(pa.concat_tables(tables).to_pylist(), key=str)
    assert [row["unit"] for row in whole] == sorted(row["unit"] for row in whole)


def stored_bytes(path: Path, found: pa.Table) -> float:
    """Bytes of a pair on disk, where documents are of one size and alike to one degree."""
    for name, value in {"bytes": 2000, "survivor_bytes": 2000, "similarity": 0.9}.items():
        field = DUPLICATES.field(name)
        column = pa.array([value] * len(found), field.type)
        found = found.set_column(found.column_names.index(name), field, column)
    write_buckets(path, found, 1000)
    return path.stat().st_size / len(found)


def test_a_pair_is_little_more_than_the_ids_of_its_documents(tmp_path: Path) -> None:
    assert stored_bytes(tmp_path / "x.found.arrow", pairs(20_000, 3)) < 2 * 16 + 2 * 8


def test_an_id_is_stored_once(tmp_path: Path) -> None:
    """Four documents that are all alike make six pairs: less than an id a pair, and some bytes."""
    draw = random.Random(4)
    rows = []
    for family in range(5_000):
        ends = [
            {
                "unit": draw.randrange(300),
                "row": family * 4 + one,
                "id": f"{draw.getrandbits(128):032x}",
                "source": "a",
                "bytes": 1,
            }
            for one in range(4)
        ]
        rows += [
            worse | {f"survivor_{name}": value for name, value in better.items()}
            for place, worse in enumerate(ends)
            for better in ends[:place]
        ]
    found = pa.Table.from_pylist([row | {"reason": "near", "similarity": 0.9} for row in rows], DUPLICATES)
    assert 16 * 4 / 6 < stored_bytes(tmp_path / "x.found.arrow", found) < 16 * 4 / 6 + 8
