"""The token shard: one Arrow IPC *file* of fixed-length rows of token ids and the pieces they are made of.

Columns, one row a training sequence of L = `sequence_length` tokens:

- `tokens`: fixed_size_list<uint16 or uint32>[L]; padding, if any, stands at the end of the row.
- `pieces`: list<struct>, in the order they stand in the row: `start` and `length` (int32, tokens of the
  row), `source` (uint16, index into the metadata's `sources`), `fim` (bool: the document is framed for
  fill-in-the-middle), `document` (16 bytes, the document's id), `offset` (int32: where in the document's
  tokens the piece begins), `epoch` (int32: which copy of the document).

The schema's metadata holds one JSON value a key: `format` ("corpusmill-shard-3"), `sequence_length`, `rows`,
`vocab_size` (every id is below it), `model_vocab_size` (ids a model makes room for; left out where it is
`vocab_size`; the larger of both decides between uint16 and uint32), `special_tokens` (role -> id), `pad_id`,
`eos_id`, `bos_id` (null where there is none), `tokenizer` (SHA-256 of tokenizer.json), `encoder` (which
library encoded the documents), `cut` (documents of which the mixture took the beginning only: document,
epoch, source, tokens taken and tokens `of` the whole), `seed`, `partition`, `split` ("train" or "held_out":
documents that no model may be trained on), `phase` ({"number", "name"} of the mixture's phase that all rows
belong to; 0 and null without phases), `add_bos` and `add_eos` (whether every document begins with bos and
ends with eos, see `shards.framing`), `method`, `sources` (names), `rows_per_batch`, `tokens_xxh3` (hex, over
the token matrix), and `counts`: those of `records.shard_counts.ShardCounts`; a document counts once for each
copy, and of one that is cut, bytes are what its tokens spell.

Every record batch but the last holds `rows_per_batch` rows, so row i is found without a search, and is read
from the memory map without a copy. An IPC *file* ends in a footer: a shard cut short does not open. A shard
proves itself, wherever it is copied: `batches_xxh3` holds a checksum of every record batch, tokens and
pieces, and `metadata_xxh3` one of all other metadata. Readers compare the latter when they open a shard, and
each batch when a row of it is first read. Format 2, which readers take as well, has no `phase`, `add_bos` and
`add_eos`. docs/shards.md describes the format for those who read it without corpusmill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.pipelines.storage.checked_ipc import compact
from corpusmill.pipelines.storage.sealed import canonical

FORMAT = "corpusmill-shard-3"
READ = (FORMAT, "corpusmill-shard-2")  # formats that readers take
BATCH_BYTES = 8 * 2**20  # of tokens in a record batch
TRAIN, HELD_OUT = "train", "held_out"  # what `split` may say
_NAMES = {TRAIN: "shard", HELD_OUT: "heldout"}


class Phase(NamedTuple):
    """The phase of the mixture that a shard belongs to: 0 and None where the recipe has no phases."""

    number: int
    name: str | None


def shard_name(partition: int, split: str = TRAIN) -> str:
    return f"{_NAMES[split]}-{partition:05d}.arrow"


def token_digest(rows_RL: npt.NDArray[np.unsignedinteger[Any]]) -> str:
    """XXH3-64 of a token matrix's bytes, 16 hex digits."""
    return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(rows_RL).view(np.uint8).reshape(-1).data)


def batch_digest(batch: pa.RecordBatch) -> str:
    """XXH3-64 of a record batch's serialisation, its tokens and pieces, 16 hex digits."""
    return xxhash.xxh3_64_hexdigest(batch.serialize())


def metadata_digest(facts: Mapping[str, Any]) -> str:
    """XXH3-64 of a shard's metadata but `metadata_xxh3`, 16 hex digits."""
    return xxhash.xxh3_64_hexdigest(canonical({k: v for k, v in facts.items() if k != "metadata_xxh3"}))


def write_shard(
    path: Path,
    rows_RL: npt.NDArray[np.unsignedinteger[Any]],
    pieces: pa.StructArray,
    ends_R: npt.NDArray[np.int32],
    metadata: Mapping[str, Any],
) -> None:
    """Write a shard.

    rows_RL uint16 or uint32 [R, L]; row r has `pieces[ends_R[r]:ends_R[r + 1]]` (type PIECE; ends_R
    int32[R + 1]); `metadata` is what the format asks for except `format`, `rows`,
    `sequence_length`, `rows_per_batch` and checksums. Memory: the rows, and two copies of one batch.
    """
    count, length = rows_RL.shape
    per_batch = max(1, BATCH_BYTES // (length * rows_RL.itemsize))
    facts = {
        "format": FORMAT,
        **metadata,
        "sequence_length": length,
        "rows": count,
        "rows_per_batch": per_batch,
        "tokens_xxh3": token_digest(rows_RL),
    }
    token = pa.field("item", pa.from_numpy_dtype(rows_RL.dtype), nullable=False)
    bare = pa.schema(
        [
            pa.field("tokens", pa.list_(token, length), nullable=False),
            pa.field("pieces", pa.list_(pa.field("item", PIECE, nullable=False)), nullable=False),
        ]
    )

    def batch(first: int) -> pa.RecordBatch:
        last = min(first + per_batch, count)
        ends = ends_R[first : last + 1]
        tokens = pa.array(rows_RL[first:last].reshape(-1))
        columns = [
            pa.FixedSizeListArray.from_arrays(tokens, type=bare.field("tokens").type),
            pa.ListArray.from_arrays(
                pa.array(ends - ends[0]),
                pieces.slice(int(ends[0]), int(ends[-1] - ends[0])),
                type=bare.field("pieces").type,
            ),
        ]
        return compact(pa.record_batch(columns, schema=bare), bare)

    firsts = range(0, count, per_batch)
    facts["batches_xxh3"] = [batch_digest(batch(first)) for first in firsts]
    facts["metadata_xxh3"] = metadata_digest(facts)
    encoded = {key: json.dumps(value, ensure_ascii=False, sort_keys=True) for key, value in facts.items()}
    with pa.ipc.new_file(path, bare.with_metadata(encoded)) as writer:
        for first in firsts:
            writer.write_batch(batch(first).replace_schema_metadata(encoded))
