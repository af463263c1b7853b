"""Token shards as a random-access source for Grain (`grain.MapDataset.source`).

Grain asks a source for its length and for records by number; it needs no more, so this module does not import
it. Either Grain shuffles (records lie as in the shards), or records are the samples of the seeded stream that
all other loaders of corpusmill give, and Grain shares them out and makes batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from corpusmill.training_hooks.loading.loader import ShardLoader

Record = dict[str, npt.NDArray[np.int64]]


class ShardSource:
    """Record i is window i: `input_ids` and `labels`, int64[T] each; labels are shifted already, -100 where
    there is none.

    Without `seed` records lie as in the shards, one epoch of them; with it record i is sample i of the stream
    of that seed, of `epochs` epochs. `documents` adds `document_ids` and `position_ids`. Raises as
    `ShardLoader` does, ValueError where phases have windows of several lengths (give `context`), and
    IndexError for a record that there is none of. A copy in another process opens the shards anew.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        *,
        context: int | None = None,
        seed: int | None = None,
        epochs: int = 1,
        documents: bool = False,
    ) -> None:
        if seed is None and epochs != 1:
            raise ValueError("without a seed records lie as in the shards, once: have Grain repeat them")
        self.loader = ShardLoader(
            shards,
            batch_size=1,
            seed=seed or 0,
            context=context,
            order="stored" if seed is None else "shuffled",
            epochs=epochs,
        )
        self.context = self.loader.context
        self._documents = documents

    def __len__(self) -> int:
        """Records."""
        assert self.loader.end is not None
        return self.loader.end

    def __getitem__(self, record_key: SupportsIndex) -> Record:
        """One record."""
        number = record_key.__index__()
        if not 0 <= number < len(self):
            raise IndexError(f"records are 0..{len(self) - 1}, not {number}")
        return {name: array[0] for name, array in self._records(number, 1).items()}

    def __getitems__(self, record_keys: Sequence[SupportsIndex]) -> list[Record]:
        """Several records."""
        return [self[key] for key in record_keys]

    def __repr__(self) -> str:
        """The same for the same records, as Grain's checkpoints ask for."""
        facts: dict[str, Any] = self.loader.stream()
        return f"ShardSource({facts}, records={len(self)}, documents={self._documents})"

    def _records(self, start: int, count: int) -> Record:
        inputs, labels = self.loader.pairs(start, count)
        found = {"input_ids": inputs, "labels": labels}
        if self._documents:
            found["document_ids"], found["position_ids"] = self.loader.documents(start, count)
        return found
