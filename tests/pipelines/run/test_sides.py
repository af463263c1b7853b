"""Rounds with side tables: each document's own row, read once and in order; faults are left out or told."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UnitFailed
from corpusmill.pipelines.run.operators import sides as module
from corpusmill.pipelines.run.operators.row_batches import partition_of
from corpusmill.pipelines.run.operators.sides import by_unit, keyed_by_address, pieces
from corpusmill.pipelines.storage.checked_ipc import CheckedFile, read_batches
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.pipelines.run.edited import rows_of, run, write_recipe

PLUGIN = '''
"""Side rows are the texts: a document is removed in favour of itself where its side row says `go`."""

import pyarrow as pa

from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, WithSides


class Beside(Exchange):

    def partitions(self, context):
        return 4

    def emit(self, docs, unit, rows):
        found = [{"key": row, "unit": unit, "row": row} for row in rows.tolist() for _ in range(2)]
        columns = {"key": "uint64", "unit": "uint32", "row": "uint32"}
        side = docs.table.select(["id", "source", "text"]).append_column("bytes", pa.array(docs.sizes()))
        return Emitted(pa.Table.from_pylist(found, pa.schema(columns)), side)

    def rounds(self):
        return (lambda rows: rows, WithSides(self.say), WithSides(self.find))

    def say(self, rows, side):
        assert len(set(rows.column("row").to_pylist())) == side.num_rows
        texts = side.column("text").to_pylist()
        if any("RAISE" in text for text in texts):
            raise OverflowError
        said = rows.take(pa.array(range(0, 2 * len(texts), 2))).append_column("said", pa.array(texts))
        return said.drop_columns(["key"]).filter(pa.array(["none" not in text for text in texts]))

    def find(self, rows, side):
        assert rows.column("said").to_pylist() == side.column("text").cast(pa.string()).to_pylist()
        gone = [
            {**row, "survivor_unit": 0, "survivor_row": 0, "survivor_id": "0" * 32, "survivor_source": "s0",
             "survivor_bytes": 1, "reason": "gone", "similarity": 1.0}
            for row in rows.drop_columns(["key", "said"]).to_pylist()
        ]
        facts = side.select(["id", "source", "bytes"]).to_pylist()
        gone = [{**row, **known} for row, known in zip(gone, facts, strict=True)]
        return Found(removals=pa.Table.from_pylist(gone) if gone else None)
'''


def recipe(folder: Path, corpus: list[list[str]]) -> Path:
    path = write_recipe(folder, corpus, "beside")
    (folder / "beside.py").write_text(PLUGIN)
    path.write_text(path.read_text().replace("plugins: [", "plugins: [beside.py, "))
    return path


CORPUS = [[f"{source}-{place}" for place in range(5)] + ["none", f"none {source}"] for source in range(9)]


def test_a_round_is_shown_the_side_row_of_each_document_that_it_has_rows_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine units in four partitions, so that partitions take several; each batch of a side table is read once
    a round, one file after the other, and those of no document not at all."""
    read: list[str] = []
    real = CheckedFile.batch

    def batch(file: CheckedFile, index: int) -> pa.RecordBatch:
        if file.path.name.endswith("side.arrow"):
            read.append(file.path.name)
        return real(file, index)

    monkeypatch.setattr(CheckedFile, "batch", batch)
    corpus = [*CORPUS, ["none, alone"]]
    record = run(recipe(tmp_path, corpus))
    assert sorted(text for _, text in rows_of(record)) == sorted(
        text for texts in corpus for text in texts if text.startswith("none")
    )
    names = [f"{unit:05d}.side.arrow" for unit in range(len(corpus))]
    assert read == [*names, *names[:-1]]
    units = record.steps["dedup.beside.round-2"].units
    assert sum(unit.rows > 0 for unit in units) == 4


def test_the_first_round_has_no_side_tables(tmp_path: Path) -> None:
    path = recipe(tmp_path, [["a"]])
    (tmp_path / "beside.py").write_text(PLUGIN.replace("(lambda rows: rows, ", "("))
    with pytest.raises(CorpusmillError, match="stage beside: its first round asks for side tables"):
        run(path)


def test_documents_on_which_a_round_with_sides_raises_are_left_out_alone(tmp_path: Path) -> None:
    corpus = [["a", "RAISE b", "c"], ["RAISE d"], ["e", "none"]]
    record = run(recipe(tmp_path, corpus))
    assert [text for _, text in rows_of(record)] == ["none"]
    removed = [
        row["reason"]
        for path in record.steps["dedup.beside"].data.data.glob("*removed.arrow")
        for batch in read_batches(path)
        for row in batch.to_pylist()
    ]
    assert sorted(removed) == ["OverflowError", "OverflowError", "gone", "gone", "gone"]


def test_a_round_that_raises_on_documents_of_every_unit_is_at_fault(tmp_path: Path) -> None:
    path = recipe(tmp_path, [["RAISE"]] * 40)
    with pytest.raises(UnitFailed, match="beside raised on each of the first 8 groups of rows"):
        run(path)


def test_a_side_table_that_is_not_what_was_written_is_damage(tmp_path: Path) -> None:
    record = run(recipe(tmp_path, CORPUS))
    step = StepFolder(record.steps["dedup.beside.scatter"].data.path)
    path = step.data / "00002.side.arrow"
    whole = path.read_bytes()
    at = whole.rindex(b"2-3")
    rows = pa.table({"unit": pa.array([2] * 5, pa.uint32()), "row": pa.array(range(5), pa.uint32())})
    assert [len(side) for _, _, side in by_unit(step, rows)] == [5]
    with pytest.raises(IntegrityError, match=r"00002\.side\.arrow: lacks a side row"):
        list(by_unit(step, rows.set_column(1, "row", pa.array([0, 1, 2, 3, 9], pa.uint32()))))
    path.write_bytes(whole[:at] + b"2-4" + whole[at + 3 :])
    with pytest.raises(IntegrityError, match=r"00002\.side\.arrow, batch 0: its bytes differ"):
        list(by_unit(step, rows))
    path.write_bytes((step.data / "00003.side.arrow").read_bytes())
    with pytest.raises(IntegrityError, match=r"00002\.side\.arrow: it is another file"):
        list(by_unit(step, rows))


addresses = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2**32 - 1)), max_size=20)


@given(addresses, st.integers(7, 2**31), st.integers(1, 65_536))
def test_keys_by_address_have_the_order_of_addresses(
    sent: list[tuple[int, int]], units: int, partitions: int
) -> None:
    table = pa.table(np.array(sent, np.uint32).reshape(-1, 2).T.tolist(), ["unit", "row"])
    table = table.cast(pa.schema({"unit": pa.uint32(), "row": pa.uint32()}))
    key = keyed_by_address(table, units, "s").column("key").to_numpy()
    by_key = [sent[place] for place in np.argsort(key, kind="stable")]
    assert by_key == sorted(sent)
    assert len(set(key.tolist())) == len(set(sent))
    numbers = np.arange(min(units, 1000), dtype=np.uint32)
    table = pa.table({"unit": numbers, "row": np.zeros(len(numbers), np.uint32)})
    placed = partition_of(keyed_by_address(table, len(numbers), "s").column("key").to_numpy(), partitions)
    expected = min(partitions, len(numbers))
    assert len(set(placed.tolist())) == expected, "units are spread over all partitions"


def test_rows_for_a_unit_that_nobody_saw_are_refused() -> None:
    rows = pa.table({"unit": pa.array([1, 2], pa.uint32()), "row": pa.array([0, 0], pa.uint32())})
    with pytest.raises(
        CorpusmillError, match=re.escape("have a unit 2, but the units that `emit` saw are 0 to 1")
    ):
        keyed_by_address(rows, 2, "odd")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 30), st.booleans())
def test_pieces_are_all_rows_with_the_side_rows_of_their_documents(
    counts: list[int], most: int, apart: bool
) -> None:
    """Documents stay whole unless their rows may be shown apart, and pieces are as large as they may be."""
    row = np.repeat(np.arange(len(counts), dtype=np.uint32) * 3, counts)
    rows = pa.table({"unit": np.full(len(row), 7, np.uint32), "row": row, "n": np.arange(len(row))})
    side = pa.table({"text": pa.array([f"{document:08d}" for document in range(len(counts))])})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE_BYTES", 16 * most)
        found = list(pieces(rows, side, most if apart else None))
    assert pa.concat_tables([part for _, part, _ in found]).equals(rows)
    assert [start for start, _, _ in found] == [part.column("n")[0].as_py() for _, part, _ in found]
    shown = [sorted(set(part.column("row").to_pylist())) for _, part, _ in found]
    for (_, part, beside), documents in zip(found, shown, strict=True):
        assert beside.column("text").to_pylist() == [f"{document // 3:08d}" for document in documents]
        assert part.num_rows <= most or (not apart and len(documents) == 1)
    if not apart:
        assert len(set().union(*shown)) == sum(map(len, shown))
    assert len(found) <= (-(-len(row) // most) if apart else 2 * -(-len(row) // most) + len(counts))
