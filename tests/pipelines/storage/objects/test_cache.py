"""Objects on disk: fetched once, shared by processes, sound, and within the limit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects import blocks, cache
from corpusmill.pipelines.storage.objects.blocks import BLOCK_BYTES
from corpusmill.pipelines.storage.objects.cache import ObjectCache
from corpusmill.pipelines.storage.objects.lazy import ObjectPath, TooLargeError
from corpusmill.pipelines.storage.objects.store import PART_BYTES, ObjectInfo
from tests.waiting import PATIENCE, wait_until

Fetch = Callable[[int, int], bytes]


class Source:
    """An object in memory, and which ranges of it were fetched."""

    def __init__(self, name: str, data: bytes) -> None:
        self.data, self.fetched = data, list[tuple[int, int]]()
        self.info = ObjectInfo(f"s3://bucket/folder/{name}", len(data), '"version"')

    def fetch(self, start: int, end: int) -> bytes:
        self.fetched.append((start, end))
        return self.data[start:end]

    @property
    def bytes(self) -> int:
        return sum(end - start for start, end in self.fetched)


def test_an_object_is_fetched_once_in_parts(tmp_path: Path) -> None:
    source = Source("a.bin", os.urandom(2 * PART_BYTES + 5))
    held = ObjectCache(tmp_path, 2**30)
    for _ in range(3):
        with held.lease(source.info, source.fetch) as found:
            found.fill_all()
            assert found.file.name == "a.bin"
            assert found.file.read_bytes() == source.data
    assert sorted(source.fetched) == [
        (0, PART_BYTES),
        (PART_BYTES, 2 * PART_BYTES),
        (2 * PART_BYTES, 2 * PART_BYTES + 5),
    ]


def test_only_what_is_read_is_fetched_and_nothing_else_is_to_be_had(tmp_path: Path) -> None:
    source = Source("a.bin", os.urandom(40 * BLOCK_BYTES + 7))
    with ObjectCache(tmp_path, 2**30).lease(source.info, source.fetch) as found:
        path = ObjectPath.of(found, None)
        assert path.stat().st_size == len(source.data)
        assert path.is_file()
        assert not source.fetched
        with path.open("rb") as file:
            file.seek(-9, 2)
            assert file.read() == source.data[-9:]
            file.seek(3 * BLOCK_BYTES + 1)
            assert file.read(10) == source.data[3 * BLOCK_BYTES + 1 :][:10]
        assert source.bytes < 8 * BLOCK_BYTES
        # What knows nothing of the object finds no file rather than zeros.
        assert not Path(path).exists()
        assert not path.with_name("b.bin").exists()
        with pytest.raises(ValueError, match="opened to read its bytes"):
            path.open("w")
        assert Path(os.fspath(path)).read_bytes() == source.data
        assert source.bytes == len(source.data)  # each byte once
        with path.open("rb") as file:
            assert file.read() == source.data
        assert source.bytes == len(source.data)


def test_reading_in_order_fetches_few_and_growing_ranges(tmp_path: Path) -> None:
    source = Source("a.bin", os.urandom(44 * BLOCK_BYTES))
    with ObjectCache(tmp_path, 2**30).lease(source.info, source.fetch) as found:
        with ObjectPath.of(found, None).open("rb") as file:
            parts = []
            while part := file.read(70_000):
                parts.append(part)
        assert b"".join(parts) == source.data
    blocks_fetched = [-(-(end - start) // BLOCK_BYTES) for start, end in source.fetched]
    assert blocks_fetched == [1, 4, 16, 16, 7]


def test_an_empty_object_is_an_empty_file(tmp_path: Path) -> None:
    source = Source("none.jsonl", b"")
    with ObjectCache(tmp_path, 2**30).lease(source.info, source.fetch) as found:
        path = ObjectPath.of(found, None)
        with path.open("rb") as file:
            assert file.read() == b""
        assert Path(os.fspath(path)).read_bytes() == b""
    assert not source.fetched


def test_a_damaged_block_is_fetched_again(tmp_path: Path) -> None:
    source = Source("a.bin", os.urandom(5 * BLOCK_BYTES))
    held = ObjectCache(tmp_path, 2**30)
    with held.lease(source.info, source.fetch) as found:
        found.fill_all()
        place = found.file
    with place.open("r+b") as file:
        file.seek(2 * BLOCK_BYTES + 100)
        file.write(b"torn")
    blocks._proven.clear()  # as in another process
    source.fetched.clear()
    with held.lease(source.info, source.fetch) as found:
        found.fill_all()
        assert found.file.read_bytes() == source.data
    assert source.fetched == [(2 * BLOCK_BYTES, 3 * BLOCK_BYTES)]


def test_a_fetch_that_fails_leaves_nothing_that_is_taken_for_data(tmp_path: Path) -> None:
    source = Source("a.bin", os.urandom(3 * PART_BYTES))

    def fails(start: int, end: int) -> bytes:
        if start:
            raise OSError("no")
        return source.data[start:end]

    held = ObjectCache(tmp_path, 2**30)
    with pytest.raises(OSError, match="no"), held.lease(source.info, fails) as found:
        found.fill_all()
    with held.lease(source.info, source.fetch) as found:
        assert not found.file.exists()
        found.fill_all()
        assert found.file.read_bytes() == source.data


def test_what_was_used_least_lately_makes_room(tmp_path: Path) -> None:
    size = 4 * BLOCK_BYTES
    sources = [Source(f"{number}.bin", os.urandom(size)) for number in range(4)]
    held = ObjectCache(tmp_path, 3 * size + size // 2)
    for source in (*sources[:3], sources[0], sources[3]):
        with held.lease(source.info, source.fetch) as found:
            found.fill_all()
    there = {path.name for path in tmp_path.glob("*/file/*")}
    assert "1.bin" not in there
    assert {"0.bin", "3.bin"} <= there
    assert sum(path.stat().st_size for path in tmp_path.glob("*/file/*")) <= held.limit
    # What was removed is fetched anew, whatever this process knew of it.
    with held.lease(sources[1].info, sources[1].fetch) as found:
        found.fill_all()
        assert found.file.read_bytes() == sources[1].data
    assert sources[1].bytes == 2 * size


def test_an_object_that_is_read_stays_and_others_wait(tmp_path: Path) -> None:
    size = 4 * BLOCK_BYTES
    first, second = Source("1.bin", os.urandom(size)), Source("2.bin", os.urandom(size))
    held = ObjectCache(tmp_path, size + 1)
    done = threading.Event()

    def wants() -> None:
        with held.lease(second.info, second.fetch) as found:
            found.fill_all()
        done.set()

    with held.lease(first.info, first.fetch) as found:
        found.fill_all()
        thread = threading.Thread(target=wants)
        thread.start()
        wait_until(lambda: (tmp_path / ".total").exists(), "the note")
        assert found.file.read_bytes() == first.data
        assert not second.fetched
        assert not done.is_set()
    assert done.wait(PATIENCE)
    thread.join()
    assert not found.file.exists()


def test_an_object_larger_than_the_cache_is_told(tmp_path: Path) -> None:
    source = Source("a.bin", bytes(10))
    with (
        pytest.raises(UserError, match=r"a.bin: 10 bytes do not fit .* may hold 9; raise `storage.cache_byt"),
        ObjectCache(tmp_path, 9).lease(source.info, source.fetch),
    ):
        pass


def test_a_library_gets_no_more_than_the_caller_allows(tmp_path: Path) -> None:
    source = Source("a.bin", bytes(10))
    with ObjectCache(tmp_path, 100).lease(source.info, source.fetch) as found:
        path = ObjectPath.of(found, 9)
        with pytest.raises(TooLargeError):
            os.fspath(path)
        with path.open("rb") as file:
            assert file.read(3) == bytes(3)


def test_another_version_is_another_file(tmp_path: Path) -> None:
    old, new = Source("a.bin", b"old"), Source("a.bin", b"new")
    new.info = ObjectInfo(new.info.url, 3, '"other"')
    held = ObjectCache(tmp_path, 100)
    with held.lease(old.info, old.fetch) as found:
        found.fill_all()
    with held.lease(new.info, new.fetch) as found:
        found.fill_all()
        assert found.file.read_bytes() == b"new"


def test_a_removal_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    left = tmp_path / f"{cache._GONE}0000"
    left.mkdir()
    (left / "partial").write_bytes(b"x")
    (tmp_path / ".total").write_text("100", "ascii")  # and the note of it is wrong
    source = Source("a.bin", bytes(90))
    with ObjectCache(tmp_path, 100).lease(source.info, source.fetch) as found:
        found.fill_all()
    assert not left.exists()
    assert (tmp_path / ".total").read_text("ascii") == "90"


OTHER = """
import sys
from pathlib import Path
from corpusmill.pipelines.storage.objects.cache import ObjectCache
from corpusmill.pipelines.storage.objects.store import ObjectInfo
folder, log, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def fetch(start, end):
    with log.open("a") as file:
        file.write(f"{start}-{end}\\n")
    return bytes(end - start)
for _ in range(5):
    with ObjectCache(folder, 2**30).lease(ObjectInfo("s3://b/a.bin", size, '"v"'), fetch) as found:
        found.fill_all()
        assert found.file.read_bytes() == bytes(size)
"""


def test_processes_fetch_an_object_once_together(tmp_path: Path) -> None:
    size = 3 * PART_BYTES
    log = tmp_path / "log"
    command = [sys.executable, "-c", OTHER, str(tmp_path / "cache"), str(log), str(size)]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(PATIENCE) for process in running] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 3
