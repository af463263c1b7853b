"""Fixtures of servers of object storage, and of what runs there are compared with: conftests import those
they need."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from tests.fault_proxy import FaultProxy
from tests.object_server import KEYS, ObjectServer, object_server
from tests.pipelines.run.remote_runs import of_recipe, run, short
from tests.pipelines.run.small_corpus import write_corpus


@contextmanager
def reached(
    proxy: FaultProxy, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Credentials are in the environment and the proxy has seen nothing yet; in the end this process may
    reach nothing."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy.fresh()
    yield
    proxy.fresh()
    current.use_storage(None)


def bucket_name(request: pytest.FixtureRequest) -> str:
    """The name of a test's own bucket."""
    return f"test-{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def server(one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """The server, with credentials in the environment and nothing seen yet."""
    with reached(one_server.proxy, KEYS, monkeypatch):
        yield one_server


@pytest.fixture
def bucket(server: ObjectServer, request: pytest.FixtureRequest) -> str:
    """An empty bucket, named after the test."""
    name = bucket_name(request)
    server.make_bucket(name)
    return name


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus."""
    return write_corpus(tmp_path_factory.mktemp("runs") / "corpus")


@pytest.fixture(scope="module")
def local(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """The short recipe's run in a folder."""
    recipe = short(tmp_path_factory.mktemp("short") / "run", corpus)
    run(recipe)
    return of_recipe(recipe)
