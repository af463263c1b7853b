"""The first two rounds of MinHash: which documents share a bucket, and their sets brought to these buckets.

Most documents share no bucket with another, and most pairs that share one share many. So the first round
sends only what meets another document, without its set, and the second sends a document with its set to
those of its buckets in which it has a pair that no earlier band has: a pair is measured once, except in
crowded buckets (`bucket_pairs`). Of documents of one set, which share all buckets, the best alone meets
others; those it stands for are brought to the bucket of the first band, without their set, to be paired with
it there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.kernels.candidates import crowded_bands, list_partners, needed_buckets
from corpusmill.dedup.matching.rules import Rules
from corpusmill.pipelines.contract.documents import contiguous
from corpusmill.pipelines.contract.known import KNOWN, known_rows
from corpusmill.pipelines.contract.survivors import FACTS, Index, ranks
from corpusmill.pipelines.contract.taken_rows import taken_values

LISTED = 16  # members of a bucket at most whose addresses are sent to one another


def candidates(rows: pa.Table, rules: Rules) -> pa.Table:
    """Of the rows of one partition (sorted by key), those of buckets of two or more documents, not all of
    which are of earlier runs.

    Columns: `unit`, `row`; `bucket` uint64, the key; `copy` bool, whether the document's set is also that of
    a better one, told in the bucket of the first band; `crowded` bool, whether the bucket has more documents
    than one is measured against; `partners` large_list<uint64>, addresses of documents
    that it may be measured against, null in a bucket of more than `LISTED`, or where pairs are not measured.
    """
    key = rows.column("key").to_numpy()
    same = key[1:] == key[:-1]
    rows = rows.filter(pa.array((np.append(same, False) | np.append(False, same))[: len(key)]))
    key = rows.column("key").to_numpy()
    cuts = np.flatnonzero(key[1:] != key[:-1]) + 1
    start = np.append(0, cuts)[: len(key)].astype(np.int64)
    count = np.diff(np.append(start, len(key)))
    if len(start):
        chosen = np.add.reduceat(~known_rows(rows), start, dtype=np.int64) > 0
        rows, count = rows.filter(pa.array(np.repeat(chosen, count))), count[chosen]
    rows = rows.combine_chunks()
    earlier = known_rows(rows)
    end = np.cumsum(count)
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    address = unit.astype(np.uint64) << np.uint64(32) | row
    ends, partners, known = list_partners(
        end - count,
        end,
        address,
        rows.column("size").to_numpy().astype(np.int64),
        earlier,
        rules.least_ratio,
        min(LISTED, rules.max_bucket) if rules.verify else 0,
    )
    lists = pa.LargeListArray.from_arrays(pa.array(ends), pa.array(partners), mask=pa.array(~known))
    found = pa.table(
        {
            "unit": unit,
            "row": row,
            "bucket": rows.column("key"),
            "copy": _copies(rows, np.repeat(np.arange(len(count)), count), rules),
            "crowded": np.repeat(count > rules.max_bucket + 1, count),
            "partners": lists,
        }
    )
    if KNOWN in rows.column_names:
        found = found.append_column(KNOWN, pa.array(earlier))
    return found.filter(pa.array(~known | (np.diff(ends) > 0)))


def _copies(rows: pa.Table, bucket: Index, rules: Rules) -> npt.NDArray[np.bool_]:
    """Which rows are of the first band and of a document whose set a better one of the bucket has too."""
    first = contiguous(rows.column("first"))
    at = np.flatnonzero(np.diff(first.offsets.to_numpy()))
    facts = pa.Table.from_batches([pa.RecordBatch.from_struct_array(first.flatten())])
    digest, bucket = facts.column("digest").to_numpy(), bucket[at]
    by = np.lexsort((digest, bucket))
    same = (digest[by][1:] == digest[by][:-1]) & (bucket[by][1:] == bucket[by][:-1])
    some = by[np.append(same, False) | np.append(False, same)] if len(by) else by
    for name in ("unit", "row"):
        facts = facts.append_column(name, rows.column(name).take(pa.array(at)))
    rank = ranks(facts.select(FACTS).take(pa.array(some)), rules.priority)
    some = some[np.lexsort((rank, digest[some], bucket[some]))]
    copy = np.zeros(rows.num_rows, bool)
    later = (digest[some][1:] == digest[some][:-1]) & (bucket[some][1:] == bucket[some][:-1])
    copy[at[some[1:][later]]] = True
    return copy


def bring(rows: pa.Table, side: pa.Table) -> pa.Table:
    """Rows of `candidates`, sorted by document, and the side row of each document, to rows for `find_pairs`.

    Columns: `key`, that of a bucket; `unit`, `row`; `id`, `source`, `bytes`, `digest`, `bands`, `shingles` as
    `Minhash.emit` keeps them, the last, packed or not, null of a document that has the set of a better one;
    `crowded`, for each of the bands whether its bucket is.
    """
    unit, row = (rows.column(name).to_numpy() for name in ("unit", "row"))
    new = np.append(True, (unit[1:] != unit[:-1]) | (row[1:] != row[:-1]))
    document = np.cumsum(new) - 1
    ends = np.append(np.flatnonzero(new), len(new))
    keys = contiguous(side.column("bands")).flatten().to_numpy().reshape(side.num_rows, -1)
    bucket = rows.column("bucket").to_numpy()
    partners = contiguous(rows.column("partners"))
    copy = rows.column("copy").to_numpy()
    needed = needed_buckets(
        ends,
        keys,
        bucket,
        copy,
        partners.offsets.to_numpy(),
        partners.values.to_numpy(),
        partners.is_valid().to_numpy(zero_copy_only=False),
    )
    earlier = known_rows(rows)
    a_copy = np.zeros(side.num_rows, bool)
    a_copy[document[copy]] = True
    needed &= ~(a_copy[document] & earlier)  # a better document of an earlier run has its set
    places, copies = document[needed], copy[needed]
    found = {"key": rows.column("bucket"), "unit": rows.column("unit"), "row": rows.column("row")}
    if KNOWN in rows.column_names:
        found[KNOWN] = rows.column(KNOWN)
    sent = pa.table(found).filter(pa.array(needed))
    facts = side.select(["id", "source", "bytes", "digest", "bands"]).take(pa.array(places))
    for name in facts.column_names:
        sent = sent.append_column(name, facts.column(name))
    crowded = crowded_bands(ends, keys, bucket, rows.column("crowded").to_numpy())[places]
    by_band = pa.FixedSizeListArray.from_arrays(pa.array(crowded.reshape(-1)), keys.shape[1])
    sets = taken_values(contiguous(side.column("shingles")), pa.array(places, mask=copies))
    return sent.append_column("crowded", by_band).append_column(side.schema.field("shingles"), sets)
