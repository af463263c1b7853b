"""Records made by hand, for tests that look at one thing of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.manifest import Manifest, StageKey, StepKey
from corpusmill.pipelines.records.mixture_plan import (
    CellPlan,
    HeldOutPlan,
    MixturePlan,
    PhasePlan,
    Place,
    SourcePlan,
    Stretch,
)
from corpusmill.pipelines.records.receipt import Receipt
from corpusmill.pipelines.run.task import Executed, Task, TaskStep
from corpusmill.pipelines.storage.segments import content_of, sources_of

DONE = Executed(Receipt(0, 0, ()), 0.0)  # what a worker answers, where nobody looks at it


def made_key(operator: str = "task", **more: Any) -> StepKey:
    """A key of no stages, code or inputs but those in `more`."""
    return replace(StepKey(operator, (), "", {}, "", 0, StepOptions(), (), (), {}), **more)


def made_stage(name: str, **options: Any) -> StageKey:
    return StageKey(name, options, "", {}, {})


def made_manifest(
    units: Iterable[Receipt] = (), step: str = "s", fingerprint: str = "f" * 64, **more: Any
) -> Manifest:
    """The manifest of these units, with a key of nothing."""
    every = tuple(units)
    sums = {"rows": sum(unit.rows for unit in every), "bytes": sum(unit.bytes for unit in every)}
    manifest = Manifest(
        step,
        fingerprint,
        made_key(),
        {},
        content_of(every),
        **sums,
        ledger=(),
        sources=sources_of(every),
        units=every,
    )
    return replace(manifest, **more)


def made_task(number: int = 0, operator: str = "read", stages: tuple[Any, ...] = ()) -> Task:
    """A task that nobody does."""
    step = TaskStep("web", operator, stages, (), (), {}, StepOptions())
    return Task(step, "", number, {}, 0, {}, {})


def made_plan(seed: int = 0, **sources: Mapping[str, Any]) -> MixturePlan:
    """A mixture plan of these sources, each with what is given of it and nothing else."""
    nothing = SourcePlan(0, 0, 0, 0.0, 0, 0, 0, 0, None, None, None, None)
    plans = {
        name: replace(nothing, **{key: value for key, value in said.items() if key != "full_epochs"})
        for name, said in sources.items()
    }
    cells = tuple(
        CellPlan(
            (name,),
            0,
            0,
            0,
            True,
            (Stretch(0, plan.tokens, 0, 0, Place(sources[name].get("full_epochs", 0))),),
        )
        for name, plan in plans.items()
    )
    tokens = sum(plan.tokens for plan in plans.values())
    phase = PhasePlan("", None, tokens, 0, 0, (), None)
    held_out = HeldOutPlan(0, 0, 0.0, {}, 0)
    return MixturePlan(
        seed, 2**16, ("source",), {}, {}, None, tokens, 0, 0, 1.0, cells, (phase,), plans, held_out
    )
