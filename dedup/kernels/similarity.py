"""Measured similarity of candidate pairs, and the walk over buckets that finds each pair once.

Legend: N documents (in the order of survival: smaller index is better), one of several buckets once for each;
B bands, G buckets, M members of buckets one after the other, S distinct sets, T shingles of all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

Values = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WHOLE = 1 - 2.0**-53
"""The containment of a set in a larger one that has all of it: 1.0 is of equal sets alone, which share their
fate (`contract.resolution`)."""


@compiled
def intersection(value_T: Values, a: int, a_end: int, b: int, b_end: int) -> int:
    """Size of the intersection of two sorted distinct runs of value_T, by merging."""
    both = 0
    while a < a_end and b < b_end:
        x, y = value_T[a], value_T[b]
        both += x == y
        a += x <= y
        b += y <= x
    return both


@compiled
def intersections(value_T: Values, end_S: Integers, first_P: Integers, second_P: Integers) -> Integers:
    """Sizes of the intersections of pairs of sets, int64[P]; set s is `value_T[end_S[s]:end_S[s + 1]]`."""
    both_P = np.empty(len(first_P), np.int64)
    for p in range(len(first_P)):
        a, b = first_P[p], second_P[p]
        both_P[p] = intersection(value_T, end_S[a], end_S[a + 1], end_S[b], end_S[b + 1])
    return both_P


@compiled
def first_open_band(key_NB: Hashes, crowded_NB: Flags, i: int, j: int) -> int:
    """Index of the first band whose keys agree and whose bucket is not crowded, or -1."""
    for b in range(key_NB.shape[1]):
        if key_NB[i, b] == key_NB[j, b] and not crowded_NB[i, b]:
            return b
    return -1


@compiled
def _push(
    pair_P2: Integers, similarity_P: Floats, count: int, worse: int, better: int, similarity: float
) -> tuple[Integers, Floats, int]:
    if count == len(similarity_P):
        pairs = np.empty((2 * count, 2), np.int64)
        pairs[:count] = pair_P2
        pair_P2 = pairs
        similarities = np.empty(2 * count, np.float64)
        similarities[:count] = similarity_P
        similarity_P = similarities
    pair_P2[count, 0] = worse
    pair_P2[count, 1] = better
    similarity_P[count] = similarity
    return pair_P2, similarity_P, count + 1


@compiled
def bucket_pairs(
    key_G: Hashes,
    start_G: Integers,
    member_M: Integers,
    key_NB: Hashes,
    crowded_NB: Flags,
    earlier_N: Flags,
    set_N: Integers,
    bound_S2: Integers,
    value_T: Values,
    verify: bool,
    containment: bool,
    threshold: float,
    max_bucket: int,
) -> tuple[Integers, Floats]:
    """Pairs `(worse, better)` int64[P, 2] and their similarity float64[P], bucket by bucket: the Jaccard
    index, or with `containment` (and `verify`) the share of the worse one's shingles that the better one has,
    of two sets at most `WHOLE`.

    Bucket g holds `member_M[start_G[g]:start_G[g + 1]]`, ascending, under the band key key_G[g]; document i's
    shingle set is number set_N[i], the part of value_T between two bounds; where these are equal it is not
    known, and not measured. Documents of one set stand for one another: each is paired, at 1.0, with the
    first of them, in the bucket of their first band, and only that first one meets other documents.

    With `verify`, a document with more than `max_bucket` better sets in a bucket meets there only leaders:
    documents that no better one they met there is similar to, the first `max_bucket` of them. Others meet all
    better ones. Pairs that meet somewhere and have a similarity of at least `threshold` are given: what a
    document is paired with follows from better ones alone.

    Buckets in which some document may meet leaders alone are `crowded_NB`, by what is known of all that were
    sent to them. A pair that shares another is given in the first of those, and measured elsewhere only where
    that tells a leader; any other may be given several times. Without `verify` every document is paired with
    its bucket's best, whatever their similarity.

    Pairs of two documents of earlier runs (`earlier_N`) are not given, and measured only where leaders are
    wanted.
    """
    pair_P2 = np.empty((1024, 2), np.int64)
    similarity_P = np.empty(1024, np.float64)
    count = integer(0)  # of one type from the start: `_push` is compiled once
    first_of_set = np.full(len(bound_S2), -1, np.int64)
    for g in range(len(key_G)):
        members = member_M[start_G[g] : start_G[g + 1]]
        distinct = np.empty(len(members), np.int64)
        n = 0
        for i in members:
            s = set_N[i]
            if first_of_set[s] < 0:
                first_of_set[s] = i
                distinct[n] = i
                n += 1
            elif key_NB[i, 0] == key_G[g] and not earlier_N[i]:
                pair_P2, similarity_P, count = _push(pair_P2, similarity_P, count, i, first_of_set[s], 1.0)
        for i in members:
            first_of_set[set_N[i]] = -1
        leaders = np.empty(max_bucket, np.int64)
        n_leaders = 0
        crowded = n > max_bucket + 1  # there is one with more than `max_bucket` better ones
        for k in range(n):
            i = distinct[k]
            if earlier_N[i] and not crowded:
                continue
            a, a_end = bound_S2[set_N[i]]
            matched = elsewhere = False
            led = verify and k > max_bucket
            rivals = n_leaders if led else k
            if not verify:
                rivals = min(k, 1)
            for r in range(rivals):
                j = leaders[r] if led else distinct[r]
                b, b_end = bound_S2[set_N[j]]
                if a == a_end or b == b_end:
                    continue
                a_size, b_size = a_end - a, b_end - b
                if verify:
                    of = a_size if containment else max(a_size, b_size)
                    if min(a_size, b_size) / of < threshold:  # the similarity cannot exceed it
                        continue
                    open_band = first_open_band(key_NB, crowded_NB, i, j)
                    elsewhere = open_band >= 0 and key_NB[i, open_band] != key_G[g]
                    if elsewhere and (matched or not crowded or n_leaders == max_bucket):
                        continue
                both = intersection(value_T, a, a_end, b, b_end)
                similarity = both / (a_size if containment else a_size + b_size - both)
                if not verify or similarity >= threshold:
                    similarity = min(similarity, WHOLE)
                    if not earlier_N[i] and not elsewhere:  # one of earlier runs meets others of these alone
                        pair_P2, similarity_P, count = _push(pair_P2, similarity_P, count, i, j, similarity)
                    matched = True
            if crowded and not matched and n_leaders < max_bucket:
                leaders[n_leaders] = i
                n_leaders += 1
    return pair_P2[:count].copy(), similarity_P[:count].copy()


@compiled
def find_leaders(
    start_G: Integers,
    leader_M: Flags,
    open_M: Flags,
    meet_all: int,
    grow: bool,
    bound_M2: Integers,
    value_T: Values,
    containment: bool,
    threshold: float,
    most: int,
) -> Flags:
    """Which open members of buckets no better one that they meet is similar to, bool[M].

    Bucket g holds members `start_G[g]` up to `start_G[g + 1]`, the best first, whose sets lie between two
    bounds of value_T. The first `meet_all` of a bucket meet all better ones, others `leader_M` alone. With
    `grow` those found are leaders for the ones after them, until a bucket has `most`; no more are found then.
    """
    found_M = np.zeros(len(leader_M), np.bool_)
    for g in range(len(start_G) - 1):
        count = 0
        for m in range(start_G[g], start_G[g + 1]):
            if leader_M[m]:
                count += 1
        for m in range(start_G[g], start_G[g + 1]):
            if not open_M[m] or (grow and count >= most):
                continue
            a, a_end = bound_M2[m]
            matched = False
            for other in range(start_G[g], m):
                if not leader_M[other] and m - start_G[g] >= meet_all:
                    continue
                b, b_end = bound_M2[other]
                of = a_end - a if containment else max(a_end - a, b_end - b)
                if min(a_end - a, b_end - b) / of < threshold:
                    continue
                both = intersection(value_T, a, a_end, b, b_end)
                whole = a_end - a if containment else a_end - a + b_end - b - both
                if both / whole >= threshold:
                    matched = True
                    break
            if not matched:
                found_M[m] = True
                if grow:
                    leader_M[m] = True
                    count += 1
    return found_M
