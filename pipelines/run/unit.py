"""A unit of a step, as the scheduler sees it: its task, and what its attempts have shown so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from corpusmill.pipelines.run.blame import Streak, Suspect
from corpusmill.pipelines.run.task import Task
from corpusmill.pipelines.storage.run_folder import StepFolder


@dataclass(eq=False, slots=True)
class Unit:
    """One unit of one step and what was learnt of it so far."""

    step: str
    number: int
    task: Task
    folder: StepFolder
    weight: int = 0  # input bytes, for memory admission
    solo: bool = False  # uses every core itself
    alone: bool = False  # its workers are lost again and again
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    streak: Streak = field(default_factory=Streak)
    returns: int = 0  # of batches that came to an end before it was done
    by_itself: bool = False  # a batch that it was in may have come to its end through it
    careful: bool = False
    suspect: Suspect | None = None  # shown alone to the next worker
    not_before: float = 0.0  # monotonic seconds
    poison: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def exclusive(self) -> bool:
        """Whether no other unit may run beside it."""
        return self.solo or self.alone or (self.suspect is not None and not self.suspect.clear)

    @property
    def single(self) -> bool:
        """Whether it is given to a worker in a batch of its own: only new units are innocent."""
        return self.by_itself or bool(self.failures or self.losses) or self.careful or self.exclusive

    @property
    def memory(self) -> int:
        """Bytes it is expected to hold: a worker's libraries, and its input several times over."""
        return 300 * 2**20 + 4 * self.weight

    def next_task(self) -> Task:
        """The task of its next attempt, which begins to count."""
        self.attempt += 1
        if self.careful:  # what an earlier attempt noted says nothing of this one
            self.folder.marker_path(self.number).unlink(missing_ok=True)
        if self.attempt == self.task.attempt and not (self.careful or self.poison or self.suspect):
            return self.task  # as it came: of a million units most are done at once
        return replace(
            self.task,
            attempt=self.attempt,
            careful=self.careful,
            alone=self.suspect.ordinal if self.suspect is not None else None,
            poison=dict(self.poison),
        )
