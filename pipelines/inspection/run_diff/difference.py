"""What lies between two runs, as records: `inspect RUN --diff RUN2 --json` prints them field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

State = Literal["kept", "removed", "quarantined", "not_read"]
Direction = Literal["came", "went", "otherwise"]


@dataclass(frozen=True)
class Fate:
    """What a run made of a document: kept, removed or quarantined by a stage of a step for a reason, or never
    read."""

    state: State
    step: str | None = None
    stage: str | None = None
    reason: str | None = None

    @property
    def words(self) -> str:
        """`kept`, `not in the input`, or `stage: reason`."""
        if self.state == "kept":
            return "kept"
        if self.state == "not_read":
            return "not in the input"
        ending = " (quarantined)" if self.state == "quarantined" else ""
        return f"{self.stage}: {self.reason}{ending}" if self.reason else f"{self.stage}{ending}"


@dataclass(frozen=True)
class OptionChange:
    """What a step does otherwise: an option of a stage with its values as JSON, None where it has none; or
    `what` else changed (`code`, `input`, `stage`, `seed`, a library), told by `words`."""

    step: str
    what: str
    before: str | None
    after: str | None
    words: str


@dataclass(frozen=True)
class Amount:
    """Documents, bytes of their texts, and tokens; None where a run has not encoded them."""

    documents: int
    bytes: int
    tokens: int | None


@dataclass(frozen=True)
class SourceChange:
    """What is kept of a source before and after, and what came and went. `edited`: kept by both, with texts
    of other lengths."""

    source: str
    before: Amount
    after: Amount
    came: Amount
    went: Amount
    edited: int


@dataclass(frozen=True)
class FateChange(Amount):
    """Documents of a source of which two runs made something else: amounts where they are kept, or else as
    they left. `otherwise`: removed by both, for another reason."""

    direction: Direction
    source: str
    before: Fate
    after: Fate


@dataclass(frozen=True)
class ShareChange:
    """Share and tokens of a source, or of a group of a phase, in the mixtures; None where there is none."""

    name: str
    share_before: float | None
    share_after: float | None
    tokens_before: int | None
    tokens_after: int | None


@dataclass(frozen=True)
class ChangedDocument:
    """A document that came or went. `text`: the beginning of what is kept of it; `why_not` where it cannot be
    read. `place`: its URL or path."""

    direction: Direction
    source: str
    id: str
    bytes: int
    before: Fate
    after: Fate
    place: str | None
    text: str | None
    why_not: str | None


@dataclass(frozen=True)
class RunDifference:
    """From one run to another. `read_*`: documents that each read and knew by id; `kept_by_both`; `notes`:
    what stands in the way of a fair comparison. Changes stand with most documents first."""

    KIND: ClassVar[str] = "difference"

    before: str
    after: str
    read_before: int
    read_after: int
    kept_by_both: int
    options: tuple[OptionChange, ...]
    sources: tuple[SourceChange, ...]
    changes: tuple[FateChange, ...]
    shares: tuple[ShareChange, ...]
    examples: tuple[ChangedDocument, ...]
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        from corpusmill.pipelines.inspection.run_diff.rendering import html_of_difference

        return html_of_difference(self)
