"""One server for all tests of runs on object storage, with a bucket of its own for each test."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from tests.object_server import KEYS, ObjectServer, object_server


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def server(
    one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[ObjectServer]:
    """The server, which this process may reach."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    one_server.proxy.fresh()
    settings = ObjectStorage(
        schemes=["s3"],
        endpoint=one_server.proxy.url,
        cache=tmp_path / "cache",
        retry_wait_s=0.01,
        retries=2,
    )
    current.use_storage(settings)
    yield one_server
    one_server.proxy.fresh()
    current.use_storage(None)


@pytest.fixture
def bucket(server: ObjectServer, request: pytest.FixtureRequest) -> str:
    """An empty bucket, named after the test."""
    name = f"test-{zlib.crc32(request.node.nodeid.encode()):08x}"
    server.make_bucket(name)
    return name
