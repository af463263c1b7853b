"""Files of batches fetched by ranges: the same batches, few requests, and what is damaged is found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.manifest import StepKey, Summary
from corpusmill.pipelines.records.receipt import FileEntry, SummaryPart, UnitResult
from corpusmill.pipelines.storage.checked_ipc import BatchWriter, CheckedFile, opened
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.objects.current import REQUESTS
from corpusmill.pipelines.storage.remote import partly as module
from corpusmill.pipelines.storage.remote import sent_files
from corpusmill.pipelines.storage.remote.mirrors import release_files
from corpusmill.pipelines.storage.remote.partly import PartlyFetched
from corpusmill.pipelines.storage.remote.room import Room
from tests.object_server import ObjectServer
from tests.pipelines.storage.remote.test_run_store import VERSION, machine

NO_KEY = StepKey("scatter", (), "", {}, "", 0, StepOptions(), (), (), {})


def write(path: Path, numbers: list[int], rows: int = 500) -> None:
    """A file with a batch of random values for each of these numbers."""
    draw = np.random.default_rng(1)
    with BatchWriter(path, pa.schema([("value", pa.uint64()), ("place", pa.uint32())])) as writer:
        for place, number in enumerate(numbers):
            values = pa.array(draw.integers(0, 2**64, rows, np.uint64))
            places = pa.array(np.full(rows, place, np.uint32))
            writer.write(pa.record_batch([values, places], names=["value", "place"]), number)


class Ranges:
    """Ranges of a file, each time with the next of `faults` applied, and what was asked for."""

    def __init__(self, path: Path, faults: list[Callable[[bytes], bytes]]) -> None:
        self._data, self._faults = path.read_bytes(), iter(faults)
        self.asked: list[tuple[int, int]] = []
        self.forgotten = 0

    def file(self) -> PartlyFetched:
        return PartlyFetched(len(self._data), self._fetch, self._forget)

    def _fetch(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return next(self._faults, bytes)(self._data[start:end])

    def _forget(self) -> None:
        self.forgotten += 1


@given(
    st.lists(st.integers(0, 6), max_size=12),
    st.integers(0, 6),
    st.integers(1, 3),
    st.sampled_from([12, 1_000, 2**16]),
    st.sampled_from([0, 5_000, 2**18]),
)
@settings(max_examples=60, deadline=None)
def test_ranges_give_the_batches_of_the_file(
    numbers: list[int], first: int, count: int, at_first: int, gap: int
) -> None:
    """Whatever is fetched first, and however near ranges are one request."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "END_BYTES", at_first)
        patch.setattr(module, "GAP_BYTES", gap)
        path = Path(folder) / "x.arrow"
        write(path, sorted(numbers))
        ranges = Ranges(path, [])
        with CheckedFile(path) as whole, CheckedFile(path, whole.id, ranges.file()) as file:
            assert file.numbers.tolist() == whole.numbers.tolist()
            end = len(ranges.asked)
            assert end <= 3
            file.among(first, first + count)
            assert len(ranges.asked) <= end + 1  # they follow one another
            after = len(ranges.asked)
            for number in range(first, first + count):
                assert file.numbered(number) == whole.numbered(number)
            assert len(ranges.asked) == after
            fetched = sum(end - start for start, end in ranges.asked)
            wanted = sum(first <= number < first + count for number in numbers)
            assert fetched <= at_first + wanted * 12_500 + 6_000
            for index in range(len(whole)):  # what was not asked for beforehand comes when it is read
                assert file.batch(index) == whole.batch(index)
            assert len(ranges.asked) <= after + len(whole) - wanted
        assert ranges.forgotten == 0


def flipped(data: bytes) -> bytes:
    return data[:200] + bytes([data[200] ^ 4]) + data[201:]


def cut(data: bytes) -> bytes:
    return bytes(len(data))


@pytest.mark.parametrize("fault", [flipped, cut])
@pytest.mark.parametrize("at", [0, 1])
def test_what_does_not_match_is_fetched_again_once(
    tmp_path: Path, fault: Callable[[bytes], bytes], at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_BYTES", 9_000)
    path = tmp_path / "x.arrow"
    write(path, list(range(6)))
    with CheckedFile(path) as whole:
        wanted, identity = whole.numbered(2), whole.id
    ranges = Ranges(path, [*[bytes] * at, fault])
    with CheckedFile(path, identity, ranges.file()) as file:
        assert file.numbered(2) == wanted
    assert ranges.forgotten == (0 if at == 0 and fault is flipped else 1)  # that flips in a batch not read
    ranges = Ranges(path, [*[bytes] * at, *[fault] * 100])
    if at == 0 and fault is flipped:
        return
    with pytest.raises(IntegrityError, match=r"x\.arrow"), CheckedFile(path, identity, ranges.file()) as file:
        file.numbered(2)


@pytest.fixture
def entry(server: ObjectServer, bucket: str, tmp_path: Path) -> Iterator[FileEntry]:
    """A file of 40 batches of some 6 KB each that a machine has committed."""
    attempt = machine(bucket, tmp_path, "a").attempt(0, 1)
    write(attempt.file("rows.arrow"), list(range(40)))
    yield attempt.commit(UnitResult(1)).files[0]
    release_files()


def test_a_reader_that_forgets_ranges_disturbs_no_other(
    bucket: str, tmp_path: Path, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before another one reads a range that it was told is there, and while another one writes one."""
    monkeypatch.setattr(sent_files, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "END_BYTES", 4_000)
    there = machine(bucket, tmp_path, "b")
    forgetting, pin, make = there.partly(entry), Room.pin, tempfile.mkstemp
    assert forgetting is not None
    with opened(there, [entry], 0, 40) as files:
        wanted = [files[0].numbered(number) for number in (7, 9)]
    forgotten: list[Path] = []

    def pinned(room: Room, path: Path, size: int) -> bool:
        found = pin(room, path, size)
        if found:
            forgetting.again()
            forgotten.append(path)
        return found

    def made(dir: Path) -> tuple[int, str]:
        forgetting.again()
        return make(dir=dir)

    with monkeypatch.context() as patch:
        patch.setattr(Room, "pin", pinned)
        with opened(there, [entry], 7, 8) as files:
            assert files[0].numbered(7) == wanted[0]
    assert forgotten
    monkeypatch.setattr(tempfile, "mkstemp", made)
    with opened(there, [entry], 9, 10) as files:
        assert files[0].numbered(9) == wanted[1]


def test_a_machine_fetches_what_it_reads_once(
    bucket: str, tmp_path: Path, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent_files, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "END_BYTES", 4_000)
    here, there = machine(bucket, tmp_path, "a"), machine(bucket, tmp_path, "b")
    before = REQUESTS.so_far()
    with opened(here, [entry], 7, 8) as files:
        wanted = files[0].numbered(7)
    assert REQUESTS.so_far().since(before).total == 0  # it wrote the file
    for number in (7, 7, 8):
        before = REQUESTS.so_far()
        with opened(there, [entry], number, number + 1) as files:
            found = files[0].numbered(number)
        asked = REQUESTS.so_far().since(before)
        assert found != wanted or number == 7
        assert (asked.total, asked.fetched < 16_000 < entry.bytes) in [(2, True), (0, True), (1, True)]
    assert not (there.data / entry.name).exists()
    (kept,) = there.path.glob("parts/*")
    assert len(list(kept.iterdir())) == 3  # the end, and a batch twice
    release_files()
    there.store.room._make_room(10)
    assert not list(kept.iterdir())


def test_a_unit_of_many_large_files_asks_once_for_each(
    server: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their ends come together, from an object that the driver puts when the step is complete."""
    monkeypatch.setattr(sent_files, "WHOLE_BYTES", 1000)
    for place in (module, sent_files):
        monkeypatch.setattr(place, "END_BYTES", 4_000)
    here, count = machine(bucket, tmp_path, "a"), 20
    committed = Committed(here)
    for unit in range(count):
        attempt = here.attempt(unit, 1)
        write(attempt.file("rows.arrow"), list(range(unit, 40)))
        committed.add(attempt.commit(UnitResult(1, part=SummaryPart({}))))
    segments = committed.finish()
    summary = Summary("s", VERSION, NO_KEY, {}, committed.content, committed.rows, committed.bytes, (), {})
    here.complete(summary, segments)
    there = machine(bucket, tmp_path, "b")
    for number, most in ((30, 8 + count), (30, 0), (31, count)):
        before = REQUESTS.so_far()
        with opened(there, list(there.units.files()), number, number + 1) as files:
            found = [file.numbered(number) for file in files]
        with opened(here, list(here.units.files()), number, number + 1) as files:
            assert found == [file.numbered(number) for file in files]
        assert REQUESTS.so_far().since(before).total <= most
    # Without the object, or where it is cut or another, each end is asked for.
    key = f"run/ends/s/{there.path.name}"
    for content in (server.get(bucket, key)[:-1], b"", b"5\n", b'[["a", 0, "b"]]\n', None):
        server.delete(bucket, key) if content is None else server.put(bucket, key, content)
        other = machine(bucket, tmp_path, f"c{len(content or b'')}{content is None}")
        with opened(other, list(other.units.files()), 30, 31) as files:
            assert all(file.numbered(30) for file in files)


def test_a_damaged_copy_is_fetched_again_and_an_altered_object_is_found(
    server: ObjectServer, bucket: str, tmp_path: Path, entry: FileEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent_files, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(module, "END_BYTES", 4_000)
    there = machine(bucket, tmp_path, "b")
    with opened(there, [entry], 3, 4) as files:
        wanted = files[0].numbered(3)
    for path in there.path.glob("parts/*/*"):
        path.write_bytes(bytes(path.stat().st_size))
    with opened(there, [entry], 3, 4) as files:
        assert files[0].numbered(3) == wanted
    key = f"run/data/s/{entry.sha256[:32]}.rows.arrow"
    content = server.get(bucket, key)
    server.put(bucket, key, bytes(len(content)))
    with (
        pytest.raises(IntegrityError, match=r"00000\.rows\.arrow"),
        opened(machine(bucket, tmp_path, "c"), [entry], 3, 4),
    ):
        pass
    server.put(bucket, key, content + b"more")
    with (
        pytest.raises(IntegrityError, match=r"rows\.arrow: missing, or of another size"),
        opened(machine(bucket, tmp_path, "d"), [entry], 3, 4),
    ):
        pass
