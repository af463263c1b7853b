"""A server of S3 for runs that lie there, and a short run in a folder to compare them with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.remote import lease
from tests.object_server import KEYS, ObjectServer, object_server
from tests.pipelines.run.remote_runs import BUCKET, of_recipe, run, short
from tests.pipelines.run.small_corpus import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("runs") / "corpus")


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def server(one_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", one_server.proxy.url)
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    one_server.proxy.fresh()
    yield one_server
    one_server.proxy.fresh()
    current.use_storage(None)


@pytest.fixture(scope="module")
def local(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """The short recipe's run in a folder."""
    recipe = short(tmp_path_factory.mktemp("short") / "run", corpus)
    run(recipe)
    return of_recipe(recipe)
