from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.torch_dataset import ShardDataLoader, ShardDataset
from tests.oracles.training_shards import PAD, Writer, chain_language

OPTIONS: dict[str, Any] = {"batch_size": 4, "seed": 6, "context": 8}


@pytest.fixture
def shards(write: Writer) -> list[Path]:
    rows = chain_language(9, 20, 0)
    rows[::2, 13:] = PAD
    return [write("0.arrow", rows), write("1.arrow", chain_language(6, 20, 1))]


def first(batches: Any, count: int) -> list[Tensor]:
    return [batch["input_ids"] for batch in itertools.islice(iter(batches), count)]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_labels_are_the_next_tokens(shards: list[Path]) -> None:
    loader = ShardLoader(shards, **OPTIONS)
    for number, batch in enumerate(itertools.islice(ShardDataset(shards, **OPTIONS), 30)):
        tokens = torch.from_numpy(loader.batch(number))
        assert torch.equal(batch["input_ids"], tokens[:, :-1])
        target = tokens[:, 1:]
        assert (batch["labels"] == -100).equal(target == PAD)
        assert torch.equal(batch["labels"][target != PAD], target[target != PAD])


@pytest.mark.parametrize("workers", [1, 2])
def test_order_does_not_depend_on_workers(shards: list[Path], workers: int) -> None:
    loader = DataLoader(ShardDataset(shards, **OPTIONS), batch_size=None, num_workers=workers)
    assert equal(first(loader, 11), first(ShardDataset(shards, **OPTIONS), 11))


def test_replicas_share_out_the_global_batch(shards: list[Path]) -> None:
    whole = first(ShardDataset(shards, **OPTIONS), 5)
    parts = [first(ShardDataset(shards, **OPTIONS, replica=r, replicas=2), 5) for r in range(2)]
    assert equal(whole, [torch.cat(pair) for pair in zip(*parts, strict=True)])
    with pytest.raises(ValueError, match="divide"):
        ShardDataset(shards, **OPTIONS, replica=0, replicas=3)


def test_resumes_exactly(shards: list[Path]) -> None:
    dataset = ShardDataset(shards, **OPTIONS)
    assert dataset.state_dict()["next_sample"] == 0
    everything = first(dataset, 20)
    again = ShardDataset(shards, **OPTIONS)
    begun = iter(again)
    for _ in range(7):
        next(begun)
    state = json.loads(json.dumps(again.state_dict()))
    resumed = ShardDataset(shards, **OPTIONS)
    resumed.load_state_dict(state)
    assert equal(first(resumed, 13), everything[7:])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("done", [0, 3, 4])
def test_any_number_of_workers_goes_on_in_order(shards: list[Path], workers: int, done: int) -> None:
    dataset = ShardDataset(shards, **OPTIONS)
    everything = first(dataset, 12)
    begun = iter(dataset)
    for _ in range(done):
        next(begun)
    state = dataset.state_dict() if done else ShardDataset(shards, **OPTIONS).state_dict()
    resumed = ShardDataset(shards, **OPTIONS)
    resumed.load_state_dict(state)
    loader = DataLoader(resumed, batch_size=None, num_workers=workers)
    assert equal(first(loader, 6), everything[done : done + 6])
    assert equal(first(loader, 6), everything[done : done + 6])


def test_each_worker_of_a_stateful_loader_goes_on_from_its_own_state(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As such a loader does it: every worker keeps the state of its own copy and takes it up again."""
    everything = first(ShardDataset(shards, **OPTIONS), 14)

    def worker(number: int, of: int) -> None:
        info = SimpleNamespace(id=number, num_workers=of)
        monkeypatch.setattr("corpusmill.training_hooks.loading.torch_dataset.get_worker_info", lambda: info)

    states = []
    for number, taken in ((0, 2), (1, 1), (2, 0)):
        worker(number, 3)
        copy = ShardDataset(shards, **OPTIONS)
        first(copy, taken)
        states.append(copy.state_dict())
    for number, place in ((0, 6), (1, 4), (2, 2)):
        worker(number, 3)
        copy = ShardDataset(shards, **OPTIONS)
        copy.load_state_dict(states[number])
        assert equal(first(copy, 2), [everything[place], everything[place + 3]])
    worker(0, 2)
    other = ShardDataset(shards, **OPTIONS)
    other.load_state_dict(states[0])
    with pytest.raises(ValueError, match="one of 3 workers, not of 2"):
        first(other, 1)


def test_a_state_of_another_stream_is_refused(shards: list[Path]) -> None:
    state = ShardDataset(shards, **OPTIONS).state_dict()
    for other in (
        ShardDataset(shards, **{**OPTIONS, "seed": 7}),
        ShardDataset(shards[:1], **OPTIONS),
        ShardDataset(shards, **OPTIONS, order="stored"),
        ShardDataset(shards, **{**OPTIONS, "context": 4}),
    ):
        with pytest.raises(ValueError, match="another stream"):
            other.load_state_dict(state)


def take(batches: Any, count: int) -> list[Tensor]:
    """The next batches of an iterator already begun."""
    return [next(batches)["input_ids"] for _ in range(count)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_loader_says_what_was_taken_whatever_workers_prepared(
    shards: list[Path], workers: int
) -> None:
    everything = first(ShardDataset(shards, **OPTIONS), 20)
    dataset = ShardDataset(shards, **OPTIONS)
    loader = ShardDataLoader(dataset, num_workers=workers, persistent_workers=workers > 0)
    abandoned = iter(loader)
    assert dataset.state_dict()["next_sample"] == 0
    assert equal(take(abandoned, 7), everything[:7])
    state = json.loads(json.dumps(dataset.state_dict()))
    assert (state["next_sample"], state) == (28, loader.state_dict())
    begun = iter(loader)  # an epoch anew, the last one left in its middle
    assert dataset.state_dict()["next_sample"] == 0
    assert equal(take(begun, 2), everything[:2])
    assert loader.state_dict()["next_sample"] == 8
    loader.load_state_dict(state)  # workers that persist take it up too
    assert loader.state_dict() == state
    assert equal(take(iter(loader), 3), everything[7:10])
    resumed = ShardDataset(shards, **OPTIONS)
    resumed.load_state_dict(loader.state_dict())
    assert equal(first(resumed, 4), everything[10:14])


def test_a_plain_loader_with_workers_has_no_position_and_says_so(shards: list[Path]) -> None:
    everything = first(ShardDataset(shards, **OPTIONS), 9)
    dataset = ShardDataset(shards, **OPTIONS)
    copied = copy.deepcopy(dataset)
    plain = DataLoader(dataset, batch_size=None, num_workers=2, persistent_workers=True)
    assert equal(first(plain, 3), everything[:3])
    with pytest.raises(RuntimeError, match=r"ShardDataLoader.*StatefulDataLoader"):
        dataset.state_dict()
    assert copied.state_dict()["next_sample"] == 0
    state = {**copied.state_dict(), "next_sample": 20}
    dataset.load_state_dict(state)
    assert dataset.state_dict() == state
    assert equal(first(plain, 4), everything[5:])
    assert equal(first(dataset, 1), everything[5:6])
    assert dataset.state_dict()["next_sample"] == 24


def test_an_iterator_left_behind_moves_the_position_no_more(shards: list[Path]) -> None:
    dataset = ShardDataset(shards, **OPTIONS)
    left = iter(dataset)
    take(left, 3)
    begun = iter(dataset)
    assert dataset.state_dict()["next_sample"] == 0
    take(begun, 1)
    take(left, 2)
    assert dataset.state_dict()["next_sample"] == 4


def test_what_a_shard_loader_cannot_keep_is_refused(shards: list[Path]) -> None:
    dataset = ShardDataset(shards, **OPTIONS)
    with pytest.raises(ValueError, match="no position to keep"):
        ShardDataLoader(dataset, in_order=False)
    with pytest.raises(ValueError, match="one of 3 workers"):
        ShardDataLoader(dataset).load_state_dict({**dataset.state_dict(), "workers": 3})


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_torchdatas_stateful_loader_goes_on(shards: list[Path]) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")
    everything = first(ShardDataset(shards, **OPTIONS), 12)
    loader = stateful.StatefulDataLoader(ShardDataset(shards, **OPTIONS), batch_size=None, num_workers=2)
    take(iter(loader), 7)
    resumed = stateful.StatefulDataLoader(ShardDataset(shards, **OPTIONS), batch_size=None, num_workers=2)
    resumed.load_state_dict(loader.state_dict())
    assert equal(take(iter(resumed), 5), everything[7:])
