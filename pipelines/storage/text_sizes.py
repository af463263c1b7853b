"""Bytes of every text of a dataset's unit, in the footer of its file: told without reading a text.

They are a value of the Parquet file's own metadata, int64 little-endian, zstd, base64. Readers that know
nothing of it see an ordinary file.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import damaged

_KEY = "corpusmill.text_bytes"
_CODEC = pa.Codec("zstd", compression_level=3)


def sizes_of_texts(docs: Documents) -> npt.NDArray[np.int64]:
    """Bytes of each text, int64[n]; 0 where it is null."""
    return np.diff(docs.utf8("text")[0])


def as_metadata(sizes: Sequence[npt.NDArray[np.int64]]) -> dict[str, str]:
    """What a file's footer says of the sizes of its texts, given batch by batch."""
    joined = np.concatenate([np.zeros(0, np.int64), *sizes]).astype("<i8").tobytes()
    return {_KEY: f"{len(joined)}:{base64.b64encode(_CODEC.compress(joined, asbytes=True)).decode()}"}


def text_sizes(path: Path) -> npt.NDArray[np.int64]:
    """Bytes of each text of a unit's Parquet file, int64[rows].

    Of a file whose footer does not say, the texts are read. Raises IntegrityError for a footer that is not
    what was written.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        said = (file.metadata.metadata or {}).get(_KEY.encode())
        if said is None:
            lengths = [
                pc.fill_null(pc.binary_length(table.column(0)), 0).to_numpy()
                for group in range(file.num_row_groups)
                for table in [file.read_row_group(group, columns=["text"], use_threads=False)]
            ]
            return np.concatenate([np.zeros(0, np.int64), *lengths]).astype(np.int64)
        size, _, packed = said.decode().partition(":")
        plain = _CODEC.decompress(base64.b64decode(packed), int(size), asbytes=True)
        found = np.frombuffer(plain, "<i8").astype(np.int64)
        if len(found) != file.metadata.num_rows:
            raise damaged(f"{path}: {file.metadata.num_rows} rows and sizes of {len(found)} texts")
        return found
