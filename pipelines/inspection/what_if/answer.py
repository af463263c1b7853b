"""What `what-if` answers, as records: `what-if --json` prints them field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from corpusmill.pipelines.inspection.story import Scores


@dataclass(frozen=True)
class Amount:
    """Documents, bytes of their texts and tokens. `tokens` is None where nothing was encoded; `counted` of
    the documents have their tokens counted, those of the others are estimated from their bytes."""

    documents: int = 0
    bytes: int = 0
    tokens: int | None = None
    counted: int = 0


@dataclass(frozen=True)
class SideReason:
    """Documents of a language that change sides for one reason: the filter, and its reason, before for what
    would come in, after for what would go."""

    stage: str
    reason: str
    lang: str
    documents: int
    bytes: int


@dataclass(frozen=True)
class SourceAnswer:
    """What would become of one source.

    - `came`: documents and bytes that came to the first of the filters that change.
    - `kept`: of these, what the run keeps now, masks applied.
    - `removed`: of `kept`, what a filter would now remove. `removed_before_a_mask`: what it would remove that
      a mask removes today, so that nothing of the result changes by it itself.
    - `passed`: what a filter removed and would let pass. `last`: whether no stage stands behind the filters
      that change, so that what passes is kept. `unjudged_by`: the stages behind them, which have not seen it.
    - `otherwise`: documents that are removed now and then, but elsewhere or for another reason.
    - `removed_by`, `passed_by`: the same by filter, reason and language, most documents first.
    - `unlike`: verdicts of the run which its own thresholds do not give of the stored scores.
    """

    came: Amount
    kept: Amount
    removed: Amount
    removed_before_a_mask: Amount
    passed: Amount
    last: bool
    unjudged_by: tuple[str, ...]
    otherwise: int
    removed_by: tuple[SideReason, ...]
    passed_by: tuple[SideReason, ...]
    unlike: int


@dataclass(frozen=True)
class Displaced:
    """Documents that a deduplication removed in favour of ones that would go: `survivors` of these, and the
    `documents` and `bytes` removed for them that would still come to it.

    Of each survivor's documents one comes back at least: `at_least` in all. Whether the others are duplicates
    of that one was not stored, unless all equal the survivor."""

    step: str
    survivors: int
    documents: int
    bytes: int
    at_least: int
    at_most: int


@dataclass(frozen=True)
class Example:
    """A document that changes sides. `reason` is why it would go, or why it went; `text` None where it cannot
    be read, with the cause in `why_not`."""

    direction: Literal["removed", "passed"]
    source: str
    id: str
    lang: str | None
    bytes: int
    stage: str
    reason: str
    scores: Scores
    text: str | None
    why_not: str | None


@dataclass(frozen=True)
class ChangedOption:
    """An option: its value in the run, and the one asked about."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Answer:
    """The answer as a whole. `not_known`: what of it cannot be told, and why; `seconds` it took."""

    run: str
    changes: tuple[ChangedOption, ...]
    sources: Mapping[str, SourceAnswer]
    displaced: tuple[Displaced, ...]
    examples: tuple[Example, ...]
    not_known: tuple[str, ...]
    command: str
    seconds: float


@dataclass(frozen=True)
class SweptValue:
    """One value of a threshold: documents and bytes that its filter lets pass; of them those that the run
    keeps, those that stages behind it removed, and those that no stage behind it has judged."""

    value: float
    passed: Amount
    kept: Amount
    removed_later: Amount
    unjudged: Amount


@dataclass(frozen=True)
class SweptSource:
    """A curve of one source, over the documents that came to the filter; `now`: the value of the run."""

    came: Amount
    now: float | None
    values: tuple[SweptValue, ...]


@dataclass(frozen=True)
class Sweep:
    """Curves of the kept share against a threshold, by source."""

    run: str
    key: str
    sources: Mapping[str, SweptSource]
    not_known: tuple[str, ...]
    seconds: float
