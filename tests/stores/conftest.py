"""Servers of the three kinds of object storage, with a bucket of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from tests.object_fixtures import bucket_name, corpus, local, reached
from tests.object_server import need_server
from tests.real_servers import NAMES, RealServer, real_server

__all__ = ["bucket", "corpus", "local", "one_real_server", "real"]


@pytest.fixture(scope="session", params=NAMES)
def one_real_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    need_server()
    with real_server(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def real(
    one_real_server: RealServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[RealServer]:
    """The server, which this process may reach."""
    settings = ObjectStorage(
        schemes=["s3", "gs", "az"], cache=tmp_path / "cache", retry_wait_s=0.01, retries=2
    )
    with reached(one_real_server.proxy, one_real_server.environment, monkeypatch):
        current.use_storage(settings)
        yield one_real_server


@pytest.fixture
def bucket(real: RealServer, request: pytest.FixtureRequest) -> str:
    """The URL of an empty bucket, named after the test."""
    name = bucket_name(request)
    real.make_bucket(name)
    return f"{real.scheme}://{name}"
