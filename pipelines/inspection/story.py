"""What `explain` tells of a document, as records: `explain --json` prints them field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from corpusmill.pipelines.inspection.passages import Differing
from corpusmill.pipelines.records.ledger import Tally

Scores = Mapping[str, Any]  # of one stage, as it named them


@dataclass(frozen=True)
class CutSpan:
    """A part that a mask cut: bytes `start` to `end` of the text in its dataset, why, which document keeps
    the text where one does, and the part's beginning."""

    start: int
    end: int
    reason: str
    survivor_id: str | None = None
    survivor_source: str | None = None
    excerpt: str = ""


@dataclass(frozen=True)
class ScoreLimit:
    """A limit that a filter held a score to: it removes what is `under` or `over` the `value` of `option`."""

    score: str
    side: Literal["under", "over"]
    value: float
    option: str

    def broken(self, score: Any) -> bool:
        """Whether a score is on its wrong side."""
        return bool(score < self.value if self.side == "under" else score > self.value)


@dataclass(frozen=True)
class DocumentEvent:
    """What one stage of a step said of a document: `verdict` is kept, removed or quarantined.

    `detail`: a fault's words; `survivor_id`, `survivor_source` and `similarity` of what is kept in place of a
    duplicate; `cut`: parts that were cut of it; `limits` on the scores, as the run had them for a document of
    its language.
    """

    step: str
    stage: str
    verdict: str
    reason: str | None = None
    scores: Scores = field(default_factory=dict)
    detail: str | None = None
    survivor_id: str | None = None
    survivor_source: str | None = None
    similarity: float | None = None
    cut: tuple[CutSpan, ...] = ()
    limits: tuple[ScoreLimit, ...] = ()


@dataclass(frozen=True)
class InputRange:
    """Bytes `start` to `end` of an input file, or rows, as its reader counts them."""

    file: str
    start: int
    end: int


@dataclass(frozen=True)
class Origin:
    """Where a document was read; `row` is None where it was never written. `inputs`: the range of a file that
    it is from; where that is not known, those its unit covers, the first, and how many more there are."""

    step: str
    unit: int
    row: int | None
    inputs: tuple[InputRange, ...] | None = None
    more_inputs: int | None = None


@dataclass(frozen=True)
class RowPlace:
    """A row of a step's dataset."""

    step: str
    unit: int
    row: int


@dataclass(frozen=True)
class EncodedRow:
    """A document as tokens: where it stands, how many tokens of how many bytes, and whether it is framed for
    fill-in-the-middle."""

    step: str
    unit: int
    row: int
    tokens: int
    bytes: int
    fim: bool


@dataclass(frozen=True)
class DrawnCopy:
    """A copy that the mixture drew, or the part of one that a phase takes: tokens `cut_from` to `cut_to`
    (None: its end) of the `tokens` that the copy is encoded as, framed for fill-in-the-middle (`fim`) or not.

    `phase`: its number in the mixture, and its name where it has several; `goes_on`: a later phase has the
    tokens behind."""

    epoch: int
    partition: int
    cut_to: int | None
    cut_from: int
    goes_on: bool
    phase: int
    phase_name: str | None
    tokens: int
    fim: bool

    @property
    def whole(self) -> bool:
        """Whether nothing of the copy is left out or in another phase."""
        return self.cut_to is None and self.cut_from == 0


@dataclass(frozen=True)
class ShardPiece:
    """A piece of a copy in a shard: tokens `start` to `start + length` of a row, from `offset` of the
    copy."""

    shard: str
    row: int
    start: int
    length: int
    offset: int
    epoch: int
    fim: bool


@dataclass(frozen=True)
class Survivor:
    """What became of the document that is kept in place of a duplicate."""

    id: str
    source: str | None
    outcome: str
    fate: str


@dataclass(frozen=True)
class Comparison:
    """What a removed document and its survivor have that the other lacks, in bytes of their texts as the step
    saw them; or (`not_shown`) why that cannot be told."""

    survivor_id: str
    removed: Differing | None = None
    survivor: Differing | None = None
    not_shown: str | None = None


@dataclass(frozen=True)
class DisplacedDocument:
    """A document that was removed in favour of another, its address in the view of all sources, and how the
    two differ."""

    unit: int
    row: int
    id: str
    source: str
    bytes: int
    reason: str
    similarity: float
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Displaced:
    """What a step removed in favour of one document: how much, also by source; and, after the first `skipped`
    in the order of ids, some of it."""

    step: str
    stage: str
    documents: int
    bytes: int
    sources: Mapping[str, Tally]
    skipped: int
    listed: tuple[DisplacedDocument, ...]


@dataclass
class Instance:
    """One time that a run read a document: what is known of it, where it was read, what was said of it, and
    its end. It is filled in while the document is followed.

    `bytes_left` and `excerpt` are of what is left where parts are cut. `outcome`: in_shards, not_drawn, kept,
    beside, removed or quarantined; `fate`: the same in a sentence.
    """

    bytes: int
    origin: Origin
    events: tuple[DocumentEvent, ...] = ()
    source: str | None = None
    domain: str | None = None
    url: str | None = None
    path: str | None = None
    repo: str | None = None
    license: str | None = None
    lang: str | None = None
    position: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    bytes_left: int | None = None
    excerpt: str | None = None
    place: RowPlace | None = None
    encoded: EncodedRow | None = None
    drawn: tuple[DrawnCopy, ...] | None = None
    pieces: tuple[ShardPiece, ...] | None = None
    survivors: tuple[Survivor, ...] = ()
    comparison: Comparison | None = None
    outcome: str = ""
    fate: str = ""

    @property
    def facts(self) -> list[tuple[str, str | None]]:
        """What its columns say of it, by name."""
        return [
            ("source", self.source),
            ("domain", self.domain),
            ("url", self.url),
            ("path", self.path),
            ("repo", self.repo),
            ("license", self.license),
            ("lang", self.lang),
            ("position", self.position),
        ]


@dataclass(frozen=True)
class Story:
    """A document's whole story: an instance for each time it was read, of which the first are told, and
    `left_out_of`, its losses in folds, whose artefacts are made without it; `displaced`: what was removed in
    its favour; `untold`: why nothing else is known of a document whose files were not kept."""

    id: str
    instances: tuple[Instance, ...]
    left_out_of: tuple[DocumentEvent, ...]
    more_instances: int = 0
    displaced: tuple[Displaced, ...] = ()
    untold: str | None = None
