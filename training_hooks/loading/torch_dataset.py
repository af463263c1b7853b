"""Token shards as a torch dataset, for trainers other than the bundled one.

The dataset yields whole batches (give `DataLoader(dataset, batch_size=None)`). Worker w of W yields batches
w, w + W, ... and a DataLoader takes its workers in turn, so batches arrive in the same order whatever the
number of workers. A data-parallel replica takes its slice of every global batch.
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
from torch.utils.data import IterableDataset, get_worker_info  # noqa: E402


class ShardDataset(IterableDataset[dict[str, Tensor]]):
    """Endless seeded batches of token shards: `input_ids` and `labels`, int64 [B, T] each.

    `labels` are the tokens one place on, -100 (torch's ignore index) where there is none or it is padding:
    they are already shifted. `batch_size` is the global batch; replica `replica` of `replicas` yields its
    `batch_size / replicas` rows. `state_dict` holds the number of the next batch and the fingerprint of the
    stream; loaded before a DataLoader starts, it is gone on from with any number of workers. A stateful
    loader keeps one of each worker, good for as many workers. Shards are verified lazily as by `ShardLoader`,
    in every worker. Raises as `ShardLoader` does, and ValueError
    for a batch that does not divide.
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

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Batches from the loaded position on, without end."""
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        if self._workers not in (1, stride):
            raise ValueError(f"the saved position is that of one of {self._workers} workers, not of {stride}")
        number = self._start + (first if self._workers == 1 else 0)
        while True:
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
        them, and what the stream must be to resume in it."""
        following, workers = self._next or (self._start, self._workers)
        return {"next_batch": following, "workers": workers, **self._stream()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved position. Raises ValueError where shards, seed, context or batch differ."""
        changed = [key for key, value in self._stream().items() if state.get(key) != value]
        if changed:
            raise ValueError(f"the saved position is of another stream: {', '.join(changed)} differ")
        self._start, self._next = int(state["next_batch"]), None
        self._workers = int(state.get("workers", 1))

    def _stream(self) -> dict[str, Any]:
        return {"batch_size": self.loader.batch_size, **self.loader.stream()}
