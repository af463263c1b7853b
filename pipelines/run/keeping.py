"""What of a run is kept, as the recipe's `keep` says.

A step's files go once every step that needs it is complete; leaves of the graph stay. What `needed` removes
are rows on their way to partitions, pairs found and partial results: no command reads them, but for what
`explain` tells of a draw. `results` removes documents and tokens as well where the recipe packs shards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.storage.committed import files_of_others
from corpusmill.pipelines.storage.not_kept import not_kept, remove_files

Keep = Literal["all", "needed", "results"]

_ON_THEIR_WAY = ("rows", "pairs", "partials")
_TEXTS = ("documents", "encoded")


class Keeping:
    """Which files of the steps of a graph are kept. What was removed already is looked up once a step."""

    def __init__(self, keep: Keep, graph: Sequence[Step]) -> None:
        self.keep = keep
        self._readers: dict[str, list[str]] = {}
        for step in graph:
            for name in step.needs:
                self._readers.setdefault(name, []).append(step.name)
        self._packs = any(step.operator.writes == "shards" for step in graph)
        self._removed: set[str] = set()

    def goes(self, step: Step) -> bool:
        """Whether the step's files go once the steps that need it are complete."""
        writes = step.operator.writes
        if self.keep == "all" or step.name not in self._readers:
            return False
        return writes in _ON_THEIR_WAY or (self.keep == "results" and self._packs and writes in _TEXTS)

    def lacks_files(self, state: StepState) -> bool:
        """Whether a complete step's files were removed in this run or an earlier one."""
        assert state.folder is not None
        return not_kept(state.folder.path) is not None

    def remove(self, states: Mapping[str, StepState]) -> None:
        """Remove what goes of complete steps by now. Steps outside of `states` may still need theirs."""
        for name, state in states.items():
            if name in self._removed or not state.complete or not self.goes(state.step):
                continue
            if all(other in states and states[other].complete for other in self._readers[name]):
                assert state.folder is not None
                files, others = state.folder.units.files(), partial(files_of_others, state.folder)
                remove_files(state.folder.path, self.keep, files, others)
                self._removed.add(name)

    def again(self, name: str) -> None:
        """Note that the step's files are made again."""
        self._removed.discard(name)
