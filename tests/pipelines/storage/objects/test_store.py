"""Each operation against a server that answers late, in part, with faults or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.faults import ChangedObjectError, NoObjectError, ObjectError
from corpusmill.pipelines.storage.objects.requests import Asked, Requests
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.objects.store import SENT_BYTES, ObjectStore
from corpusmill.pipelines.storage.objects.urls import parse_url
from tests.fault_proxy import Fault, Seen
from tests.object_server import KEYS, ObjectServer
from tests.pipelines.storage.objects.conftest import Use

DENIED = b"<Error><Code>AccessDenied</Code></Error>"
WRONG_REGION = (
    b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message>"
    b"<Region>eu-west-1</Region></Error>"
)


def store_for(bucket: str) -> ObjectStore:
    return current.store_of(parse_url(f"s3://{bucket}/any"))


def asked_by(work: Callable[[], object]) -> Asked:
    before = current.REQUESTS.so_far()
    work()
    return current.REQUESTS.so_far().since(before)


def of(method: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.method == method


def test_what_is_put_is_found_read_and_removed(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    store = store_for(bucket)
    store.put("a/b c.txt", b"hello")
    info = store.head("a/b c.txt")
    assert (info.url, info.size) == (f"s3://{bucket}/a/b c.txt", 5)
    assert store.get("a/b c.txt") == server.get(bucket, "a/b c.txt") == b"hello"
    assert store.get_range("a/b c.txt", 1, 3, info) == b"el"
    store.delete("a/b c.txt")
    store.delete("a/b c.txt")
    with pytest.raises(NoObjectError, match=r"there is no such object; correct the key"):
        store.head("a/b c.txt")


def page_of(keys: range, more: str) -> bytes:
    """A page of a listing, as S3 gives them; `more`: the token of the next one."""
    held = "".join(
        f"<Contents><Key>many/{key:04}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
        f'<ETag>"{key}"</ETag><Size>1</Size></Contents>'
        for key in keys
    )
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    truncated = "true" if more else "false"
    facts = f"<IsTruncated>{truncated}</IsTruncated>{held}{token}"
    return f"<ListBucketResult>{facts}</ListBucketResult>".encode()


@pytest.mark.parametrize("flat", [True, False])
def test_requests_are_counted_as_the_server_sees_them(
    server: ObjectServer, bucket: str, use: Use, flat: bool
) -> None:
    server.put(bucket, "one", b"x")
    use()
    store = store_for(bucket)
    for keys, more in ((range(1000), "next"), (range(1000, 1005), "")):
        body = page_of(keys, more)
        server.proxy.faults.append(Fault("answer", of("GET"), status=200, body=body))
    listed = asked_by(lambda: store.list_folder("many") if flat else store.list_below("many"))
    assert listed.kinds == {"list": 2}
    server.proxy.faults.append(Fault("answer", of("HEAD"), times=2))
    retried = asked_by(lambda: store.head("one"))
    assert retried.kinds == {"head": 3}
    assert len(server.proxy.seen) == 2 + 3


@pytest.mark.parametrize("kind", ["answer", "cut", "lost"])
def test_a_read_is_tried_again_until_it_is_whole(
    server: ObjectServer, bucket: str, use: Use, kind: Literal["answer", "cut", "lost"]
) -> None:
    data = bytes(range(256)) * 5000
    server.put(bucket, "data", data)
    use()
    store = store_for(bucket)
    info = store.head("data")
    server.proxy.faults.append(Fault(kind, of("GET"), times=2))
    assert store.get("data") == data
    server.proxy.faults.append(Fault(kind, of("GET"), times=2))
    assert b"".join(store.stream(info)) == data
    assert [seen.method for seen in server.proxy.seen] == ["HEAD"] + ["GET"] * 6


def test_a_late_answer_is_given_up_and_asked_for_again(server: ObjectServer, bucket: str, use: Use) -> None:
    server.put(bucket, "data", b"hello")
    use(timeout_s=0.5)
    late = Fault("late", of("GET"))
    server.proxy.faults.append(late)
    assert store_for(bucket).get("data") == b"hello"
    assert not late.release.is_set()
    assert len(server.proxy.seen) == 2


def test_attempts_are_bounded_and_the_error_tells_them(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    server.proxy.faults.append(Fault("answer", lambda seen: True, times=100))
    with pytest.raises(ObjectError, match=rf"^s3://{bucket}/x: the server answers 503 \(3 attempts\); run"):
        store_for(bucket).get("x")
    assert len(server.proxy.seen) == 3


def test_put_new_writes_once(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    store = store_for(bucket)
    assert store.put_new("lock", b"mine")
    assert server.proxy.seen[-1].headers["if-none-match"] == "*"
    assert not store.put_new("lock", b"theirs")
    assert not store.put_new("lock", b"mine")
    assert server.get(bucket, "lock") == b"mine"


def test_put_new_whose_answer_was_lost_knows_its_own_object(
    server: ObjectServer, bucket: str, use: Use
) -> None:
    use()
    store = store_for(bucket)
    server.proxy.faults.append(Fault("lost", of("PUT")))
    assert store.put_new("lock", b"mine")
    server.proxy.faults.append(Fault("lost", of("PUT")))
    assert not store.put_new("lock", b"theirs")
    assert server.get(bucket, "lock") == b"mine"


def test_a_large_file_goes_up_in_parts_or_not_at_all(
    server: ObjectServer, bucket: str, use: Use, tmp_path: Path
) -> None:
    use()
    store = store_for(bucket)
    file = tmp_path / "large"
    file.write_bytes(bytes(2 * SENT_BYTES) + b"end")
    server.proxy.faults.append(Fault("answer", lambda seen: "partNumber=2" in seen.path))
    sent = asked_by(lambda: store.upload("large", file))
    assert (sent.kinds, sent.sent) == ({"part": 5}, 2 * SENT_BYTES + 3)
    assert len(server.proxy.seen) == 6  # and the part that was sent again, by the library
    assert server.get(bucket, "large") == file.read_bytes()
    server.proxy.faults.append(Fault("answer", lambda seen: "partNumber=2" in seen.path, times=100))
    with pytest.raises(ObjectError, match="the server answers 503"):
        store.upload("other", file)
    assert server.proxy.seen[-1].method == "DELETE"  # the parts are taken back
    assert b"<Upload>" not in server.ask("GET", f"{bucket}?uploads=")
    with pytest.raises(NoObjectError):
        store.head("other")


def test_a_changed_object_is_never_mixed_with_the_old_one(
    server: ObjectServer, bucket: str, use: Use
) -> None:
    server.put(bucket, "data", b"first")
    use()
    store = store_for(bucket)
    info = store.head("data")
    server.put(bucket, "data", b"other")
    with pytest.raises(ChangedObjectError, match="changed while the run was on; run the same command again"):
        store.get_range("data", 0, 3, info)
    with pytest.raises(ChangedObjectError):
        list(store.stream(info))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, DENIED, r"access is denied; allow these credentials to list and read, and for runs to write"),
        (
            403,
            b"<Error><Code>InvalidAccessKeyId</Code></Error>",
            r"credentials are not accepted \(InvalidAcc",
        ),
        (400, WRONG_REGION, r"lies in the region eu-west-1; set `storage.region` to it"),
        (
            301,
            b"<Error><Code>PermanentRedirect</Code></Error>",
            r"lies in another region; set `storage.region`",
        ),
        (404, b"<Error><Code>NoSuchBucket</Code></Error>", r"there is no bucket [\w-]+; correct its name"),
        (400, b"", r"answers 400; the same request gets the same answer: correct .*`storage.region`"),
        (
            400,
            b"<Error><Code>KeyTooLongError</Code><Message>Your key is too long</Message></Error>",
            r"answers 400 KeyTooLongError: Your key is too long; the same request gets the same answer",
        ),
        (403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", r"clock differs from the server's"),
        (501, b"<Error><Code>NotImplemented</Code></Error>", r"answers 501 NotImplemented; the same request"),
    ],
)
def test_a_refusal_names_the_url_the_cause_and_the_cure(
    server: ObjectServer, bucket: str, use: Use, status: int, body: bytes, words: str
) -> None:
    use()
    server.proxy.faults.append(Fault("answer", lambda seen: True, times=9, status=status, body=body))
    with pytest.raises(ObjectError, match=words) as raised:
        store_for(bucket).get("x")
    assert str(raised.value).startswith(f"s3://{bucket}/x: ")
    assert len(server.proxy.seen) == 1  # the same answer would come again


def test_a_body_that_came_too_slowly_is_sent_again(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    slow = b"<Error><Code>RequestTimeout</Code></Error>"
    server.proxy.faults.append(Fault("answer", lambda seen: True, times=1, status=400, body=slow))
    store_for(bucket).put("late", b"there")
    assert server.get(bucket, "late") == b"there"


def test_hosts_that_are_not_there_are_told(bucket: str, use: Use) -> None:
    use(endpoint="http://nowhere.invalid")
    with pytest.raises(ObjectError, match=r"its host has no address \(3 attempts\); correct the URL or"):
        store_for(bucket).head("x")
    use(endpoint="http://127.0.0.1:9")
    with pytest.raises(ObjectError, match=r"no connection to its host \(3 attempts\)"):
        store_for(bucket).head("x")


def test_missing_credentials_are_told_and_nothing_is_asked(
    server: ObjectServer, bucket: str, use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*KEYS, "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    use()
    with pytest.raises(ObjectError, match=r"no credentials; set AWS_ACCESS_KEY_ID .* `none` for public data"):
        store_for(bucket)
    assert not server.proxy.seen


def test_a_profile_gives_credentials(
    server: ObjectServer, bucket: str, use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("boto3")
    for name in KEYS:
        monkeypatch.delenv(name)
    profiles = tmp_path / "credentials"
    profiles.write_text("[team]\naws_access_key_id = AKIDOFTEAM\naws_secret_access_key = unsaid\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    use(profile="team")
    store_for(bucket).put("x", b"1")
    assert "Credential=AKIDOFTEAM/" in server.proxy.seen[-1].headers["authorization"]
    use(profile="nobody")
    with pytest.raises(ObjectError, match="the profile nobody"):
        store_for(bucket)


def test_no_secret_is_logged_or_told(
    server: ObjectServer, bucket: str, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    use()
    server.proxy.faults.append(Fault("answer", lambda seen: True, times=9, status=403, body=DENIED))
    with pytest.raises(ObjectError) as raised:
        store_for(bucket).get("x")
    for secret in KEYS.values():
        assert secret not in caplog.text + str(raised.value) + str(current.storage_in_use())


def test_a_missing_library_names_the_extra(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    use()
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(Exception, match=r"pip install 'corpusmill\[cloud\]'"):
        current.store_of(parse_url("s3://anything/x"))


def test_an_object_is_put_over_the_version_that_is_known(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    store = store_for(bucket)
    first = store.put_over("a", b"1", None)
    with pytest.raises(ChangedObjectError, match="somebody else has written it meanwhile"):
        store.put_over("a", b"2", None)
    second = store.put_over("a", b"2", first)
    assert store.read("a") == (b"2", second)
    with pytest.raises(ChangedObjectError):
        store.put_over("a", b"3", first)
    with pytest.raises(ChangedObjectError):
        store.put_over("missing", b"3", first)
    assert server.get(bucket, "a") == b"2"


def test_a_put_whose_answer_was_lost_is_not_taken_for_somebody_elses(
    server: ObjectServer, bucket: str, use: Use
) -> None:
    use()
    store = store_for(bucket)
    first = store.put_over("a", b"1", None)
    server.proxy.faults.append(Fault("lost", of("PUT")))
    second = store.put_over("a", b"2", first)
    assert store.read("a") == (b"2", second)
    server.proxy.faults.append(Fault("lost", of("PUT"), action=lambda: server.put(bucket, "a", b"other")))
    with pytest.raises(ChangedObjectError):  # somebody wrote after it
        store.put_over("a", b"3", second)
    assert server.get(bucket, "a") == b"other"


def test_google_compares_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def put(store: object, key: str, data: bytes, *, mode: object, use_multipart: bool) -> dict[str, str]:
        given.append(mode)
        return {"e_tag": '"etag"', "version": "17"}

    monkeypatch.setattr("obstore.put", put)
    settings = ObjectStorage(schemes=["gs"], credentials="none")
    store = ObjectStore(parse_url("gs://bucket/any"), settings, Requests())
    assert store.put_over("a", b"1", "16") == "17"
    assert store.put_over("a", b"1", None) == "17"
    assert given == [{"version": "16"}, "create"]


def test_many_objects_are_removed_by_few_requests(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    store = store_for(bucket)
    keys = [f"some/{number}" for number in range(5)]
    for key in keys:
        store.put(key, b"x")
    assert asked_by(lambda: store.delete_all([*keys, "not there"])).kinds == {"delete": 1}
    assert store.list_below("some") == []
    store.delete_all([])


def test_objects_are_removed_where_a_store_tells_of_missing_ones(
    server: ObjectServer, bucket: str, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use()
    store = store_for(bucket)
    store.put("some/a", b"x")
    store.put("some/c", b"x")
    import obstore

    of_library = obstore.delete

    def delete(backend: Any, keys: list[str] | str) -> None:
        if isinstance(keys, list):
            raise FileNotFoundError(f"{keys[1]} not found")
        of_library(backend, keys)

    monkeypatch.setattr("obstore.delete", delete)
    store.delete_all(["some/a", "some/b", "some/c"])
    assert store.list_below("some") == []


def test_an_object_named_by_its_content_is_read_in_parts(server: ObjectServer, bucket: str, use: Use) -> None:
    use()
    store = store_for(bucket)
    store.put("a", b"0123456789")
    assert store.get_named("a", 0, 10, 10) == b"0123456789"
    assert store.get_named("a", 3, 5, 10) == b"34"
    with pytest.raises(NoObjectError, match="10 bytes, not 11; it was altered"):
        store.get_named("a", 0, 11, 11)
    server.proxy.faults.append(Fault("cut", of("GET")))
    assert store.get_named("a", 3, 9, 10) == b"345678"
