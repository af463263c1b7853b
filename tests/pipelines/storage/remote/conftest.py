"""One server for all tests of runs on object storage, with a bucket of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from tests.object_fixtures import bucket, one_server, reached
from tests.object_server import KEYS, ObjectServer

__all__ = ["bucket", "one_server", "server"]


@pytest.fixture
def server(
    one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[ObjectServer]:
    """The server, which this process may reach."""
    settings = ObjectStorage(
        schemes=["s3"],
        endpoint=one_server.proxy.url,
        cache=tmp_path / "cache",
        retry_wait_s=0.01,
        retries=2,
    )
    with reached(one_server.proxy, KEYS, monkeypatch):
        current.use_storage(settings)
        yield one_server
