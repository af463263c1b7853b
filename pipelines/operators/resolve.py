"""From all pairs found to one removal per document, in a single unit.

Memory grows with the number of verified pairs (about 200 bytes each), not with the corpus.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.addresses import DUPLICATES
from corpusmill.pipelines.operators.find import write_buckets
from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.operators.partitions import sorted_by_address
from corpusmill.pipelines.storage import Attempt, Json


def units(preparation: Preparation) -> list[Json]:
    return [{"buckets": preparation.first.need_manifest()["units"][0]["buckets"]}]


def work(job: Job, attempt: Attempt) -> Json:
    (stage,) = job.stages()
    tables = []
    for unit in job.first.need_manifest()["units"]:
        with pa.memory_map(str(job.first.data / f"{unit['unit']:05d}.found.arrow")) as source:
            tables.append(ipc.open_file(source).read_all())
    found = sorted_by_address(pa.concat_tables(tables)) if tables else DUPLICATES.empty_table()
    removals = stage.resolve(found).select(DUPLICATES.names).cast(DUPLICATES)
    write_buckets(attempt.file("found.arrow"), removals, job.unit["buckets"])
    return {"rows": removals.num_rows, "buckets": job.unit["buckets"], "pairs": found.num_rows}
