"""The site of a document: the host of its address, in small letters, without user, port and `www.`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.held_out import host_of

Flags = npt.NDArray[np.bool_]


def sites_of(docs: Documents) -> pa.Array:
    """string[n], null without an address."""
    urls = docs.column("url").to_pylist()
    return pa.array([None if url is None else host_of(url) for url in urls], pa.string())


def of_sources(docs: Documents, sources: Sequence[str] | None) -> Flags:
    """bool[n]: documents of these sources; null is any."""
    if sources is None:
        return np.ones(len(docs), np.bool_)
    source = docs.column("source").cast(pa.string())
    return np.asarray(pc.is_in(source, pa.array(sources, pa.string())).to_numpy(zero_copy_only=False))


COUNTED = pa.schema(
    [pa.field("site", pa.string()), pa.field("documents", pa.int64()), pa.field("bytes", pa.int64())]
)


def counted(docs: Documents) -> pa.Table:
    """Documents and bytes by site, `COUNTED`."""
    ones = pa.array(np.ones(len(docs), np.int64))
    return summed([pa.table([sites_of(docs), ones, pa.array(docs.sizes())], schema=COUNTED)])


def summed(parts: Sequence[pa.Table]) -> pa.Table:
    """`COUNTED` of several parts, ordered by site, null last."""
    rows = pa.concat_tables([COUNTED.empty_table(), *parts])
    grouped = rows.group_by("site", use_threads=False).aggregate([("documents", "sum"), ("bytes", "sum")])
    columns = [grouped.column("site"), grouped.column("documents_sum"), grouped.column("bytes_sum")]
    return pa.table(columns, schema=COUNTED).sort_by("site")
