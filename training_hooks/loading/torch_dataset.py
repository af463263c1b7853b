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
    stream; with a stateful loader each worker keeps its own. Raises as `ShardLoader` does, and ValueError
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
        self._next: int | None = None
        self._start = 0

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Batches from the loaded position on, without end."""
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        number = self._start + (first - self._start) % stride
        while True:
            self._next = number + stride
            tokens_BW = torch.from_numpy(self.loader.batch(number)[self._rows])
            labels_BT = tokens_BW[:, 1:]
            yield {
                "input_ids": tokens_BW[:, :-1].contiguous(),
                "labels": labels_BT.masked_fill(labels_BT == self.loader.pad_id, -100),
            }
            number += stride

    def state_dict(self) -> dict[str, Any]:
        """JSON-ready position: the next batch, and what the stream must be to resume in it."""
        return {"next_batch": self._start if self._next is None else self._next, **self._stream()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved position. Raises ValueError where shards, seed, context or batch differ."""
        changed = [key for key, value in self._stream().items() if state.get(key) != value]
        if changed:
            raise ValueError(f"the saved position is of another stream: {', '.join(changed)} differ")
        self._start, self._next = int(state["next_batch"]), None

    def _stream(self) -> dict[str, Any]:
        return {"batch_size": self.loader.batch_size, **self.loader.stream()}
