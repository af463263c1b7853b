"""Processes that train together: a group of local ranks that meet in a file and give up on a lost one.

A process that died closes its connections, so the others' next exchange with it fails at once; one that hangs
is given up after `seconds`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch.distributed as dist
from torch._C._distributed_c10d import FileStore
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous


@contextmanager
def joined(url: str, rank: int, ranks: int, seconds: float) -> Iterator[dist.ProcessGroup]:
    """The group of `ranks` processes that name the same `url` (`file:///...`, `tcp://HOST:PORT`, or `env://`
    for what torchrun and its like leave in the environment), by gloo.

    `seconds`: how long this process waits for another, at the meeting and in every exchange. Raises what
    torch.distributed raises (RuntimeError) where one does not come.
    """
    wait = timedelta(seconds=seconds)
    store: Store
    if url.startswith("file:"):  # torch takes the path as it stands in the URL, %20 for a space
        store = FileStore(url2pathname(urlsplit(url).path), ranks)
    else:
        store, _, _ = next(rendezvous(url, rank, ranks, timeout=wait))
    store.set_timeout(wait)
    # torchrun's store outlives a restart of its ranks: what those before have left there is no meeting.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    named = PrefixStore(f"attempt-{attempt}", store)
    dist.init_process_group("gloo", store=named, rank=rank, world_size=ranks, timeout=wait)
    try:
        group = dist.group.WORLD
        assert group is not None
        yield group
    finally:
        dist.destroy_process_group()


@contextmanager
def local_group(meeting: Path, rank: int, ranks: int, seconds: float = 60.0) -> Iterator[dist.ProcessGroup]:
    """`joined`, of processes of this machine that name the same new file `meeting`."""
    with joined(meeting.absolute().as_uri(), rank, ranks, seconds) as group:
        yield group
