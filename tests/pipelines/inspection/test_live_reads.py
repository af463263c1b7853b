"""A program whose query has its answer before all is read ends as any other does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from corpusmill.pipelines.inspection.live_reads import LiveReads
from tests.waiting import PATIENCE

PROGRAM = """
import time
import polars as pl
import pyarrow as pa
from corpusmill.pipelines.inspection.query import lazy, query
from corpusmill.pipelines.inspection.tables.table import Column, Table

def read(names):
    for number in range(200):
        time.sleep(0.01)
        yield pa.table({"a": range(number, number + 1000)})

table = Table("t", "numbers", (Column("a", pa.int64(), "a number"),), read)
print(ANSWER)
"""


@pytest.mark.parametrize(
    "answer",
    [
        "query({'t': table}, 'select a from t where a > 5 limit 3').height",
        "lazy(table).filter(pl.col('a') > 5).head(3).collect().height",
    ],
)
def test_the_program_ends_well(answer: str) -> None:
    command = [sys.executable, "-c", PROGRAM.replace("ANSWER", answer)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "3", "")


def test_reads_end_between_batches() -> None:
    reads, closed = LiveReads(), threading.Event()

    def batches() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.set()

    one = reads.read(batches())
    assert next(one) == 0
    assert not reads.end(0.0)
    assert list(one) == []
    assert reads.end(0.0)
    assert closed.is_set()
