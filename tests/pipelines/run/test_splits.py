"""Units of ranges of files: as if all splits were there at once, in the memory of a few of them."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.records.receipt import IndexPart, UnitResult
from corpusmill.pipelines.run.operators import read
from corpusmill.pipelines.run.operators.grouping import grouped
from corpusmill.pipelines.run.operators.job import Preparation
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.operators.read import FileSplit
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.sources.reader import IndexedFile, Split
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.sealed import write_json
from tests.made_records import made_manifest

UNIT_BYTES = 100


def prepared(folder: Path, index: list[list[list[int]]]) -> tuple[Preparation, list[FileSplit]]:
    """A reading step over a complete index, given as sizes of splits by unit and file; its splits."""
    step = StepFolder(folder / "steps" / "a.index" / "v")
    receipts, every = [], []
    paths: dict[str, str] = {}
    for number, files in enumerate(index):
        entries = []
        for sizes in files:
            name = f"f{len(paths):06d}"
            paths[name] = f"/in/{name}"
            splits = tuple(Split(place, place + 1, size) for place, size in enumerate(sizes))
            entries.append(IndexedFile(name, sum(sizes), "0" * 64, splits))
            every += [FileSplit(name, paths[name], split, "0" * 64) for split in splits]
        attempt = step.attempt(number, 1)
        write_json(attempt.file("index.json"), [asdict(entry) for entry in entries])
        receipts.append(attempt.commit(UnitResult(len(entries), part=IndexPart(0))))
    step.write_manifest(made_manifest(receipts, "a.index", "v"))
    return preparation(step, paths), every


def preparation(index: StepFolder, paths: Mapping[str, str]) -> Preparation:
    reading = Step("a", operator_named("read"), inputs=("a.index",))
    return Preparation(reading, {"a.index": index}, paths, UNIT_BYTES)


sizes = st.lists(st.integers(1, 150), max_size=8)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(sizes, max_size=4), min_size=1, max_size=5), st.integers(1, 5), st.data())
def test_units_are_those_of_all_splits_at_once(
    index: list[list[list[int]]], most: int, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(read, "_SPLITS_PER_UNIT", most)
        given_, every = prepared(Path(folder), index)
        wanted = grouped(
            every, lambda one: f"{one.name}@{one.split.start}", lambda one: one.split.size, UNIT_BYTES, most
        )
        found = read.units(given_)
        assert [list(unit.splits) for unit in found] == (wanted or [[]])
        for place in data.draw(st.lists(st.integers(0, len(found) - 1), max_size=4)):
            assert list(found[place].splits) == (wanted or [[]])[place]


def test_splits_are_not_held_in_memory(tmp_path: Path) -> None:
    """40 bytes a split at most, each a unit of its own, beside the splits of one file of the index."""
    given_, every = prepared(tmp_path, [[[90] * 80] * 5 for _ in range(20)])
    assert len(read.units(given_)) == len(every) == 8_000  # what is imported and cached is there
    tracemalloc.start()
    try:
        found = read.units(given_)
        assert sum(len(unit.splits) for unit in found) == len(every)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    one_file = 400 * 1_000
    assert held < 40 * len(every) + one_file
