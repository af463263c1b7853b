"""What a step wrote is what the next one reads: any other bytes are found when they are read."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.pointer import RecipeFile
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.repair import repair_step
from corpusmill.pipelines.storage import file_faults
from corpusmill.pipelines.storage.checked_ipc import committed_batch, write_batches
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import read_sealed, write_sealed
from corpusmill.pipelines.storage.verified import verified
from tests.made_records import made_manifest

SCHEMA = pa.schema([("number", pa.int64())])


def batch(*numbers: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(numbers, pa.int64())], schema=SCHEMA)


def unfinished(run: Path, name: str = "web", version: str = "c" * 64, first: int = 0) -> StepFolder:
    """A step with two committed units, each with a plain file and one of batches."""
    step = RunFolder(run).step(name, version)
    for unit in range(2):
        attempt = step.attempt(unit, 1)
        attempt.file("bin").write_bytes(b"%d of %d" % (unit, first))
        base = first + 10 * unit
        write_batches(attempt.file("rows.arrow"), SCHEMA, [batch(base), batch(), batch(base + 1, base + 2)])
        attempt.commit(UnitResult(1))
    return step


def step_with(run: Path, name: str = "web", version: str = "a" * 64, first: int = 0) -> StepFolder:
    """The same, complete."""
    step = unfinished(run, name, version, first)
    units = [receipt for unit in range(2) if (receipt := step.receipt(unit)) is not None]
    step.write_manifest(made_manifest(units, name, version))
    return step


def test_every_damage_to_a_file_is_found_when_it_is_read(tmp_path: Path) -> None:
    step = step_with(tmp_path)
    one, other = step.file("00000.bin"), step.file("00001.bin")
    whole, theirs = one.read_bytes(), other.read_bytes()
    for content, fault in (
        (b"9" + whole[1:], "its bytes differ from the manifest"),
        (whole[:-1], r"5 bytes, its receipt says 6"),
        (theirs, "its bytes differ from the manifest"),
    ):
        one.write_bytes(content)
        for read in (lambda: step.file("00000.bin"), step.verified, lambda: verified(one)):
            with pytest.raises(
                IntegrityError, match=rf"00000\.bin: {fault}; cure: `corpusmill run RECIPE --repair`"
            ):
                read()
    one.unlink()
    with pytest.raises(IntegrityError, match=r"00000\.bin: missing"):
        step.file("00000.bin")
    one.write_bytes(whole)
    assert step.file("00000.bin") == one
    (step.data / "more").write_bytes(b"")
    with pytest.raises(IntegrityError, match="more: not a file of its step"):
        step.verified()
    with pytest.raises(IntegrityError, match="knows no such file"):
        step.file("more")


def test_a_file_is_hashed_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_with(tmp_path)
    hashed: list[Path] = []
    real = file_faults.sha256_file
    monkeypatch.setattr(file_faults, "sha256_file", lambda path: hashed.append(path) or real(path))
    for _ in range(3):
        step.file("00000.bin")
        step.verified()
    assert sorted(path.name for path in hashed) == sorted(step.files())
    os.utime(step.data / "00000.bin", ns=(1, 1))  # it may be another file by now
    step.file("00000.bin")
    assert len(hashed) == len(step.files()) + 1


def test_a_sound_batch_of_another_file_version_or_place_is_refused(tmp_path: Path) -> None:
    step, older = step_with(tmp_path), step_with(tmp_path, version="b" * 64, first=5)
    assert committed_batch(step, "00001.rows.arrow", 2).to_pylist() == [{"number": 11}, {"number": 12}]
    path = step.data / "00000.rows.arrow"
    whole = path.read_bytes()
    for stranger in (step.data / "00001.rows.arrow", older.data / "00000.rows.arrow"):
        path.write_bytes(stranger.read_bytes())
        with pytest.raises(IntegrityError, match=r"00000\.rows\.arrow: it is another file"):
            committed_batch(step, "00000.rows.arrow", 2)
    reader = pa.ipc.open_file(pa.py_buffer(whole))
    with pa.ipc.new_file(path, SCHEMA) as file:
        for index in (2, 1, 0, 3):  # the last is the index
            held, metadata = reader.get_batch_with_custom_metadata(index)
            file.write_batch(held, custom_metadata=metadata)
    with pytest.raises(IntegrityError, match="batch 0: its bytes differ"):
        committed_batch(step, "00000.rows.arrow", 0)


def test_a_receipt_does_not_grow_with_the_batches_of_its_file(tmp_path: Path) -> None:
    sizes = []
    for number, count in enumerate((1, 3000)):
        attempt = RunFolder(tmp_path).step("web", f"{number:064d}").attempt(0, 1)
        write_batches(attempt.file("rows.arrow"), SCHEMA, [batch(n) for n in range(count)])
        attempt.commit(UnitResult(1))
        sizes.append(attempt.step.receipt_path(0).stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 20


def test_a_seal_knows_what_it_seals_and_where(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    held = RecipeFile({"a": [1, 2], "b": {}})
    write_sealed(path, held, "here")
    assert read_sealed(RecipeFile, path, "here") == held
    with pytest.raises(IntegrityError, match=r"x\.json: its content differs from its seal"):
        read_sealed(RecipeFile, path, "there")
    value = json.loads(path.read_text())
    for changed in ({**value, "recipe": {"a": [1]}}, {k: v for k, v in value.items() if k != "version"}):
        path.write_text(json.dumps(changed))
        with pytest.raises(IntegrityError, match="its content differs from its seal"):
            read_sealed(RecipeFile, path, "here")
    for unsealed in ({"a": [1, 2], "b": {}}, [1], "x"):
        path.write_text(json.dumps(unsealed))
        with pytest.raises(IntegrityError, match="has no seal"):
            read_sealed(RecipeFile, path, "here")


def test_manifests_and_receipts_of_other_steps_are_refused(tmp_path: Path) -> None:
    web, code = step_with(tmp_path, "web"), step_with(tmp_path, "code")
    web.manifest_path.write_bytes(code.manifest_path.read_bytes())
    with pytest.raises(IntegrityError, match=r"the manifest of code/a+, which does not belong here"):
        web.manifest()
    web, code = unfinished(tmp_path, "web"), unfinished(tmp_path, "code")
    web.receipt_path(0).write_bytes(code.receipt_path(0).read_bytes())
    assert web.receipt(0) is None  # though its files are the same: the unit is done again
    assert web.receipt(1) is not None


def test_repair_takes_away_only_what_is_damaged(tmp_path: Path) -> None:
    step = step_with(tmp_path)
    assert repair_step(step).faults == []
    (step.path / "receipts").mkdir()
    step.receipt_path(1).write_text("{}")  # as a run that was killed leaves it
    (step.data / "more").write_bytes(b"")
    (step.path / "receipts" / "00009.json").write_text("{}")
    assert len(repair_step(step).faults) == 2
    assert step.manifest() is not None
    assert repair_step(step).faults == []
    assert not (step.path / "receipts").exists()
    manifest = replace(step.need_manifest(), units=tuple(step.units))
    (step.data / "00001.bin").write_bytes(b"?")
    found = repair_step(step)
    assert [Path(fault.split(":")[0]).name for fault in found.faults] == ["00001.bin"]
    assert step.manifest() is None
    assert (step.receipt(0) is None, step.receipt(1) is None) == (False, True)
    assert found.differing(manifest) == []
    assert found.differing(replace(manifest, units=manifest.units[:1])) == ["00001.bin", "00001.rows.arrow"]


def test_a_path_outside_of_a_run_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "manifest.json").write_text("of another tool")
    (tmp_path / "data" / "x.arrow").write_bytes(b"x")
    for path in (tmp_path / "data", tmp_path / "data" / "x.arrow", tmp_path / "none"):
        assert verified(path) == path
