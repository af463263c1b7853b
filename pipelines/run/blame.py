"""What the loss of a worker proves, and against whom.

A worker ends for reasons of its own or of others: a document crashes it, memory runs out, somebody evicts
it, its node fails. So a single death proves nothing. A unit whose worker died is tried again *carefully*,
document by document, with the one in hand noted on disk. A careful attempt that dies with a document in hand
makes that document a suspect, and the next attempt shows the suspect, *alone*, to another worker:

- It passes: the document is innocent, and the careful attempt is made again.
- The worker dies of it: the document is quarantined once `PROOFS` workers died of it alone, or once it was
  not done in time again. Where nobody can tell who ended the worker (SIGKILL, silence, "worker crashed" of
  Ray), such an attempt has the workers to itself, so that no other unit takes its memory.
- The worker is taken away from outside: this proves nothing, and the attempt is made again.

A worker that used up the processor time that a stage gives one document (`system.time_limit`) noted that
document before: it is quarantined at once, and the unit is tried again as before. Documents that were found
are kept beside the step (`poison`), so that a run that is stopped and goes on looks for none of them twice.

Where no document is in hand, or none that dies alone, a unit has a budget of lost workers (`Patience`).
Losses of one unit in a row are less likely the machines' doing the more there are (`Streak`); those of other
units in between prove nothing, as several units may kill their workers. Both begin anew when a document is
quarantined: the unit has got on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UnitFailed, UserError
from corpusmill.pipelines.run.engines.engine import Culprit
from corpusmill.pipelines.run.operators.marker import PARTS, named

PROOFS = 2
# After so many unclear losses of a unit in a row it runs alone, so that no other takes its memory; after so
# many it is given up. The second is above the ten nodes that a run must be able to lose.
STREAK_ALONE = 3
STREAK_LOST = 12
# What the output says of such a document. How the worker died is for the log: engines tell it in words of
# their own, and the output is the same on all of them.
REASONS = {
    "crash": "crash: its worker died with this document in hand",
    "timeout": "timeout: it was not done in the time a document may take",
}
PART_REASONS = {
    "crash": "crash: its worker died with this in hand",
    "timeout": "timeout: it was not done in the time a unit may take",
}
_CURES = {
    "crash": "If memory ran out, lower engine.workers or engine.memory; see log/workers.log of the run, and "
    "what the system or the cluster says of processes it ended. Then run the same command to go on",
    "timeout": "If its work is merely slow, raise engine.unit_timeout_s (or engine.heartbeat_s for silence)",
}


def reason(ordinal: int, cause: str) -> str:
    """What the output says of a document or part that ended its worker."""
    return (REASONS if ordinal < PARTS else PART_REASONS)[cause]


@dataclass
class Suspect:
    """A document or part that was in hand when a careful attempt died.

    `position`: the number of its stage in the step; `cause`: a key of `REASONS`; `clear`: whether the task
    itself ended its worker; `deaths`: of workers that had it alone.
    """

    ordinal: int
    position: int
    cause: str
    clear: bool
    deaths: int = 0

    def convicts(self, culprit: Culprit) -> bool:
        """Count the death of a worker that had the suspect alone; whether it proves the suspect's fault."""
        if culprit == "outside":
            return False
        self.deaths += 1
        return self.deaths >= (1 if self.cause == "timeout" and culprit == "task" else PROOFS)


@dataclass(frozen=True)
class Patience:
    """How many lost workers a unit may have, and how long it waits after each.

    `pause` seconds after the first, twice as long after each more, at most `longest`.
    """

    losses: int = 30
    pause: float = 0.25
    longest: float = 20.0

    def wait(self, losses: int) -> float:
        """Seconds to wait after this many losses."""
        return min(self.longest, self.pause * 2.0 ** min(losses - 1, 32))


@dataclass
class Streak:
    """The last losses of one unit, in a row, each for a reason unknown."""

    length: int = 0

    def add(self, culprit: Culprit) -> None:
        """Note a loss. One from outside ends the row: machines do fail."""
        self.length = self.length + 1 if culprit == "unclear" else 0

    @property
    def warns(self) -> bool:
        """Whether the unit should run alone."""
        return self.length >= STREAK_ALONE

    @property
    def proves(self) -> bool:
        """Whether the losses are held to be the unit's own doing."""
        return self.length >= STREAK_LOST


def lost_for_good(
    step: str,
    number: int,
    times: int,
    cause: str,
    detail: str,
    in_hand: tuple[int, int] | None = None,
    streak: Streak | None = None,
) -> UnitFailed:
    """The error of a unit whose worker was lost too often, with what may be done about it."""
    hint = f"In hand was {named(in_hand[0])} of the unit. " if in_hand is not None else ""
    proven = streak is not None and streak.proves
    row = f", {STREAK_LOST} of them in a row for no reason known" if proven else ""
    return UnitFailed(
        f"step {step}, unit {number}: its worker was lost {times} times{row}, last: {cause}, {detail}. {hint}"
        f"{_CURES[cause]}"
    )


def together(faults: Sequence[CorpusmillError]) -> CorpusmillError:
    """One error for all faults of a run, in their order.

    The only one as it is; a UserError where the user can mend every one of them, an IntegrityError where each
    is damage to the run's own files, else UnitFailed.
    """
    if len(faults) == 1:
        return faults[0]
    messages = "\n".join(dict.fromkeys(str(error) for error in faults))
    for kind in (UserError, IntegrityError):
        if all(isinstance(error, kind) for error in faults):
            return kind(messages)
    return UnitFailed(f"{len(faults)} units failed; all that does not depend on them is done\n{messages}")
