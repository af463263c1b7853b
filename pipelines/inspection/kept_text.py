"""A document that a run keeps, by its address in the run's view of all sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.inspection.identities import Place, dataset_row
from corpusmill.pipelines.inspection.run_record import RunRecord
from corpusmill.pipelines.storage.cuts import cut
from corpusmill.pipelines.storage.datasets import DatasetView


def kept_document(record: RunRecord, view: DatasetView, unit: int, row: int, identity: str) -> dict[str, Any]:
    """Its columns but `raw` and `meta`, the text without what was cut; only its row group is read.

    Raises NotKeptError where the run did not keep its documents.
    """
    folder, number = view.place(unit)
    last = next(source.last for source in record.sources if source.last.data.path == folder.path)
    found = dataset_row(last, Place(last.name, number, row, identity), without=("raw", "meta"))
    spans = view.cuts(unit).among(np.array([row], np.uint32))
    text = cut(pa.array([found["text"]], pa.large_string()), spans)[0].as_py()
    return {**found, "text": text}
