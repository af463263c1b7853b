"""Each operation against servers of S3, of Azure Blob and of Google's storage."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.faults import ChangedObjectError, NoObjectError, ObjectError
from corpusmill.pipelines.storage.objects.requests import Asked
from corpusmill.pipelines.storage.objects.store import SENT_BYTES, ObjectStore
from corpusmill.pipelines.storage.objects.urls import parse_url
from tests.fault_proxy import Fault, Seen
from tests.real_servers import RealServer

WRITERS = 8


def store_for(bucket: str) -> ObjectStore:
    return current.store_of(parse_url(f"{bucket}/any"))


def asked_by(work: Callable[[], object]) -> Asked:
    before = current.REQUESTS.so_far()
    work()
    return current.REQUESTS.so_far().since(before)


def test_what_is_put_is_found_read_and_removed(bucket: str) -> None:
    store = store_for(bucket)
    store.put("a/b c %41+&=.txt", b"hello")
    store.put("a/deep/one", b"1")
    info = store.head("a/b c %41+&=.txt")
    assert (info.url, info.size) == (f"{bucket}/a/b c %41+&=.txt", 5)
    assert store.get("a/b c %41+&=.txt") == b"hello"
    assert store.get_range("a/b c %41+&=.txt", 1, 3, info) == b"el"
    assert store.get_named("a/b c %41+&=.txt", 3, 5, 5) == b"lo"
    with pytest.raises(NoObjectError, match="5 bytes, not 7; it was altered"):
        store.get_named("a/b c %41+&=.txt", 3, 5, 7)
    assert [one.url for one in store.list_folder("a")] == [info.url]
    assert [one.url for one in store.list_below("")] == [info.url, f"{bucket}/a/deep/one"]
    assert store.list_below("nothing") == []
    store.delete("a/b c %41+&=.txt")
    store.delete("a/b c %41+&=.txt")
    with pytest.raises(NoObjectError, match="there is no such object; correct the key"):
        store.head("a/b c %41+&=.txt")


def test_a_listing_tells_the_version_that_a_read_is_on_condition_of(bucket: str) -> None:
    store = store_for(bucket)
    store.put("one", b"hello")
    (listed,) = store.list_below("")
    assert listed == store.head("one")
    assert listed.etag is not None
    assert store.get_range("one", 0, 5, listed) == b"hello"
    store.put("one", b"other")
    with pytest.raises(ChangedObjectError, match="changed while the run was on"):
        store.get_range("one", 0, 5, listed)


def test_of_writers_on_condition_one_alone_writes(bucket: str) -> None:
    store = store_for(bucket)
    with ThreadPoolExecutor(WRITERS) as threads:
        written = list(threads.map(lambda n: store.put_new("new", b"%d" % n), range(WRITERS)))
        assert sum(written) == 1
        assert store.get("new") == b"%d" % written.index(True)

        def over(number: int) -> str | None:
            try:
                return store.put_over("new", b"over %d" % number, version)
            except ChangedObjectError:
                return None

        _, version = store.read("new")
        versions = list(threads.map(over, range(WRITERS)))
    (winner,) = [number for number, one in enumerate(versions) if one is not None]
    assert store.read("new") == (b"over %d" % winner, versions[winner])
    assert not store.put_new("new", b"late")
    with pytest.raises(ChangedObjectError):
        store.put_over("new", b"late", None)
    assert store.put_over("absent", b"first", None) == store.read("absent")[1]


def test_a_write_whose_answer_is_lost_counts_as_written(real: RealServer, bucket: str) -> None:
    store = store_for(bucket)

    def put(key: str) -> Callable[[Seen], bool]:
        return lambda seen: seen.method == "PUT" and seen.path.partition("?")[0].endswith(key)

    real.proxy.faults += [Fault("lost", put("new")), Fault("lost", put("over")), Fault("answer", put("over"))]
    assert store.put_new("new", b"mine")
    assert store.put_over("over", b"mine", None) == store.read("over")[1]
    assert not store.put_new("new", b"other")


def test_requests_are_counted_as_the_server_sees_them(real: RealServer, bucket: str, tmp_path: Path) -> None:
    store = store_for(bucket)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(2 * SENT_BYTES + 5))
    count = 300 if real.scheme == "az" else 20  # Azure removes 256 by one request
    keys = [f"many/{number:03}" for number in range(count)]
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(lambda key: store.put(key, b"x"), keys))
    for work in (
        lambda: store.upload("large", large),
        lambda: b"".join(store.stream(store.head("large"))),
        lambda: store.list_below("many"),
        lambda: store.list_folder("many"),
        lambda: store.delete_all(keys),
        lambda: store.put_over("one", b"x", None),
    ):
        real.proxy.seen.clear()
        assert asked_by(work).total == len(real.proxy.seen)
    assert b"".join(store.stream(store.head("large"))) == large.read_bytes()
    assert store.list_below("many") == []


def test_what_was_sent_of_an_upload_that_fails_is_taken_back(
    real: RealServer, bucket: str, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(2 * SENT_BYTES + 5))
    parts = threading.Semaphore(1)

    def second(seen: Seen) -> bool:
        of_part = "partNumber=" in seen.path or "comp=block&" in f"{seen.path}&"
        return of_part and not parts.acquire(blocking=False)

    real.proxy.faults.append(Fault("answer", second, times=100, status=403))
    with pytest.raises(ObjectError, match=rf"{bucket}/large: access is denied"):
        store_for(bucket).upload("large", large)
    assert real.unfinished(bucket.partition("://")[2]) == 0
    assert store_for(bucket).list_below("") == []


@pytest.mark.parametrize("kind", ["answer", "drop", "cut"])
def test_a_bad_network_is_asked_again(real: RealServer, bucket: str, kind: str, tmp_path: Path) -> None:
    data = os.urandom(SENT_BYTES + 100_000)
    (tmp_path / "large").write_bytes(data)
    store = store_for(bucket)
    reads = kind == "cut"
    for _ in range(2):
        real.proxy.faults.append(Fault(kind, lambda seen: seen.method == ("GET" if reads else "PUT")))  # type: ignore[arg-type]
    store.upload("large", tmp_path / "large")
    assert b"".join(store.stream(store.head("large"))) == data
    assert not any(fault.times for fault in real.proxy.faults)


def test_what_is_missing_is_told(real: RealServer, bucket: str) -> None:
    absent = store_for(f"{real.scheme}://no-such-bucket")
    with pytest.raises(NoObjectError) as raised:
        absent.get("x")
    kind = {"az": "container", "s3": "bucket"}.get(real.scheme)
    assert ("there is no such object" if kind is None else f"there is no {kind} no-such") in str(raised.value)
