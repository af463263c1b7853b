"""The rounds of the stage `repository`: from files to repositories, to pairs of them, and back to files.

Rows of all rounds have the columns of `ROWS`; `kind` says what one is:

- `FILE`: a file, keyed by its repository, which travels through all rounds so that the last can remove it;
  `emit` gives it its shingles (uint32, little-endian, sorted);
- `HELD`: keyed by a repository, the shingles of all its files, up to round 3;
- `BAND`: a repository, keyed by one of its bands;
- `WANTED`: keyed by a repository, asks for its shingles for `pair`, of which `repo` is the worse half;
- `SHINGLES`: those, keyed by the pair;
- `PAIR`: two repositories that were measured, keyed by 0;
- `REMOVED`: keyed by a repository, which is removed in favour of the file whose facts stand in `better_*`.

The address of a row that stands for a repository is that of its file of smallest id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from corpusmill.dedup.matching.code_worth import IS_UNKNOWN, worth_ranks
from corpusmill.pipelines.contract.addresses import DUPLICATES

FILE, HELD, BAND, WANTED, SHINGLES, PAIR, REMOVED = range(7)
FACTS = (
    *(("unit", pa.uint32()), ("row", pa.uint32()), ("id", pa.string()), ("source", pa.string())),
    *(("bytes", pa.int64()), ("whole", pa.int64()), ("licence", pa.int8()), ("stars", pa.int64())),
)
_NAMES = tuple(name for name, _ in FACTS)
ROWS = pa.schema(
    [
        *(("key", pa.uint64()), ("kind", pa.uint8()), ("repo", pa.uint64()), ("other", pa.uint64())),
        *FACTS,
        *((f"better_{name}", type_) for name, type_ in FACTS),
        *(("pair", pa.uint64()), ("similarity", pa.float64()), ("shingles", pa.large_binary())),
    ]
)
Row = dict[str, Any]
Set = npt.NDArray[np.uint32]


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Rows as a table; what a row does not name is null."""
    return pa.Table.from_pylist(list(rows), ROWS)


def of_kinds(rows: pa.Table, *kinds: int) -> pa.Table:
    """The rows of these kinds."""
    return rows.filter(pa.array(np.isin(rows.column("kind").to_numpy(), kinds)))


def shingles_of(files: pa.Table) -> Set:
    """The shingles of these files, each once, sorted."""
    parts = [np.frombuffer(one, "<u4") for one in files.column("shingles").to_pylist()]
    return np.unique(np.concatenate(parts)).astype(np.uint32)


def repository_facts(files: pa.Table) -> Row:
    """What is known of a repository: address, id, source and bytes of its file of smallest id; its `whole`
    bytes, the licence that most of them have, and the most stars of a file."""
    rows = files.sort_by([("id", "ascending"), ("unit", "ascending"), ("row", "ascending")]).to_pylist()
    weights = [sum(row["bytes"] for row in rows if row["licence"] == one) for one in range(IS_UNKNOWN + 1)]
    return {
        **{name: rows[0][name] for name in ("unit", "row", "id", "source", "bytes")},
        "whole": sum(row["bytes"] for row in rows),
        "licence": max(range(len(weights)), key=lambda one: (weights[one], one)),
        "stars": max(row["stars"] for row in rows),
    }


def _ranks(rows: pa.Table, priority: Sequence[str], prefix: str = "") -> list[int]:
    """Ranks of the repositories whose facts have this prefix, by all their bytes."""
    facts = pa.table({name: rows.column(prefix + name) for name in _NAMES})
    facts = facts.set_column(facts.column_names.index("bytes"), "bytes", facts.column("whole"))
    facts = facts.append_column("vendored", pa.array(np.zeros(len(rows), np.int8)))
    ranks: list[int] = worth_ranks(facts, priority).tolist()
    return ranks


def banded(rows: pa.Table, bands_of: Callable[[Set], npt.NDArray[np.uint64]]) -> pa.Table:
    """Round 1, by repository: what its files hold together, and a row for each of its bands."""
    made: list[Row] = []
    keys = rows.column("key").to_numpy()
    for key in np.unique(keys):
        files = rows.filter(pa.array(keys == key))
        shingles = shingles_of(files)
        if len(shingles):
            row = {"repo": int(key), **repository_facts(files)}
            made.append({**row, "kind": HELD, "key": int(key), "shingles": shingles.astype("<u4").tobytes()})
            made.extend({**row, "kind": BAND, "key": int(band)} for band in bands_of(shingles))
    at = ROWS.get_field_index("shingles")
    bare = rows.set_column(at, ROWS.field(at), pa.nulls(len(rows), ROWS.field(at).type))
    return pa.concat_tables([bare, table_of(made)])


def paired(rows: pa.Table, priority: Sequence[str], most: int) -> pa.Table:
    """Round 2, by band: each repository with the `most` best of its band; both are asked for their
    shingles.
    """
    made: list[Row] = []
    bands = of_kinds(rows, BAND)
    ordered = sorted(
        zip(bands.to_pylist(), _ranks(bands, priority), strict=True),
        key=lambda one: (one[0]["key"], one[1]),
    )
    for _, group in groupby(ordered, key=lambda one: one[0]["key"]):
        its = [row for row, _ in group]
        for at, worse in enumerate(its):
            for better in its[: min(at, most)]:
                made.extend(_wanted(worse, better))
    return pa.concat_tables([of_kinds(rows, FILE, HELD), table_of(made)])


def _wanted(worse: Row, better: Row) -> Iterator[Row]:
    pair = xxh3_64_intdigest(worse["repo"].to_bytes(8, "little") + better["repo"].to_bytes(8, "little"))
    row = {"kind": WANTED, "pair": pair, "repo": worse["repo"], "other": better["repo"]}
    row |= {name: worse[name] for name in _NAMES}
    row |= {f"better_{name}": better[name] for name in _NAMES}
    yield {**row, "key": worse["repo"]}
    yield {**row, "key": better["repo"]}


def fetched(rows: pa.Table) -> pa.Table:
    """Round 3, by repository: its shingles to each pair that asks for them, once."""
    held = {row["key"]: row["shingles"] for row in of_kinds(rows, HELD).to_pylist()}
    wanted = {(row["key"], row["pair"]): row for row in of_kinds(rows, WANTED).to_pylist()}
    made = [
        {**row, "kind": SHINGLES, "key": pair, "shingles": held[key]}
        for (key, pair), row in wanted.items()
        if key in held  # one that was quarantined meanwhile has none
    ]
    return pa.concat_tables([of_kinds(rows, FILE), table_of(made)])


def measured(rows: pa.Table, threshold: float) -> pa.Table:
    """Round 4, by pair: those whose Jaccard index is at least `threshold`."""
    made: list[Row] = []
    names = ("key", "repo", "other")
    held = sorted(of_kinds(rows, SHINGLES).to_pylist(), key=lambda row: tuple(row[name] for name in names))
    for _, group in groupby(held, key=lambda row: tuple(row[name] for name in names)):
        its = list(group)
        if len(its) == 2:  # a repository that was quarantined meanwhile sends nothing
            first, second = (np.frombuffer(row["shingles"], np.uint32) for row in its)
            shared = len(np.intersect1d(first, second, assume_unique=True))
            similarity = shared / (len(first) + len(second) - shared)
            if similarity >= threshold:
                made.append({**its[0], "kind": PAIR, "key": 0, "shingles": None, "similarity": similarity})
    return pa.concat_tables([of_kinds(rows, FILE), table_of(made)])


def decided(rows: pa.Table, priority: Sequence[str]) -> pa.Table:
    """Round 5, all pairs: from the best repository to the worst, one is removed if a better one that it was
    measured against is kept; of several the most alike, then the best, is its survivor."""
    pairs = of_kinds(rows, PAIR)
    made: list[Row] = []
    if len(pairs):
        rank, better_rank = _ranks(pairs, priority), _ranks(pairs, priority, "better_")
        removed: set[int] = set()
        ordered = sorted(zip(rank, better_rank, pairs.to_pylist(), strict=True), key=lambda one: one[0])
        for repo, group in groupby(ordered, key=lambda one: one[2]["repo"]):
            kept = [one for one in group if one[2]["other"] not in removed]
            if kept:
                removed.add(repo)
                best = min(kept, key=lambda one: (-one[2]["similarity"], one[1]))[2]
                made.append({**best, "kind": REMOVED, "key": repo})
    return pa.concat_tables([of_kinds(rows, FILE), table_of(made)])


def removed_files(rows: pa.Table, reason: str) -> pa.Table:
    """Round 6, by repository: the files of those that are removed, as `DUPLICATES`."""
    verdicts = {row["key"]: row for row in of_kinds(rows, REMOVED).to_pylist()}
    made: list[Row] = []
    for row in of_kinds(rows, FILE).to_pylist():
        verdict = verdicts.get(row["key"])
        if verdict is not None:
            survivor = {
                f"survivor_{n}": verdict[f"better_{n}"] for n in ("unit", "row", "id", "source", "bytes")
            }
            facts = {name: row[name] for name in ("unit", "row", "id", "source", "bytes")}
            made.append({**facts, **survivor, "reason": reason, "similarity": verdict["similarity"]})
    return pa.Table.from_pylist(made, DUPLICATES)
