"""Token shards as a torch dataset, for the library's `run.shards().torch(...)`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpusmill.training_hooks.loading.torch_dataset import ShardDataset


def torch_batches(shards: Sequence[Path], *, batch_size: int, seed: int, **options: Any) -> ShardDataset:
    """The `ShardDataset` of these shards. Raises UserError without torch, and what it raises itself."""
    from corpusmill.training_hooks.loading.torch_dataset import ShardDataset

    return ShardDataset(shards, batch_size=batch_size, seed=seed, **options)
