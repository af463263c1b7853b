"""The rounds of the stage `repository`: from files to repositories, to pairs of them, and back to files.

Rows are of these kinds, told by `kind`; those of files go through all rounds, so that the last can remove
them, and are keyed by their repository in the first and the last round alone:

- `FILE`: a file of the repository `repo`; `emit` gives it its shingles;
- `SET`: keyed by a repository, the shingles of all its files and the keys of its bands;
- `BAND`: a repository, keyed by one of its bands;
- `TWIN`: a repository, keyed by a hash of its set;
- `ASKED`: keyed by a repository, which is to be brought to a band that it shares with another;
- `COPY`: keyed by a repository, which has the set of a better one, named in `better_*`;
- `BROUGHT`: a repository with its set, keyed by a band;
- `PAIR`: two repositories that are alike, keyed by 0;
- `REMOVED`: keyed by a repository, which is removed in favour of the file whose facts stand in `better_*`.

The address of a row that stands for a repository is that of its file of smallest id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.candidates import crowded_bands, list_partners, needed_buckets
from corpusmill.dedup.kernels.similarity import bucket_pairs
from corpusmill.dedup.matching.candidates import LISTED
from corpusmill.dedup.matching.code_worth import worth_ranks
from corpusmill.pipelines.contract.addresses import DUPLICATES
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.taken_rows import taken, taken_values

FILE, SET, BAND, TWIN, ASKED, COPY, BROUGHT, PAIR, REMOVED = range(9)
_PLACE = (("key", pa.uint64()), ("kind", pa.uint8()), ("repo", pa.uint64()))
_OF_FILE = (
    *(("unit", pa.uint32()), ("row", pa.uint32()), ("id", pa.string()), ("source", pa.string())),
    ("bytes", pa.int64()),
)
_WORTH = (("whole", pa.int64()), ("licence", pa.int8()), ("stars", pa.int64()))
_FACTS = (*_OF_FILE, *_WORTH)
_BETTER = (("better", pa.uint64()), *((f"better_{name}", kind) for name, kind in _FACTS))
_SET = (("shingles", pa.large_list(pa.uint32())),)
_BANDS = (("bands", pa.large_list(pa.uint64())),)
FILES = pa.schema([_PLACE[0], *_OF_FILE, *_WORTH[1:], *_SET])
"""What `emit` sends."""
REPOSITORIES = pa.schema([*_PLACE, *_FACTS, ("size", pa.uint32()), *_BANDS, *_SET])
_MEETING = pa.schema(
    [
        *(*_PLACE, *_FACTS, *_BETTER, *_BANDS, *_SET, ("bucket", pa.uint64()), ("crowded", pa.bool_())),
        ("partners", pa.large_list(pa.uint64())),
    ]
)
_SETS = pa.schema(
    [
        *(*_PLACE, *_FACTS, *_BETTER, ("similarity", pa.float64()), *_BANDS, *_SET),
        ("crowds", pa.large_list(pa.bool_())),
    ]
)
_PAIRS = pa.schema([*_PLACE, *_FACTS, *_BETTER, ("similarity", pa.float64())])
_NAMES = [name for name, _ in _FACTS]

Index = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def rows_for(schema: pa.Schema, kind: int, of: pa.Table, **columns: Any) -> pa.Table:
    """Rows of `schema` with the columns of `of`, but for these; what is in neither is null."""
    size = of.num_rows
    given = {name: of.column(name) for name in of.column_names} | {"kind": np.full(size, kind, np.uint8)}
    given |= columns
    found = [
        pa.chunked_array([given[field.name]]) if isinstance(given.get(field.name), (np.ndarray, pa.Array))
        else given.get(field.name, pa.chunked_array([pa.nulls(size, field.type)]))
        for field in schema
    ]  # fmt: skip
    return pa.table(
        [column.cast(field.type) for column, field in zip(found, schema, strict=True)], schema=schema
    )


def of_kind(rows: pa.Table, kind: int) -> pa.Table:
    """The rows of a kind."""
    return taken(rows, np.flatnonzero(rows.column("kind").to_numpy() == kind))


def addresses_of(rows: pa.Table) -> Hashes:
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    return np.asarray(unit.astype(np.uint64) << np.uint64(32) | row, np.uint64)


def starts_of(values: npt.NDArray[Any]) -> Index:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.append(np.full(min(1, len(values)), True), values[1:] != values[:-1]))


def _ranks(facts: pa.Table, priority: Sequence[str]) -> Index:
    """Ranks of repositories by all their bytes, int64[n], the best 0."""
    facts = facts.select(_NAMES)
    facts = facts.set_column(facts.column_names.index("bytes"), "bytes", facts.column("whole"))
    return worth_ranks(facts.append_column("vendored", pa.array(np.zeros(len(facts), np.int8))), priority)


def sets_in(rows: pa.Table) -> tuple[Index, npt.NDArray[Any]]:
    """Ends int64[n + 1] and values of the column `shingles`."""
    lists = contiguous(rows.column("shingles"))
    ends = lists.offsets.to_numpy()
    return ends - ends[0], lists.flatten().to_numpy()


# Round 2, by band and by set.


def learn_company(known: pa.Table | None, rows: pa.Table, priority: Sequence[str]) -> pa.Table:
    """How many repositories each band has, `stands_for`, with all of them up to `LISTED`; and of each set the
    best repository."""
    new = pa.concat_tables([of_kind(rows, BAND), of_kind(rows, TWIN)]).drop_columns(["bands", "shingles"])
    new = new.append_column("stands_for", pa.array(np.ones(len(new), np.int64)))
    every = new if known is None else pa.concat_tables([known, new])
    return pa.concat_tables([_counted(of_kind(every, BAND)), _bests(of_kind(every, TWIN), priority)])


def _counted(bands: pa.Table) -> pa.Table:
    bands = taken(bands, np.lexsort([bands.column(name).to_numpy() for name in ("repo", "key")]))
    begins = starts_of(bands.column("key").to_numpy())
    sizes = np.diff(np.append(begins, len(bands)))
    sums = np.add.reduceat(bands.column("stands_for").to_numpy(), begins) if len(begins) else begins
    place = np.arange(len(bands)) - np.repeat(begins, sizes)
    at = bands.column_names.index("stands_for")
    counted = bands.set_column(at, "stands_for", pa.array(np.where(place == 0, np.repeat(sums, sizes), 0)))
    return taken(counted, np.flatnonzero((place == 0) | (np.repeat(sums, sizes) <= LISTED)))


def _bests(twins: pa.Table, priority: Sequence[str]) -> pa.Table:
    key = twins.column("key").to_numpy()
    by = np.lexsort((_ranks(twins, priority), key))
    return taken(twins, by[starts_of(key[by])])


def in_company(known: pa.Table, rows: pa.Table, threshold: float, most: int) -> pa.Table:
    """Of some rows: files and sets; `ASKED` rows of bands that others have too, with these others where they
    are `LISTED` at most and `most`; `COPY` rows of all of a set but the best."""
    passed = [rows_for(_MEETING, kind, of_kind(rows, kind)) for kind in (FILE, SET)]
    asked = _asked(of_kind(known, BAND), of_kind(rows, BAND), threshold, most)
    return pa.concat_tables([*passed, asked, _twins(of_kind(known, TWIN), of_kind(rows, TWIN))])


def _asked(known: pa.Table, bands: pa.Table, threshold: float, most: int) -> pa.Table:
    key = known.column("key").to_numpy()
    begins = starts_of(key)
    count = known.column("stands_for").to_numpy()[begins]
    wanted = bands.column("key").to_numpy()
    of = np.searchsorted(key[begins], wanted)
    bands, of = taken(bands, np.flatnonzero(count[of] > 1)), of[count[of] > 1]
    few = np.flatnonzero((count > 1) & (count <= min(LISTED, most)))
    sizes = known.column("size").to_numpy().astype(np.int64)
    repo = known.column("repo").to_numpy()
    last = np.append(begins[1:], len(known))
    nobody = np.zeros(len(known), bool)
    ends, partners, _ = list_partners(begins[few], last[few], repo, sizes, nobody, threshold, LISTED)
    ends = np.maximum.accumulate(ends)  # of rows of other bands, which list nobody
    lists = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(partners))
    listed = count[of] <= min(LISTED, most)
    places = np.zeros(len(bands), np.int64)
    mine = bands.column("repo").to_numpy()
    for offset in range(LISTED):  # the row of the same repository among the few of its band
        place = np.minimum(begins[of] + offset, len(known) - 1)
        places[listed & (repo[place] == mine) & (place < last[of])] = place[
            listed & (repo[place] == mine) & (place < last[of])
        ]
    alone = listed & (np.diff(ends)[places] == 0)
    made = rows_for(
        _MEETING,
        ASKED,
        bands,
        key=bands.column("repo"),
        bucket=bands.column("key"),
        crowded=count[of] > most + 1,
        partners=taken_values(lists, pa.array(places, mask=~listed)),
    )
    return taken(made, np.flatnonzero(~alone))


def _twins(known: pa.Table, twins: pa.Table) -> pa.Table:
    best = taken(known, np.searchsorted(known.column("key").to_numpy(), twins.column("key").to_numpy()))
    better = {f"better_{name}": best.column(name) for name in _NAMES}
    made = rows_for(_MEETING, COPY, twins, key=twins.column("repo"), better=best.column("repo"), **better)
    return taken(made, np.flatnonzero(made.column("repo").to_numpy() != made.column("better").to_numpy()))


# Round 3, by repository.


def brought(rows: pa.Table) -> pa.Table:
    """Files; sets to the bands that ask for them and tell a pair that no band before tells; of a repository
    that has the set of a better one the pair of both."""
    copies = of_kind(rows, COPY)
    twins = rows_for(
        _SETS, PAIR, copies, key=np.zeros(len(copies), np.uint64), similarity=np.ones(len(copies))
    )
    sets = of_kind(rows, SET)
    repo = sets.column("repo").to_numpy()
    sets = taken(sets, np.flatnonzero(~np.isin(repo, copies.column("repo").to_numpy())))
    repo, asked = sets.column("repo").to_numpy(), of_kind(rows, ASKED)
    asked = taken(asked, np.flatnonzero(np.isin(asked.column("repo").to_numpy(), repo)))
    of = np.searchsorted(repo, asked.column("repo").to_numpy())
    ends = np.searchsorted(of, np.arange(len(sets) + 1))
    keys = _lists(sets, "bands", np.uint64)
    bucket = asked.column("bucket").to_numpy()
    partners = contiguous(asked.column("partners"))
    needed = needed_buckets(
        ends,
        keys,
        bucket,
        np.zeros(len(asked), bool),
        partners.offsets.to_numpy(),
        partners.values.to_numpy(),
        partners.is_valid().to_numpy(zero_copy_only=False),
    )
    crowd = contiguous(asked.column("crowded")).to_numpy(zero_copy_only=False).astype(bool)
    crowds = crowded_bands(ends, keys, bucket, crowd)[of[needed]]
    bounds = np.arange(len(crowds) + 1, dtype=np.int64) * keys.shape[1]
    lists = pa.LargeListArray.from_arrays(pa.array(bounds), pa.array(crowds.reshape(-1)))
    there = taken(sets, of[needed])
    found = rows_for(_SETS, BROUGHT, there, key=bucket[needed], crowds=lists)
    return pa.concat_tables([rows_for(_SETS, FILE, of_kind(rows, FILE)), found, twins])


def _lists(rows: pa.Table, name: str, kind: type) -> npt.NDArray[Any]:
    """A column of lists of one length, [n, length]."""
    values = contiguous(rows.column(name)).flatten().to_numpy(zero_copy_only=False).astype(kind)
    return np.asarray(values.reshape(rows.num_rows, -1 if rows.num_rows else 0))


# Rounds 4 to 6: by band, all pairs, by repository.


def measured(rows: pa.Table, threshold: float, priority: Sequence[str], most: int) -> pa.Table:
    """Files, and pairs whose Jaccard index is at least `threshold`, those of copies among them."""
    its = of_kind(rows, BROUGHT)
    key = its.column("key").to_numpy()
    start = starts_of(key)
    rank = _ranks(its, priority)
    best_first = np.argsort(rank)
    bucket = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(key))))
    ends, values = sets_in(its)
    pairs, similarity = bucket_pairs(
        key[start],
        np.append(start, len(key)),
        rank[np.lexsort((rank, bucket))],
        _lists(its, "bands", np.uint64)[best_first],
        _lists(its, "crowds", np.bool_)[best_first],
        np.zeros(len(its), bool),
        best_first.astype(np.int64),
        np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64),
        values,
        True,
        False,
        threshold,
        most,
    )
    facts = its.select(["repo", *_NAMES])
    worse, better = (taken(facts, best_first[pairs[:, one]]) for one in (0, 1))
    found = rows_for(
        _PAIRS,
        PAIR,
        worse,
        key=np.zeros(len(pairs), np.uint64),
        better=better.column("repo"),
        similarity=similarity,
        **{f"better_{name}": better.column(name) for name in _NAMES},
    )
    passed = [rows_for(_PAIRS, kind, of_kind(rows, kind)) for kind in (FILE, PAIR)]
    return pa.concat_tables([*passed, found])


def decided(rows: pa.Table, priority: Sequence[str]) -> pa.Table:
    """Files by their repository; and, of all pairs: from the best repository to the worst, one is removed if
    a better one that it was measured against is kept; of several the most alike, then the best, is its
    survivor. One of the set of a better one shares its fate. Memory: 400 bytes a pair."""
    files = of_kind(rows, FILE)
    files = rows_for(_PAIRS, FILE, files, key=files.column("repo"))
    pairs = of_kind(rows, PAIR)
    size = len(pairs)
    both = pa.concat_tables(
        [pairs.select(["repo", *_NAMES]), _better(pairs, ["better", *(f"better_{n}" for n in _NAMES)])]
    )
    _, some, of = np.unique(both.column("repo").to_numpy(), return_index=True, return_inverse=True)
    rank = _ranks(taken(both, some), priority)[of]
    worse, better = rank[:size], rank[size:]
    similarity = pairs.column("similarity").to_numpy()
    by = np.lexsort((better, -similarity, worse))
    survivor: dict[int, int] = {}  # by rank of one that is removed: the pair that tells of it
    for pair, one, other, index in zip(
        by.tolist(), worse[by].tolist(), better[by].tolist(), similarity[by].tolist(), strict=True
    ):
        if one not in survivor and (other not in survivor or index == 1.0):
            survivor[one] = survivor.get(other, pair)
    told = np.array(list(survivor.values()), np.int64)
    places = np.empty(int(rank.max(initial=-1)) + 1, np.int64)
    places[rank] = np.arange(2 * size)
    gone = taken(both, places[np.array(list(survivor), np.int64)])
    named = taken(pairs, told)
    better_of = {name: named.column(name) for name, _ in _BETTER}
    removed = rows_for(
        _PAIRS, REMOVED, gone, key=gone.column("repo"), similarity=named.column("similarity"), **better_of
    )
    return pa.concat_tables([files, removed])


def _better(pairs: pa.Table, names: list[str]) -> pa.Table:
    return pairs.select(names).rename_columns(["repo", *_NAMES])


def learn_verdicts(known: pa.Table | None, rows: pa.Table) -> pa.Table:
    """The `REMOVED` rows so far, by key."""
    verdicts = of_kind(rows, REMOVED)
    every = verdicts if known is None else pa.concat_tables([known, verdicts])
    return taken(every, np.argsort(every.column("key").to_numpy(), kind="stable"))


def removed_files(known: pa.Table, rows: pa.Table, reason: str) -> pa.Table:
    """Those of some files whose repository is removed, as `DUPLICATES`."""
    files, key = of_kind(rows, FILE), known.column("key").to_numpy()
    files = taken(files, np.flatnonzero(np.isin(files.column("key").to_numpy(), key)))
    verdict = taken(known, np.searchsorted(key, files.column("key").to_numpy()))
    columns = {name: files.column(name) for name, _ in _OF_FILE}
    columns |= {f"survivor_{name}": verdict.column(f"better_{name}") for name, _ in _OF_FILE}
    columns |= {"reason": pa.repeat(reason, len(files)), "similarity": verdict.column("similarity")}
    return pa.table([columns[field.name] for field in DUPLICATES], schema=DUPLICATES)
