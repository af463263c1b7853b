"""Large partitions are worked on in parts: rows of one key stay together, and results are the same."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.records.receipt import PartitionsPart
from corpusmill.pipelines.run.operators import apply_removals, partitions, scatter
from corpusmill.pipelines.run.operators import layout as module
from corpusmill.pipelines.run.operators.partitions import layout_at, read_partition, split_partitions
from corpusmill.pipelines.storage.checked_ipc import CheckedFile
from tests.pipelines.run.edited import rows_of, run, write_recipe
from tests.pipelines.run.test_exchange import Sent, rows_sent, scattered


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate], deadline=None)
@given(st.lists(rows_sent, min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 9))
def test_parts_are_the_partition(sent: Sent, count: int, parts: int) -> None:
    """In key order, one after the other, of several flushed batches a file, of several pieces where they are
    large, and no key in two of them."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(module, "FLUSH_BYTES", 96)
        patch.setattr(module, "PIECE_BYTES", 40)
        step = scattered(Path(folder), sent, count)
        for number in range(count):
            whole = read_partition(step, number)
            every = (read_partition(step, number, part, parts) for part in range(parts))
            found = [rows.to_pylist() for rows in every if rows is not None]
            assert [row for rows in found for row in rows] == ([] if whole is None else whole.to_pylist())
            keys = [{row["key"] for row in rows} for rows in found]
            assert sum(map(len, keys)) == len(set().union(*keys))


@pytest.mark.parametrize("levels", [False, True])
def test_a_part_reads_its_own_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levels: bool
) -> None:
    """All parts together read little more than one reader of the partition, however many they are."""
    monkeypatch.setattr(module, "PIECE_BYTES", 480)
    (rows,) = sent_to([3000], hot=False)
    if levels:
        monkeypatch.setattr(module, "FAN", 2)
        monkeypatch.setattr(module, "FLUSH_BYTES", 24_000)
    step = scattered(tmp_path, [rows[first::5] for first in range(5)], 1)
    assert (len(layout_at(step).files) > 1) == levels
    read: list[int] = []
    batch = CheckedFile.batch

    def counted(file: CheckedFile, index: int) -> pa.RecordBatch:
        found = batch(file, index)
        read.append(found.num_rows)
        return found

    monkeypatch.setattr(CheckedFile, "batch", counted)
    for part in range(20):
        read_partition(step, 0, part, 20)
    assert 3000 <= sum(read) < 2 * 3000 + 20 * 2 * 20 * 5
    assert max(read) <= 20


def test_a_large_row_is_read_by_its_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the partition has no more rows than a batch may have."""
    monkeypatch.setattr(module, "PIECE_BYTES", 4)
    step = scattered(tmp_path, [[(2**62, 0, 0)]], 1)
    with CheckedFile(step.file(step.units[0].files[0].name)) as file:
        assert [len(file.among(0, 1, keys)) for keys in ((0, 2**62 - 1), (2**62, 2**62))] == [0, 1]


def sent_to(counts: list[int], hot: bool) -> Sent:
    """Rows for so many partitions, so many each; `hot`: of one key each."""
    draw, rows = random.Random(1), []
    for number, count in enumerate(counts):
        low = -(-number * 2**64 // len(counts))
        rows += [(low if hot else low + draw.randrange(2**60), row, 0) for row in range(count)]
    return [rows]


@pytest.mark.parametrize("levels", [False, True])
def test_what_is_over_four_times_the_median_is_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levels: bool
) -> None:
    counts = [100, 390, 100, 1000, 110, 90, 0, 100]
    for where in (module, partitions):
        monkeypatch.setattr(where, "LARGE", 1)
    monkeypatch.setattr(partitions, "LEAST_BYTES", 100)
    (rows,) = sent_to(counts, hot=False)
    units = [rows[first::9] for first in range(9)]
    if levels:
        monkeypatch.setattr(module, "FAN", 2)
    step = scattered(tmp_path, units, len(counts))
    layout = layout_at(step)
    assert (len(layout.files) > 1) == levels
    large = [unit.need(PartitionsPart).large for unit in step.units]
    assert [bool(one) for one in large] == [number >= sum(layout.files[:-1]) for number in range(len(large))]
    parts = [(unit.partition, unit.part, unit.parts) for unit in split_partitions(step)]
    hot = [(3, part, 3) for part in range(3)]  # 1000 rows, where 400 are four times the median
    assert parts == [(0, 0, 1), (1, 0, 1), (2, 0, 1), *hot, *((number, 0, 1) for number in (4, 5, 6, 7))]
    sizes = [rows.num_rows for part in range(3) if (rows := read_partition(step, 3, part, 3)) is not None]
    assert sum(sizes) == 1000
    monkeypatch.setattr(partitions, "LEAST_BYTES", 2**20)
    assert len(split_partitions(step)) == len(counts)


def test_small_partitions_are_not_told_in_receipts(tmp_path: Path) -> None:
    step = scattered(tmp_path, sent_to([100, 5000], hot=True), 2)
    large = step.units[0].need(PartitionsPart).large
    assert list(large) == [1]
    assert large[1] == 5000 * 24 // module.LARGE
    assert len(split_partitions(step)) == 2


def test_a_run_whose_partitions_are_split_removes_and_cuts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every round of three exchanges, in parts, and masks of some of a bucket's units at a time."""
    draw = random.Random(3)
    shared = [" ".join(draw.choices(["stone", "river", "cloud", "light"], k=30)) for _ in range(8)]
    texts = []
    for _ in range(40):
        own = [str(draw.random()) for _ in range(20)]
        for _ in range(3):
            own[draw.randrange(20)] = str(draw.random())
            texts.append("\n\n".join([*draw.sample(shared, draw.randint(0, 2)), " ".join(own)]))
    dedup = "repeated_paragraphs, {minhash: {threshold: 0.5}}, connected"
    monkeypatch.setattr(scatter, "PARTITION_BYTES", 20_000)
    files = [texts[first::4] for first in range(4)]
    plain = run(write_recipe(tmp_path / "plain", files, dedup))
    for where in (module, partitions):
        monkeypatch.setattr(where, "LARGE", 1)
    monkeypatch.setattr(partitions, "LEAST_BYTES", 500)
    monkeypatch.setattr(partitions, "MOST_BYTES", 1500)
    monkeypatch.setattr(apply_removals, "AT_ONCE", 20)
    split = run(write_recipe(tmp_path / "split", files, dedup))
    assert rows_of(split) == rows_of(plain)
    assert len(rows_of(split)) < len(texts)
    for name in ("repeated_paragraphs", "minhash", "connected"):
        steps = [name for name in plain.steps if name.startswith(f"dedup.{name}.")]
        for step in steps:
            if "round" in step or "gather" in step:
                assert len(split.steps[step].units) > len(plain.steps[step].units)
        masks = [record.steps[f"dedup.{name}"].data for record in (plain, split)]
        kinds = [{file.name: file.sha256 for file in mask.units.files()} for mask in masks]
        assert kinds[0] == kinds[1]


@given(st.integers(1, 65_536 * 64), st.data())
def test_the_first_key_of_a_partition_is_the_least_that_lies_in_it(
    partitions: int, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, partitions - 1))
    (first,) = module.first_keys(partitions, [number]).tolist()
    assert first * partitions >> 64 == number
    assert first == 0 or (first - 1) * partitions >> 64 == number - 1


def test_rows_that_are_more_than_the_text_make_for_more_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty band keys to a short document; what is removed is the same."""
    texts = [f"the document number {number} of a few words" for number in range(200)] * 2
    few = run(write_recipe(tmp_path / "few", [texts], "minhash"))
    monkeypatch.setattr(scatter, "ROWS_BYTES", 20_000)
    many = run(write_recipe(tmp_path / "many", [texts], "minhash"))
    assert rows_of(few) == rows_of(many)
    assert len(rows_of(few)) == 200
    sent = (record.steps["dedup.minhash.scatter"].data for record in (few, many))
    assert [partitions.layout_at(folder).partitions for folder in sent] == [1, 10]
