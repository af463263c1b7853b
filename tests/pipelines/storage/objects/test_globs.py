"""Patterns of objects stand for the same names as the same patterns of files do."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects.current import matched_objects
from corpusmill.pipelines.storage.objects.faults import NoObjectError
from corpusmill.pipelines.system.patterns import matches
from tests.object_server import ObjectServer
from tests.pipelines.storage.objects.conftest import Use

NAMES = (
    *("top.gz", "web/a.gz", "web/b.gz", "web/b.txt", "web/.hidden.gz", "web/é ü.gz", "web/100%25.gz"),
    *("web/deep/c.gz", "web/deep/er/d.gz", "other/a.gz", "other/deep/c.gz"),
)
PATTERNS = (
    *("web/*.gz", "web/*", "web/[ab].gz", "web/?.gz", "*.gz", "*/*.gz", "web/**/*.gz", "**/c.gz"),
    *("**/deep/**/*.gz", "web/b.gz", "*/deep/*.gz", "w*/**/d.gz", "web/[!a].gz"),
)


@pytest.fixture
def filled(server: ObjectServer, bucket: str, tmp_path: Path, use: Use) -> tuple[str, Path]:
    """A bucket and a folder that hold the same names."""
    folder = tmp_path / "same"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
        server.put(bucket, name, name.encode())
    use()
    return bucket, folder


def test_names_are_those_of_files(filled: tuple[str, Path]) -> None:
    bucket, folder = filled
    for pattern in PATTERNS:
        base, found = matches(folder, pattern)
        files = [file.relative_to(base).as_posix() for file in found if file.is_file()]
        assert list(matched_objects(f"s3://{bucket}/{pattern}").objects) == sorted(files), pattern


def test_a_key_is_not_listed_for_and_a_folder_is_no_more_than_itself(
    server: ObjectServer, filled: tuple[str, Path]
) -> None:
    bucket, _ = filled
    server.proxy.fresh()
    matched_objects(f"s3://{bucket}/web/a.gz")
    matched_objects(f"s3://{bucket}/web/*.gz")
    matched_objects(f"s3://{bucket}/web/**/*.gz")
    head, flat, deep = server.proxy.seen
    assert (head.method, head.path) == ("HEAD", f"/{bucket}/web/a.gz")
    assert "prefix=web%2F" in flat.path
    assert "delimiter=%2F" in flat.path
    assert "prefix=web%2F" in deep.path
    assert "delimiter" not in deep.path


def test_keys_that_stand_for_folders_are_no_objects(server: ObjectServer, filled: tuple[str, Path]) -> None:
    bucket, _ = filled
    for marker in ("web/", "web/deep/"):
        server.put(bucket, marker, b"")
    assert "deep" not in matched_objects(f"s3://{bucket}/web/*").objects
    assert "" not in matched_objects(f"s3://{bucket}/web/**/*").objects


def test_nothing_is_an_error_that_says_what_is_there(filled: tuple[str, Path]) -> None:
    bucket, _ = filled
    with pytest.raises(NoObjectError, match=r"nothing matches; s3://[\w-]+/web holds .hidden.gz, 100%25.gz,"):
        matched_objects(f"s3://{bucket}/web/*.zst")
    with pytest.raises(
        NoObjectError, match=r"web is a folder; name the objects in it, such as s3://.*/web/\*"
    ):
        matched_objects(f"s3://{bucket}/web")
    with pytest.raises(NoObjectError, match=r"nothing lies in s3://[\w-]+/wbe; correct the pattern"):
        matched_objects(f"s3://{bucket}/wbe/*.gz")
    with pytest.raises(NoObjectError, match="there is no bucket no-such-bucket"):
        matched_objects("s3://no-such-bucket/wbe/*.gz")
