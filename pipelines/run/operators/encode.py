"""Run a view's documents through maps that make tokens of them, and write these as a dataset.

As `map`, but to Arrow IPC: lists of tokens are mapped into memory, not decoded.
"""

from __future__ import annotations

from corpusmill.pipelines.run.operators.job import Job
from corpusmill.pipelines.run.operators.map import run_maps, units
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.storage.run_folder import Attempt, Json


def work(job: Job, attempt: Attempt) -> Json:
    return run_maps(job, attempt, encoded=True)


OPERATOR = Operator(
    "encode",
    reads="documents",
    writes="encoded",
    units=units,
    work=work,
    isolates=True,
    weigh=weigh_documents,
    balances="documents",
    lists_removed="always",
    judges=False,
)
