"""The limits that a run's filters held scores to, for those who look at scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pydantic import ValidationError

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.pipelines.contract.rules import LIMITS, NOT_JUDGED
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.contract.thresholds import Line
from corpusmill.pipelines.inspection.run_record import RunRecord, SourceRecord
from corpusmill.pipelines.inspection.scored import Link, chain_of, filter_of
from corpusmill.pipelines.inspection.story import DocumentEvent, ScoreLimit


def lines_of(link: Link) -> Sequence[Line]:
    """The limits of a filter as the run had it; none of a filter whose code is not at hand."""
    try:
        kind = filter_of(link)
        return kind.model_validate(dict(link.key.options)).lines() if issubclass(kind, Filter) else ()
    except (CorpusmillError, ValidationError):
        return ()


def with_limits(
    record: RunRecord, source: SourceRecord, events: Iterable[DocumentEvent]
) -> tuple[DocumentEvent, ...]:
    """`events` of a document of `source`, with the limits beside their scores."""
    lines: Mapping[tuple[str, str], Sequence[Line]] = {
        (link.step.name, link.name): lines_of(link) for link in chain_of(record, source).links
    }
    return tuple(_with(event, lines.get((event.step, event.stage), ())) for event in events)


def _with(event: DocumentEvent, lines: Sequence[Line]) -> DocumentEvent:
    """A filter with limits by language tells which it held the document to, in a score of its own."""
    group = event.scores.get(LIMITS)
    if group == NOT_JUDGED:
        return event
    limits = tuple(
        ScoreLimit(line.score, line.side, line.value, line.option)
        for line in lines
        if line.group == group and event.scores.get(line.score) is not None
    )
    return replace(event, limits=limits)
