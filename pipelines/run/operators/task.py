"""A single unit that works on finished steps as a whole, such as training."""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.pipelines.records.receipt import SummaryPart, UnitResult
from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator, operator_named
from corpusmill.pipelines.storage.run_folder import Attempt


@dataclass(frozen=True)
class WholeUnit:
    """The step as a whole."""


def units(preparation: Preparation) -> list[WholeUnit]:
    return [WholeUnit()]


def work(job: Job[WholeUnit], attempt: Attempt) -> UnitResult:
    (stage,) = job.stages()
    inputs = {}
    for name, step in job.artefact_steps.items():
        folder = job.inputs[step]
        folder.verified()
        if operator_named(folder.need_manifest().key.operator).writes == "shards":
            files = [file.name for file in folder.need_manifest().files]
            inputs[name] = [folder.data / file for file in files if file.endswith(".arrow")]
        else:
            inputs[name] = [folder.data]
    summary = stage.resume(inputs, attempt.folder, attempt.scratch())
    return UnitResult(0, part=SummaryPart(summary))


OPERATOR = Operator(
    "task",
    reads="artefact",
    writes="artefact",
    unit=WholeUnit,
    units=units,
    work=work,
    exclusive=True,
)
