"""Export shards to Parquet for Hugging Face `datasets`: `<shard>.parquet` a shard, and a README with splits.

`load_dataset("OUT")` gives the splits `train` and `test` (what is held out); with phases a config each,
`load_dataset("OUT", "phase-0")`. Columns: `input_ids` (list of uint16 or uint32; rows keep their padding,
documents have none), and of each piece of the sequence, in order, lists of its `length`, `document` (the id,
32 hex digits), `source`, `epoch`, `offset` and `fim`. Pages have checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.tokenizer.export.sequences import Sequences, Tokens
from corpusmill.tokenizer.export.shards import ShardFormat, ShardSet, shard_export

_BATCH_TOKENS = 2**20  # of a row group


def write_token_dataset(shards: Iterator[Sequences], one: ShardSet, folder: Path) -> Sequence[Path]:
    """Write a file a shard. Memory: a row group of a million tokens, or one sequence."""
    made: list[Path] = []
    for sequences in shards:
        path = folder / f"{sequences.shard.path.stem}.parquet"
        schema = _schema(sequences)
        with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
            for first, last in _groups(sequences.lengths()):
                writer.write_table(_table(sequences, first, last, schema))
        made.append(path)
    return made


def _schema(sequences: Sequences) -> pa.Schema:
    pieces = {
        "length": pa.int32(),
        "document": pa.string(),
        "source": pa.string(),
        "epoch": pa.int32(),
        "offset": pa.int32(),
        "fim": pa.bool_(),
    }
    return pa.schema(
        {
            "input_ids": pa.list_(pa.from_numpy_dtype(sequences.shard.dtype)),
            **{name: pa.list_(kind) for name, kind in pieces.items()},
        }
    )


def _groups(length_n: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[tuple[int, int]]:
    """Ranges of sequences of about `_BATCH_TOKENS` tokens."""
    number_n = np.cumsum(length_n) // _BATCH_TOKENS
    bounds = [0, *(np.flatnonzero(np.diff(number_n)) + 1).tolist(), len(length_n)]
    return ((first, last) for first, last in pairwise(bounds) if last > first)


def _table(sequences: Sequences, first: int, last: int, schema: pa.Schema) -> pa.Table:
    tokens = [sequences.tokens(number) for number in range(first, last)]
    ends = np.cumsum([0, *(len(one) for one in tokens)]).astype(np.int32)
    columns = [pa.ListArray.from_arrays(pa.array(ends), pa.array(np.concatenate(tokens)))]
    bounds = sequences.ends[first : last + 1]
    pieces = sequences.pieces.slice(int(bounds[0]), int(bounds[-1] - bounds[0]))
    offsets = pa.array((bounds - bounds[0]).astype(np.int32))
    names = sequences.shard.metadata["sources"]
    for field in list(schema)[1:]:
        column = pieces.column(field.name)
        if field.name == "document":
            values = pa.array([one.hex() for one in column.to_pylist()], pa.string())
        elif field.name == "source":
            values = pa.array([names[code] for code in column.to_pylist()], pa.string())
        else:
            values = column.combine_chunks()
        columns.append(pa.ListArray.from_arrays(offsets, values))
    return pa.Table.from_arrays(columns, schema=schema)


def read_token_dataset(folder: Path, one: ShardSet) -> Iterator[Tokens]:
    """The ids of each file, row group by row group; all columns are read, so that their pages are checked."""
    for shard in one.paths:
        with pq.ParquetFile(folder / f"{shard.stem}.parquet", page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                for column in file.read_row_group(group).column("input_ids").chunks:
                    for ids in column:
                        yield ids.values.to_numpy()


def read_me(sets: Sequence[ShardSet]) -> dict[str, str]:
    """README.md with the configs and splits, in the front matter that `datasets` reads."""
    configs: dict[str, list[tuple[str, str]]] = {}
    for one in sets:
        part, _, phase = one.folder.partition("/")
        split = "train" if part == "train" else "test"
        configs.setdefault(phase or "default", []).append((split, one.folder))
    lines = ["---", "configs:"]
    for config, places in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, place in places:
            lines += [f"  - split: {split}", f"    path: {place}/*.parquet"]
    lines += ["---", "", "Token sequences; `corpusmill.json` says what the ids mean.", ""]
    return {"README.md": "\n".join(lines)}


EXPORT = shard_export(
    ShardFormat(write_token_dataset, read_token_dataset, ("rows", "documents"), padded=True, beside=read_me)
)
