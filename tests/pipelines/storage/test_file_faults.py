"""Files are compared with their entries on all processors, and faults come in the order of the files."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage import file_faults
from corpusmill.pipelines.storage.file_faults import fault_of, faults_of


def written(folder: Path, count: int) -> list[tuple[Path, FileEntry]]:
    """Files with their entries: of every five one is missing, one is longer and one has other bytes."""
    found = []
    for number in range(count):
        path, content = folder / f"{number:05d}.bin", f"content {number}".encode()
        entry = FileEntry(path.name, len(content), hashlib.sha256(content).hexdigest())
        changed = {1: None, 2: content + b"!", 3: content[::-1]}.get(number % 5, content)
        if changed is not None:
            path.write_bytes(changed)
        found.append((path, entry))
    return found


def faults(folder: Path, files: list[tuple[Path, FileEntry]], workers: int = 2) -> list[str]:
    entries = (entry for _, entry in files)
    found = faults_of(entries, lambda entry: fault_of(folder / entry.name, entry), workers, at_once=7)
    told = list(found)
    assert all(entry.name in fault for entry, fault in told)
    return [fault for _, fault in told]


@pytest.mark.parametrize("workers", [1, 5])
def test_the_same_faults_in_the_same_order_as_one_by_one(tmp_path: Path, workers: int) -> None:
    files = written(tmp_path, 100)
    one_by_one = [fault for path, entry in files if (fault := fault_of(path, entry)) is not None]
    file_faults._sha256_once.cache_clear()
    assert faults(tmp_path, files, workers) == one_by_one
    assert len(one_by_one) == 60
    assert faults(tmp_path, []) == []


def test_two_files_are_hashed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=60)

    def together(path: str, *stamp: int) -> str:
        both.wait()
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()

    monkeypatch.setattr(file_faults, "_sha256_once", together)
    sound = [written(tmp_path, 5)[place] for place in (0, 4)]
    assert faults(tmp_path, sound) == []
