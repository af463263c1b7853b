"""A single unit that works on finished steps as a whole, such as training."""

from __future__ import annotations

from corpusmill.pipelines.run.operators.job import Job, Preparation
from corpusmill.pipelines.run.operators.operator import Operator, operator_named
from corpusmill.pipelines.storage.run_folder import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    return [{"threads": 0}]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    inputs = {}
    for name, step in job.artefact_steps.items():
        folder = job.inputs[step]
        folder.verified()
        if operator_named(folder.need_manifest()["key"]["operator"]).writes == "shards":
            files = [file["name"] for unit in folder.need_manifest()["units"] for file in unit["files"]]
            inputs[name] = [folder.data / file for file in files if file.endswith(".arrow")]
        else:
            inputs[name] = [folder.data]
    summary = stage.resume(inputs, attempt.folder, attempt.scratch())
    return {"rows": 0, "summary": summary}


OPERATOR = Operator(
    "task",
    reads="artefact",
    writes="artefact",
    units=units,
    work=work,
    exclusive=True,
)
