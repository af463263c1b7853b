"""What `inspect` finds, as records: `inspect --json` prints them field by field, with their `kind`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from corpusmill.pipelines.inspection.held_out_facts import HeldOutFacts
from corpusmill.pipelines.inspection.mixture_facts import MixtureFacts, PackingFacts
from corpusmill.pipelines.inspection.recall import Recall
from corpusmill.pipelines.inspection.removed_rows import CutRow, PairRow, RemovedRow
from corpusmill.pipelines.inspection.run_record import State
from corpusmill.pipelines.inspection.score_histograms import ScoreDistribution
from corpusmill.pipelines.inspection.shard_files import ShardStatistics
from corpusmill.pipelines.inspection.window_facts import RunWindows
from corpusmill.pipelines.records.graph import GraphStage
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.records.mixture_windows import MixtureWindows
from corpusmill.pipelines.records.opaque import Row, Summary
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.records.summary_table import SummaryTable
from corpusmill.pipelines.records.tokenizer_figures import InspectedTokenizer
from corpusmill.pipelines.storage.clusters import Clusters


@dataclass(frozen=True)
class StepLine:
    """A step of a run in brief. Units of an unfinished one are those committed; it has no rows and bytes."""

    name: str
    state: State
    operator: str | None
    stages: tuple[str, ...]
    units: int
    rows: int | None
    bytes: int | None


@dataclass(frozen=True)
class SourceLine:
    """Documents and bytes of a source: read, and left after everything done so far."""

    domain: str
    documents_read: int
    bytes_read: int
    documents: int
    bytes: int


@dataclass(frozen=True)
class FoundRun:
    """A run: its steps, its sources, and what of it is held out, drawn and packed, None before it is;
    `windows`: shares of sources by shard and by window of the training order.

    `until`: what the last run was asked for; empty: all of the recipe.
    """

    KIND: ClassVar[str] = "run"

    path: str
    name: str
    seed: int
    steps: tuple[StepLine, ...]
    sources: Mapping[str, SourceLine]
    held_out: HeldOutFacts | None
    mixture: MixtureFacts | None
    packing: PackingFacts | None
    windows: RunWindows | None
    until: tuple[str, ...]
    stale: tuple[str, ...]


@dataclass(frozen=True)
class FoundUnfinishedStep:
    """A step's folder without a manifest: how many units of it are committed. `version`: see `inspect`."""

    KIND: ClassVar[str] = "step"

    path: str
    name: str
    state: Literal["unfinished"]
    version: str | None
    units: int


@dataclass(frozen=True)
class FoundStep:
    """A complete step: its manifest in brief, and the first of its files and summaries, with the `tables`
    that these hold.

    `not_kept`: the recipe's `keep` where files were removed after use, which are listed all the same.
    `clusters`: of a step that removes duplicates, None of any other; `recall`: where it was asked for.
    """

    KIND: ClassVar[str] = "step"

    path: str
    name: str
    state: Literal["complete"]
    version: str | None
    operator: str
    stages: tuple[GraphStage, ...]
    fingerprint: str
    versions: Mapping[str, str]
    units: int
    rows: int
    bytes: int
    files: int
    not_kept: str | None
    first_files: tuple[FileEntry, ...]
    ledger: tuple[LedgerEntry, ...]
    summaries: tuple[Summary, ...]
    clusters: Clusters | None = None
    recall: Recall | None = None
    tables: tuple[SummaryTable, ...] = ()


@dataclass(frozen=True)
class FoundTable:
    """Any other table: types by column, and the first rows. `parts`: row groups or record batches."""

    KIND: ClassVar[str] = "table"

    path: str
    rows: int
    parts: int
    columns: Mapping[str, str]
    first_rows: tuple[Row, ...]
    version: str | None


@dataclass(frozen=True)
class FoundDataset:
    """Documents: `counts` of their values by column, columns of `scores`, and the first documents."""

    KIND: ClassVar[str] = "dataset"

    path: str
    bytes: int
    rows: int
    parts: int
    text_bytes: int
    columns: Mapping[str, str]
    scores: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    first_rows: tuple[Row, ...]
    version: str | None


@dataclass(frozen=True)
class EncodedSource:
    """Documents and tokens of a source in a file."""

    documents: int
    tokens: int


@dataclass(frozen=True)
class FoundEncoded:
    """Encoded documents; in `first_rows` the number of tokens stands for these. `fim_documents`: framed for
    fill-in-the-middle."""

    KIND: ClassVar[str] = "encoded dataset"

    path: str
    bytes: int
    rows: int
    fim_documents: int
    sources: Mapping[str, EncodedSource]
    first_rows: tuple[Row, ...]
    version: str | None


@dataclass(frozen=True)
class RemovedReason:
    """Documents and bytes that a stage removed or quarantined (`kind`) for a reason."""

    stage: str
    kind: str
    reason: str
    documents: int
    bytes: int


@dataclass(frozen=True)
class FoundRemoved:
    """Removed documents by reason, and the first with an excerpt."""

    KIND: ClassVar[str] = "removed documents"

    path: str
    rows: int
    reasons: tuple[RemovedReason, ...]
    first_rows: tuple[RemovedRow, ...]
    version: str | None


@dataclass(frozen=True)
class CutReason:
    """Spans and bytes that a stage cut for a reason."""

    stage: str
    reason: str
    spans: int
    bytes: int


@dataclass(frozen=True)
class FoundCuts:
    """Parts cut from documents by reason, and the first with an excerpt."""

    KIND: ClassVar[str] = "cuts"

    path: str
    rows: int
    reasons: tuple[CutReason, ...]
    first_rows: tuple[CutRow, ...]
    version: str | None


@dataclass(frozen=True)
class FoundPairs:
    """Pairs of duplicates by reason and by tenth of similarity, and the first of them."""

    KIND: ClassVar[str] = "pairs"

    path: str
    rows: int
    reasons: Mapping[str, int]
    similarity: Mapping[str, int]
    first_rows: tuple[PairRow, ...]
    version: str | None


@dataclass(frozen=True)
class ShownPiece:
    """A piece of a shard's row: tokens `start` to `start + length`, from `offset` of its document's copy.
    `source` is None where the shard does not name it; `text`: None where the shard is not decoded."""

    start: int
    length: int
    offset: int
    fim: bool
    epoch: int
    document: str
    source: str | None
    text: str | None = None


@dataclass(frozen=True)
class ShownRow:
    """A row of a shard: its number, first token ids, padding, and the pieces it is made of."""

    row: int
    first_tokens: tuple[int, ...]
    padding: int
    pieces: tuple[ShownPiece, ...]


@dataclass(frozen=True)
class FoundShard:
    """A token shard: what its metadata says, its counts and the shares made of them, and the first rows.
    `decoded` says with which tokenizer rows were decoded, or why with none. `windows`: shares of sources in
    rows that follow one another, None of a shard that is held out."""

    KIND: ClassVar[str] = "token shard"

    path: str
    bytes: int
    metadata: Summary
    counts: Summary
    statistics: ShardStatistics
    windows: MixtureWindows | None
    decoded: str
    first_rows: tuple[ShownRow, ...]
    version: str | None


@dataclass(frozen=True)
class FoundScores:
    """How the scores of a run's filters, or of those of one step, are distributed."""

    KIND: ClassVar[str] = "scores"

    path: str
    scores: tuple[ScoreDistribution, ...]


Found = (
    FoundRun
    | FoundScores
    | FoundUnfinishedStep
    | FoundStep
    | FoundTable
    | FoundDataset
    | FoundEncoded
    | FoundRemoved
    | FoundCuts
    | FoundPairs
    | FoundShard
    | InspectedTokenizer
)
