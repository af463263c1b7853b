"""The partial result of a round over the pool: pages counted by site, and samples for the next training.

A row is of one `stratum`: 0 counts the pages of a site, the others are sampled pages of one kind (`HIT`,
`NEAR`, `OTHER`), those of smallest draws. All is merged by sums and by draws, so that any division of the
pool gives the same. Memory: a row for every site, and the texts of three samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.filters.rules.examples import EXAMPLES, cut_texts, fewest_draws
from corpusmill.filters.rules.recall_rounds import Flags
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.randomness import draws

COUNTS, HIT, NEAR, OTHER = range(4)
SAMPLED = (HIT, NEAR, OTHER)
PURPOSE = "pages of a recall loop"
_NUMBERS = ("pages", "hits", "near", "hits_before", "near_before")
_STRATUM = pa.field("stratum", pa.uint8(), nullable=False)
_HOST = pa.field("host", pa.string())
COUNTED = pa.schema([_HOST, *(pa.field(name, pa.int64()) for name in _NUMBERS)])
SAMPLE = pa.schema([*EXAMPLES, _HOST])
PARTIAL = pa.schema([_STRATUM, *COUNTED, *(one.with_nullable(True) for one in EXAMPLES)])


@dataclass
class Pages:
    """Counts and samples of the pages seen so far; `most` of each sample, their texts cut to `most_bytes`."""

    seed: int
    most: int
    most_bytes: int
    counts: list[pa.Table] = field(default_factory=list)
    samples: dict[int, pa.Table] = field(default_factory=dict)

    def add(self, docs: Documents, hosts: pa.Array, strata: npt.NDArray[np.uint8], before: Flags) -> None:
        """Pages of a batch; `strata` says which kind each is, `before` which the round before had found."""
        hit, near = strata == HIT, strata == NEAR
        columns = (np.ones(len(docs), np.int64), hit, near, hit & before, near & before)
        counted = pa.table([hosts, *(pa.array(column.astype(np.int64)) for column in columns)], COUNTED.names)
        self.counts.append(_summed([counted]))
        if len(self.counts) > 64:
            self.counts = [_summed(self.counts)]
        ids = docs.column("id").cast(pa.string())
        drawn = draws(ids, self.seed, PURPOSE)
        for stratum in SAMPLED:
            self._sample(docs, hosts, ids, drawn, stratum, strata == stratum)

    def _sample(
        self,
        docs: Documents,
        hosts: pa.Array,
        ids: pa.Array,
        drawn: npt.NDArray[np.uint64],
        stratum: int,
        rows: Flags,
    ) -> None:
        had = self.samples.get(stratum)
        if had is not None and had.num_rows == self.most:
            rows = rows & (drawn <= had.column("draw")[-1].as_py())
        at = pa.array(np.flatnonzero(rows))
        if len(at) == 0:
            return
        texts = docs.text.take(at)
        found = pa.table(
            [
                pa.array(drawn[rows]),
                ids.take(at),
                docs.column("lang").cast(pa.string()).take(at),
                cut_texts(pc.fill_null(texts, ""), self.most_bytes),
                hosts.take(at),
            ],
            schema=SAMPLE,
        )
        found = found.filter(pc.greater(pc.binary_length(found.column("text")), 0))
        parts = [found] if had is None else [had, found]
        self.samples[stratum] = fewest_draws(parts, self.most)

    def partial(self) -> pa.Table:
        """All of it as one table."""
        return as_partial(_summed(self.counts), self.samples)


def as_partial(counts: pa.Table, samples: Mapping[int, pa.Table]) -> pa.Table:
    """Counts by site and samples by stratum as rows of `PARTIAL`."""
    parts = [_widened(counts, COUNTS), *(_widened(samples[key], key) for key in sorted(samples))]
    return pa.concat_tables(parts).combine_chunks()


def _widened(table: pa.Table, stratum: int) -> pa.Table:
    n = table.num_rows
    given = {name: table.column(name) for name in table.column_names}
    given["stratum"] = pa.array(np.full(n, stratum, np.uint8))
    return pa.table([given.get(one.name, pa.nulls(n, one.type)) for one in PARTIAL], schema=PARTIAL)


def counts_of(partial: pa.Table) -> pa.Table:
    """The counts by site, `COUNTED`."""
    return partial.filter(pc.equal(partial.column("stratum"), COUNTS)).select(COUNTED.names)


def sample_of(partial: pa.Table, stratum: int) -> pa.Table:
    """One sample, `SAMPLE`."""
    rows = partial.filter(pc.equal(partial.column("stratum"), stratum)).select(SAMPLE.names)
    return rows.cast(SAMPLE)


def merged(parts: Sequence[pa.Table], most: int) -> pa.Table:
    """One partial of several, whatever their order."""
    samples = {key: fewest_draws([sample_of(part, key) for part in parts], most) for key in SAMPLED}
    return as_partial(_summed([counts_of(part) for part in parts]), samples)


def _summed(parts: Sequence[pa.Table]) -> pa.Table:
    """Counts by site, ordered by it."""
    rows = pa.concat_tables(parts) if parts else COUNTED.empty_table()
    grouped = rows.group_by("host", use_threads=False).aggregate([(name, "sum") for name in _NUMBERS])
    found = pa.table(
        [grouped.column("host"), *(grouped.column(f"{name}_sum") for name in _NUMBERS)], schema=COUNTED
    )
    return found.sort_by("host")


def drawn_from(whole: pa.Table, partly: pa.Table, counts: pa.Array, most: int) -> pa.Table:
    """A sample of two kinds of pages together, `EXAMPLES`: the pages of smallest draws.

    `whole` is the sample of one kind, `partly` that of another, of which those with `counts` (bool) are
    asked for. Where a sample has `most` pages, those of higher draws than its last are unknown, and none of
    either kind is taken: each page of both kinds has the same chance.
    """
    full = [sample.column("draw")[-1].as_py() for sample in (whole, partly) if sample.num_rows == most]
    rows = pa.concat_tables([whole, partly.filter(counts)])
    if full:
        rows = rows.filter(pc.less_equal(rows.column("draw"), pa.scalar(min(full), pa.uint64())))
    return fewest_draws([rows], most).select(EXAMPLES.names)
