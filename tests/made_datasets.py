"""Datasets on disk, made without a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.records.receipt import DatasetPart, UnitResult
from corpusmill.pipelines.storage.datasets import DatasetWriter
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.made_records import made_manifest


def dataset(folder: Path, texts: list[str]) -> StepFolder:
    """A dataset of one unit."""
    step = StepFolder(folder)
    attempt = step.attempt(0, 1)
    writer = DatasetWriter(attempt.file("parquet"))
    columns = {"id": [f"{n:032x}" for n in range(len(texts))], "text": texts}
    rest = {"source": ["s"] * len(texts), "domain": ["web"] * len(texts), "meta": ["{}"] * len(texts)}
    held = {**columns, **rest}
    arrays = [pa.array(held.get(field.name, [None] * len(texts)), field.type) for field in SCHEMA]
    writer.append(Documents(pa.table(arrays, schema=SCHEMA)))
    writer.close()
    sizes = sum(len(text.encode()) for text in texts)
    unit = attempt.commit(UnitResult(len(texts), part=DatasetPart({"s": (len(texts), sizes)})))
    step.write_manifest(made_manifest([unit]))
    return step
