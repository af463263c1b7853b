"""Run a recipe: open steps as their inputs complete, schedule their units, write their manifests.

A step is complete when its manifest is there, and its manifest is written only when every unit has its
receipt and the ledger balances. A step whose key (see `fingerprint`) is unchanged is used as it is.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.plugins import plugin_digest
from corpusmill.pipelines.recipe.environment import hide_values
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.manifest import Manifest, Summary
from corpusmill.pipelines.run.balance import check_rows, check_step
from corpusmill.pipelines.run.blame import Patience
from corpusmill.pipelines.run.compile_ahead import compiling_ahead
from corpusmill.pipelines.run.engines.chosen import make_engine
from corpusmill.pipelines.run.fingerprint import versions
from corpusmill.pipelines.run.graph import graph_record
from corpusmill.pipelines.run.levels import Levels
from corpusmill.pipelines.run.losses import Losses
from corpusmill.pipelines.run.operators.job import Preparation
from corpusmill.pipelines.run.pointer import begin_current, found_again, stale_steps, write_current
from corpusmill.pipelines.run.poison import known_poison
from corpusmill.pipelines.run.rejudging import place_of_scores
from corpusmill.pipelines.run.repair import Repairs, naming_repair
from corpusmill.pipelines.run.reuse import base_of
from corpusmill.pipelines.run.run_files import LoggedFailures, locked, logs
from corpusmill.pipelines.run.scheduler import Listener, Policy, Scheduler, Unit
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.run.steps import Steps
from corpusmill.pipelines.run.task import Executed, Task, TaskStep
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.graph_file import write_graph
from corpusmill.pipelines.storage.not_kept import has_again
from corpusmill.pipelines.storage.objects.current import storage_in_use
from corpusmill.pipelines.storage.objects.named import named_in
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.system.faults import CURES, cannot_write, describe


class RunListener(Listener):
    """What a run reports besides its units; the default ignores everything."""

    def step_started(self, state: StepState) -> None: ...
    def step_done(self, state: StepState) -> None: ...


@dataclass(frozen=True)
class RunResult:
    """What a finished run did: its folder and the state of every step in order."""

    folder: RunFolder
    steps: list[StepState]
    seconds: float
    repairs: Repairs | None = None

    def manifest(self, name: str) -> Manifest:
        """Manifest of a step of this run. Raises KeyError."""
        state = next((s for s in self.steps if s.step.name == name), None)
        if state is None or state.folder is None:
            raise KeyError(name)
        return state.folder.need_manifest()


class Runner(Steps):
    """One run of one recipe: for its options see `Steps`.

    `command`: what the user called, for messages; the recipe's plain run where it is not known.
    """

    def __init__(
        self,
        recipe: Recipe,
        listener: RunListener | None = None,
        limit: int | None = None,
        *,
        repair: bool = False,
        command: str | None = None,
        verify_inputs: bool = False,
    ) -> None:
        super().__init__(recipe, limit, repair=repair, verify_inputs=verify_inputs)
        self.listener = listener or RunListener()
        self.command = command or f"corpusmill run {shlex.quote(str(recipe.path))}"
        self._until: list[str] | None = None
        self._opened: list[Iterable[Unit]] = []  # units of levels that have become ready
        # Shares of a small cut say little of the whole.
        place, whole = self.folder.location, limit is None
        self.losses = Losses(recipe, self.graph, self.paths, place, ceilings=whole)

    def run(self, until: Sequence[str] | None = None) -> RunResult:
        """Run every step (or those in `until` and what they need) that is not complete.

        Raises UserError, UnitFailed, LedgerError, Interrupted, or IntegrityError where a file of the run is
        damaged, with the command that repairs it; complete units stay either way.
        """
        started = time.perf_counter()
        if until is not None:
            self._until = list(until)
            self.narrow(until)
        self.list_inputs()
        folder = self.folder.path
        with locked(folder) as self._lock, logs(folder) as (events, workers), naming_repair(self.command):
            self._note = events.note
            start = {"recipe": self.recipe.name, "engine": self.recipe.engine.kind}
            start["command"] = hide_values(self.command)  # the recipe may lie where a variable leads to
            self._note({"event": "start", **start})
            lost = self.repairs is not None and self.repairs.begin(self.folder)
            current, missing = begin_current(self.folder)
            self._write_current({}, current.stale)
            self.folder.write_recipe(dict(self.recipe.raw))
            write_graph(self.folder, graph_record(self.recipe, self.graph))
            engine = make_engine(self.recipe, workers)
            wanted = self.recipe.engine
            policy = Policy(
                retries=wanted.retries,
                unit_timeout=wanted.unit_timeout_s,
                document_timeout=wanted.document_timeout_s,
                heartbeat=wanted.heartbeat_s,
                memory=wanted.memory,
                patience=Patience(losses=wanted.losses),
            )
            with compiling_ahead(self._ahead(engine.slots), workers):
                listener = LoggedFailures(self.listener, events)
                scheduler = Scheduler(
                    engine, policy, self._eligible, self._complete, listener, self._surroundings
                )
                scheduler.run()
            removed = self._removed(self.states)
            if removed is not None:
                raise removed
            if lost or missing:
                again = found_again(self.folder, self.graph, self.states, self.key)
                self._write_current(again, [])
            self._write_current({}, stale_steps(self.folder, self.graph, self.states, self.key))
            self.losses.check()
            seconds = time.perf_counter() - started
            self._note({"event": "end", "seconds": round(seconds, 3)})
        return RunResult(self.folder, list(self.states.values()), seconds, self.repairs)

    def _ahead(self, workers: int) -> list[Step]:
        """Steps whose kernels one more process compiles: none where no worker has to wait for another."""
        if self.recipe.engine.kind != "process" or workers < 2:
            return []
        return [state.step for state in self.states.values()]

    def _eligible(self) -> Iterable[Unit]:
        """Units of steps and levels that have just become ready; completes steps that have nothing to do."""
        units: list[Iterable[Unit]] = self._opened
        self._opened = []
        moved = True
        while moved:
            moved = False
            for state in self.states.values():
                if state.folder is None and all(self._sound(name) for name in state.step.needs):
                    self.prepare(state)
                    moved = True
                    if state.complete:
                        self._skip(state)
                if state.folder is not None and not state.complete and not state.opened:
                    moved |= self._call_back(state.step)
                    if all(self.states[name].complete for name in state.step.needs):
                        state.opened = moved = True
                        units.append(self._units(state))
        return chain.from_iterable(units) if units else ()

    def _skip(self, state: StepState) -> None:
        """Use a complete step as it is."""
        self.folder_of(state.step.name).clear_receipts()  # of a run that was killed at its end
        self._done(state)

    def _note_units(self, state: StepState) -> None:
        """Note how many units the step has, as far as they are listed, for whoever watches the run."""
        assert state.folder is not None
        version = state.folder.path.name
        self._note(
            {
                "event": "step",
                "step": state.step.name,
                "version": version,
                "units": state.total,
                "done": state.done,
            }
        )

    def _done(self, state: StepState) -> None:
        self._point(state)
        self._note({"event": "step_done", "step": state.step.name, "reused": state.reused})
        self.listener.step_done(state)
        if self.limit is None:
            self.keeping.remove(self.states)

    def _call_back(self, step: Step) -> bool:
        """Let steps that `step` needs be done again whose files were not kept; whether there are any."""
        needs = [self.states[name] for name in step.needs]
        lacking = [need for need in needs if need.complete and self.keeping.lacks_files(need)]
        for need in lacking:
            self.undo(need)
        return bool(lacking)

    def undo(self, state: StepState) -> None:
        super().undo(state)
        folder = self.folder_of(state.step.name)
        folder.forget_units()
        has_again(folder.path)
        self.keeping.again(state.step.name)
        self._write_current({}, self.folder.current().stale)

    def _sound(self, name: str) -> bool:
        """Whether a step is complete and later steps may use what it leaves."""
        return self.states[name].complete and name not in self.losses.found

    def _units(self, state: StepState) -> Iterable[Unit]:
        """Units of a step to be done, made as they are asked for; of one that has none the end."""
        assert state.folder is not None
        assert state.key is not None
        step, preparation = state.step, self.preparation(state)
        state.folder.clear_attempts()  # of a run that was killed
        state.committed = Committed(state.folder)
        state.committed.load()
        state.levels = Levels(preparation, state.committed)
        if self.limit is None:
            prove = self.repairs is not None
            state.levels.adopt_from(state.folder, base_of(state.step, state.key), prove=prove)
        shared = Task(  # by every unit of the step, so that memory does not grow by it
            step=TaskStep.of(step),
            folder=state.folder.location,
            number=0,
            unit={},
            seed=self.recipe.seed,
            inputs={name: folder.location for name, folder in preparation.inputs.items()},
            plugins={str(path): plugin_digest(path) for path in self.recipe.plugins},
            limit=self.limit,
            storage=storage_in_use(),
            named=named_in(spec.options for spec in step.stages),
            base=base_of(state.step, state.key),
            scores=place_of_scores(step, state.key, state.folder),
        )
        state.make = partial(self._unit, preparation, shared, state.folder)
        more = state.advance()
        self._note_units(state)
        self.listener.step_started(state)
        if not more:
            self._finish(state)
            self._done(state)
            return ()
        return state.pending()

    def _unit(
        self, preparation: Preparation, shared: Task, folder: StepFolder, number: int, spec: object
    ) -> Unit:
        operator = preparation.step.operator
        stamps = {path: preparation.stamps[path] for path in operator.paths(spec)}
        task = replace(shared, number=number, unit=encode(spec), stamps=stamps)
        weight = operator.weigh(preparation, spec)
        poison = known_poison(folder, number) if folder.has_poison else {}
        return Unit(preparation.step.name, number, task, folder, weight, operator.exclusive, poison=poison)

    def _surroundings(self) -> UserError | None:
        """What is wrong with the run's folder, if anything: it was removed, or cannot be written."""
        removed = self._removed(self.states)
        if removed is not None:
            return removed
        number = cannot_write(self.folder.path)
        return UserError(describe(number, self.folder.path)) if number in CURES else None

    def _removed(self, steps: Iterable[str]) -> UserError | None:
        """The error for a run folder that was removed or replaced meanwhile, or has lost one of `steps`."""
        try:
            same = os.path.samestat((self.folder.path / ".lock").stat(), self._lock)
        except (FileNotFoundError, NotADirectoryError):
            same = False
        complete = [self.folder_of(name) for name in steps if self.states[name].complete]
        if same and all(folder.manifest_path.exists() for folder in complete):
            return None
        if self.folder.store is not None:
            return UserError(
                f"{self.folder.path}: this machine's copy of the run {self.folder.location} was removed from "
                "the cache while the run was on; the bucket has what was committed: run the command again"
            )
        return UserError(
            f"{self.folder.path}: files of the run were removed while it was on; run the same command again, "
            "and it makes what is missing"
        )

    def _complete(self, unit: Unit, done: Executed) -> None:
        state = self.states[unit.step]
        removed = self._removed(state.step.needs)  # of the others at the end: steps are many
        if removed is not None:
            raise removed
        assert done.receipt is not None
        assert state.levels is not None
        last = state.levels.commit(done.receipt)
        state.redone += 1
        state.seconds += done.seconds
        what = {"event": "unit", "step": unit.step, "unit": unit.number, "attempt": unit.attempt}
        facts = {"seconds": round(done.seconds, 4), "rows": done.receipt.rows, "rss": done.rss}
        remote = {"requests": done.requests, "fetched": done.fetched} if done.requests else {}
        self._note({**what, **facts, **remote})
        if last:
            if state.advance():
                self._note_units(state)
                self._opened.append(state.pending())
                return
            self._finish(state)
            self._done(state)

    def _finish(self, state: StepState) -> None:
        """Check the ledger and write the manifest: from here on readers may trust the step."""
        assert state.folder is not None
        committed = state.committed
        assert committed is not None
        assert state.key is not None
        segments = committed.finish()
        if (missing := state.folder.missing(segments)) is not None:
            raise UserError(
                f"{missing}: was removed while the run was on; run the same command again, and it makes "
                "what is missing"
            )
        totals, rows = committed.totals(), committed.rows
        inputs = {name: self.folder_of(name) for name in state.step.needs}
        check_step(state.step, totals.ledger, inputs)
        check_rows(state.step, rows + totals.left_out, inputs)
        summary = Summary(
            step=state.step.name,
            fingerprint=state.fingerprint,
            key=state.key,
            versions=versions([state.step]),
            content=committed.content,
            rows=rows,
            bytes=committed.bytes,
            ledger=totals.ledger.record(),
            sources=totals.sources,
        )
        state.folder.complete(summary, segments)
        state.committed = state.levels = None
        state.folder.clear_attempts()
        state.folder.clear_scratch()
        state.complete = True
        if self.repairs is not None:
            self.repairs.done(state.step.name, state.folder)

    def _point(self, state: StepState) -> None:
        """Let `current.json` point at the step."""
        name = state.step.name
        if self.limit is None:
            self.losses.judge(state.step, self.folder_of(name))
        stale = [other for other in self.folder.current().stale if other != name]
        self._write_current({name: state.fingerprint}, stale)

    def _write_current(self, new: Mapping[str, str], stale: Sequence[str]) -> None:
        names = [step.name for step in self.graph]
        asked = None if self._until is None else (self._until, list(self.states))
        write_current(self.folder, self.recipe.name, names, new, stale, asked)


def run_recipe(
    recipe: Recipe,
    listener: RunListener | None = None,
    until: Sequence[str] | None = None,
    *,
    repair: bool = False,
    command: str | None = None,
    verify_inputs: bool = False,
) -> RunResult:
    """Run a recipe to the end; for its options see `Runner`. Raises what `Runner.run` raises."""
    return Runner(recipe, listener, repair=repair, command=command, verify_inputs=verify_inputs).run(until)
