"""Checkpoints: everything that it takes to go on with a run as if it had not stopped.

One folder a checkpoint, safetensors and JSON only:

    step-00000100/
        model.safetensors       weights and routing biases
        optimiser.safetensors   moments, named `<moment>.<parameter>`
        ema.safetensors         averaged weights, where the run keeps them
        metrics.jsonl           the lines written so far
        state.json              position, counters, size and SHA-256 of the files above, its own digest

Ranks that train together write files of their own, `model-00003.safetensors` and so on, with ranges of
tensors (`stored_tensors`), and rank 0 the rest; both kinds are read alike. A checkpoint is written under a
temporary name, synced, and renamed: it is there whole or not at all. Nothing
draws random numbers during training (weights and the order of data come from seeds and names), so there
is no generator's state; the position in the data is the number of sequences read, and schedules follow
from the tokens seen. Two attempts may share a folder where one was given up and lives on: what they write
for the same step holds the same. The later removes what the other has not finished writing, which then fails.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.storage.sealed import digest, read_json, sha256_file, write_json
from corpusmill.pipelines.system.faultpoints import faultpoint
from corpusmill.pipelines.system.process import sync
from corpusmill.training_hooks.trainer.stored_tensors import StoredRange, StoredTensors, named, write_ranges

log = logging.getLogger("corpusmill.train")

FORMAT = 3
_PREFIX = "step-"
_UNFINISHED = ".writing-"


@dataclass
class Position:
    """Where a run stands: steps done, sequences read, real targets trained on, optimiser steps by parameter,
    updates of the average, counts of routing by source, the last step's line of metrics where it is not
    written yet because the model was being judged, and the layouts of ranks so far: of each the step it began
    after, and its sizes of pipeline, data and experts."""

    step: int = 0
    sequences: int = 0
    tokens: int = 0
    optimiser_steps: dict[str, int] = field(default_factory=dict)
    ema_updates: int = 0
    routing: list[list[list[int]]] = field(default_factory=list)
    line: str | None = None
    layouts: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A sound checkpoint on disk."""

    folder: Path
    position: Position

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Tensors of `model`, `optimiser` or `ema`, in memory of their own."""
        with self.stored(name) as stored:
            return stored.all()

    def stored(self, name: str) -> StoredTensors:
        """The same, to read parts of."""
        return StoredTensors(sorted(self.folder.glob(f"{name}*.safetensors")))

    def copy_metrics(self, path: Path) -> None:
        """Put the lines so far into a file."""
        shutil.copyfile(self.folder / "metrics.jsonl", path)


class Checkpoints:
    """The checkpoints of one run in `folder`. `run` identifies it: one of another run counts as damaged.

    `keep`: how many of the latest stay.
    """

    def __init__(self, folder: Path, run: str, keep: int) -> None:
        self.folder, self.run, self.keep = folder, run, keep
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"{_UNFINISHED}*"):  # of an attempt that was killed
            shutil.rmtree(path, ignore_errors=True)

    def write(self, position: Position, tensors: Mapping[str, Mapping[str, Tensor]], metrics: Path) -> Path:
        """Write a checkpoint, then remove those beyond `keep`. `tensors`: `model`, `optimiser`, `ema`."""
        folder = self.begin(position.step)
        if folder is None:
            return self.target(position.step)
        files: dict[str, Any] = {}
        for name, group in tensors.items():
            files |= write_file(folder, name, named(group))
        return self.seal(folder, position, metrics, files)

    def target(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self.folder / f"{_PREFIX}{step:08d}"

    def begin(self, step: int) -> Path | None:
        """A new folder to write the checkpoint of `step` into; None where there is one."""
        if self.target(step).exists():
            return None
        return Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))

    def seal(self, folder: Path, position: Position, metrics: Path, files: Mapping[str, Any]) -> Path:
        """Make what was begun a checkpoint, once all `files` are written: their facts as `write_file` gives
        them."""
        target = self.target(position.step)
        lines = folder / "metrics.jsonl"
        shutil.copyfile(metrics, lines)
        state = {
            "format": FORMAT,
            "run": self.run,
            "files": {**files, lines.name: _facts(lines)},
            "position": asdict(position),
        }
        write_json(folder / "state.json", state | {"digest": digest(state)})
        faultpoint("checkpoint-before-rename")
        try:
            folder.rename(target)
        except OSError:
            if not target.exists():
                raise
            shutil.rmtree(folder, ignore_errors=True)  # another attempt was first
        sync(self.folder)
        faultpoint("checkpoint-after-rename")
        self._prune()
        return target

    def _prune(self) -> None:
        for old in self.paths()[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)

    def paths(self) -> list[Path]:
        """Folders of all checkpoints, oldest first."""
        return sorted(path for path in self.folder.glob(f"{_PREFIX}*") if path.is_dir())

    def latest(self) -> Checkpoint | None:
        """The latest sound checkpoint. Damaged ones are removed with a warning: going on from an earlier one
        costs steps and changes nothing."""
        for path in reversed(self.paths()):
            if faults := list(self._faults(path)):
                log.warning("removing a damaged checkpoint: %s", "; ".join(faults))
                shutil.rmtree(path, ignore_errors=True)
                continue
            self._prune()
            return open_checkpoint(path)
        return None

    def _faults(self, path: Path) -> Iterator[str]:
        try:
            state: Any = read_json(path / "state.json")
        except IntegrityError as error:
            yield str(error)
            return
        # The digest first: whatever else the file says counts only if it is what was written.
        if not isinstance(state, dict) or state.pop("digest", None) != digest(state):
            yield f"{path / 'state.json'}: not what was written"
            return
        if state["format"] != FORMAT:
            yield f"{path}: format {state['format']} is not {FORMAT}"
            return
        if state["run"] != self.run:
            yield f"{path}: of a run with other options, data or libraries"
            return
        for name, facts in state["files"].items():
            file = path / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                yield f"{file}: missing or of another size"
            elif sha256_file(file) != facts["sha256"]:
                yield f"{file}: its bytes changed"


def open_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint that is known to be sound."""
    state: Any = read_json(folder / "state.json")
    return Checkpoint(folder, Position(**state["position"]))


def write_file(folder: Path, name: str, ranges: Iterable[StoredRange]) -> dict[str, Any]:
    """Write `<name>.safetensors` into a checkpoint that was begun; its facts for `seal`, by its name."""
    path = folder / f"{name}.safetensors"
    write_ranges(path, ranges)
    faultpoint("checkpoint-between-files")
    return {path.name: _facts(path)}


def _facts(path: Path) -> dict[str, Any]:
    sync(path)
    return {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
