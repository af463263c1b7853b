"""Run a view's documents through maps that make tokens of them, and write these as a dataset.

As `map`, but to Arrow IPC: lists of tokens are mapped into memory, not decoded.
"""

from __future__ import annotations

from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.job import Job, ViewUnit, view_content, view_units
from corpusmill.pipelines.run.operators.map import run_maps
from corpusmill.pipelines.run.operators.operator import Operator, weigh_documents
from corpusmill.pipelines.storage.run_folder import Attempt


def work(job: Job[ViewUnit], attempt: Attempt) -> UnitResult:
    return run_maps(job, attempt, encoded=True)


OPERATOR = Operator(
    "encode",
    reads="documents",
    writes="encoded",
    unit=ViewUnit,
    units=view_units,
    content=view_content,
    work=work,
    isolates=True,
    weigh=weigh_documents,
    balances="documents",
    lists_removed="where any",
    judges=False,
)
