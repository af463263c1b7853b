"""What machines fetch of an exchange whose rows another one has sent to object storage: bytes and requests.

6 files of 64 MiB of rows (quick: 2) are sent to 64 partitions, by a bucket of a server of S3 on this machine
(moto's, which the tests use). Four machines with mirrors of their own read 16 partitions each. Jobs:
- `fetched`, `requests`, `most requests a unit`: of all partitions, with files fetched whole and (corpusmill)
  by ranges where they are larger than 32 MiB; `seconds`: CPU time of the readers;
- `again`: bytes fetched by machines that read the same partitions once more.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
from harness import Bench, arguments, bounded

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from corpusmill.pipelines.records.graph import StepOptions
from corpusmill.pipelines.records.manifest import StepKey, Summary
from corpusmill.pipelines.records.receipt import UnitResult
from corpusmill.pipelines.run.operators.layout import ROWS_FILE, RowsWriter, layout_of
from corpusmill.pipelines.run.operators.partitions import read_partition
from corpusmill.pipelines.storage.committed import Committed
from corpusmill.pipelines.storage.objects.current import REQUESTS, settings_in_use, use_storage
from corpusmill.pipelines.storage.objects.settings import ObjectStorage
from corpusmill.pipelines.storage.remote import sent_files
from corpusmill.pipelines.storage.remote.mirrors import mirror_of, release_files
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from tests.object_server import KEYS, object_server

PARTITIONS, MACHINES, ROW_BYTES, FILE_BYTES = 64, 4, 24, 64 * 2**20
VERSION = "0123456789abcdef"


def machine(folder: Path, name: str) -> StepFolder:
    """The step as the machine of this name sees it."""
    settings = settings_in_use().model_copy(update={"cache": folder / name})
    return RunFolder(mirror_of("s3://exchange/run", settings)).step("s", VERSION)


def send(step: StepFolder, files: int, size: int) -> int:
    """Commit a step of so many files of about `size` bytes; returns the bytes of all."""
    draw, layout = np.random.default_rng(1), layout_of(PARTITIONS, files, sharing=False)
    committed, sent = Committed(step), 0
    for unit in range(files):
        attempt, rows = step.attempt(unit, 1), size // ROW_BYTES
        writer = RowsWriter(attempt.file(ROWS_FILE), layout, width=layout.width)
        columns = [
            pa.array(draw.integers(0, 2**64, rows, np.uint64)),
            pa.array(np.full(rows, unit, np.uint32)),
            pa.array(np.arange(rows, dtype=np.uint32)),
            pa.array(draw.integers(0, 2**64, rows, np.uint64)),
        ]
        writer.add(pa.table(columns, names=["key", "unit", "row", "value"]))
        writer.close()
        receipt = attempt.commit(UnitResult(writer.rows, part=writer.part()))
        committed.add(receipt)
        sent += receipt.bytes
    segments = committed.finish()
    step.complete(
        Summary("s", VERSION, NO_KEY, {}, committed.content, committed.rows, sent, (), {}), segments
    )
    return sent


def read(folder: Path, name: str) -> tuple[int, int, int, int, float]:
    """Bytes fetched, requests, the most of one partition, rows and CPU seconds of all machines."""
    most, rows, began, started = 0, 0, REQUESTS.so_far(), time.process_time()
    for partition in range(PARTITIONS):
        before = REQUESTS.so_far()
        found = read_partition(machine(folder, f"{name}-{partition % MACHINES}"), partition)
        rows += 0 if found is None else found.num_rows
        most = max(most, REQUESTS.so_far().since(before).total)
        release_files()
    asked = REQUESTS.so_far().since(began)
    return asked.fetched, asked.total, most, rows, time.process_time() - started


NO_KEY = StepKey("scatter", (), "", {}, "", 0, StepOptions(), (), (), {})


def main() -> None:
    options = arguments(__doc__)
    bench = Bench("remote_exchange")
    files = 2 if options.quick else 6
    with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ, KEYS):
        folder = Path(name)
        with object_server(folder / "log") as server:
            server.make_bucket("exchange")
            use_storage(ObjectStorage(schemes=["s3"], endpoint=server.proxy.url, cache=folder / "sender"))
            sent = send(machine(folder, "sender"), files, FILE_BYTES)
            bench.add("sent", "corpusmill", sent / 1e6, "MB")
            for tool, limit in (("whole", 2**62), ("corpusmill", sent_files.WHOLE_BYTES)):
                with mock.patch.object(sent_files, "WHOLE_BYTES", limit):
                    for job in ("fetched", "again"):
                        fetched, requests, most, rows, seconds = read(folder, tool)
                        assert rows == files * (FILE_BYTES // ROW_BYTES)
                        bench.add(job, tool, fetched / 1e6, "MB")
                        if job == "fetched":
                            bench.add("requests", tool, requests, "")
                            bench.add("most requests a unit", tool, most, "")
                            bench.add("seconds", tool, seconds, "s")
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
