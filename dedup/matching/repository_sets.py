"""The first round of the stage `repository`, by repository: the set of its files, its bands, its facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from corpusmill.dedup.kernels.unions import unions
from corpusmill.dedup.matching.code_worth import IS_UNKNOWN
from corpusmill.dedup.matching.repositories import (
    BAND,
    FILE,
    REPOSITORIES,
    SET,
    TWIN,
    Hashes,
    Index,
    addresses_of,
    rows_for,
    sets_in,
    starts_of,
)
from corpusmill.pipelines.contract.taken_rows import taken
from corpusmill.pipelines.text.mixing import mixed

BandsOf = Callable[[npt.NDArray[np.uint32]], Hashes]
_WEIGHTS = [f"weight_{one}" for one in range(IS_UNKNOWN + 1)]


def learn_repositories(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """What is known of each repository, `key`, by its files so far: address, id, source and bytes of the one
    of smallest id, `whole` bytes and those of each licence, most stars, and all shingles.

    Memory: 8 bytes a shingle of these files, and 4 of the union.
    """
    size, licence = rows.column("bytes"), rows.column("licence").to_numpy()
    files = rows.drop_columns(["licence"]).append_column("whole", size)
    for one, name in enumerate(_WEIGHTS):
        files = files.append_column(name, pa.array(np.where(licence == one, size.to_numpy(), 0)))
    every = files if known is None else pa.concat_tables([known, files.select(known.column_names)])
    every = taken(every, _order(every, ["key", "id", "unit", "row"]))
    begins = starts_of(every.column("key").to_numpy())
    found = taken(every.drop_columns(["shingles"]), begins)
    for name in ("whole", *_WEIGHTS):
        sums = np.add.reduceat(every.column(name).to_numpy(), begins) if len(begins) else begins
        found = found.set_column(found.column_names.index(name), name, pa.array(sums))
    stars = np.maximum.reduceat(every.column("stars").to_numpy(), begins) if len(begins) else begins
    found = found.set_column(found.column_names.index("stars"), "stars", pa.array(stars))
    return found.append_column("shingles", _unions(every, begins)).select(every.column_names)


def _order(rows: pa.Table, names: Sequence[str]) -> Index:
    by = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in names])
    return np.asarray(by.to_numpy().astype(np.int64))


def _unions(rows: pa.Table, begins: Index) -> pa.Array:
    """The union of the sets of each run of rows."""
    ends, values = sets_in(rows)
    bounds, union = unions(np.append(ends[begins], ends[-1]), np.array(values))
    return pa.LargeListArray.from_arrays(pa.array(bounds), pa.array(union))


def repositories(known: pa.Table, rows: pa.Table, bands_of: BandsOf) -> pa.Table:
    """Some files, and of each repository whose file of smallest id is among them `SET`, `BAND` and `TWIN`
    rows. One without shingles has none."""
    bare = rows.drop_columns(["shingles"])
    files = rows_for(REPOSITORIES, FILE, bare, repo=rows.column("key"), key=mixed(addresses_of(rows)))
    weights = np.stack([known.column(name).to_numpy() for name in _WEIGHTS])
    licence = len(_WEIGHTS) - 1 - np.argmax(weights[::-1], axis=0)  # of equal ones the last
    at = known.column_names.index("key")
    its = known.rename_columns(["repo" if place == at else n for place, n in enumerate(known.column_names)])
    its = its.append_column("licence", pa.array(licence.astype(np.int8)))
    here = np.isin(addresses_of(its), addresses_of(rows)) & (np.diff(sets_in(its)[0]) > 0)
    its = taken(its, np.flatnonzero(here))
    ends, values = sets_in(its)
    keys, twins = [np.zeros(0, np.uint64)], []
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        keys.append(bands_of(values[start:end]))
        twins.append(xxh3_64_intdigest(values[start:end].astype("<u4").tobytes()))
    key = np.concatenate(keys)
    each = len(key) // max(1, len(its))
    bands = pa.LargeListArray.from_arrays(pa.array(np.arange(len(its) + 1) * each), pa.array(key))
    facts, size = its.drop_columns(["shingles"]), np.diff(ends).astype(np.uint32)
    repeated = np.repeat(np.arange(len(its)), each)
    return pa.concat_tables(
        [
            files,
            rows_for(REPOSITORIES, SET, its, key=its.column("repo"), bands=bands),
            rows_for(
                REPOSITORIES,
                BAND,
                taken(facts.select(["repo", "unit", "row"]), repeated),
                key=key,
                size=size[repeated],
            ),
            rows_for(REPOSITORIES, TWIN, facts, key=np.array(twins, np.uint64)),
        ]
    )
