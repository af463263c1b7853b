"""Do one unit of work, given as data, and commit it: the one function every engine calls."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.contract.plugins import plugin_digest, plugins, use_plugins
from corpusmill.pipelines.contract.unit_progress import progress_noted
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.run.inputs import check_unchanged
from corpusmill.pipelines.run.operators.job import Job
from corpusmill.pipelines.run.operators.marker import SuspectPassed
from corpusmill.pipelines.run.reuse import unit_key
from corpusmill.pipelines.run.task import Executed, Task
from corpusmill.pipelines.storage.objects.current import REQUESTS, use_storage_again
from corpusmill.pipelines.storage.remote.mirrors import path_of, release_files
from corpusmill.pipelines.storage.run_folder import StepFolder
from corpusmill.pipelines.system.process import return_much_memory

log = logging.getLogger("corpusmill.work")


def execute(task: Task) -> Executed:
    """Do one unit and commit it.

    Whatever the operator raises passes through; an input file or plugin that is not the one the run began
    with raises UserError, since fingerprints name that one.
    """
    started = time.perf_counter()
    if task.plugins or plugins():
        use_plugins([Path(plugin) for plugin in task.plugins])
        for plugin, wanted in task.plugins.items():
            if plugin_digest(Path(plugin)) != wanted:
                raise UserError(f"plugin {plugin} changed while the run was on; run the same command again")
    use_storage_again(task.storage)
    release_files()  # of the unit before
    REQUESTS.forget_listed()
    before = REQUESTS.so_far()
    step = task.step.step(task.named)
    folder = StepFolder(path_of(task.folder))
    job = Job(
        step=step,
        folder=folder,
        unit=decode(step.operator.unit, task.unit, f"unit {task.number} of step {step.name}"),
        seed=task.seed,
        inputs={name: StepFolder(path_of(place)) for name, place in task.inputs.items()},
        artefact_steps=step.artefacts,
        poison=task.poison,
        careful=task.careful,
        alone=task.alone,
        limit=task.limit,
        stamps=task.stamps,
        scores=None if task.scores is None else StepFolder(path_of(task.scores)),
    )
    log.debug("%s unit %s: started", step.name, task.number)
    attempt = folder.attempt(task.number, task.attempt)
    try:
        job.stages()
        started = time.perf_counter()  # loading libraries and compiling kernels is no work of the unit
        with progress_noted(attempt.scratch):
            result = step.operator.work(job, attempt)
    except SuspectPassed:
        attempt.discard()
        return Executed(None, time.perf_counter() - started)
    except Exception:
        check_unchanged(task.stamps)  # an error in a file that changed is told as that
        raise
    finally:
        return_much_memory()
    check_unchanged(task.stamps, after_reading=True)
    if job.alone is not None:  # the unit ended before it came to that document
        attempt.discard()
        return Executed(None, time.perf_counter() - started)
    receipt = attempt.commit(result, _key(task, job))
    asked = REQUESTS.so_far().since(before)
    seconds = time.perf_counter() - started
    return Executed(receipt, seconds, requests=asked.total, fetched=asked.fetched)


def _key(task: Task, job: Job[Any]) -> str | None:
    """The unit's key. One of which documents were left out since they did harm has none: they may not do so
    again."""
    if task.base is None or task.poison or task.limit is not None:
        return None
    content = job.step.operator.content(job, job.unit)
    return None if content is None else unit_key(task.base, content)
