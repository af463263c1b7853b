"""What every rank of a training is given: the stage as data, its files, and how the ranks meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.records.opaque import Options
from corpusmill.pipelines.run.operators.job import build_stage
from corpusmill.pipelines.run.step import StageSpec

SECONDS = 600.0  # that a rank waits for another within a step


@dataclass(frozen=True)
class Meeting:
    """How rank `rank` of `ranks` meets the others: `url` as torch.distributed takes it (`file:///...`,
    `tcp://HOST:PORT`), `seconds` that one waits for another, at the meeting and in a step. It is number
    `local` of `beside` ranks that share the GPUs that it sees; None where nobody told."""

    url: str
    rank: int
    ranks: int
    seconds: float = SECONDS
    local: int | None = None
    beside: int = 0


class OnRanks(Protocol):
    """A stage that ranks do together."""

    def train_rank(
        self,
        meeting: Meeting,
        inputs: Mapping[str, Sequence[Path]],
        folder: Path,
        scratch: Path | None,
    ) -> dict[str, Any]:
        """The part of one rank in `run` or `resume` (with `scratch`). All ranks are called alike; the summary
        of rank 0 counts."""


@dataclass(frozen=True)
class Work:
    """A stage and its files, for any process that sees the same folders."""

    module: str
    cls: str
    name: str
    options: Options
    seed: int
    inputs: Mapping[str, tuple[str, ...]]
    folder: str
    scratch: str | None = None

    @classmethod
    def of(
        cls,
        spec: StageSpec,
        seed: int,
        inputs: Mapping[str, Sequence[Path]],
        folder: Path,
        scratch: Path | None,
    ) -> Work:
        files = {name: tuple(str(path) for path in paths) for name, paths in inputs.items()}
        kept = None if scratch is None else str(scratch)
        return cls(spec.module, spec.cls, spec.name, spec.options, seed, files, str(folder), kept)

    def do(self, meeting: Meeting) -> dict[str, Any]:
        """The part of one rank; raises what the stage raises."""
        stage: Any = build_stage(StageSpec(self.module, self.cls, self.name, self.options))
        ready: OnRanks = stage.prepare(Context(self.seed))
        inputs = {name: [Path(path) for path in paths] for name, paths in self.inputs.items()}
        scratch = None if self.scratch is None else Path(self.scratch)
        return ready.train_rank(meeting, inputs, Path(self.folder), scratch)
