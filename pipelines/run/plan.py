"""The plan of a run: its graph of steps, their units, and what would run again and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.recipe.places import stored_bytes
from corpusmill.pipelines.records.manifest import Manifest, StepKey
from corpusmill.pipelines.run.at_scale import AtScale, render_at_scale, size_told
from corpusmill.pipelines.run.estimate import Estimate
from corpusmill.pipelines.run.inputs import source_of
from corpusmill.pipelines.run.levels import Levels
from corpusmill.pipelines.run.pointer import readable_current
from corpusmill.pipelines.run.reasons import file_changes, own_changes, read_changes
from corpusmill.pipelines.run.reuse import Earlier, base_of
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.run.step_state import StepState
from corpusmill.pipelines.run.steps import Steps
from corpusmill.pipelines.sources.reader import read_index
from corpusmill.pipelines.storage.committed import Committed, CommittedByName
from corpusmill.pipelines.storage.run_folder import StepFolder

NEW = "has not run yet"  # why a step is done of which there is no version
MOST_REASONS = 4


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan: `done` (used as it is), `run` (its inputs are known) or `waits` (an input must run
    first), and why. `units`: None where nothing is known of them; `left`: those to be done, where units are
    known; `more`: whether levels may come after these whose units follow from what they give."""

    name: str
    operator: str
    stages: tuple[str, ...]
    needs: tuple[str, ...]
    state: Literal["done", "run", "waits"]
    units: int | None
    why: str
    left: int | None = None
    more: bool = False


@dataclass(frozen=True)
class Plan:
    """The plan of a run, and what it would cost from nothing, or why that is not known, where it was asked
    for; `at`: what it would cost on input of another size."""

    recipe: str
    output: str
    steps: tuple[PlannedStep, ...]
    estimate: Estimate | None = None
    no_estimate: str | None = None
    at: AtScale | None = None


def make_plan(recipe: Recipe) -> Plan:
    """Every step with its state, units and the reason. Nothing is written.

    Raises RecipeError where inputs are missing.
    """
    steps = Steps(recipe)
    steps.list_inputs()
    current = readable_current(steps.folder).steps
    planned: dict[str, PlannedStep] = {}
    for state in steps.states.values():
        planned[state.step.name] = _step(steps, state, current, planned)
    return Plan(recipe.name, steps.folder.location, tuple(_called_back(steps, list(planned.values()))))


def _called_back(steps: Steps, planned: Sequence[PlannedStep]) -> list[PlannedStep]:
    """The plan with complete steps done again whose files were not kept and that others now need."""
    wanted: dict[str, str] = {}  # steps that are needed, and by whom
    found: list[PlannedStep] = []
    for step in reversed(planned):
        state = steps.states[step.name]
        if step.state == "done" and step.name in wanted and steps.keeping.lacks_files(state):
            why = f"its files were not kept, and {wanted[step.name]} needs them"
            step = replace(step, state="run", left=step.units, why=why)
        if step.state != "done":
            wanted |= dict.fromkeys(step.needs, step.name)
        found.append(step)
    return found[::-1]


def _step(
    steps: Steps, state: StepState, current: Mapping[str, str], planned: Mapping[str, PlannedStep]
) -> PlannedStep:
    step = state.step
    shown = partial(
        PlannedStep, step.name, step.operator.name, tuple(spec.name for spec in step.stages), step.needs
    )
    if not all(steps.states[name].complete for name in step.needs):
        waits = [name for name in step.needs if not steps.states[name].complete]
        first = ", ".join(waits[:3]) + (f" and {len(waits) - 3} more" if len(waits) > 3 else "")
        reasons = [f"after {first}", *_own_reasons(steps, state, current), *_begun_by(state.step, planned)]
        return shown("waits", _guess(steps, state), "; ".join(reasons))
    steps.prepare(state)
    assert state.folder is not None
    assert state.key is not None
    if state.complete:
        return shown("done", state.total, "unchanged", 0)
    if state.remade:
        return shown("run", state.total, "its files were not kept", state.total)
    units, left, more = _units(steps, state, state.folder)
    return shown("run", units, _why(steps, state, state.folder, state.key, current), left, more)


def _why(steps: Steps, state: StepState, folder: StepFolder, key: StepKey, current: Mapping[str, str]) -> str:
    """Why a step is to be done, whose version now lies in `folder`."""
    name = state.step.name
    if folder.begun:
        return "was interrupted; goes on where it stopped"
    try:
        before = steps.folder.step(name, current[name]).manifest() if name in current else None
        if before is None:
            return NEW
        files = _files(steps, state, before)
        reasons = [*files, *own_changes(before.key, key)]
        reasons += read_changes(replace(before.key, listing=key.listing) if files else before.key, key)
    except IntegrityError as error:  # nobody needs that version any more
        return f"changed; nothing is taken from its version before: {error.fault}"
    return _together(reasons) or "changed"


def _together(reasons: Sequence[str]) -> str:
    """Reasons in a row: the first ones, and how many more there are."""
    more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
    return "; ".join([*reasons[:MOST_REASONS], *more])


def _own_reasons(steps: Steps, state: StepState, current: Mapping[str, str]) -> list[str]:
    """What changed of a step that waits, as far as that can be told before what it reads is there."""
    name = state.step.name
    try:
        before = steps.folder.step(name, current[name]).manifest() if name in current else None
    except IntegrityError:  # told when it is the step's turn
        return []
    if before is None:
        return []
    key = steps.key(state.step, dict.fromkeys(state.step.needs, ""))
    return [words] if (words := _together(own_changes(before.key, key))) else []


def _begun_by(step: Step, planned: Mapping[str, PlannedStep]) -> list[str]:
    """Why the steps are done again from which it follows that a step that was done before has to wait."""
    waiting, seen = list(step.needs), dict[str, PlannedStep]()
    while waiting:
        name = waiting.pop()
        if name not in seen and planned[name].state != "done":
            seen[name] = planned[name]
            waiting += planned[name].needs
    begun = [one for one in planned.values() if one.name in seen and one.state == "run"]
    told = [f"since {one.name}: {one.why}" for one in begun if one.why != NEW]
    more = [f"and {len(told) - 2} more steps"] if len(told) > 2 else []
    return [*told[:2], *more]


def _units(steps: Steps, state: StepState, folder: StepFolder) -> tuple[int, int, bool]:
    """Units in all levels that are known of, those that are left, and whether there may be more."""
    assert state.key is not None
    levels = Levels(steps.preparation(state), Committed(folder))
    done, earlier = CommittedByName(folder), Earlier(folder)
    keys = levels.keys(base_of(state.step, state.key)) if earlier else ()
    adopted = sum(number not in done and earlier.find(key) is not None for number, key in keys)
    total, whole = levels.count()
    return total, max(0, total - adopted - len(done)), not whole


def _files(steps: Steps, state: StepState, before: Manifest) -> list[str]:
    """How the files of an index differ from those that it was made of before."""
    if state.step.operator.reads != "files":
        return []
    old: dict[str, int] = {}
    folder = steps.folder.step(before.step, before.fingerprint)
    for unit in range(len(folder.units)):
        old |= {entry.name: entry.bytes for entry in read_index(folder.file(f"{unit:05d}.index.json"))}
    stamps = steps.stamps(state.step)
    return file_changes(old, {name: stamps[path][0] for name, path in steps.paths(state.step).items()})


def _guess(steps: Steps, state: StepState) -> int | None:
    """Units of a step that reads files not indexed yet, from their sizes; None where nothing is known."""
    if state.step.operator.reads != "splits":
        return None
    reader = source_of(steps.recipe, state.step.inputs[0]).reader
    size = sum(stored_bytes(reader, place) for place in steps.paths(state.step).values())
    return max(1, -(-size // steps.unit_bytes(state.step)))


def render_plan(plan: Plan) -> str:
    """The plan as text: one line a step, then the estimate."""
    width = max(len(step.name) for step in plan.steps)
    lines = [f"recipe {plan.recipe} -> {plan.output}", ""]
    for step in plan.steps:
        units = "?" if step.units is None else f"{step.units:,}{'+' * step.more}"
        noun = "unit " if units == "1" else "units"
        lines.append(f"{step.state:<6}{step.name:<{width}}  {units:>6} {noun}  {', '.join(step.stages)}")
        lines.append(f"{'':<6}{'':<{width}}  {step.why}")
    runs = sum(step.state != "done" for step in plan.steps)
    lines += ["", f"{runs} of {len(plan.steps)} steps would run"]
    if plan.estimate is not None:
        lines += _render_estimate(plan.estimate)
    if plan.at is not None:
        lines += render_at_scale(plan.at)
    if plan.no_estimate is not None:
        lines += ["", f"no estimate: {plan.no_estimate}"]
    return "\n".join(lines)


def _render_estimate(cost: Estimate) -> list[str]:
    lines = ["", f"estimate of a run from nothing, from a cut of {cost.sample_documents:,} documents:"]
    for row in cost.steps:
        lines.append(f"  {row.name:<28}{row.seconds:>10,.1f} core-seconds{size_told(row.disk):>12} on disk")
    lines.append(
        f"  about {cost.wall_seconds:,.0f} s with {cost.workers} workers, "
        f"{cost.memory / 2**30:.1f} GiB of memory, {size_told(cost.disk)} of disk"
    )
    return lines
