"""What exchanges find, on its way to the units that apply it: the same rows whatever levels there are."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.addresses import EDITS
from corpusmill.pipelines.records.receipt import FileEntry, MaskPart
from corpusmill.pipelines.report.duplicates import duplicates
from corpusmill.pipelines.report.samples import duplicate_samples
from corpusmill.pipelines.run.operators import apply_removals, buckets, match, resolve_by_rule, scatter
from corpusmill.pipelines.run.operators.layout import FAN
from corpusmill.pipelines.storage.checked_ipc import CheckedFile
from corpusmill.pipelines.storage.datasets import MASK_UNITS
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.pipelines.run.edited import rows_of, run, write_recipe


@given(st.integers(0, 2_000_000))
def test_merges_leave_few_files_and_open_each_once(units: int) -> None:
    levels = buckets.merge_levels(units)
    counts = (units, *levels)
    assert counts[-1] <= FAN
    assert all(after == -(-before // FAN) for before, after in zip(counts, levels, strict=False))


def test_forty_thousand_partitions_and_twenty_thousand_units_are_few_opens() -> None:
    partitions, applied = 40_000, -(-20_000 // MASK_UNITS)
    counts = (partitions, *buckets.merge_levels(partitions))
    assert counts[-1] == 10
    assert sum(counts[:-1]) + applied * counts[-1] < 50_000 < partitions * applied / 200
    assert -(-applied // buckets.coarse_width(applied)) <= buckets.BATCHES


spans = st.lists(st.tuples(st.integers(0, 20 * MASK_UNITS), st.integers(0, 3), st.integers(0, 5)), max_size=8)


@settings(max_examples=50, phases=[Phase.explicit, Phase.generate], deadline=None)
@given(st.lists(spans, min_size=1, max_size=6), st.integers(1, 25))
def test_a_merge_has_the_rows_of_all_files_bucket_by_bucket(
    found: list[list[tuple[int, ...]]], width: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        step = StepFolder(Path(name) / "steps" / "s" / "v")
        folder = step.data
        folder.mkdir(parents=True)
        entries = []
        for number, rows in enumerate(found):
            path = folder / f"{number}.edits.arrow"
            known = [dict(zip(("unit", "row", "start"), row, strict=True), end=9, reason="r") for row in rows]
            buckets.write_buckets(path, pa.Table.from_pylist(known, EDITS), width)
            assert path.exists() == bool(rows)
            if rows:
                with CheckedFile(path) as file:
                    entries.append(FileEntry(path.name, 1, "", file.id))
                    assert set(file.numbers.tolist()) == {row[0] // (MASK_UNITS * width) for row in rows}
        every = sorted(row for rows in found for row in rows)
        merged = folder / "merged"
        assert buckets.merge_buckets(step, entries, merged) == len(every)
        assert merged.exists() == bool(every)
        if not every:
            return
        with CheckedFile(merged) as file:
            assert file.numbers.tolist() == sorted({row[0] // MASK_UNITS for row in every})
            whole = [FileEntry("merged", 1, "", file.id)]
        for bucket in range(21):
            read = buckets.read_bucket(step, whole, bucket, EDITS, range(2**32)).select(
                ["unit", "row", "start"]
            )
            wanted = [row for row in every if row[0] // MASK_UNITS == bucket]
            assert [tuple(row.values()) for row in read.to_pylist()] == wanted


def test_masks_of_a_run_with_levels_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removals and cuts of many small partitions: merges of two files each, batches of several buckets."""
    words = [" ".join(f"w{number * 7 % 50}x{place}" for place in range(30)) for number in range(25)]
    texts = [
        [f"{words[k % 25]}\n\n{words[(k * 3) % 25]}\n\nown {k} {source}" for k in range(source, source + 4)]
        for source in range(14)
    ]
    dedup = "{minhash: {threshold: 0.3}}, repeated_paragraphs"
    monkeypatch.setattr(scatter, "PARTITION_BYTES", 1500)
    monkeypatch.setattr(resolve_by_rule, "PARTITION_PAIRS", 8)
    records = [run(write_recipe(tmp_path / "plain", texts, dedup))]
    for module in (apply_removals, buckets, match):
        monkeypatch.setattr(module, "MASK_UNITS", 2)
    monkeypatch.setattr(buckets, "BATCHES", 3)
    for module in (apply_removals, buckets):
        monkeypatch.setattr(module, "FAN", 2)
    records.append(run(write_recipe(tmp_path / "levels", texts, dedup)))
    assert rows_of(records[1]) == rows_of(records[0])
    assert len(rows_of(records[0])) < len(rows_of(records[0], masked=False))
    views = [record.view() for record in records]
    for unit in range(len(texts)):
        masks = [[batch.to_pylist() for batch in view.mask_batches(unit)] for view in views]
        assert masks[0] == masks[1]
        cuts = [[batch.to_pylist() for batch in view.cut_batches(unit)] for view in views]
        assert [rows for rows in cuts[0] if rows] == [rows for rows in cuts[1] if rows]
    for name in ("minhash", "repeated_paragraphs"):
        units = records[1].steps[f"dedup.{name}"].units
        first = units[0].need(MaskPart).first
        assert len(units) == first + 7
        assert first > 3
        assert all(unit.need(MaskPart).first == first for unit in units)
        assert sum(unit.rows for unit in units) == records[0].steps[f"dedup.{name}"].rows
    for shown in (duplicates, duplicate_samples):  # of merges, which list no documents, the report asks none
        assert shown(records[1]) == shown(records[0]) != ()
