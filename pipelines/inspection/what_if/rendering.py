"""Answers of `what-if` as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.blocks import stacked
from corpusmill.pipelines.inspection.what_if.answer import (
    Amount,
    Answer,
    Displaced,
    Example,
    SideReason,
    SourceAnswer,
    Sweep,
    SweptSource,
)

_REASONS = 12  # shown of each source and direction; --json has all
_WIDTH = 40  # of a bar
_COLUMNS = 110


def render_answer(answer: Answer) -> str:
    """The whole answer."""
    lines = [f"what if, in {answer.run}:"]
    lines += [
        f"  {change.key}: {_value(change.before)} -> {_value(change.after)}" for change in answer.changes
    ]
    for name, source in answer.sources.items():
        lines += ["", *_source(name, source)]
    for one in answer.displaced:
        lines += ["", *_wrapped(_displaced(one))]
    if answer.not_known:
        lines += ["", "not known:", *(line for one in answer.not_known for line in _wrapped(f"- {one}"))]
    for example in answer.examples:
        lines += ["", *_example(example)]
    lines += ["", f"answered in {text.duration(answer.seconds)} from stored scores; to run it:"]
    return "\n".join([*lines, f"  {answer.command}"])


def _value(value: object) -> str:
    return "null" if value is None else text.printable(str(value), 80)


def _source(name: str, found: SourceAnswer) -> list[str]:
    rows = [
        ("came to the filter", *_amount(found.came)),
        ("kept by the run", *_amount(found.kept)),
        ("- would go", *_amount(found.removed)),
        ("+ would pass", *_amount(found.passed)),
    ]
    lines = [text.table((name, "documents", "bytes", "tokens"), rows, "  ")]
    if found.passed.documents:
        lines += _wrapped(_after(found), "  ")
    if found.removed_before_a_mask.documents:
        count = found.removed_before_a_mask.documents
        told = f"{count:,} more would go that a later step removes today: nothing changes by them themselves."
        lines += _wrapped(told, "  ")
    if found.otherwise:
        lines += _wrapped(
            f"{found.otherwise:,} stay removed, but by another filter or for another reason.", "  "
        )
    lines += _reasons("would go, by", found.removed_by) + _reasons("would pass, by", found.passed_by)
    return lines


def _amount(found: Amount) -> tuple[int, str, str]:
    if found.tokens is None:
        tokens = "-"
    elif found.counted == found.documents:
        tokens = f"{found.tokens:,}"
    else:
        tokens = f"about {found.tokens:,}"
    return found.documents, text.size(found.bytes), tokens


def _after(found: SourceAnswer) -> str:
    new, stay = found.passed.documents, found.kept.documents - found.removed.documents
    if found.last:
        return f"No stage stands behind: {stay + new:,} documents would be kept."
    behind = ", ".join(found.unjudged_by)
    return (
        f"What would pass was judged by no stage behind ({behind}): between {stay:,} and {stay + new:,} of "
        "these documents would be kept."
    )


def _reasons(head: str, reasons: Sequence[SideReason]) -> list[str]:
    if not reasons:
        return []
    rows = [
        (one.stage, text.reason(one.reason), one.lang, one.documents, text.size(one.bytes))
        for one in reasons[:_REASONS]
    ]
    lines = ["", text.table((head, "reason", "lang", "documents", "bytes"), rows, "  ")]
    if len(reasons) > _REASONS:
        lines.append(f"  and {len(reasons) - _REASONS} more rows (--json)")
    return lines


def _displaced(one: Displaced) -> str:
    back = (
        f"{one.at_least:,} would come back"
        if one.at_least == one.at_most
        else f"between {one.at_least:,} and {one.at_most:,} would come back; which of them are duplicates of "
        "one another was not stored"
    )
    return (
        f"{one.step}: {one.survivors:,} of what would go are survivors of {one.documents:,} documents "
        f"({text.size(one.bytes)}) that were removed for them; {back}."
    )


def _example(one: Example) -> list[str]:
    verb = "would go" if one.direction == "removed" else "would pass; it was removed"
    head = f"--- {one.source}: {one.id} {verb}: {one.stage}, {text.reason(one.reason)}"
    scores = ", ".join(
        f"{name} {text.count(value) if isinstance(value, (int, float)) else value}"
        for name, value in one.scores.items()
        if value is not None
    )
    lines = [*_wrapped(head), *_wrapped(f"{one.lang or '(unknown)'}, {text.size(one.bytes)}; {scores}", "  ")]
    if one.text is None:
        return [*lines, *_wrapped(f"its text cannot be shown: {one.why_not}", "  ")]
    return [*lines, "", *one.text.splitlines()]


def _wrapped(line: str, indent: str = "") -> list[str]:
    return textwrap.wrap(line, _COLUMNS, initial_indent=indent, subsequent_indent=f"{indent}  ")


def render_sweep(found: Sweep) -> str:
    """Every curve, a line a value."""
    lines = [f"{found.key}, in {found.run}:"]
    for name, source in found.sources.items():
        lines += ["", *_curve(name, source)]
    if found.not_known:
        lines += ["", "not known:", *(line for one in found.not_known for line in _wrapped(f"- {one}"))]
    return "\n".join([*lines, "", f"answered in {text.duration(found.seconds)} from stored scores"])


def _curve(name: str, source: SweptSource) -> list[str]:
    came = source.came
    lines = [
        f"{name}: of {came.documents:,} documents ({text.size(came.bytes)}) that came to the filter it lets "
        "pass, of bytes in the second bar:",
        "  █ kept by the run   ▒ removed behind it   ░ judged by no stage behind it",
        "",
    ]
    values = [one.value for one in source.values]
    nearest = None if source.now is None else min(values, key=lambda value: abs(value - (source.now or 0)))
    width = max(len(f"{value:g}") for value in values)
    for one in source.values:
        parts = (one.kept, one.removed_later, one.unjudged)
        documents = [_share(part.documents, came.documents) for part in parts]
        sizes = [_share(part.bytes, came.bytes) for part in parts]
        mark = ""
        if one.value == nearest and source.now is not None:
            mark = "  <- the run" if one.value == source.now else f"  <- the run has {source.now:g}"
        lines.append(
            f"  {one.value:>{width}g}  {stacked(documents, _WIDTH)} {sum(documents):6.1%}  "
            f"{stacked(sizes, _WIDTH // 2)} {sum(sizes):6.1%}{mark}"
        )
    return lines


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
