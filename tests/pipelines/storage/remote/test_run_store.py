"""The objects of a run: keys that name content, receipts that are put once, and the mirror's room."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from corpusmill.pipelines.contract.errors import IntegrityError, RecipeError
from corpusmill.pipelines.records.receipt import Receipt, SummaryPart, UnitResult
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.objects.current import settings_in_use
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.store import SENT_BYTES
from corpusmill.pipelines.storage.remote import room as room_module
from corpusmill.pipelines.storage.remote import sent_files
from corpusmill.pipelines.storage.remote.mirrors import location_of, mirror_of, path_of, release_files
from corpusmill.pipelines.storage.remote.room import Room
from corpusmill.pipelines.storage.remote.sent_files import UnderWay
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.fault_proxy import Fault
from tests.object_server import ObjectServer

VERSION = "0123456789abcdef"


def machine(bucket: str, tmp_path: Path, name: str) -> StepFolder:
    """A step of a run, as the machine of this name sees it."""
    settings = settings_in_use().model_copy(update={"cache": tmp_path / name})
    return RunFolder(mirror_of(f"s3://{bucket}/run", settings)).step("s", VERSION)


def commit(step: StepFolder, unit: int, content: bytes, rows: int = 1) -> Receipt:
    attempt = step.attempt(unit, 1)
    attempt.file("bin").write_bytes(content)
    return attempt.commit(UnitResult(rows, part=SummaryPart({})))


def test_what_one_machine_commits_another_reads(server: ObjectServer, bucket: str, tmp_path: Path) -> None:
    here, there = machine(bucket, tmp_path, "a"), machine(bucket, tmp_path, "b")
    contents = {0: b"zero", 1: b"", 2: bytes(range(256)) * 140_000}  # the last in two parts
    receipts = {unit: commit(here, unit, content) for unit, content in contents.items()}
    committed = Committed(there)
    committed.load()
    assert len(committed) == 3
    for unit, content in contents.items():
        assert committed[unit] == receipts[unit]
        (file,) = receipts[unit].files
        assert there.at_hand(file).read_bytes() == content
        assert there.fault(file) is None


def test_equal_attempts_both_succeed_and_another_result_is_an_error(
    server: ObjectServer, bucket: str, tmp_path: Path
) -> None:
    here, there = machine(bucket, tmp_path, "a"), machine(bucket, tmp_path, "b")
    assert commit(here, 0, b"same") == commit(there, 0, b"same")
    with pytest.raises(IntegrityError, match=r"units/s/0123456789abcdef/00000.json: another attempt at"):
        commit(there, 0, b"different")
    assert there.has_receipt(0)
    committed = Committed(machine(bucket, tmp_path, "c"))
    committed.load()
    assert committed[0] == commit(here, 0, b"same")


@pytest.mark.parametrize("kind", ["lost", "drop"])
@pytest.mark.parametrize("of", ["/data/", "/units/"])
def test_a_request_without_an_answer_is_sent_again(
    server: ObjectServer, bucket: str, tmp_path: Path, kind: str, of: str
) -> None:
    fault = Fault("lost" if kind == "lost" else "drop", lambda seen: of in seen.path, times=2)
    server.proxy.faults.append(fault)
    receipt = commit(machine(bucket, tmp_path, "a"), 0, b"content")
    assert not fault.times
    other = machine(bucket, tmp_path, "b")
    assert other.at_hand(receipt.files[0]).read_bytes() == b"content"


def test_an_upload_in_parts_that_fails_leaves_none(server: ObjectServer, bucket: str, tmp_path: Path) -> None:
    server.proxy.faults.append(Fault("answer", lambda seen: "partNumber=2" in seen.path, times=100))
    with pytest.raises(Exception, match="503"):
        commit(machine(bucket, tmp_path, "a"), 0, bytes(SENT_BYTES + 2**20))
    assert any(seen.method == "DELETE" and "uploadId" in seen.path for seen in server.proxy.seen)
    assert b"<Upload>" not in server.ask("GET", f"{bucket}?uploads")
    server.proxy.fresh()
    assert not machine(bucket, tmp_path, "b").has_receipt(0)


def test_a_unit_of_seven_files_of_over_16_mib_sends_eight_requests(
    server: ObjectServer, bucket: str, tmp_path: Path
) -> None:
    """And whoever reads them on another machine seven."""
    attempt = machine(bucket, tmp_path, "a").attempt(0, 1)
    sizes = [SENT_BYTES, SENT_BYTES // 2 + 1, *range(5)]
    for number, size in enumerate(sizes):
        attempt.file(f"bin{number}").write_bytes(bytes([number]) + bytes(size))
    attempt.file("bin0").write_bytes(bytes(SENT_BYTES))
    receipt = attempt.commit(UnitResult(1, part=SummaryPart({})))
    assert len({(seen.method, seen.path) for seen in server.proxy.seen}) == 8  # but for those sent again
    there = machine(bucket, tmp_path, "b")
    server.proxy.seen.clear()
    assert [there.at_hand(file).stat().st_size for file in receipt.files] == [f.bytes for f in receipt.files]
    assert len({(seen.method, seen.path) for seen in server.proxy.seen}) == 7


def test_what_is_under_way_stays_within_its_bounds() -> None:
    """Whatever sizes ask at once; one that is larger than all of the room has it alone."""
    gate, most, at_once = UnderWay(100), 0, 0
    lock = threading.Lock()

    def take(size: int) -> None:
        nonlocal most, at_once
        with gate.taking(size):
            with lock:
                at_once += min(size, 100)
                most = max(most, at_once)
            time.sleep(0.001)
            with lock:
                at_once -= min(size, 100)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, [30, 100, 250, 1, 60, 50] * 10))
    assert most <= 100
    assert at_once == 0


def test_what_was_fetched_is_under_way_until_it_is_written(
    server: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, content = UnderWay(200), bytes(range(250)) * 2
    taken = []

    class Hash:
        def __init__(self) -> None:
            self._made = hashlib.sha256()

        def update(self, part: bytes) -> None:
            taken.append((200 - gate._free, len(part)))
            self._made.update(part)

        def hexdigest(self) -> str:
            return self._made.hexdigest()

    receipt = commit(machine(bucket, tmp_path, "a"), 0, content)
    monkeypatch.setattr(sent_files, "SENT_BYTES", 100)
    monkeypatch.setattr(sent_files, "MEMORY_BYTES", 200)
    monkeypatch.setattr(sent_files, "_UNDER_WAY", gate)
    monkeypatch.setattr(sent_files, "hashlib", SimpleNamespace(sha256=Hash))
    assert machine(bucket, tmp_path, "b").at_hand(receipt.files[0]).read_bytes() == content
    assert taken == [(200, 100)] * 4 + [(100, 100)]
    assert gate._free == 200


def test_a_receipt_whose_put_met_another_one_is_put_again(
    server: ObjectServer, bucket: str, tmp_path: Path
) -> None:
    """S3 answers 409 while another put of the key is under way; then there may be nothing to compare with."""
    conflict = Fault("answer", lambda seen: "/units/" in seen.path, times=1, status=409)
    server.proxy.faults.append(conflict)
    receipt = commit(machine(bucket, tmp_path, "a"), 0, b"content")
    assert not conflict.times
    assert machine(bucket, tmp_path, "b").receipt(0) is None
    assert machine(bucket, tmp_path, "b").has_receipt(0)
    assert machine(bucket, tmp_path, "b").receipt(0) == receipt


def test_places_have_one_url_on_all_machines(server: ObjectServer, bucket: str, tmp_path: Path) -> None:
    here, there = machine(bucket, tmp_path, "a"), machine(bucket, tmp_path, "b")
    assert here.path != there.path
    assert here.location == there.location == f"s3://{bucket}/run/steps/s/{VERSION}"
    assert location_of(path_of(here.location)) == here.location
    assert location_of(tmp_path) == str(tmp_path)
    assert StepFolder(tmp_path / "steps" / "s" / VERSION).store is None
    with pytest.raises(RecipeError, match="nothing is written to web servers"):
        mirror_of("https://host/run", settings_in_use())


def small_cache(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    settings = settings_in_use()
    fewer = ObjectStorage.model_construct(**{**dict(settings), "cache_bytes": limit})
    monkeypatch.setattr(room_module, "settings_in_use", lambda: fewer)


def taken(step: StepFolder) -> int:
    return sum(path.stat().st_size for path in step.data.iterdir())


def test_files_used_least_lately_make_room(
    server: ObjectServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_cache(monkeypatch, 1000)
    step = machine(bucket, tmp_path, "a")
    receipts = [commit(step, unit, bytes([unit]) * 300) for unit in range(4)]
    step.at_hand(receipts[0].files[0])
    commit(step, 4, b"4" * 300)
    commit(step, 5, b"5" * 300)
    assert taken(step) <= 1300  # room is made before a file comes
    assert (step.data / "00000.bin").exists()  # it is in use
    assert not (step.data / "00001.bin").exists()
    release_files()
    for receipt in receipts:
        assert step.fault(receipt.files[0]) is None  # fetched again where it is not there
        release_files()
    commit(step, 6, b"6" * 300)
    assert taken(step) <= 1300


def test_files_that_another_process_uses_stay(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    file = mirror / "steps" / "s" / "v" / "data" / "00000.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(100))
    code = (
        "import sys; from pathlib import Path; from corpusmill.pipelines.storage.remote.room import Room; "
        "print(Room(Path(sys.argv[1])).pin(Path(sys.argv[2]), 100), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(mirror), str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        room = Room(mirror)
        room._make_room(10)
        assert file.exists()
        process.stdin.close()
        process.wait()
    room._make_room(10)
    assert not file.exists()


@pytest.mark.parametrize("altered", [b"", b"of somebody else", b'{"epoch": 2'])
def test_a_file_of_the_driver_without_an_epoch_is_damage_that_is_written_over(
    server: ObjectServer, bucket: str, tmp_path: Path, altered: bytes
) -> None:
    server.put(bucket, "run/current.json", altered)
    folder = RunFolder(machine(bucket, tmp_path, "a").path.parent.parent.parent)
    with pytest.raises(IntegrityError, match=r"current.json: not valid JSON"):
        folder.current()
    store = folder.store
    assert store is not None
    with store.driving():
        store.write_mutable(folder.current_path, b"{}\n")
    assert server.get(bucket, "run/current.json") == b'{"epoch": 1}\n{}\n'
