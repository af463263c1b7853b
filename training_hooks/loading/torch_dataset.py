"""Token shards as a torch dataset and its loader, for trainers other than the bundled one.

The dataset yields whole batches (give `DataLoader(dataset, batch_size=None)`). Worker w of W yields batches
w, w + W, ... and a DataLoader takes its workers in turn, so batches arrive in the same order whatever the
number of workers. A data-parallel replica takes its part of every global batch. A position is a number of
samples, so it is good for any other number of replicas and workers and any other size of the batch.

Workers are other processes with copies of the dataset, and they work ahead: what they have yielded is not
what a training loop has taken. Only the loader knows that, so with workers the position is kept by a loader:
`ShardDataLoader` here, or torchdata's `StatefulDataLoader`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.sealed import digest
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.locations import Location
from corpusmill.training_hooks.loading.read_ahead import ReadAhead
from corpusmill.training_hooks.loading.stream import Order
from corpusmill.training_hooks.loading.torch_batch import BatchForm, Extra, share_of
from corpusmill.training_hooks.trainer.require_torch import require_torch

require_torch()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader, IterableDataset, get_worker_info  # noqa: E402

_START, _IN_WORKERS = 0, 1  # places of what a dataset and its copies in workers share


class ShardDataset(IterableDataset[dict[str, Tensor]]):
    """Seeded batches of token shards: `input_ids` and `labels`, int64 [B, T] each, without end.

    `labels` are the tokens one place on, -100 (torch's ignore index) where there is none or it is padding:
    they are already shifted. `batch_size` is the global batch; replica `replica` of `replicas` yields its
    `batch_size / replicas` rows. A batch holds rows of one length. Where a phase of the mixture with rows of
    another length begins, or the stream ends (`epochs`), the samples left are shared out evenly and the batch
    is filled up with rows of padding, which have no label: every batch has its full size. Each worker
    verifies the shards lazily.

    `context`, `order`, `epochs` and `storage` are `ShardLoader`'s, `extras` and `across_documents` are
    `BatchForm`'s. `read_ahead`: batches that a thread makes ahead in this process, where no worker does; 0:
    none.

    `state_dict` holds the number of the next sample and the fingerprint of the stream: of the iterator begun
    last, or of a `ShardDataLoader` over the dataset. Every iterator begins at the position that was loaded
    (0: none was), with any number of workers, which may be another number than before; workers that persist
    take up a position loaded between two iterators. A stateful loader keeps one state of each worker, good
    for as many workers. Raises as `ShardLoader` does, and ValueError for a batch that does not divide.
    """

    def __init__(
        self,
        shards: Sequence[Location],
        *,
        batch_size: int,
        seed: int,
        context: int | None = None,
        replica: int = 0,
        replicas: int = 1,
        order: Order = "shuffled",
        epochs: int | None = None,
        extras: Collection[Extra] = (),
        across_documents: bool = True,
        read_ahead: int = 0,
        storage: ObjectStorage | None = None,
    ) -> None:
        super().__init__()
        if replicas < 1 or not 0 <= replica < replicas:
            raise ValueError(f"replica {replica} of {replicas}: replicas are numbered from 0")
        if batch_size % replicas:
            raise ValueError(f"a batch of {batch_size} does not divide among {replicas} replicas")
        if read_ahead < 0:
            raise ValueError(f"read_ahead is a number of batches, not {read_ahead}")
        self.form = BatchForm(tuple(extras), across_documents)
        self.loader = ShardLoader(
            shards,
            batch_size=batch_size,
            seed=seed,
            context=context,
            order=order,
            epochs=epochs,
            storage=storage,
        )
        self._identity = _identity(self.loader)
        self._replica, self._replicas, self._read_ahead = replica, replicas, read_ahead
        # Where to begin, and of how many workers that is the turn of one; 1: where all of them begin.
        self._start, self._workers = 0, 1
        self._next: tuple[int, int] | None = None  # the next sample and the number of workers, once begun
        self._newest = 0  # which iterator `_next` is of
        self._kept_by_loader = False  # a `ShardDataLoader` keeps the position of what is begun now
        # Of a worker's copy: whether it began before, and whether a position was loaded into it.
        self._begun_as_worker = self._loaded_as_worker = False
        self._shared = _shared(torch.zeros(2, dtype=torch.int64))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy that is no worker's shares nothing with its original."""
        self.__dict__.update(state)
        if not self._shared.is_shared():  # type: ignore[no-untyped-call]
            self._shared = _shared(self._shared)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Batches from the loaded position on."""
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        if worker is None:
            self._shared[_IN_WORKERS] = 0
        else:
            if self._begun_as_worker and not self._loaded_as_worker:
                self._start = int(self._shared[_START])  # it persists: another may be loaded since
            self._begun_as_worker = True
            if not self._kept_by_loader:
                self._shared[_IN_WORKERS] = 1
        if self._workers not in (1, stride):
            raise ValueError(f"the saved position is that of one of {self._workers} workers, not of {stride}")
        start = self._start if self._workers > 1 else self.after(self._start, first)
        self._newest += 1
        self._next = start, stride
        return self._batches(start, stride, self._newest)

    @property
    def rows(self) -> int:
        """Rows of a batch of this replica."""
        return self.loader.batch_size // self._replicas

    def after(self, start: int, batches: int) -> int:
        """The sample that follows `batches` batches from sample `start` on."""
        for _ in range(batches):
            start = self.loader.batch_end(start)
        return start

    def _batches(self, start: int, stride: int, mine: int) -> Iterator[dict[str, Tensor]]:
        made: Iterator[tuple[int, dict[str, Tensor]]] = self._made(start, stride)
        ahead = None
        if self._read_ahead and get_worker_info() is None:
            made = ahead = ReadAhead(lambda: self._made(start, stride), self._read_ahead)
        try:
            for following, batch in made:
                if mine == self._newest:
                    self._next = following, stride
                yield batch
        finally:
            if ahead is not None:
                ahead.close()

    def _made(self, start: int, stride: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Every `stride`-th batch from sample `start` on, and the sample that the one after it begins at."""
        while self.loader.end is None or start < self.loader.end:
            end = self.loader.batch_end(start)
            first, count = share_of(start, end, self._replica, self._replicas)
            batch = self.form.batch(self.loader, first if count else start, count, self.rows)
            start = self.after(end, stride - 1)
            yield start, batch

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready position: the next sample, how many workers share the stream where this is of one of
        them, and what the stream must be to resume in it.

        Raises RuntimeError where workers of a plain DataLoader read the stream: how far it was taken from
        them is not known here.
        """
        if get_worker_info() is None and int(self._shared[_IN_WORKERS]):
            raise RuntimeError(
                "workers of a DataLoader read this dataset, and how many of their batches were taken is "
                "known to the loader alone: in its place use corpusmill's ShardDataLoader "
                "(training_hooks.loading.torch_dataset) or torchdata's StatefulDataLoader and ask the loader "
                "for its state_dict, or set num_workers=0"
            )
        following, workers = self._next or (self._start, self._workers)
        return {"next_sample": following, "workers": workers, **self._identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next iterator at a saved position, whatever the batch size, replicas and workers were.

        Raises ValueError where shards, their order, seed or context differ.
        """
        changed = [key for key, value in self._identity.items() if state.get(key) != value]
        if changed or "next_sample" not in state:
            what = ", ".join(changed or ["next_sample"])
            raise ValueError(f"the saved position is of another stream: {what} differ")
        self._workers = int(state.get("workers", 1))
        self._begin_at(int(state["next_sample"]))

    def _begin_at(self, sample: int) -> None:
        self._start, self._next = sample, None
        self._newest += 1  # iterators begun before move the position no more
        if get_worker_info() is None:
            self._shared[_START], self._shared[_IN_WORKERS] = sample, 0
        else:
            self._loaded_as_worker = True

    def _taken(self, sample: int) -> None:
        """The next sample that a loader will give is `sample`: told by the loader, in its own process."""
        self._next = sample, 1
        self._shared[_IN_WORKERS] = 0


def _identity(loader: ShardLoader) -> dict[str, Any]:
    """What the stream is, in a few integers and digests."""
    facts = loader.stream()
    rest = {key: value for key, value in facts.items() if key not in ("seed", "context")}
    return {"seed": facts["seed"], "context": facts["context"], "shards": digest(rest)[:32]}


def _shared(tensor: Tensor) -> Tensor:
    """`tensor` in memory that other processes see."""
    moved: Tensor = tensor.share_memory_()  # type: ignore[no-untyped-call]
    return moved


class ShardDataLoader(DataLoader[dict[str, Tensor]]):
    """A DataLoader of a `ShardDataset` that keeps its position, with any number of workers.

    `options` are DataLoader's (num_workers, prefetch_factor, pin_memory, persistent_workers, ...);
    `batch_size` and what shuffles are the dataset's. `state_dict`, here or of the dataset, says which sample
    the iterator begun last gives next, whatever the workers have prepared; it is good for any number of
    workers and replicas and any size of the batch. An iterator begins at the position that was loaded last.
    """

    def __init__(self, dataset: ShardDataset, **options: Any) -> None:
        if options.get("in_order", True) is not True:
            raise ValueError("in_order=False gives batches in no fixed order: there is no position to keep")
        if dataset.loader.remote and options.get("num_workers"):
            options = {"multiprocessing_context": "spawn", **options}  # a fork cannot fetch
        super().__init__(dataset, batch_size=None, **options)
        self._shards = dataset
        self._iterators = 0

    def __iter__(self) -> Any:
        self._iterators += 1
        start = self._shards._start
        self._shards._kept_by_loader = True  # as workers that start now are to know
        try:
            batches = super().__iter__()
        finally:
            self._shards._kept_by_loader = False
        self._shards._taken(start)
        return self._counted(batches, start, self._iterators)

    def _counted(self, batches: Iterator[Any], start: int, mine: int) -> Iterator[dict[str, Tensor]]:
        for batch in batches:
            start = self._shards.after(start, 1)
            if mine == self._iterators:
                self._shards._taken(start)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The dataset's state: which sample comes next."""
        return self._shards.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next iterator at a saved position.

        Raises ValueError where shards, their order, seed or context differ, and for the state of one worker.
        """
        if int(state.get("workers", 1)) != 1:
            raise ValueError(
                f"the saved position is that of one of {state['workers']} workers; load it there"
            )
        self._iterators += 1
        self._shards.load_state_dict(state)
