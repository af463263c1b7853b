"""The token shards of a run, for a training loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

HELD_OUT = "heldout-"


@dataclass(frozen=True)
class Shards:
    """`files`: all of them, in order."""

    files: tuple[Path, ...]

    @property
    def training(self) -> tuple[Path, ...]:
        """Shards to train on."""
        return tuple(file for file in self.files if not file.name.startswith(HELD_OUT))

    @property
    def held_out(self) -> tuple[Path, ...]:
        """Shards of documents that no model may be trained on."""
        return tuple(file for file in self.files if file.name.startswith(HELD_OUT))

    def torch(self, *, batch_size: int, seed: int, **options: Any) -> Any:
        """A torch dataset of seeded, shuffled batches, with the options of `ShardDataset`.

        Raises UserError where torch is not installed.
        """
        from corpusmill.pipelines.recipe.registry import room_command

        return room_command("training_hooks", "torch_batches")(
            self.training, batch_size=batch_size, seed=seed, **options
        )
