"""Token shards as the run wrote them: where they lie, their metadata, and statistics of their counts.

A shard is an Arrow IPC file with columns `tokens` (fixed_size_list of uint16 or uint32) and `pieces`, whose
schema metadata holds one JSON value a key, `counts` among them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusmill.pipelines.contract.errors import IntegrityError, UserError, damaged
from corpusmill.pipelines.contract.given import SHARDS
from corpusmill.pipelines.contract.given_tables import SHARD_COLUMNS
from corpusmill.pipelines.records.opaque import Summary
from corpusmill.pipelines.records.shard_counts import PartitionCounts, ShardCounts
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder


def is_shard(schema: pa.Schema) -> bool:
    return set(SHARD_COLUMNS) <= set(schema.names) and b"sequence_length" in (schema.metadata or {})


def metadata(path: Path) -> Summary:
    """The shard's metadata. Raises IntegrityError naming a file that is no shard."""
    try:
        with pa.memory_map(str(path)) as source:
            schema = ipc.open_file(source).schema
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(f"{path}: {error}") from error
    if not is_shard(schema):
        raise IntegrityError(f"{path}: not a token shard")
    return {key.decode(): json.loads(value) for key, value in schema.metadata.items()}


@dataclass(frozen=True)
class ShardTotals:
    """Counts of shards added up, copies of documents included."""

    rows: int
    tokens: int
    padding: int
    documents: int
    fim_documents: int
    pieces: int


@dataclass(frozen=True)
class SourceTokens:
    """Tokens and documents of a source in shards, its share of all tokens without padding, and the share of
    its documents that is framed; None of nothing, and of shards that do not count it."""

    tokens: int
    documents: int
    share: float | None
    fim_rate: float | None


@dataclass(frozen=True)
class ShardStatistics(ShardTotals):
    """Counts of shards, and the shares people ask for.

    `padding_share` is of all places, `fim_rate` of documents, `divided_share` (in more than one row) too,
    and `behind_others_share` (tokens with another document before them in their row) of tokens; a share of
    nothing, and one that the shards do not count, is None. `held_out`: the same totals of what lies in shards
    of its own, to be judged on.
    """

    padding_share: float | None
    fim_rate: float | None
    divided_share: float | None
    behind_others_share: float | None
    pieces_per_row: float | None
    held_out: ShardTotals
    sources: Mapping[str, SourceTokens]


def _totals(counts: Sequence[ShardCounts]) -> ShardTotals:
    return ShardTotals(
        rows=sum(one.rows for one in counts),
        tokens=sum(one.tokens for one in counts),
        padding=sum(one.padding for one in counts),
        documents=sum(one.documents for one in counts),
        fim_documents=sum(one.fim_documents for one in counts),
        pieces=sum(one.pieces for one in counts),
    )


def statistics(counts: Sequence[PartitionCounts]) -> ShardStatistics:
    """Statistics of shards from their counts."""
    totals = _totals(counts)
    tokens: Counter[str] = Counter()
    documents: Counter[str] = Counter()
    framed: Counter[str] = Counter()
    for one in counts:
        tokens.update(one.tokens_by_source)
        documents.update(one.documents_by_source)
        framed.update(one.fim_documents_by_source)
    places = totals.tokens + totals.padding
    divided = [one.divided_documents for one in counts if one.divided_documents is not None]
    behind = [one.tokens_behind_others for one in counts if one.tokens_behind_others is not None]
    counted = len(divided) == len(counts)
    return ShardStatistics(
        **vars(totals),
        padding_share=totals.padding / places if places else None,
        fim_rate=totals.fim_documents / totals.documents if totals.documents else None,
        divided_share=sum(divided) / totals.documents if counted and totals.documents else None,
        behind_others_share=sum(behind) / totals.tokens if counted and totals.tokens else None,
        pieces_per_row=totals.pieces / totals.rows if totals.rows else None,
        held_out=_totals([one.held_out for one in counts if one.held_out is not None]),
        sources={
            source: SourceTokens(
                count,
                documents[source],
                count / totals.tokens if totals.tokens else None,
                framed[source] / documents[source] if source in framed and documents[source] else None,
            )
            for source, count in sorted(tokens.items())
        },
    )


def shards_at(what: Path) -> dict[str, list[Path]]:
    """Token shards by what they are for, `train` and `held_out`: of a run, its step, a folder, or one file.

    Raises UserError where there are none.
    """
    from corpusmill.pipelines.inspection.run_record import load_record

    run = RunFolder(what)
    if what.is_dir() and run.begun:
        step = load_record(run).complete_giving(SHARDS)
        if step is None:
            raise UserError(f"{what}: the run has no shards yet; run its recipe further")
        files = sorted(step.data.verified().glob("*.arrow"))
    elif (what / "manifest.json").is_file():
        files = sorted(StepFolder(what).verified().glob("*.arrow"))
    else:
        files = sorted(what.glob("*.arrow")) if what.is_dir() else [what] if what.is_file() else []
    found = {
        "train": [file for file in files if not file.name.startswith("heldout-")],
        "held_out": [file for file in files if file.name.startswith("heldout-")],
    }
    if not files:
        raise UserError(
            f"{what}: no token shards (*.arrow); give a run, its step that packs, a folder or a shard"
        )
    return found
