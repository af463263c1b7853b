"""Do one unit of work, given as JSON, and commit it: the one function every engine calls."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.plugins import plugin_digest, plugins, use_plugins
from corpusmill.pipelines.recipe.listing import check_unchanged
from corpusmill.pipelines.run.operators.job import Job
from corpusmill.pipelines.run.operators.marker import SuspectPassed
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.storage.run_folder import Json, StepFolder

log = logging.getLogger("corpusmill.work")


def step_as_json(step: Step) -> Json:
    """A step as data, for a task."""
    return {
        "name": step.name,
        "operator": step.operator.name,
        "stages": [spec.as_json() for spec in step.stages],
        "inputs": list(step.inputs),
        "masks": list(step.masks),
        "artefacts": dict(step.artefacts),
        "options": step.options,
    }


def step_from_json(value: Json) -> Step:
    """The step of a task."""
    return Step(
        value["name"],
        operator_named(value["operator"]),
        tuple(StageSpec(**spec) for spec in value["stages"]),
        tuple(value["inputs"]),
        tuple(value["masks"]),
        value["artefacts"],
        value["options"],
    )


def execute(task: Json) -> Json:
    """Do one unit and commit it; returns the receipt with `seconds` (which the receipt on disk lacks).

    `task`: step, folder, unit, number, attempt, seed, inputs {step: folder}, plugins {path: digest},
    careful, alone (an ordinal: work on that document and commit nothing), poison {ordinal: [stage, cause]}.
    Whatever the operator raises passes through; an input file
    or plugin that is not the one the run began with raises UserError, since fingerprints name that one.
    """
    started = time.perf_counter()
    if task["plugins"] or plugins():
        use_plugins([Path(plugin) for plugin in task["plugins"]])
        for plugin, wanted in task["plugins"].items():
            if plugin_digest(Path(plugin)) != wanted:
                raise UserError(f"plugin {plugin} changed while the run was on; run the same command again")
    step = step_from_json(task["step"])
    folder = StepFolder(Path(task["folder"]))
    job = Job(
        step=step,
        folder=folder,
        unit=task["unit"],
        seed=task["seed"],
        inputs={name: StepFolder(Path(path)) for name, path in task["inputs"].items()},
        artefact_steps=step.artefacts,
        poison={int(ordinal): (stage, cause) for ordinal, (stage, cause) in task["poison"].items()},
        careful=task["careful"],
        alone=task.get("alone"),
    )
    log.debug("%s unit %s: started", step.name, task["number"])
    attempt = folder.attempt(task["number"], task["attempt"])
    stamps = task["unit"].get("stamps", {})
    try:
        body = step.operator.work(job, attempt)
    except SuspectPassed:
        attempt.discard()
        return {"seconds": time.perf_counter() - started}
    except Exception:
        check_unchanged(stamps)  # an error in a file that changed is told as that
        raise
    check_unchanged(stamps)
    if job.alone is not None:  # the unit ended before it came to that document
        attempt.discard()
        return {"seconds": time.perf_counter() - started}
    receipt = attempt.commit(body)
    return {**receipt, "seconds": time.perf_counter() - started}
