"""One S3 server for all tests of object storage, with a bucket of its own for each test."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from tests.object_server import KEYS, ObjectServer, object_server

Use = Callable[..., ObjectStorage]


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def server(one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """The server, with credentials in the environment and nothing seen yet."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    one_server.proxy.fresh()
    yield one_server
    one_server.proxy.fresh()
    current.use_storage(None)


@pytest.fixture
def bucket(server: ObjectServer, request: pytest.FixtureRequest) -> str:
    """An empty bucket, named after the test."""
    name = f"test-{zlib.crc32(request.node.nodeid.encode()):08x}"
    server.make_bucket(name)
    return name


@pytest.fixture
def use(server: ObjectServer, tmp_path: Path) -> Use:
    """Lets this process reach the server, with few and short pauses."""

    def reach(**options: Any) -> ObjectStorage:
        given = {"schemes": ["s3"], "endpoint": server.proxy.url, "cache": tmp_path / "cache"}
        settings = ObjectStorage(**{**given, "retry_wait_s": 0.01, "retries": 2, **options})
        current.use_storage(settings)
        return settings

    return reach
