"""Shards on object storage give the batches that local ones give, and are fetched as they are needed."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.storage.objects import current
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.tokenizer.shards import format
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.torch_dataset import ShardDataLoader, ShardDataset
from tests.object_server import KEYS, ObjectServer, object_server
from tests.oracles.training_shards import Writer

SHARDS, ROWS, LENGTH = 4, 1500, 1024  # 3 MB each, in record batches of 64 KiB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    with object_server(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def shards(
    server: ObjectServer, write: Writer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[list[Path], list[str]]]:
    """The same shards as files and as objects."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server.proxy.fresh()
    monkeypatch.setattr(format, "BATCH_BYTES", 2**16)
    bucket = f"test-{zlib.crc32(request.node.nodeid.encode()):08x}"
    server.make_bucket(bucket)
    paths = []
    for number in range(SHARDS):
        rows = np.random.default_rng(number).integers(8, 64, (ROWS, LENGTH))
        paths.append(write(f"{number}.arrow", rows))
        server.put(bucket, f"run/{number}.arrow", paths[-1].read_bytes())
    yield paths, [f"s3://{bucket}/run/{number}.arrow" for number in range(SHARDS)]
    current.use_storage(None)


@pytest.fixture
def storage(server: ObjectServer, tmp_path: Path) -> Callable[..., ObjectStorage]:
    def settings(**options: int) -> ObjectStorage:
        return ObjectStorage(
            schemes=["s3"], endpoint=server.proxy.url, cache=tmp_path / "cache", retry_wait_s=0.01, **options
        )

    return settings


def test_batches_are_those_of_local_shards_and_few_bytes_come_before_the_first(
    shards: tuple[list[Path], list[str]], storage: Callable[..., ObjectStorage]
) -> None:
    paths, urls = shards
    local = ShardLoader(paths, batch_size=2, seed=3)
    size = sum(path.stat().st_size for path in paths)
    before = current.REQUESTS.so_far().fetched
    remote = ShardLoader(urls, batch_size=2, seed=3, storage=storage())
    assert remote.stream() == local.stream()
    assert (remote.batch(0) == local.batch(0)).all()
    assert 0 < current.REQUESTS.so_far().fetched - before < size
    for number in range(0, 3000, 17):
        assert (remote.batch(number) == local.batch(number)).all()
    assert current.REQUESTS.so_far().fetched - before <= size  # no byte twice
    assert (remote.sequence_sources(5, 9) == local.sequence_sources(5, 9)).all()


def test_workers_are_spawned_and_forked_ones_are_told_why_not(
    shards: tuple[list[Path], list[str]], storage: Callable[..., ObjectStorage]
) -> None:
    paths, urls = shards
    dataset = ShardDataset(urls, batch_size=4, seed=3, storage=storage())
    expected = [one["input_ids"] for one in itertools.islice(ShardDataset(paths, batch_size=4, seed=3), 3)]
    batches = iter(ShardDataLoader(dataset, num_workers=1))
    for batch in expected:
        assert next(batches)["input_ids"].equal(batch)
    assert dataset.state_dict()["next_sample"] == 12
    forked = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(UserError, match="multiprocessing_context='spawn'"):
        next(iter(forked))


def test_what_may_not_be_reached_or_does_not_fit_is_refused(
    shards: tuple[list[Path], list[str]], storage: Callable[..., ObjectStorage]
) -> None:
    _, urls = shards
    with pytest.raises(RecipeError, match="allows nothing remote"):
        ShardLoader(urls, batch_size=2, seed=3)
    with pytest.raises(RecipeError, match="gs is not among"):
        ShardLoader(["gs://bucket/0.arrow"], batch_size=2, seed=3, storage=storage())


def test_damage_names_the_url(
    shards: tuple[list[Path], list[str]], storage: Callable[..., ObjectStorage], server: ObjectServer
) -> None:
    paths, urls = shards
    bucket, _, key = urls[0].removeprefix("s3://").partition("/")
    data = bytearray(paths[0].read_bytes())
    data[5000] ^= 1
    server.put(bucket, key, bytes(data))
    loader = ShardLoader(urls[:1], batch_size=2, seed=3, order="stored", storage=storage())
    with pytest.raises(Exception, match=rf"{urls[0]}: rows 0 to \d+ are not those it was written with"):
        loader.batch(0)
