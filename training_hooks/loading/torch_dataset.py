"""Token shards as a torch dataset and its loader, for trainers other than the bundled one.

The dataset yields whole batches (give `DataLoader(dataset, batch_size=None)`). Worker w of W yields batches
w, w + W, ... and a DataLoader takes its workers in turn, so batches arrive in the same order whatever the
number of workers. A data-parallel replica takes its slice of every global batch.

Workers are other processes with copies of the dataset, and they work ahead: what they have yielded is not
what a training loop has taken. Only the loader knows that, so with workers the position is kept by a loader:
`ShardDataLoader` here, or torchdata's `StatefulDataLoader`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.trainer.require_torch import require_torch

require_torch()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader, IterableDataset, get_worker_info  # noqa: E402

_START, _IN_WORKERS = 0, 1  # places of what a dataset and its copies in workers share


class ShardDataset(IterableDataset[dict[str, Tensor]]):
    """Endless seeded batches of token shards: `input_ids` and `labels`, int64 [B, T] each.

    `labels` are the tokens one place on, -100 (torch's ignore index) where there is none or it is padding:
    they are already shifted. `batch_size` is the global batch; replica `replica` of `replicas` yields its
    `batch_size / replicas` rows. Each worker verifies the shards lazily.

    `state_dict` holds the number of the next batch and the fingerprint of the stream: of the iterator begun
    last, or of a `ShardDataLoader` over the dataset. Every iterator begins at the position that was loaded
    (0: none was), with any number of workers, which may be another number than before; workers that persist
    take up a position loaded between two iterators. A stateful loader keeps one state of each worker, good
    for as many workers. Raises as `ShardLoader` does, and ValueError for a batch that does not divide.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        *,
        batch_size: int,
        seed: int,
        context: int | None = None,
        replica: int = 0,
        replicas: int = 1,
    ) -> None:
        super().__init__()
        if batch_size % replicas or not 0 <= replica < replicas:
            raise ValueError(f"a batch of {batch_size} does not divide for replica {replica} of {replicas}")
        self.loader = ShardLoader(shards, batch_size=batch_size, seed=seed, context=context)
        share = batch_size // replicas
        self._rows = slice(replica * share, (replica + 1) * share)
        # Where to begin, and of how many workers that is the turn of one; 1: where all of them begin.
        self._start, self._workers = 0, 1
        self._next: tuple[int, int] | None = None  # the next batch and the number of workers, once begun
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
        """Batches from the loaded position on, without end."""
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        if worker is None:
            self._shared[_IN_WORKERS] = 0
        else:
            if (
                self._begun_as_worker and not self._loaded_as_worker
            ):  # it persists: another may be loaded since
                self._start = int(self._shared[_START])
            self._begun_as_worker = True
            if not self._kept_by_loader:
                self._shared[_IN_WORKERS] = 1
        if self._workers not in (1, stride):
            raise ValueError(f"the saved position is that of one of {self._workers} workers, not of {stride}")
        number = self._start + (first if self._workers == 1 else 0)
        self._newest += 1
        self._next = number, stride
        return self._batches(number, stride, self._newest)

    def _batches(self, number: int, stride: int, mine: int) -> Iterator[dict[str, Tensor]]:
        while True:
            if mine == self._newest:
                self._next = number + stride, stride
            tokens_BW = torch.from_numpy(self.loader.batch(number)[self._rows])
            labels_BT = tokens_BW[:, 1:]
            yield {
                "input_ids": tokens_BW[:, :-1].contiguous(),
                "labels": labels_BT.masked_fill(labels_BT == self.loader.pad_id, -100),
            }
            number += stride

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready position: the next batch, how many workers share the stream where this is of one of
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
        return {"next_batch": following, "workers": workers, **self._stream()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next iterator at a saved position.

        Raises ValueError where shards, seed, context or batch differ.
        """
        changed = [key for key, value in self._stream().items() if state.get(key) != value]
        if changed:
            raise ValueError(f"the saved position is of another stream: {', '.join(changed)} differ")
        self._workers = int(state.get("workers", 1))
        self._begin_at(int(state["next_batch"]))

    def _begin_at(self, number: int) -> None:
        self._start, self._next = number, None
        self._newest += 1  # iterators begun before move the position no more
        if get_worker_info() is None:
            self._shared[_START], self._shared[_IN_WORKERS] = number, 0
        else:
            self._loaded_as_worker = True

    def _taken(self, number: int) -> None:
        """The next batch that a loader will give is `number`: told by the loader, in its own process."""
        self._next = number, 1
        self._shared[_IN_WORKERS] = 0

    def _stream(self) -> dict[str, Any]:
        return {"batch_size": self.loader.batch_size, **self.loader.stream()}


def _shared(tensor: Tensor) -> Tensor:
    """`tensor` in memory that other processes see."""
    moved: Tensor = tensor.share_memory_()  # type: ignore[no-untyped-call]
    return moved


class ShardDataLoader(DataLoader[dict[str, Tensor]]):
    """A DataLoader of a `ShardDataset` that keeps its position, with any number of workers.

    `options` are DataLoader's (num_workers, prefetch_factor, pin_memory, persistent_workers, ...);
    `batch_size` and what shuffles are the dataset's. `state_dict`, here or of the dataset, says which batch
    the iterator begun last gives next, whatever the workers have prepared; it is good for any number of
    workers. An iterator begins at the position that was loaded last.
    """

    def __init__(self, dataset: ShardDataset, **options: Any) -> None:
        if options.get("in_order", True) is not True:
            raise ValueError("in_order=False gives batches in no fixed order: there is no position to keep")
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
        for number, batch in enumerate(batches, start + 1):
            if mine == self._iterators:
                self._shards._taken(number)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The dataset's state: which batch comes next."""
        return self._shards.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next iterator at a saved position.

        Raises ValueError where shards, seed, context or batch differ, and for the state of one worker.
        """
        if int(state.get("workers", 1)) != 1:
            raise ValueError(
                f"the saved position is that of one of {state['workers']} workers; load it there"
            )
        self._iterators += 1
        self._shards.load_state_dict(state)
