"""Files are compared with their entries on all processors, and faults come in the order of the files."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.storage import file_faults
from corpusmill.pipelines.storage.file_faults import (
    fault_of,
    faults_of,
    just_committed,
    sha256_committed,
)


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


def committed(folder: Path, content: bytes, seconds: float) -> tuple[Path, FileEntry]:
    """A file written so long ago, hashed as a commit hashes it, and where it lies then."""
    written, target = folder / "attempt", folder / "committed"
    written.write_bytes(content)
    os.utime(written, ns=(0, time.time_ns() - int(seconds * 1e9)))
    entry = FileEntry.of("committed", len(content), sha256_committed(written, target), None)
    written.replace(target)
    return target, entry


def test_a_file_just_committed_is_known_as_long_as_nobody_touches_it(tmp_path: Path) -> None:
    path, entry = committed(tmp_path, b"content", 1.0)
    assert just_committed(path, entry)
    assert not just_committed(path, replace(entry, sha256="0" * 64))
    assert not just_committed(tmp_path / "another", entry)
    path.write_bytes(b"comtent")
    assert not just_committed(path, entry)
    path.unlink()
    assert not just_committed(path, entry)


def test_a_file_written_this_very_moment_is_hashed_again(tmp_path: Path) -> None:
    path, entry = committed(tmp_path, b"content", -3600.0)  # a clock that is behind knows no better
    assert not just_committed(path, entry)
    assert fault_of(path, entry) is None
