"""Token shards as a data loader of torchtitan 0.3: `dataloader=TitanLoader.Config(shards=[...])`.

torchtitan gives the loader its place among the data-parallel replicas, the length of sequences and the rows
of a replica, and keeps its state in its checkpoints. The state counts samples, so a checkpoint goes on with
another number of replicas, which torchtitan's own loaders refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchtitan.components.dataloader import BaseDataLoader

from corpusmill.training_hooks.loading.torch_batch import Extra
from corpusmill.training_hooks.loading.torch_dataset import ShardDataLoader, ShardDataset
from corpusmill.training_hooks.trainer.require_torch import require_torch

require_torch()

from torch import Tensor  # noqa: E402


class TitanLoader(BaseDataLoader):  # type: ignore[misc]
    """Yields ({"input": int64 [rows, T], "positions": ...}, labels), labels -100 where there is none.

    `positions` begin at 0 with every document, from which torchtitan makes masks for its flexible and
    variable-length attention. Raises as `ShardDataset` does.
    """

    @dataclass(kw_only=True, slots=True)
    class Config(BaseDataLoader.Config):  # type: ignore[misc]
        """`shards`: paths; `positions`: whether to give positions within documents; `across_documents`:
        whether the last token of a document has the first of the next as its label."""

        shards: list[str] = field(default_factory=list)
        seed: int = 0
        positions: bool = True
        across_documents: bool = True
        num_workers: int = 0
        pin_memory: bool = False

    def __init__(
        self,
        config: Config,
        *,
        dp_world_size: int,
        dp_rank: int,
        seq_len: int,
        local_batch_size: int,
        **kwargs: Any,
    ) -> None:
        """`kwargs` are what torchtitan gives to loaders that tokenize: ignored."""
        extras: tuple[Extra, ...] = ("position_ids",) if config.positions else ()
        dataset = ShardDataset(
            [Path(path) for path in config.shards],
            batch_size=local_batch_size * dp_world_size,
            seed=config.seed,
            context=seq_len,
            replica=dp_rank,
            replicas=dp_world_size,
            extras=extras,
            across_documents=config.across_documents,
        )
        self._loader = ShardDataLoader(dataset, num_workers=config.num_workers, pin_memory=config.pin_memory)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Batches from the loaded position on, without end."""
        for batch in self._loader:
            inputs = {"input": batch["input_ids"]}
            if "position_ids" in batch:
                inputs["positions"] = batch["position_ids"]
            yield inputs, batch["labels"]

    def state_dict(self) -> dict[str, Any]:
        """The next sample and what the stream must be, the same on all replicas."""
        return self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at a saved position; an empty state is that of no checkpoint. Raises ValueError where it is
        of another stream."""
        if state_dict:
            self._loader.load_state_dict(state_dict)
