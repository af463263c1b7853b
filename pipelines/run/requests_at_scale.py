"""Requests to an object store of a run at scale: what its steps send and fetch, by the rules of a run.

Of a run that lies there with its input. A file of up to 32 MiB is one request each way, and so is a unit's
receipt; a larger one takes two more and one for each 32 MiB (`storage/remote/sent_files.py`). What a unit
fetches are the files that it opens: they may have been made on any machine, so none is counted as being at
hand, and the sum errs on the high side. Beside that each machine fetches the manifests and segments of a
step once.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpusmill.pipelines.records.receipt import Layout
from corpusmill.pipelines.run.estimate import StepCost
from corpusmill.pipelines.run.operators.buckets import merge_levels
from corpusmill.pipelines.run.operators.fold_combine import FAN_IN
from corpusmill.pipelines.run.operators.layout import last_files
from corpusmill.pipelines.run.operators.operator import operator_named
from corpusmill.pipelines.storage.objects.store import PART_BYTES, SENT_BYTES
from corpusmill.pipelines.storage.segments import SEGMENT

STEP_WRITES = 3  # of the driver: the manifest, `current.json`, and one that removes receipts


@dataclass(frozen=True)
class Input:
    """What a run at scale reads: bytes of input, units of documents and the input's bytes in each, units that
    apply removals, files of partial results."""

    size: int
    reading: int
    unit_bytes: int
    masks: int
    partials: int


def writes_of(units: int, files: int, disk: int) -> int:
    """Requests that write a step's files, `disk` bytes in all, its receipts and its manifest."""
    parts = files
    if disk > files * SENT_BYTES:
        parts += 2 * files + -(-disk // SENT_BYTES)
    return parts + units + -(-units // SEGMENT) + STEP_WRITES


def reads_of(step: StepCost, given: Input, came: Layout, sent: Layout) -> int:
    """Requests that fetch what the units of a step read. `came`: how rows lie that it reads; `sent`: those
    that it writes, if it does."""
    operator = operator_named(step.operator)
    merged = (came.partitions, *merge_levels(came.partitions))
    opened = {
        "files": -(-given.size // PART_BYTES),
        "splits": given.reading * (1 + -(-given.unit_bytes // PART_BYTES)),
        "rows": came.partitions * len(last_files(came, 0)),
        "pairs": sum(merged[:-1]) + given.masks * merged[-1],
        "partials": given.partials * FAN_IN // (FAN_IN - 1),
        "artefact": 1,
        "nothing": 0,
    }
    found = opened.get(operator.reads, given.reading * (1 + step.masks))  # documents, whatever they are now
    if operator.writes == "rows" and len(sent.files) > 1:
        # A file of the first level has rows of all coarse partitions, one of a later level of one.
        found += sent.files[0] * sent.coarse + sum(sent.files[1:-1])
    return found
