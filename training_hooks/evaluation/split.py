"""Which shards are trained on and which are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.tokenizer.shards.format import HELD_OUT, TRAIN
from corpusmill.tokenizer.shards.reader import open_shard


class Split(NamedTuple):
    """Paths in the order they came. `held_out` is empty where the recipe holds nothing out."""

    training: list[Path]
    held_out: list[Path]


def split_shards(shards: Sequence[Path]) -> Split:
    """Sort shards by what their metadata says they are for; where it says nothing, for training.

    Raises IntegrityError naming a shard that cannot be opened or names another purpose.
    """
    found: dict[str, list[Path]] = {TRAIN: [], HELD_OUT: []}
    for path in shards:
        purpose = open_shard(path).metadata.get("split", TRAIN)
        if purpose not in found:
            raise IntegrityError(f"{path} says it is for {purpose!r}; expected {TRAIN!r} or {HELD_OUT!r}")
        found[purpose].append(path)
    return Split(found[TRAIN], found[HELD_OUT])
