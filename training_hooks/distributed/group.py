"""Processes that train together: ranks that meet, by gloo and, where they train on GPUs, by NCCL beside it.

By gloo a process that died closes its connections, so the others' next exchange with it fails at once; one
that hangs is given up after `seconds`. NCCL does not tell of either: torch ends a process whose exchange took
`seconds`, and whoever started the ranks ends the others at once where one ends.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from corpusmill.pipelines.contract.errors import UserError

CPU = torch.device("cpu")


@contextmanager
def joined(
    url: str, rank: int, ranks: int, seconds: float, device: torch.device = CPU
) -> Iterator[dist.ProcessGroup]:
    """The group of `ranks` processes that name the same `url` (`file:///...`, `tcp://HOST:PORT`, or `env://`
    for what torchrun and its like leave in the environment).

    `seconds`: how long this process waits for another, at the meeting and in every exchange. `device`: this
    rank's, its own GPU or the CPU, the same kind on all ranks. Raises what torch.distributed raises
    (RuntimeError) where one does not come, UserError for a GPU where torch has no NCCL.
    """
    prepare(device)
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
    # Without `device_id`: torch would split all later groups from this one, which all ranks must take part
    # in, and bind those on the CPU to the GPU. `begin` makes communicators instead.
    dist.init_process_group(backend(device), store=named, rank=rank, world_size=ranks, timeout=wait)
    group = dist.group.WORLD
    assert group is not None
    try:
        yield group
    except BaseException:
        # On a GPU, exchanges that others have left would be waited for: the process ends without.
        if device.type == "cpu":
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def backend(device: torch.device) -> str:
    """Torch's name for what moves tensors between ranks on `device`: those on the CPU always go by gloo."""
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"


def prepare(device: torch.device) -> None:
    """Before the first exchange of a rank on `device`: make it the one that NCCL uses, and order what is
    launched. Raises UserError where torch has no NCCL."""
    if device.type != "cuda":
        return
    if not dist.is_nccl_available():
        raise UserError(
            f"train: several ranks on GPUs need NCCL, which torch {torch.__version__} was built without: "
            "install a build with it, or write `device: cpu`"
        )
    # Operations of all communicators start in the order in which they are launched (NCCL 2.26 and later), and
    # no two streams wait for one another in one of the GPU's queues.
    os.environ.setdefault("NCCL_LAUNCH_ORDER_IMPLICIT", "1")
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    torch.cuda.set_device(device)


def require_own_gpu(identity: str) -> None:
    """Raises UserError, on all ranks of the default group, where two of them have the same GPU, which NCCL
    cannot use. All call it together, before the first exchange on GPUs; `identity` names this rank's."""
    number = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "little", signed=True)
    found = torch.empty(dist.get_world_size(), dtype=torch.int64)
    dist.all_gather_single(found, torch.tensor([number]))
    ranks: dict[int, list[int]] = {}
    for rank, one in enumerate(found.tolist()):
        ranks.setdefault(one, []).append(rank)
    shared = next((some for some in ranks.values() if len(some) > 1), None)
    if shared is not None:
        raise UserError(
            f"train: ranks {shared[0]} and {shared[1]} have the same GPU: each needs one of its own. Show "
            "each rank another in CUDA_VISIBLE_DEVICES, or all of them to every rank, start as many ranks as "
            "there are GPUs, or write `device: cpu`"
        )


def own_group(sets: Iterable[Sequence[int]], seconds: float, device: torch.device) -> dist.ProcessGroup:
    """The group of this rank, of one for each of `sets`, in one of which every rank is. All ranks of the
    default group call it alike, in one order: torch finds the members of a group by its number."""
    mine: dist.ProcessGroup | None = None
    for ranks in sets:
        made = dist.new_group(list(ranks), timeout=timedelta(seconds=seconds))
        if dist.get_rank() in ranks:
            mine = made
            begin(made, device)
    assert mine is not None
    return mine


def begin(group: dist.ProcessGroup, device: torch.device) -> None:
    """A first exchange of all ranks of `group`. NCCL makes a communicator then, for which it may wait for all
    that a GPU does: no message of a schedule must be on its way yet."""
    dist.all_reduce(torch.zeros(1, device=device), group=group)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def local_group(meeting: Path, rank: int, ranks: int, seconds: float = 60.0) -> Iterator[dist.ProcessGroup]:
    """`joined`, of processes of this machine that name the same new file `meeting`."""
    with joined(meeting.absolute().as_uri(), rank, ranks, seconds) as group:
        yield group
