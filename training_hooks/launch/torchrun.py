"""Ranks that torchrun started: rank 0 runs the recipe and leads, the others wait for its training to join.

What they meet by is in the environment: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun and
launchers like it set them, and for ranks on GPUs LOCAL_RANK and LOCAL_WORLD_SIZE. The leader leaves the work,
or word that there is none, in the store there. A rank that fails ends with an error, and whoever started the
ranks ends the others; one that gives no sign of life, which no launcher notices, is noticed by the leader,
and its own silence by all others.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.run.engines.worker import die_with_parent
from corpusmill.training_hooks.launch.fault import RankError
from corpusmill.training_hooks.launch.work import Meeting, Work
from corpusmill.training_hooks.trainer.require_torch import require_torch

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

log = logging.getLogger("corpusmill.train")

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
OF_MACHINE = ("LOCAL_RANK", "LOCAL_WORLD_SIZE")
SILENCE = 60.0  # seconds without a sign of life after which a rank is given up
BEAT_SECONDS = 1.0
STORE_SECONDS = 300.0  # that the store may take to come up
LOOK_SECONDS = 0.2  # between looks for the work
_OVER = "over"  # the last sign of a rank that ends well or with an error
_LOST = 3  # exit code of a rank that gives up another
_leading: list[Outside] = []  # the ranks that this process leads


@dataclass(frozen=True)
class Outside:
    """This process's rank among those that were started outside, and how many there are; the same of those on
    its machine, where that was told."""

    rank: int
    ranks: int
    local: int | None = None
    beside: int = 0

    @property
    def meeting(self) -> Meeting:
        return Meeting("env://", self.rank, self.ranks, local=self.local, beside=self.beside)

    @property
    def work(self) -> str:
        """The name of the work in the store."""
        return f"{_names()}/work"

    def sign(self, rank: int) -> str:
        """The name of a rank's signs of life in the store."""
        return f"{_names()}/sign/{rank}"


def _names() -> str:
    """What names in the store begin with: what an attempt has left there means nothing to the next."""
    return f"corpusmill/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def outside(environment: Mapping[str, str]) -> Outside | None:
    """The place of this process where a launcher started several; None where none did.

    Raises UserError for variables that make no sense.
    """
    if not all(environment.get(name) for name in VARIABLES):
        return None
    try:
        found = Outside(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
        int(environment["MASTER_PORT"])
        if all(environment.get(name) for name in OF_MACHINE):
            local, beside = (int(environment[name]) for name in OF_MACHINE)
            found = replace(found, local=local, beside=beside)
    except ValueError as error:
        raise UserError(
            f"{', '.join((*VARIABLES, *OF_MACHINE))}: {error}; torchrun sets them, unset them otherwise"
        ) from error
    if not 0 <= found.rank < found.ranks:
        raise UserError(f"RANK={found.rank} with WORLD_SIZE={found.ranks}: ranks count from 0")
    return found if found.ranks > 1 else None


def leading() -> Outside | None:
    """The ranks that this process leads, if any."""
    return _leading[0] if _leading else None


@contextmanager
def lead(place: Outside) -> Iterator[None]:
    """Within, a training is done with the ranks that wait. Where it ends well without one, they may go."""
    die_with_parent()
    _prepare()
    _leading.append(place)
    try:
        with _signs(place):
            yield
            if _leading:
                _store(place).set(place.work, json.dumps(None))
    finally:
        _leading.clear()


def train_with_others(work: Work, place: Outside) -> dict[str, Any]:
    """The leader's part of a training on all ranks: its summary. Raises what its own rank raises."""
    _leading.clear()  # the others join one training
    _store(place).set(place.work, json.dumps(encode(work)))
    return work.do(place.meeting)


def follow(place: Outside) -> None:
    """Wait, however long it takes, for the leader's training, and do this rank's part of it."""
    die_with_parent()
    _prepare()
    store = _store(place)
    with _signs(place):
        while not store.check([place.work]):
            if store.check([place.sign(0)]) and store.get(place.sign(0)) == _OVER.encode():
                raise RankError("rank 0 ended without a training")
            time.sleep(LOOK_SECONDS)
        given = json.loads(store.get(place.work))
        if given is not None:
            decode(Work, given, "the work of rank 0").do(place.meeting)


def _prepare() -> None:
    require_torch()
    if os.environ["MASTER_ADDR"] in ("localhost", "127.0.0.1", "::1"):
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", "lo")


def _store(place: Outside) -> Store:
    """A connection to the store where the ranks meet; without torchrun's own, that of rank 0."""
    from torch.distributed.rendezvous import rendezvous

    seconds = timedelta(seconds=STORE_SECONDS)
    store, _, _ = next(rendezvous("env://", place.rank, place.ranks, timeout=seconds))
    found: Store = store
    return found


@contextmanager
def _signs(place: Outside) -> Iterator[None]:
    """Within, this rank tells that it lives, and listens to others."""
    signs = _Signs(place)
    signs.start()
    try:
        yield
    finally:
        signs.end()


class _Signs(threading.Thread):
    """Tells the others once a second that this rank lives, and ends it where one of them no longer does.

    Rank 0 listens to all, the others to rank 0.
    """

    def __init__(self, place: Outside) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._over = threading.Event()
        self._store = _store(place)

    def end(self) -> None:
        """Leave: from now on this rank's silence means nothing."""
        self._over.set()
        self.join()
        with suppress(RuntimeError):  # rank 0, where the store is unless torchrun has it, may be over too
            self._store.set(self._place.sign(self._place.rank), _OVER)

    def run(self) -> None:
        try:
            self._listen()
        except RuntimeError as error:  # rank 0 had the store, and has ended: exchanges with it tell why
            log.warning("no signs of life can be heard any more: %s", error)

    def _listen(self) -> None:
        others = range(1, self._place.ranks) if self._place.rank == 0 else [0]
        heard = {rank: ("", time.monotonic()) for rank in others}
        looked, beat = time.monotonic(), 0
        while not self._over.wait(BEAT_SECONDS):
            self._store.set(self._place.sign(self._place.rank), str(beat := beat + 1))
            now = time.monotonic()
            suspended, looked = now - looked > SILENCE / 2, now
            for rank, (last, since) in heard.items():
                name = self._place.sign(rank)
                sign = self._store.get(name).decode() if self._store.check([name]) else ""
                if sign != last or suspended:
                    heard[rank] = (sign, now)
                elif sign != _OVER and now - since > (SILENCE if sign else STORE_SECONDS):
                    self._give_up(rank, now - since)

    def _give_up(self, rank: int, seconds: float) -> None:
        """End this process, and so the training: whoever started the ranks ends the others."""
        lost = f"rank {rank} of {self._place.ranks} gave no sign of life for {seconds:.0f} s"
        log.error("%s: the training ends; run the same command to go on from its last checkpoint", lost)
        os._exit(_LOST)
