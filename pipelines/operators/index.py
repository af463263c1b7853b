"""Index input files: content hash, and the splits a reader found by walking the file's framing.

A unit is a run of files of about `unit_bytes`. Results hold names, never absolute paths, so that moving the
input folder changes nothing downstream. Memory: one file's list of splits.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from corpusmill.pipelines.operators.job import Job, Preparation
from corpusmill.pipelines.storage import Attempt, Json, sha256_file, write_json

_FILES_PER_UNIT = 512


def units(preparation: Preparation) -> list[Json]:
    found: list[Json] = []
    size = 0
    for name, path in preparation.paths.items():
        length = Path(path).stat().st_size
        if (
            not found
            or size + length > 8 * preparation.unit_bytes
            or len(found[-1]["files"]) >= _FILES_PER_UNIT
        ):
            found.append({"files": []})
            size = 0
        found[-1]["files"].append([name, path])
        size += length
    return found


def work(job: Job, attempt: Attempt) -> Json:
    (reader,) = job.stages()
    entries = []
    for name, path in job.unit["files"]:
        file = Path(path)
        entries.append(
            {
                "name": name,
                "bytes": file.stat().st_size,
                "sha256": sha256_file(file),
                "splits": [asdict(split) for split in reader.index(file)],
            }
        )
    write_json(attempt.file("index.json"), entries)
    return {"rows": len(entries), "bytes_read": sum(entry["bytes"] for entry in entries)}
