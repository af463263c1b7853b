"""Commits: all or nothing, and damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import canonical, read_json
from tests.made_records import made_manifest


def commit(folder: StepFolder, unit: int, content: bytes) -> None:
    attempt = folder.attempt(unit, 1)
    attempt.file("bin").write_bytes(content)
    attempt.commit(UnitResult(1))


def test_a_committed_unit_is_trusted_while_its_file_has_its_size(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    assert folder.receipt(0) is None
    commit(folder, 0, b"content")
    receipt = folder.receipt(0)
    assert receipt is not None
    assert receipt.files[0].name == "00000.bin"
    (folder.data / "00000.bin").write_bytes(b"contenT")
    assert folder.receipt(0) is not None  # whoever reads the file finds it
    (folder.data / "00000.bin").write_bytes(b"conten")
    assert folder.receipt(0) is None
    (folder.data / "00000.bin").unlink()
    assert folder.receipt(0) is None


def test_an_attempt_leaves_nothing_visible_until_it_commits(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    folder.attempt(3, 1).file("bin").write_bytes(b"half")
    assert not folder.data.exists()
    assert folder.receipt(3) is None
    folder.clear_attempts()
    assert list(tmp_path.iterdir()) == []


def test_verify_names_the_damaged_file(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    commit(folder, 0, b"content")
    receipt = folder.receipt(0)
    assert receipt is not None
    folder.write_manifest(made_manifest([receipt]))
    assert folder.verify() == []
    (folder.data / "00000.bin").write_bytes(b"CONTENT")
    assert folder.verify() == [f"{folder.data / '00000.bin'}: its bytes differ from the manifest"]


def test_receipts_hold_no_time_and_no_path(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    commit(folder, 0, b"content")
    text = folder.receipt_path(0).read_text()
    assert str(tmp_path) not in text
    assert set(json.loads(text)) == {"files", "record", "rows", "seal", "unit", "version"}


def test_unreadable_json_names_the_file_and_the_cure(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"x.json: not valid JSON .*corpusmill run RECIPE --repair"):
        read_json(tmp_path / "x.json")
    with pytest.raises(IntegrityError, match=r"y.json: missing; .*corpusmill run RECIPE --repair"):
        read_json(tmp_path / "y.json")


def test_canonical_json_ignores_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"é","b":1}'.encode()


def test_a_run_folder_knows_its_current_steps(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.current() == Pointer()
    run.write_current(Pointer(steps={"web": "f" * 64}))
    step = run.current_step("web")
    assert step is not None
    assert step.path == tmp_path / "steps" / "web" / ("f" * 16)
    assert run.current_step("code") is None
