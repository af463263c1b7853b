"""All pairs of similar sets of a sample, by a join on their rare shingles, and which of them bands find.

Shingles are ordered by how many documents have them, the rarest first. A set of s shingles that shares at
least a share t of them with another shares one of its first s - ceil(t s) + 1 (prefix filtering; Chaudhuri,
Ganti and Kaushik 2006), so only documents that do are compared, on their whole sets. Exact; no hash decides.

Where common shingles would make more than `PROBES` comparisons of shingles, the second half of the sample is
left out, and again, until they do not. Time: a sort of the shingles, and a merge of two sets for each pair
that meets. Memory: 60 bytes a shingle of the sample, 100 bytes a probe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.similarity import intersections
from corpusmill.dedup.matching.rules import Rules
from corpusmill.pipelines.contract.recall import SampledPairs
from corpusmill.pipelines.contract.survivors import Index

PROBES = 8_000_000
LEAST = 0.5  # of the Jaccard index, unless the threshold is lower
_POINTS = 100

Values = npt.NDArray[np.uint32]


class Sets(NamedTuple):
    """Shingle sets of N documents as `signatures.sketch` gives them: ends int64[N + 1], values, band keys
    [N, B] and digests."""

    ends: Index
    values: Values
    keys: npt.NDArray[np.uint64]
    digest: npt.NDArray[np.uint64]


def sampled_pairs(sets: Sets, rows: int, rank: Index, rules: Rules) -> SampledPairs:
    """What `Minhash` says of a sample, of bands of `rows` hashes each; see `SampledPairs`.

    `rank` int64[N]: of the documents, 0 is the best.
    """
    containment, threshold = rules.containment, rules.threshold
    bands = sets.keys.shape[1]
    least = min(LEAST, threshold) if threshold else LEAST
    documents, first, second, both = _pairs(sets, least, containment)
    sizes = np.diff(sets.ends)
    a, b = sizes[first], sizes[second]
    index = both / (a + b - both)
    found = np.zeros(len(first), np.bool_)
    for band in range(bands):
        found |= sets.keys[first, band] == sets.keys[second, band]
    measured = both / np.where(rank[first] > rank[second], a, b) if containment else index
    grid = np.linspace(0, 1, _POINTS + 1)
    return SampledPairs(
        documents=documents,
        first=first,
        second=second,
        index=index,
        chance=_chance(index, bands, rows),
        found=found,
        duplicate=measured >= threshold if rules.verify else found,
        least=0.0 if containment else least,
        curve=tuple(zip(grid.tolist(), _chance(grid, bands, rows).tolist(), strict=True)),
    )


def _chance(index: npt.NDArray[np.float64], bands: int, rows: int) -> npt.NDArray[np.float64]:
    return np.asarray(1 - (1 - index**rows) ** bands)


def _pairs(sets: Sets, least: float, containment: bool) -> tuple[int, Index, Index, Index]:
    """How many documents were compared, the pairs of them, the smaller set first, and what both have."""
    documents = len(sets.digest)
    while True:
        some, rank = _distinct(sets, documents)
        probes = _probes(sets, some, least, containment)
        if probes.total <= PROBES or documents < 2:
            break
        documents //= 2
    first, second = _meeting(probes, rank)
    both = intersections(sets.values, sets.ends, first, second)
    a, b = np.diff(sets.ends)[first], np.diff(sets.ends)[second]
    alike = both / (a if containment else a + b - both) >= least
    return documents, first[alike], second[alike], both[alike]


def _distinct(sets: Sets, documents: int) -> tuple[Index, Index]:
    """The first document of each set among the first ones, smallest sets first, and the rank of each among
    these, int64[N]."""
    sizes = np.diff(sets.ends)[:documents]
    _, first = np.unique(sets.digest[:documents], return_index=True)
    some = first[sizes[first] > 0]
    some = some[np.lexsort((some, sizes[some]))]
    rank = np.full(len(sets.digest), -1, np.int64)
    rank[some] = np.arange(len(some))
    return some, rank


class _Probes(NamedTuple):
    """Postings sorted by shingle: `document`; those that ask, by their places in `document`, each with the
    bounds of the postings of its shingle."""

    document: Index
    asks: Index
    start: Index
    end: Index

    @property
    def total(self) -> int:
        return int((self.end - self.start).sum())


def _probes(sets: Sets, some: Index, least: float, containment: bool) -> _Probes:
    sizes = np.diff(sets.ends)[some]
    document = np.repeat(some, sizes)
    within = np.arange(len(document)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    value = sets.values[sets.ends[document] + within]
    _, of, count = np.unique(value, return_inverse=True, return_counts=True)
    by = np.lexsort((of, count[of], np.repeat(np.arange(len(some)), sizes)))  # by document, rarest first
    document, of = document[by], of[by]
    asked = np.repeat(sizes - np.ceil(least * sizes - 1e-9).astype(np.int64) + 1, sizes)
    prefix = within < asked
    if not containment:  # both sets of a pair share one of their first
        document, of, prefix = document[prefix], of[prefix], prefix[prefix]
    by = np.argsort(of, kind="stable")
    document, of, prefix = document[by], of[by], prefix[by]
    asks = np.flatnonzero(prefix)
    start = np.searchsorted(of, of[asks], "left")
    return _Probes(document, asks, start, np.searchsorted(of, of[asks], "right"))


def _meeting(probes: _Probes, rank: Index) -> tuple[Index, Index]:
    """Distinct pairs of documents of which the first asks for a shingle of the second, which is larger."""
    count = probes.end - probes.start
    asking = np.repeat(probes.document[probes.asks], count)
    place = np.arange(len(asking)) - np.repeat(np.cumsum(count) - count, count)
    other = probes.document[np.repeat(probes.start, count) + place]
    larger = rank[other] > rank[asking]
    pairs = np.unique(asking[larger] * np.int64(len(rank)) + other[larger])
    return pairs // max(1, len(rank)), pairs % max(1, len(rank))
