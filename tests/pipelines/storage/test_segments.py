"""Receipts as columns: every receipt comes back, from a whole step and from one that was interrupted."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.records.receipt import (
    DatasetPart,
    FileEntry,
    MaskPart,
    PairsPart,
    Part,
    Receipt,
    SummaryPart,
    UnitResult,
)
from corpusmill.pipelines.records.unit_columns import columns_of, pattern_of, receipts_of, unit_of
from corpusmill.pipelines.storage import committed as committed_module
from corpusmill.pipelines.storage import run_folder, segments
from corpusmill.pipelines.storage.committed import Committed, count_committed, hash_again
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.storage.segments import content_of
from tests.made_records import made_manifest

NAMES = (
    "{}.parquet",
    "{}.removed.arrow",
    "shard-{}.arrow",
    "plan.json",
    "a%b/{}",
    "=x",
    "é-00099",
    "12345678",
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Segments of four units."""
    for module in (segments, committed_module, run_folder):
        monkeypatch.setattr(module, "SEGMENT", 4)
    return 4


def made(numbers: Sequence[int], seed: int = 0) -> list[Receipt]:
    """Receipts of every kind."""
    draw = random.Random(seed)
    found = []
    for number in numbers:
        names = sorted({name.format(f"{number:05d}") for name in draw.sample(NAMES, draw.randint(0, 4))})
        files = tuple(
            FileEntry(
                name,
                draw.randrange(2**40),
                draw.randbytes(32).hex(),
                draw.choice([None, draw.randbytes(16).hex()]),
            )
            for name in names
        )
        part: Part | None = draw.choice(
            [None, DatasetPart({"web": (2, 30), "ö": (1, 7)}, 3), MaskPart(64, {5: 1}), PairsPart(3, 1, 9),
             SummaryPart({"x": [1, None, "y"]})]
        )  # fmt: skip
        entry = LedgerEntry("s", "web", 3, 40, 2, 30, 29, {"short": (1, 7)}, {}, {"seen": 3})
        ledger = draw.choice([(), (entry,), (entry, entry)])
        found.append(Receipt(number, draw.randrange(10**6), files, ledger, part))
    return found


def test_receipts_come_back_from_columns() -> None:
    units = made(range(95_990, 100_020))
    assert receipts_of(columns_of(units), 95_990, "here") == units


def test_figures_that_follow_from_others_come_back(tmp_path: Path) -> None:
    balanced = LedgerEntry(
        "read", "web", 10, 900, 7, 600, 600, {"short": (2, 200)}, {"bad": (1, 60)}, {"x": 40}
    )
    entries = (
        balanced,
        replace(balanced, removed={}, quarantined={}),  # does not balance: nothing follows
        replace(balanced, bytes_out=601),
        replace(balanced, documents_kept=8),
    )
    parts = [
        DatasetPart({"web": (7, 600)}),
        DatasetPart({"web": (6, 600)}),
        DatasetPart({"a": (7, 1), "b": (0, 0)}),
    ]
    units = [Receipt(number, 7, (), entries, parts[number % 3]) for number in range(6)]
    step = StepFolder(tmp_path / "steps" / "s" / "v")
    step.write_manifest(made_manifest(units, "s", "v"))
    assert list(step.units) == units
    assert [step.units.facts(number).part for number in range(6)] == [unit.part for unit in units]
    (ledger,) = json.loads(columns_of([Receipt(0, 7, (), (balanced,))]).column("ledger")[0].as_py())
    assert not {"documents_kept", "bytes_kept", "bytes_out"} & ledger.keys()


def test_digests_and_sizes_of_documents_are_read_together(tmp_path: Path) -> None:
    digests = [bytes([number]) * 31 + b"." for number in range(3)]
    units = [
        Receipt(
            number,
            1,
            (FileEntry.of(f"{number:05d}.parquet", 9, digest.hex(), None),),
            part=DatasetPart({"web": (1, number)}),
        )
        for number, digest in enumerate(digests)
    ]
    step = StepFolder(tmp_path / "steps" / "s" / "v")
    step.write_manifest(made_manifest(units, "s", "v"))
    assert list(step.units.datasets()) == [(digests, [0, 1, 2])]


def test_half_a_digest_tells_a_file_of_batches_from_others() -> None:
    whole = "ab" * 16 + "cd" * 16
    document, rows = FileEntry.of("a.parquet", 1, whole, None), FileEntry.of("a.arrow", 1, whole, "0" * 32)
    assert (document.sha256, rows.sha256) == (whole, "ab" * 16)
    assert document.is_of(whole)
    assert rows.is_of(whole)
    assert not document.is_of("ab" * 16 + "ce" * 16)
    assert not rows.is_of("ac" * 16 + "cd" * 16)
    assert not FileEntry("a.arrow", 1, "", "0" * 32).is_of(whole)


@pytest.mark.parametrize(
    "name", [*(n.format("00012") for n in NAMES), "00012", "100012.x", "x-00012-00012", "%", ""]
)
def test_a_file_keeps_its_name(name: str) -> None:
    (unit,) = receipts_of(columns_of([Receipt(12, 0, (FileEntry(name, 1, "0" * 64),))]), 12, "here")
    assert unit.files[0].name == name
    assert (pattern_of(name, 12) == name) == (
        "00012" not in name.replace("100012", "") and "%" not in name and name[:1] != "="
    )


def test_the_number_of_a_file_is_its_units() -> None:
    assert [unit_of(n) for n in ("00012.parquet", "shard-1234567.arrow", "plan.json", "x-1234")] == [
        12,
        1234567,
        None,
        None,
    ]


def test_units_of_a_complete_step_are_read_as_they_are_asked_for(tmp_path: Path, small: int) -> None:
    step, units = StepFolder(tmp_path / "steps" / "s" / "v"), made(range(11))
    step.write_manifest(made_manifest(units, "s", "v"))
    found = step.units
    assert (len(found), list(found), tuple(found[2:9]), found[-1]) == (
        11,
        units,
        tuple(units[2:9]),
        units[10],
    )
    assert [found[number] for number in range(11)] == units
    assert list(found[1:9:3]) == units[1:9:3]
    assert list(found.files()) == [file for unit in units for file in unit.files]
    assert list(found.files(".arrow")) == [f for u in units for f in u.files if f.name.endswith(".arrow")]
    assert found.count_files() == sum(len(unit.files) for unit in units)
    for unit in units:
        for file in unit.files:
            entry = found.find(file.name)
            assert entry is not None
            assert entry.name == file.name
            if f"{unit.unit:05d}" in file.name:
                assert entry == file
    assert found.find("none") is found.find("00003.none") is found.find("99999.parquet") is None
    with pytest.raises(IndexError):
        found[11]
    manifest = step.need_manifest()
    assert (manifest.rows, manifest.bytes) == (sum(u.rows for u in units), sum(u.bytes for u in units))
    assert manifest.content == content_of(units) != content_of(units[:-1])
    with pytest.raises(IntegrityError, match="no such file"):
        step.file("none")


def test_a_segment_that_was_altered_or_is_of_another_step_is_not_read(tmp_path: Path, small: int) -> None:
    steps = [StepFolder(tmp_path / "steps" / name / "v") for name in ("a", "b")]
    for seed, (step, name) in enumerate(zip(steps, "ab", strict=True)):
        step.write_manifest(made_manifest(made(range(6), seed), name, "v"))
    one, other = (step.found_segments()[0].path for step in steps)
    assert one.name != other.name
    one.write_bytes(other.read_bytes())
    with pytest.raises(IntegrityError, match=f"{one.name}: its bytes differ"):
        list(steps[0].units)
    one.unlink()
    with pytest.raises(IntegrityError, match=f"{one.name}: missing"):
        steps[0].units.find("00001.parquet")
    assert steps[0].units[5] == made(range(6))[5]
    (one.parent / other.name).write_bytes(other.read_bytes())
    assert len(steps[0].strays()) == 1
    steps[0].manifest_path.unlink()
    assert other.name in [Path(fault.split(":")[0]).name for fault in hash_again(steps[0])]
    assert not (one.parent / other.name).exists()


def commit(step: StepFolder, unit: int) -> Receipt:
    attempt = step.attempt(unit, 1)
    attempt.file("bin").write_bytes(b"%d" % unit)
    part = DatasetPart({"web": (1, unit)}, left_out=1)
    ledger = (LedgerEntry("s", "web", 1, unit, 1, unit, unit, {}, {}),)
    return attempt.commit(UnitResult(1, ledger, part))


def test_receipts_become_segments_as_units_come(tmp_path: Path, small: int) -> None:
    step = StepFolder(tmp_path / "steps" / "s" / "v")
    committed = Committed(step)
    for unit in (1, 0, 5, 3, 2, 9):
        committed.add(commit(step, unit))
    assert [segment.span for segment in step.found_segments()] == [(0, 4)]
    assert step.single_receipts() == [5, 9]
    assert (len(committed), count_committed(step)) == (6, 6)
    again = Committed(step)
    again.load()
    assert [number in again for number in range(10)] == [number in (0, 1, 2, 3, 5, 9) for number in range(10)]
    assert [again[number] for number in (0, 3, 5)] == [committed[number] for number in (0, 3, 5)]
    for unit in (4, 6, 7, 8):
        again.add(commit(step, unit))
    entries = again.finish()
    assert [(entry.first, entry.units) for entry in entries] == [(0, 4), (4, 4), (8, 2)]
    totals = again.totals()
    assert (again.rows, totals.left_out, totals.sources) == (10, 10, {"web": (10, 45)})
    assert [entry.bytes_in for entry in totals.ledger] == [45]
    # Killed before the manifest: the last segment, which is not full, is found as well.
    third = Committed(step)
    third.load()
    assert len(third) == 10
    assert third.finish() == entries
    assert third.content == content_of([third[number] for number in range(10)])


def test_units_that_lost_a_file_are_done_again(tmp_path: Path, small: int) -> None:
    step = StepFolder(tmp_path / "steps" / "s" / "v")
    committed = Committed(step)
    for unit in range(6):
        committed.add(commit(step, unit))
    (step.data / "00001.bin").unlink()
    (step.data / "00004.bin").write_bytes(b"longer")
    again = Committed(step)
    again.load()
    assert [number for number in range(6) if number in again] == [0, 2, 3, 5]
    assert step.found_segments() == []
    for unit in (1, 4):
        again.add(commit(step, unit))
    assert [segment.span for segment in step.found_segments()] == [(0, 4)]


def test_every_file_of_an_unfinished_step_is_hashed_on_request(tmp_path: Path, small: int) -> None:
    step = StepFolder(tmp_path / "steps" / "s" / "v")
    committed = Committed(step)
    for unit in range(6):
        committed.add(commit(step, unit))
    assert hash_again(step) == []
    for unit in (2, 5):
        (step.data / f"{unit:05d}.bin").write_bytes(b"?")
    assert [Path(fault.split(":")[0]).name for fault in hash_again(step)] == ["00002.bin", "00005.bin"]
    again = Committed(step)
    again.load()
    assert [number for number in range(6) if number in again] == [0, 1, 3, 4]
    for unit in (2, 5):
        again.add(commit(step, unit))
    (segment,) = step.found_segments()
    segment.path.write_bytes(b"x")
    assert hash_again(step) == [
        f"{segment.path}: its bytes differ from its name's digest, or it belongs to another step"
    ]
    again = Committed(step)
    again.load()
    assert [number for number in range(6) if number in again] == [4, 5]
