"""A document's story as text for a terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.comparison_rendering import render_comparison, render_displaced
from corpusmill.pipelines.inspection.story import (
    CutSpan,
    DocumentEvent,
    DrawnCopy,
    EncodedRow,
    Instance,
    Origin,
    Story,
)

_SPANS = 8  # told of one mask's cuts
_SCORES = 100  # columns that scores are wrapped at
_IN = " " * 8


def render_story(story: Story) -> str:
    """The story as text for a terminal."""
    lines = [f"document {story.id}"]
    more = story.more_instances
    times = len(story.instances) + more
    if times > 1:
        lines.append(f"read {times} times")
    alike = _alike(story.instances)
    for number, instances in alike:
        if times > 1:
            lines += ["", f"--- {number} of {times} ---"]
        lines += _render_instance(instances[0])
        if len(instances) > 1:
            lines += ["", f"  and {len(instances) - 1:,} more times with the same end (--json tells each)"]
    if more:
        lines += ["", f"and {more:,} more times, from the same record"]
    if story.untold is not None:
        lines += ["", f"  {text.printable(story.untold, 400)}"]
    for one in story.displaced:
        lines += ["", *render_displaced(one)]
    lines += [f"  left out of {event.step}: {text.reason(event.reason or '')}" for event in story.left_out_of]
    return "\n".join(lines)


def _alike(instances: Sequence[Instance]) -> list[tuple[int, list[Instance]]]:
    """Instances that ended alike, together, with the number of the first of them."""
    found: dict[tuple[Any, ...], tuple[int, list[Instance]]] = {}
    for number, instance in enumerate(instances, 1):
        judged = tuple((one.step, one.stage, one.verdict, one.reason) for one in instance.events)
        end = (instance.source, instance.outcome, instance.origin.step, judged)
        found.setdefault(end, (number, []))[1].append(instance)
    return list(found.values())


def _render_instance(instance: Instance) -> list[str]:
    origin = instance.origin
    about = [(name, value) for name, value in instance.facts if value is not None]
    left = [("bytes left", instance.bytes_left)] if instance.bytes_left is not None else []
    read, *inputs = origin_facts(origin)
    lines = ["", text.facts([*about, ("bytes", instance.bytes), *left, read], "  ")]
    lines += [f"  {'from' if k == 0 else '    '}  {line}" for k, (_, line) in enumerate(inputs)]
    if instance.meta:
        lines.append(f"  meta  {text.printable(json.dumps(instance.meta, ensure_ascii=False), 300)}")
    if instance.excerpt:
        lines += ["", f"  {text.printable(instance.excerpt, 240)}"]
    rows = [
        (event.step, event.stage, event.verdict, event.reason or _cut_in_all(event))
        for event in instance.events
    ]
    table = text.table(("step", "stage", "verdict", "reason"), rows, "  ").splitlines()
    lines += ["", *table[:2]]
    for line, event in zip(table[2:], instance.events, strict=True):
        lines += [
            line,
            *textwrap.wrap(_render_scores(event), _SCORES, initial_indent=_IN, subsequent_indent=_IN),
            *_render_cuts(event.cut),
        ]
    if (encoded := instance.encoded) is not None:
        framed = "framed for fill-in-the-middle" if encoded.fim else "not framed for fill-in-the-middle"
        lines += ["", f"  encoded as {encoded.tokens:,} tokens of {encoded.bytes:,} bytes, {framed}"]
        lines += _render_copies(encoded, instance.drawn or ())
    if instance.pieces:
        headers = ("epoch", "shard", "row", "start", "length", "offset")
        shown = [(p.epoch, p.shard, p.row, p.start, p.length, p.offset) for p in instance.pieces[:20]]
        lines += ["", text.table(headers, shown, "  ")]
        if len(instance.pieces) > 20:
            lines.append(f"  and {len(instance.pieces) - 20:,} more pieces")
    lines += ["", f"  {text.printable(instance.fate, 400)}"]
    for survivor in instance.survivors:
        lines.append(f"  survivor {survivor.id} ({survivor.source}): {survivor.fate}")
    if instance.comparison is not None:
        lines += ["", *render_comparison(instance.comparison, "  ")]
    return lines


def _render_copies(encoded: EncodedRow, copies: Sequence[DrawnCopy]) -> list[str]:
    """Copies that are encoded in another way than the document is told to be, and those of which a part is
    left out or in another phase."""
    lines = []
    told: set[int] = set()
    for copy in copies:
        which = f"  the copy of epoch {copy.epoch}"
        if copy.epoch not in told and (copy.tokens, copy.fim) != (encoded.tokens, encoded.fim):
            framed = "framed" if copy.fim else "not framed"
            lines.append(f"{which} is encoded as {copy.tokens:,} tokens, {framed} for fill-in-the-middle")
        told.add(copy.epoch)
        if copy.whole:
            continue
        if copy.cut_from == 0 and copy.cut_to is not None and not copy.goes_on:
            lines.append(
                f"{which} is cut to {copy.cut_to:,} tokens of its beginning, "
                "which make its source's share exact"
            )
            continue
        end = copy.tokens if copy.cut_to is None else copy.cut_to
        name = "" if copy.phase_name is None else f" {text.printable(copy.phase_name, 60)}"
        behind = "; a later phase goes on with it" if copy.goes_on else ""
        if not behind and copy.cut_to is not None:
            behind = "; the rest is left out, which makes its source's share exact"
        lines.append(
            f"{which}: phase {copy.phase}{name} has its tokens {copy.cut_from:,} to {end:,} of "
            f"{copy.tokens:,}{behind}"
        )
    return lines


def origin_facts(origin: Origin) -> list[tuple[str, str]]:
    """Where a document was read, and the range of a file, or those that it may be from, for people."""
    place = f"step {origin.step}, unit {origin.unit}"
    place += f", row {origin.row}" if origin.row is not None else ""
    inputs = [
        f"{text.printable(one.file, 120)} [{one.start:,} to {one.end:,}]" for one in origin.inputs or ()
    ]
    inputs += [f"and {origin.more_inputs:,} more ranges"] if origin.more_inputs else []
    return [("read", place), *(("from", line) for line in inputs)]


def _cut_in_all(event: DocumentEvent) -> str:
    """Bytes cut by reason."""
    sums: dict[str, int] = {}
    for span in event.cut:
        sums[span.reason] = sums.get(span.reason, 0) + span.end - span.start
    return ", ".join(f"cut {size:,} bytes: {reason}" for reason, size in sorted(sums.items()))


def _render_cuts(cut: Sequence[CutSpan]) -> list[str]:
    lines = []
    for span in cut[:_SPANS]:
        kept = f", as in {span.survivor_id}" if span.survivor_id is not None else ""
        where = f"{span.start:,} to {span.end:,}{kept}"
        lines.append(f"{_IN}{where}: {text.printable(span.excerpt, 60)}")
    return lines + ([f"{_IN}and {len(cut) - _SPANS:,} more spans"] if len(cut) > _SPANS else [])


def _render_scores(event: DocumentEvent) -> str:
    shown = [
        f"{name}={_score(value)}{_render_limits(event, name)}"
        for name, value in event.scores.items()
        if value is not None
    ]
    if event.similarity is not None:
        shown.append(f"similarity={event.similarity:.4g} to {event.survivor_id}")
    if event.detail is not None:
        shown.append(event.detail)
    return text.printable(" ".join(shown), 900)


def _render_limits(event: DocumentEvent, score: str) -> str:
    """What a score may be, in brackets; with a mark where it is not."""
    mine = [limit for limit in event.limits if limit.score == score]
    words = [f"{'>=' if limit.side == 'under' else '<='}{limit.value:.6g}" for limit in mine]
    mark = "!" if any(limit.broken(event.scores[score]) for limit in mine) else ""
    return f"[{','.join(words)}]{mark}" if words else ""


def _score(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
