"""Checkpoints of ranks that train together: each rank writes what it has, rank 0 seals.

    model-00000.safetensors       weights and routing biases that the rank is the first to have
    optimiser-00000.safetensors   the moments of its share
    ema-00000.safetensors         averages of the weights that it is the first to have

and for every rank so, beside the `metrics.jsonl` and `state.json` of one process. Rank 0 names a new folder;
all write into it and tell sizes and digests in `part-00000.json`; once all have, rank 0 seals it. A rank that
dies before that leaves no checkpoint, and the former one counts. All ranks must see one scratch folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.storage.sealed import digest, read_json, write_json
from corpusmill.training_hooks.distributed.groups import Groups
from corpusmill.training_hooks.trainer.checkpoint import (
    Checkpoint,
    Checkpoints,
    Position,
    open_checkpoint,
    write_file,
)
from corpusmill.training_hooks.trainer.stored_tensors import StoredRange


class ShardedCheckpoints:
    """The checkpoints of one run; `kept` on rank 0, None on others. All ranks call every method together."""

    def __init__(self, kept: Checkpoints | None, groups: Groups) -> None:
        self._kept, self._groups = kept, groups

    def latest(self) -> Checkpoint | None:
        """The latest sound checkpoint, as rank 0 finds it."""
        found = None if self._kept is None else self._kept.latest()
        folder = self._groups.tell("" if found is None else str(found.folder))
        return open_checkpoint(Path(folder)) if folder else None

    def write(
        self,
        position: Position,
        tensors: Mapping[str, Iterable[StoredRange]],
        steps: Mapping[str, int],
        metrics: Path,
    ) -> str:
        """Write a checkpoint; its name. `tensors` of `model`, `optimiser` and `ema` that this rank writes,
        the optimiser's `steps` of every parameter it has a share of. Position and metrics are rank 0's."""
        begun = None if self._kept is None else self._kept.begin(position.step)
        told = self._groups.tell("" if begun is None else str(begun))
        if told:
            self._write_part(Path(told), tensors, steps)
        self._groups.anyone(False)  # all have written
        name = ""
        if self._kept is not None:
            if begun is not None:
                parts = [self._read_part(begun, rank) for rank in range(self._groups.layout.world)]
                position.optimiser_steps = {n: s for part in parts for n, s in part["steps"].items()}
                files = {n: facts for part in parts for n, facts in part["files"].items()}
                self._kept.seal(begun, position, metrics, files)
            name = self._kept.target(position.step).name
        return self._groups.tell(name)  # it is sealed

    def _write_part(
        self, folder: Path, tensors: Mapping[str, Iterable[StoredRange]], steps: Mapping[str, int]
    ) -> None:
        files: dict[str, Any] = {}
        for name, group in tensors.items():
            files |= write_file(folder, f"{name}-{self._groups.rank:05d}", group)
        part = {"files": files, "steps": dict(steps)}
        write_json(_part(folder, self._groups.rank), part | {"digest": digest(part)})

    def _read_part(self, folder: Path, rank: int) -> dict[str, Any]:
        path = _part(folder, rank)
        found: Any = read_json(path)
        if not isinstance(found, dict) or found.pop("digest", None) != digest(found):
            raise IntegrityError(f"{path}: not what rank {rank} wrote")
        path.unlink()
        return found


def _part(folder: Path, rank: int) -> Path:
    return folder / f"part-{rank:05d}.json"
