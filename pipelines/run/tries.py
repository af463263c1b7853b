"""What becomes of a unit that was not done: tried again, with care or alone, or given up.

A unit that raises is tried again up to `retries` times. One whose worker is lost is tried again after a
pause, within a budget of its own; what such losses prove against a document is in `blame`. A unit that fails
for good stops nothing but what needs it: its fault is kept, and told with all others at the end.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UnitFailed, UserError
from corpusmill.pipelines.run.blame import Streak, Suspect, lost_for_good, reason, together
from corpusmill.pipelines.run.engines.engine import Culprit, Failed, Returned
from corpusmill.pipelines.run.operators.marker import Marker, named
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.poison import keep_poison
from corpusmill.pipelines.run.unit import Unit
from corpusmill.pipelines.run.waiting import Waiting
from corpusmill.pipelines.run.watch import Policy

log = logging.getLogger("corpusmill.run")

# Poisonous documents one unit may have before the unit itself is given up.
MOST_POISON = 64
# What is told where a worker was not ended by its task: its node was lost, or it was asked to end.
TAKEN_AWAY = "worker taken away"
# A step of which this many units failed, and none succeeded, is given up as a whole.
STEP_AT_FAULT = 8


class Tries:
    """Decides about units that were not done, and puts those to be tried again into `waiting`.

    `surroundings()` tells what, if anything, is wrong with the folder that all units work in: where that
    explains a failure, it is raised. `tell(unit, what, detail)` hears of attempts that may be made again.
    """

    def __init__(
        self,
        policy: Policy,
        waiting: Waiting,
        surroundings: Callable[[], UserError | None],
        tell: Callable[[Unit, str, str], None],
    ) -> None:
        self._policy, self._waiting = policy, waiting
        self._surroundings, self._tell = surroundings, tell
        self._faults: list[tuple[Unit, CorpusmillError]] = []
        self._failed: Counter[str] = Counter()  # units given up, by step
        self._succeeded: set[str] = set()  # steps of which a unit was done

    def done(self, unit: Unit) -> None:
        """Note that a unit of the step can be done."""
        self._succeeded.add(unit.step)

    def failed(self, unit: Unit, event: Failed, now: float) -> None:
        """The unit's task raised. Raises UserError where no other task would succeed either."""
        if event.kind == "halt":
            raise UserError(event.message)
        if event.kind == "user":
            self.give_up(unit, UserError(event.message))
            return
        if event.kind == "damage":
            self._look_around()  # files that are missing were removed with the folder
            self.give_up(unit, IntegrityError(event.message))
            return
        self._tell(unit, "failed", event.traceback)
        self._look_around()
        unit.failures += 1
        if unit.failures > self._policy.retries:
            message = f"step {unit.step}, unit {unit.number} failed {unit.failures} times: {event.message}"
            self.give_up(unit, UnitFailed(f"{message}\n{event.traceback}"))
        else:
            self._waiting.again(unit, now)

    def lost(
        self, unit: Unit, cause: str, detail: str, culprit: Culprit, now: float, *, limit: bool = False
    ) -> None:
        """A worker died or was killed under `unit`: weigh what that proves (see `blame`). `limit`: it ended
        by a limit of processor time."""
        self._tell(unit, TAKEN_AWAY if culprit == "outside" else cause, detail)
        self._look_around()
        noted = Marker.read(unit.folder.limit_path(unit.number)) if limit else None
        if noted is not None and noted[1] >= 0:
            self._convict(unit, Suspect(*noted, cause, clear=True), detail, now)
            return
        marker = Marker.read(unit.folder.marker_path(unit.number)) if unit.careful else None
        in_hand = marker if marker is not None and marker[1] >= 0 else None
        suspect = unit.suspect
        if in_hand is not None and culprit != "outside":
            if suspect is None or suspect.ordinal != in_hand[0]:
                unit.suspect = Suspect(*in_hand, cause, culprit == "task")
            elif suspect.convicts(culprit):
                self._convict(unit, suspect, detail, now)
                return
        elif culprit == "task":
            self._crashed(unit, cause, detail, now)
            return
        if culprit != "task":
            unit.losses += 1
            unit.streak.add(culprit)
            if unit.losses > self._policy.patience.losses or unit.streak.proves:
                names = unit.step, unit.number, unit.losses, cause, detail, in_hand, unit.streak
                self.give_up(unit, lost_for_good(*names))
                return
            unit.alone = unit.streak.warns
            unit.not_before = now + self._policy.patience.wait(unit.losses)
            # A single loss is bad luck; more of them may be a document's doing.
            if culprit == "unclear" and unit.losses > 1:
                unit.careful = operator_named(unit.task.step.operator).isolates
        self._waiting.again(unit, now)

    def returned(self, unit: Unit, event: Returned, now: float) -> None:
        """A batch ended before the unit was done: no evidence, but from now on the unit may have to come
        alone, so that a worker it takes along is known to be its doing."""
        if event.cause:
            self._tell(unit, "crash" if event.alone else TAKEN_AWAY, event.cause)
        self._look_around()
        unit.returns += 1
        unit.by_itself = unit.by_itself or event.alone or unit.returns > 1
        self._waiting.again(unit, now)

    def acquit(self, unit: Unit, suspect: Suspect, now: float) -> None:
        """The suspect alone did no harm. Where the task had ended its worker, the fault is the unit's."""
        unit.suspect = None
        if suspect.clear:
            detail = f"at {named(suspect.ordinal)}, which alone does no harm"
            self._crashed(unit, suspect.cause, detail, now)
        else:
            self._waiting.again(unit, now)

    def give_up(self, unit: Unit, error: CorpusmillError) -> None:
        """Note a fault; what does not depend on it goes on."""
        self._faults.append((unit, error))
        self._failed[unit.step] += 1
        if self._failed[unit.step] >= STEP_AT_FAULT and unit.step not in self._succeeded:
            self._waiting.drop(unit.step)

    def tell_faults(self) -> None:
        """Raise the faults that came up, if any: one as it is, several together."""
        if self._faults:
            order = self._waiting.steps
            faults = sorted(self._faults, key=lambda fault: (order[fault[0].step], fault[0].number))
            raise together([error for _, error in faults])

    def _crashed(self, unit: Unit, cause: str, detail: str, now: float) -> None:
        """The task ended its worker, but no document is known to be at fault."""
        unit.failures += 1
        unit.suspect = None
        if unit.failures > self._policy.retries:
            self.give_up(unit, lost_for_good(unit.step, unit.number, unit.failures, cause, detail))
            return
        unit.careful = operator_named(unit.task.step.operator).isolates
        self._waiting.again(unit, now)

    def _convict(self, unit: Unit, suspect: Suspect, detail: str, now: float) -> None:
        stage = unit.task.step.stages[suspect.position].name
        unit.poison[suspect.ordinal] = (stage, reason(suspect.ordinal, suspect.cause))
        keep_poison(unit.folder, unit.number, unit.poison)
        unit.suspect, unit.losses, unit.streak, unit.alone = None, 0, Streak(), False
        log.warning("step %s, unit %s: %s quarantined in %s (%s: %s)",
                    unit.step, unit.number, named(suspect.ordinal), stage, suspect.cause, detail)  # fmt: skip
        if len(unit.poison) > MOST_POISON:
            message = f"step {unit.step}, unit {unit.number}: over {MOST_POISON} poisonous documents"
            self.give_up(unit, UnitFailed(message))
        else:
            self._waiting.again(unit, now)

    def _look_around(self) -> None:
        """Raise UserError where the surroundings explain a failure and would make every other unit fail."""
        if (found := self._surroundings()) is not None:
            raise found
