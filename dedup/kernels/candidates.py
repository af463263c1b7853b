"""Which buckets of a document its shingle set has to be brought to.

Legend: G buckets of one partition, M their members one after the other; N documents of one unit, R buckets
that they are in, P partners listed of all of these, B bands.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled, integer

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@compiled
def list_partners(
    start_G: Integers,
    end_G: Integers,
    address_M: Hashes,
    size_M: Integers,
    earlier_M: Flags,
    least_ratio: float,
    most: int,
) -> tuple[Integers, Hashes, Flags]:
    """Ends int64[M + 1] of the members' lists of partners, addresses of these, and which lists are known.

    Bucket g holds members `start_G[g]` up to `end_G[g]`. A partner is another member of the bucket, where the
    smaller of the two sizes is at least `least_ratio` of the larger; two documents of earlier runs
    (`earlier_M`) are none. Those of a bucket of more than `most` members are not listed.
    """
    end_M = np.zeros(len(address_M) + 1, np.int64)
    known_M = np.zeros(len(address_M), np.bool_)
    partner_P = np.empty(1024, np.uint64)
    count = integer(0)
    for g in range(len(start_G)):
        start, end = start_G[g], end_G[g]
        known = end - start <= most
        for m in range(start, end):
            if known:
                if count + end - start > len(partner_P):
                    longer = np.empty(2 * (count + end - start), np.uint64)
                    longer[:count] = partner_P[:count]
                    partner_P = longer
                for other in range(start, end):
                    small, large = min(size_M[m], size_M[other]), max(size_M[m], size_M[other])
                    paired = other != m and not (earlier_M[m] and earlier_M[other])
                    if paired and small / large >= least_ratio:
                        partner_P[count] = address_M[other]
                        count += 1
            known_M[m] = known
            end_M[m + 1] = count
    return end_M, partner_P[:count].copy(), known_M


@compiled
def needed_buckets(
    end_N: Integers,
    key_NB: Hashes,
    bucket_R: Hashes,
    copy_R: Flags,
    end_R: Integers,
    partner_P: Hashes,
    known_R: Flags,
) -> Flags:
    """Which of its buckets a document has to be brought to, bool[R].

    Document n has the buckets `end_N[n]` up to `end_N[n + 1]`, in any order; bucket r lists its partners
    there, `partner_P[end_R[r]:end_R[r + 1]]`, unless `known_R` is false. A pair is given in the bucket of its
    first shared band that is not crowded, so a bucket all of whose partners are listed in buckets of earlier
    bands is not needed; crowded ones list none. A document whose set is a better document's too (`copy_R`) is
    needed in the first band's only.
    """
    needed_R = np.zeros(len(bucket_R), np.bool_)
    for n in range(len(end_N) - 1):
        start, end = end_N[n], end_N[n + 1]
        copy = copy_R[start:end].any()
        for b in range(1 if copy else key_NB.shape[1]):
            for r in range(start, end):
                if bucket_R[r] != key_NB[n, b]:
                    continue
                needed_R[r] = copy or not known_R[r]
                for p in range(end_R[r], end_R[r + 1]):
                    if needed_R[r]:
                        break
                    needed_R[r] = not _listed_before(
                        partner_P[p], b, n, start, end, key_NB, bucket_R, end_R, partner_P
                    )
    return needed_R


@compiled
def crowded_bands(end_N: Integers, key_NB: Hashes, bucket_R: Hashes, crowded_R: Flags) -> Flags:
    """Which of its bands each document has in a crowded bucket, bool[N, B]; see `needed_buckets`."""
    crowded_NB = np.zeros(key_NB.shape, np.bool_)
    for n in range(len(end_N) - 1):
        for r in range(end_N[n], end_N[n + 1]):
            if crowded_R[r]:
                for b in range(key_NB.shape[1]):
                    crowded_NB[n, b] |= key_NB[n, b] == bucket_R[r]
    return crowded_NB


@compiled
def _listed_before(
    partner: int,
    band: int,
    n: int,
    start: int,
    end: int,
    key_NB: Hashes,
    bucket_R: Hashes,
    end_R: Integers,
    partner_P: Hashes,
) -> bool:
    """Whether a bucket of an earlier band of document n lists the partner."""
    for b in range(band):
        for r in range(start, end):
            if bucket_R[r] == key_NB[n, b]:
                for p in range(end_R[r], end_R[r + 1]):
                    if partner_P[p] == partner:
                        return True
    return False
