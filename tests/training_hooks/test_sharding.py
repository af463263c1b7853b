"""Every row once an epoch and the same stream, whatever shares it: replicas, workers, batch sizes, changes of
them in mid-epoch, phases."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from corpusmill.training_hooks.loading.torch_dataset import ShardDataLoader, ShardDataset
from tests.oracles.training_shards import PAD, Writer, write_rows
from tests.waiting import PATIENCE

# Three workers are more than some machines that run the tests have cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

ROWS, LONG = 29, 7
SHORT_LENGTH, LONG_LENGTH = 6, 12


def numbered(first: int, count: int, length: int) -> np.ndarray:
    """Rows that tell which they are by every token."""
    return np.repeat(np.arange(first, first + count) + 8, length).reshape(count, length)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("plain")
    return [
        write_rows(folder / "0.arrow", numbered(0, 17, SHORT_LENGTH)),
        write_rows(folder / "1.arrow", numbered(17, ROWS - 17, SHORT_LENGTH)),
    ]


@pytest.fixture(scope="module")
def phased(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three phases, of short, short and long rows, given in no order."""
    folder = tmp_path_factory.mktemp("phased")

    def shard(name: str, first: int, count: int, length: int, number: int, phase: str) -> Path:
        facts = {"phase": {"number": number, "name": phase}}
        return write_rows(folder / name, numbered(first, count, length), **facts)

    return [
        shard("long.arrow", 22, LONG, LONG_LENGTH, 2, "long"),
        shard("web-0.arrow", 0, 9, SHORT_LENGTH, 0, "web"),
        shard("math.arrow", 13, 9, SHORT_LENGTH, 1, "math"),
        shard("web-1.arrow", 9, 4, SHORT_LENGTH, 0, "web"),
    ]


def rows_in(batch: dict[str, Tensor]) -> list[int]:
    """The rows of a batch by their numbers; of rows of padding none."""
    firsts = batch["input_ids"][:, 0]
    real = firsts != PAD
    assert (batch["labels"][~real] == -100).all()
    assert (batch["input_ids"][~real] == PAD).all()
    return (firsts[real] - 8).tolist()


def taken(
    shards: list[Path], replicas: int, workers: int, batch: int, count: int, state: Any = None, **options: Any
) -> tuple[list[list[list[int]]], dict[str, Any]]:
    """Rows by replica and batch of the next `count` batches, and the state after them, which all replicas
    share."""
    rows, states = [], []
    for replica in range(replicas):
        dataset = ShardDataset(
            shards, batch_size=batch, seed=5, replica=replica, replicas=replicas, **options
        )
        loader = ShardDataLoader(dataset, num_workers=workers)
        if state is not None:
            loader.load_state_dict(state)
        batches: Iterator[dict[str, Tensor]] = iter(loader)
        rows.append([rows_in(one) for one in itertools.islice(batches, count)])
        states.append(json.loads(json.dumps(loader.state_dict())))
        del batches
    assert all(one == states[0] for one in states)
    return rows, states[0]


def flat(rows: list[list[list[int]]]) -> list[int]:
    return [row for replica in rows for batch in replica for row in batch]


CHANGES = [
    pytest.param([(1, 0, 4), (1, 0, 4)], id="one process"),
    pytest.param([(2, 0, 4), (4, 0, 4)], id="2 replicas to 4"),
    pytest.param([(3, 1, 6), (2, 3, 4)], id="3 replicas to 2, other workers and batch"),
    pytest.param([(2, 3, 4), (1, 0, 5), (4, 1, 8)], id="2 to 1 to 4"),
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("kind", ["plain", "phased"])
def test_an_epoch_is_every_row_once_whatever_changes_in_it(
    kind: str, changes: list[tuple[int, int, int]], request: pytest.FixtureRequest
) -> None:
    shards = request.getfixturevalue(kind)
    found: list[int] = []
    state = None
    for replicas, workers, batch in changes[:-1]:
        rows, state = taken(shards, replicas, workers, batch, 2, state, epochs=1)
        found += flat(rows)
        assert len(found) == state["next_sample"]
    replicas, workers, batch = changes[-1]
    rows, state = taken(shards, replicas, workers, batch, 100, state, epochs=1)
    assert Counter(found + flat(rows)) == Counter(range(ROWS))
    assert state["next_sample"] == ROWS


@pytest.mark.parametrize("kind", ["plain", "phased"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_replicas_and_workers_share_out_one_stream(
    kind: str, workers: int, request: pytest.FixtureRequest
) -> None:
    """Batch by batch, over two epochs, the shares of replicas are the batches of one process."""
    shards = request.getfixturevalue(kind)
    (whole,), _ = taken(shards, 1, 0, 8, 12)
    for replicas in (1, 2, 4):
        shares, _ = taken(shards, replicas, workers, 8, 12)
        for number, batch in enumerate(whole):
            assert [row for share in shares for row in share[number]] == batch
            sizes = [len(share[number]) for share in shares]
            assert max(sizes) - min(sizes) <= 1


def test_phases_follow_one_another_and_no_batch_has_two_lengths(phased: list[Path]) -> None:
    dataset = ShardDataset(phased, batch_size=4, seed=5)
    assert [(phase.name, phase.windows) for phase in dataset.loader.phases] == [
        ("web", 13), ("math", 9), ("long", LONG)
    ]  # fmt: skip
    seen: list[list[int]] = [[], []]
    lengths = []
    batches = iter(dataset)
    for epoch in range(2):
        while len(seen[epoch]) < ROWS:
            batch = next(batches)
            assert batch["input_ids"].shape[0] == 4
            lengths.append(batch["input_ids"].shape[1])
            seen[epoch] += rows_in(batch)
    # 22 short rows are 5 batches and a half, 7 long ones one and three quarters.
    assert lengths == [*[SHORT_LENGTH] * 6, *[LONG_LENGTH] * 2] * 2
    for rows in seen:
        web, math, long = rows[:13], rows[13:22], rows[22:]
        assert (sorted(web), sorted(math), sorted(long)) == (
            list(range(13)), list(range(13, 22)), list(range(22, 29))
        )  # fmt: skip
    for part in (slice(0, 13), slice(13, 22), slice(22, 29)):
        assert seen[0][part] != seen[1][part]


def test_one_context_makes_all_phases_of_one_length(phased: list[Path]) -> None:
    dataset = ShardDataset(phased, batch_size=4, seed=5, context=SHORT_LENGTH, epochs=1)
    batches = list(dataset)
    assert {batch["input_ids"].shape for batch in batches} == {(4, SHORT_LENGTH)}
    rows = Counter(row for batch in batches for row in rows_in(batch))
    assert rows == Counter({row: 2 if row >= 22 else 1 for row in range(ROWS)})
    assert [len(rows_in(batch)) for batch in batches] == [4] * 9  # 22 + 14: none is cut at a phase's end


@settings(deadline=None, max_examples=60)
@given(
    kind=st.booleans(), batch=st.integers(1, 9), done=st.integers(0, 12), ahead=st.integers(0, 2),
    replicas=st.sampled_from([1, 2, 3]), data=st.data(),
)  # fmt: skip
def test_going_on_at_any_batch_is_not_having_stopped(
    plain: list[Path],
    phased: list[Path],
    kind: bool,
    batch: int,
    done: int,
    ahead: int,
    replicas: int,
    data: Any,
) -> None:
    options: dict[str, Any] = {
        "batch_size": batch * replicas, "seed": data.draw(st.integers(0, 3)), "replicas": replicas,
        "replica": data.draw(st.integers(0, replicas - 1)), "read_ahead": ahead,
    }  # fmt: skip
    shards = plain if kind else phased
    whole = [one["input_ids"] for one in itertools.islice(ShardDataset(shards, **options), done + 4)]
    stopped = ShardDataset(shards, **options)
    begun = iter(stopped)
    for _ in range(done):
        next(begun)
    resumed = ShardDataset(shards, **options)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    rest = [one["input_ids"] for one in itertools.islice(resumed, 4)]
    assert all(torch.equal(a, b) for a, b in zip(whole[done:], rest, strict=True))


KILLED = """
import os, signal, sys
from torch.utils.data import DataLoader
from corpusmill.training_hooks.loading.torch_dataset import ShardDataLoader, ShardDataset
dataset = ShardDataset(sys.argv[2:], batch_size=4, seed=5)
options = {"num_workers": 2, "prefetch_factor": 1}
kind = sys.argv[1]
loader = ShardDataLoader(dataset, **options) if kind == "own" else DataLoader(dataset, None, **options)
batches = DataLoader.__iter__(loader)
next(batches)
try:
    os.kill(batches._workers[0].pid, signal.SIGKILL)
    for _ in range(50):
        next(batches)
except (RuntimeError, ConnectionResetError) as error:  # the latter where a tensor was on its way
    print(error, flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("kind", ["own", "plain"])
def test_a_worker_that_is_killed_is_an_error_and_no_hang(plain: list[Path], kind: str) -> None:
    """In a process of its own: torch tells of it from a signal handler, at any moment."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, kind, *map(str, plain)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert re.search(r"exited unexpectedly|killed by signal|reset by peer", done.stdout), done.stderr


def test_an_error_of_a_worker_names_the_shard(write: Writer) -> None:
    bad = write("bad.arrow", np.full((3, 6), 64))
    loader = ShardDataLoader(ShardDataset([bad], batch_size=2, seed=1), num_workers=1)
    with pytest.raises(Exception, match=r"bad\.arrow row 0 holds token id 64"):
        next(iter(loader))


def test_phases_that_disagree_are_named(write: Writer) -> None:
    rows = numbered(0, 3, 6)
    first = write("first.arrow", rows, phase={"number": 1, "name": "web"})
    other = write("other.arrow", rows, phase={"number": 1, "name": "math"})
    longer = write("longer.arrow", numbered(0, 3, 8), phase={"number": 1, "name": "web"})
    with pytest.raises(Exception, match=r"other\.arrow is of phase 1, math, but .*first\.arrow calls it web"):
        ShardDataset([first, other], batch_size=2, seed=1)
    with pytest.raises(Exception, match=r"longer\.arrow has sequence_length 8"):
        ShardDataset([first, longer], batch_size=2, seed=1)
