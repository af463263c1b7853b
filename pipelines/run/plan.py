"""The plan of a run: its graph of steps, their units, and what would run again and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corpusmill.pipelines.recipe.listing import source_of
from corpusmill.pipelines.recipe.models import Recipe
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.run.fingerprint import differences
from corpusmill.pipelines.run.operators.job import Preparation
from corpusmill.pipelines.run.pointer import readable_current
from corpusmill.pipelines.run.runner import Runner, StepState
from corpusmill.pipelines.storage.run_folder import StepFolder


def make_plan(recipe: Recipe) -> Json:
    """`{"recipe", "output", "steps": [...]}`; each step says its state, units and the reason.

    States: `done` (used as it is), `run` (its inputs are known), `waits` (an input must run first).
    Nothing is written. Raises RecipeError where inputs are missing.
    """
    runner = Runner(recipe)
    runner.list_inputs()
    current = readable_current(runner.folder).steps
    steps = [_step(runner, state, current) for state in runner.states.values()]
    return {"recipe": recipe.name, "output": str(recipe.output_folder), "steps": steps}


def _step(runner: Runner, state: StepState, current: Mapping[str, str]) -> Json:
    step = state.step
    shown: Json = {
        "name": step.name,
        "operator": step.operator.name,
        "stages": [spec.name for spec in step.stages],
        "needs": list(step.needs),
    }
    if not all(runner.states[name].complete for name in step.needs):
        waits = [name for name in step.needs if not runner.states[name].complete]
        first = ", ".join(waits[:3]) + (f" and {len(waits) - 3} more" if len(waits) > 3 else "")
        return {**shown, "state": "waits", "units": _guess(runner, state), "why": f"after {first}"}
    runner.prepare(state)
    assert state.folder is not None
    assert state.key is not None
    if state.complete:
        return {**shown, "state": "done", "units": state.total, "left": 0, "why": "unchanged"}
    before = runner.folder.step(step.name, current[step.name]).manifest() if step.name in current else None
    started = state.folder.path.exists()
    if started:
        why = "was interrupted; goes on where it stopped"
    elif before is None:
        why = "has not run yet"
    else:
        why = "; ".join(differences(before.key, state.key)[:4]) or "changed"
    units, left = _units(runner, state, state.folder)
    return {**shown, "state": "run", "units": units, "left": left, "why": why}


def _units(runner: Runner, state: StepState, folder: StepFolder) -> tuple[int, int]:
    step = state.step
    inputs = {name: f for name in step.needs if (f := runner.states[name].folder) is not None}
    paths = runner.paths(step)
    unit_bytes = runner.unit_bytes(step) if step.operator.of_files else 0
    specs = step.operator.units(Preparation(step, inputs, paths, unit_bytes))
    done = sum(folder.receipt_path(number).exists() for number in range(len(specs)))
    return len(specs), len(specs) - done


def _guess(runner: Runner, state: StepState) -> int | None:
    """Units of a step that reads files not indexed yet, from their sizes; None where nothing is known."""
    if state.step.operator.reads != "splits":
        return None
    reader = source_of(runner.recipe, state.step.inputs[0]).reader
    size = sum(reader.stored_bytes(Path(path)) for path in runner.paths(state.step).values())
    return max(1, -(-size // runner.unit_bytes(state.step)))


def render_plan(plan: Json) -> str:
    """The plan as text: one line a step, then the estimate."""
    width = max(len(step["name"]) for step in plan["steps"])
    lines = [f"recipe {plan['recipe']} -> {plan['output']}", ""]
    for step in plan["steps"]:
        units = "?" if step["units"] is None else f"{step['units']:,}"
        stages = ", ".join(step["stages"])
        noun = "unit " if units == "1" else "units"
        lines.append(f"{step['state']:<6}{step['name']:<{width}}  {units:>6} {noun}  {stages}")
        lines.append(f"{'':<6}{'':<{width}}  {step['why']}")
    runs = sum(step["state"] != "done" for step in plan["steps"])
    lines += ["", f"{runs} of {len(plan['steps'])} steps would run"]
    if "estimate" in plan:
        lines += _render_estimate(plan["estimate"])
    return "\n".join(lines)


def _render_estimate(estimate: Json) -> list[str]:
    if "impossible" in estimate:
        return [
            "",
            f"no estimate: a cut of a few documents cannot be run to its end: {estimate['impossible']}",
        ]
    lines = ["", f"estimate of a run from nothing, from a cut of {estimate['sample_documents']:,} documents:"]
    for row in estimate["steps"]:
        lines.append(
            f"  {row['name']:<28}{row['seconds']:>10,.1f} core-seconds{row['disk'] / 1e6:>12,.1f} MB on disk"
        )
    lines.append(
        f"  about {estimate['wall_seconds']:,.0f} s with {estimate['workers']} workers, "
        f"{estimate['memory'] / 2**30:.1f} GiB of memory, {estimate['disk'] / 2**30:.2f} GiB of disk"
    )
    return lines
