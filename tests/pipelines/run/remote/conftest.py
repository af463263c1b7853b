"""A server of S3 for runs that lie there, and a short run in a folder to compare them with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from corpusmill.pipelines.storage.remote import lease
from tests.object_fixtures import corpus, local, reached
from tests.object_server import KEYS, ObjectServer, object_server
from tests.pipelines.run.remote_runs import BUCKET

__all__ = ["corpus", "local", "one_server", "server"]


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def server(one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    with reached(one_server.proxy, {**KEYS, "AWS_ENDPOINT_URL": one_server.proxy.url}, monkeypatch):
        yield one_server
