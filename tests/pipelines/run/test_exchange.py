"""Exchanges: rows meet in partitions by key, the same ones however many levels of files there are."""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.records.receipt import PartitionsPart, Receipt, UnitResult
from corpusmill.pipelines.run.operators import layout as module
from corpusmill.pipelines.run.operators import scatter
from corpusmill.pipelines.run.operators.apart import Apart, Trier
from corpusmill.pipelines.run.operators.layout import (
    FAN,
    ROWS_FILE,
    Placement,
    RowsWriter,
    last_files,
    layout_of,
    merge_files,
    merges,
    rounded,
)
from corpusmill.pipelines.run.operators.partitions import (
    file_of,
    layout_at,
    partition_units,
    read_partition,
)
from corpusmill.pipelines.run.operators.row_batches import partition_of
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import made_manifest
from tests.pipelines.run.edited import rows_of, run, write_recipe

keys64 = st.integers(0, 2**64 - 1)


@given(st.lists(keys64, min_size=1, max_size=50), st.integers(1, 65_536))
def test_partition_is_the_exact_fraction_of_the_key_space(keys: list[int], partitions: int) -> None:
    placed = partition_of(np.array(keys, np.uint64), partitions)
    assert placed.tolist() == [(key * partitions) >> 64 for key in keys]


@given(st.integers(1, 65_536), st.integers(0, 400_000), st.integers(0, 2**50))
def test_every_layout_can_be_read_with_few_opens(partitions: int, units: int, size: int) -> None:
    layout = layout_of(partitions, units, size)
    assert (layout.files[0] - 1) * layout.group < units <= layout.files[0] * layout.group or units == 0
    assert 1 <= layout.width <= partitions
    if units >= 1:
        assert layout.group == 1 or size // units * layout.group <= module.FILE_BYTES
    for partition in {0, partitions // 2, partitions - 1}:
        read = last_files(layout, partition)
        assert len(read) <= FAN
        assert read.stop <= sum(layout.files)


@given(st.integers(1, 65_536), st.integers(0, 30_000), st.integers(0, 2**50), st.integers(0, 2**32))
@settings(max_examples=30)
def test_every_placement_by_content_reads_each_file_once(
    partitions: int, units: int, size: int, seed: int
) -> None:
    names = np.random.default_rng(seed).integers(0, 2**64, units, np.uint64)
    placed = Placement.of(partitions, units, size, lambda: names)
    layout = placed.layout
    spans = [placed.units(file) for file in range(layout.files[0])]
    assert [unit for span in spans for unit in range(*span)] == list(range(units))
    assert all(0 < end - first <= max(2, 1.5 * layout.group) or layout.group == 1 for first, end in spans)
    numbers = iter(range(sum(layout.files)))
    for level in range(1, len(layout.files)):
        merging = placed.merges(level)
        groups = layout.files[level] // layout.coarse
        assert all(0 < merge.end - merge.first <= 1.5 * FAN for merge in merging[:groups])
        read = [number for merge in merging[:groups] for number in range(merge.first, merge.end)]
        if level == 1:
            assert read == [next(numbers) for _ in range(layout.files[0])]
            assert [merge.base for merge in merging[:groups]] == [spans[m.first][0] for m in merging[:groups]]
    assert len(last_files(layout, partitions - 1)) <= FAN
    assert placed.merges(len(layout.files)) == ()


@given(st.integers(1, 65_536))
def test_a_round_has_a_file_for_each_partition_it_reads(partitions: int) -> None:
    """And the levels after it read them all: every file of a level but the last is read by one merge."""
    layout = layout_of(partitions, partitions, sharing=False)
    assert (layout.files[0], layout.group) == (partitions, 1)
    if len(layout.files) > 1:
        groups = layout.files[1] // layout.coarse
        of_one = [merges(layout, 1)[place] for place in range(groups)]
        assert [n for merge in of_one for n in range(merge.first, merge.end)] == list(range(partitions))


def test_twenty_thousand_units_and_four_thousand_partitions_are_few_opens() -> None:
    units, partitions = 20_000, 4_096
    for seed in range(5):
        names = np.random.default_rng(seed).integers(0, 2**64, units, np.uint64)
        placed = Placement.of(partitions, units, units * 32 * 2**20, partial(np.copy, names))
        reading = len(last_files(placed.layout, 0))
        merging = [merge for level in range(1, len(placed.layout.files)) for merge in placed.merges(level)]
        assert reading < 20
        assert partitions * reading + sum(m.end - m.first for m in merging) < units * partitions / 200


@given(st.integers(0, 10**9))
def test_a_rounded_number_is_at_most_a_quarter_more(count: int) -> None:
    assert count <= rounded(count) <= count * 1.25
    assert rounded(rounded(count)) == rounded(count)
    assert count > 8 or rounded(count) == count


Sent = list[list[tuple[int, int, int]]]  # key, row and a value, by unit


def table(unit: int, rows: list[tuple[int, int, int]]) -> pa.Table:
    key, row, value = ([each[place] for each in rows] for place in range(3))
    columns = [
        pa.array(key, pa.uint64()),
        pa.array([unit] * len(rows), pa.uint32()),
        pa.array(row, pa.uint32()),
    ]
    return pa.table([*columns, pa.array(value, pa.int64())], names=["key", "unit", "row", "value"])


def scattered(
    folder: Path, sent: Sent, partitions: int, names: npt.NDArray[np.uint64] | None = None
) -> StepFolder:
    """A complete step that sends these rows, as `scatter` does; `names`: of what units hold, else their
    numbers."""
    known = np.arange(len(sent), dtype=np.uint64) if names is None else names
    placed = Placement.of(partitions, len(sent), 0, lambda: known)
    step = StepFolder(folder / "steps" / "s" / "v")
    units: list[Receipt] = []
    layout = placed.layout
    for file in range(layout.files[0]):
        first, end = placed.units(file)
        attempt = step.attempt(len(units), 1)
        writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width)
        for unit in range(first, end):
            writer.add(table(unit - first, sent[unit]))
        writer.close()
        units.append(attempt.commit(UnitResult(writer.rows, part=writer.part(first))))
    for level in range(1, len(layout.files)):
        for merge in placed.merges(level):
            attempt = step.attempt(len(units), 1)
            large = merge_files(step, layout, merge, attempt.file(ROWS_FILE))
            units.append(attempt.commit(UnitResult(0, part=PartitionsPart(layout, merge.base, large))))
    assert len(units) == sum(layout.files)
    step.write_manifest(made_manifest(units, "s", "v"))
    return step


def placed_in(step: StepFolder, unit: int) -> bool:
    """Whether `file_of` names the last file that begins with a unit of the view or one before it."""
    number, layout = file_of(step, unit), layout_at(step)
    firsts = [step.units.facts(place).need(PartitionsPart).first for place in range(layout.files[0])]
    return firsts[number] <= unit and all(first > unit for first in firsts[number + 1 :])


few_keys = st.one_of(keys64, st.sampled_from([0, 7, 2**63, 2**64 - 1]))
rows_sent = st.lists(
    st.tuples(
        st.one_of(keys64, st.sampled_from([0, 7, 2**63, 2**64 - 1])), st.integers(0, 3), st.integers(0, 9)
    ),
    max_size=6,
)


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate], deadline=None)
@given(st.lists(st.tuples(keys64, rows_sent), min_size=1, max_size=23), st.integers(1, 12), st.integers(0, 3))
def test_levels_change_no_partition(
    units: list[tuple[int, list[tuple[int, int, int]]]], partitions: int, flushes: int
) -> None:
    """Files of up to four units, levels of up to three files: against plain sorting."""
    names, sent = np.array([name for name, _ in units], np.uint64), [rows for _, rows in units]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(module, "FAN", 2)
        patch.setattr(module, "UNITS_PER_GROUP", 7)
        patch.setattr(module, "FINE", 3)
        if flushes:
            patch.setattr(module, "FLUSH_BYTES", 32 * flushes)
        step = scattered(Path(folder), sent, partitions, names)
        assert step.need_manifest().rows == sum(map(len, sent))
        every = [(key, unit, row, value) for unit, rows in enumerate(sent) for key, row, value in rows]
        assert len(partition_units(step)) == partitions
        assert all(placed_in(step, unit) for unit in range(len(sent)))
        for number, unit in enumerate(partition_units(step)):
            wanted = [each for each in every if (each[0] * partitions) >> 64 == number]
            wanted.sort(key=lambda each: each[:3])  # those of one address stay in the order they were sent in
            found = read_partition(step, unit.partition)
            assert (found is None) == (not wanted)
            if found is not None:
                assert [tuple(row.values()) for row in found.to_pylist()] == wanted


def test_a_run_with_levels_removes_and_cuts_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two rounds and with side tables: files of two units, levels of two files."""
    draw = random.Random(3)
    shared = [" ".join(draw.choices(["stone", "river", "cloud", "light"], k=30)) for _ in range(30)]
    texts = []
    for _ in range(1800):
        own = " ".join(str(draw.random()) for _ in range(12))
        texts.append("\n\n".join(draw.sample([own, *draw.sample(shared, 2)], draw.randint(1, 3))))
    dedup = "repeated_paragraphs, {minhash: {threshold: 0.5}}, connected"
    small = ", split_bytes: 65536"
    monkeypatch.setattr(scatter, "PARTITION_BYTES", 100_000)
    plain = run(write_recipe(tmp_path / "plain", [texts], dedup, reader=small))
    for name, value in (("FAN", 2), ("UNITS_PER_GROUP", 5)):
        monkeypatch.setattr(module, name, value)
    levels = run(write_recipe(tmp_path / "levels", [texts], dedup, reader=small))
    for name in ("repeated_paragraphs.scatter", "minhash.scatter", "connected.round-1"):
        layouts = [layout_at(record.steps[f"dedup.{name}"].data) for record in (plain, levels)]
        assert (len(layouts[0].files), layouts[0].group) == (1, 1)
        assert len(layouts[1].files) > 2
        assert layouts[1].group == (1 if "round" in name else 2)
    assert rows_of(levels) == rows_of(plain)
    for name in ("repeated_paragraphs", "minhash", "connected"):
        masks = [record.steps[f"dedup.{name}"].data for record in (plain, levels)]
        kinds = [{file.name: file.sha256 for file in mask.units.files()} for mask in masks]
        assert kinds[0] == kinds[1]


def test_how_documents_were_shown_to_a_stage_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a worker was killed, documents pass one by one: rows and side tables are written as before."""
    draw = random.Random(5)
    texts = [" ".join(draw.choices(["stone", "river", "cloud", "light"], k=30)) for _ in range(300)]
    monkeypatch.setattr(module, "FLUSH_BYTES", 5_000)
    path = write_recipe(tmp_path, [texts], "repeated_paragraphs, {minhash: {threshold: 0.5}}")
    whole = run(path)

    def one_by_one(trier: Trier[Any], count: int) -> Apart[Any]:
        found: Apart[Any] = Apart()
        for row in range(count):
            trier._one(np.array([row]), row, found)
        return found

    monkeypatch.setattr(Trier, "documents", one_by_one)
    careful = run(path, f"output={tmp_path / 'careful'}")
    for name, step in whole.steps.items():
        if name.endswith("scatter"):
            assert [*careful.steps[name].data.units.files()] == [*step.data.units.files()]
            assert step.data.has("00000.side.arrow") == ("minhash" in name)
