"""Differing passages of a removed document and its survivor, and what a survivor displaced, for a terminal.

Passages are marked as by wdiff: `[-...-]` is in the removed document alone, `{+...+}` in its survivor alone.
"""

from __future__ import annotations

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.cluster_rendering import sources_named
from corpusmill.pipelines.inspection.passages import Differing, Passage
from corpusmill.pipelines.inspection.story import Comparison, Displaced

PASSAGES = 8  # of a text shown, of one whose survivor is told
_BRIEF = 2  # of each document that a survivor displaced
_SHOWN = 120  # characters of a passage


def render_comparison(found: Comparison, indent: str, most: int = PASSAGES) -> list[str]:
    """Lines: what either text has that the other lacks, or why that is not shown."""
    if found.removed is None or found.survivor is None:
        return [f"{indent}differences are not shown: {text.printable(found.not_shown or '', 400)}"]
    if not found.removed.bytes and not found.survivor.bytes:
        return [
            f"{indent}the removed document and the survivor differ in white space and order alone, if at all"
        ]
    lines = []
    for whose, side, marks in (
        ("removed document", found.removed, ("[-", "-]")),
        ("survivor", found.survivor, ("{+", "+}")),
    ):
        lines += _side(whose, side, marks, indent, most)
    return lines


def _side(whose: str, side: Differing, marks: tuple[str, str], indent: str, most: int) -> list[str]:
    passages = len(side.passages) + side.more_passages
    if not passages:
        return [f"{indent}only in the {whose}: nothing"]
    lines = [f"{indent}only in the {whose}: {side.bytes:,} bytes in {passages:,} passage(s)"]
    lines += [f"{indent}  {one.start:>9,}  {marked(one, *marks)}" for one in side.passages[:most]]
    if passages > most:
        lines.append(f"{indent}  and {passages - most:,} more passages")
    return lines


def marked(passage: Passage, begin: str, end: str) -> str:
    """A passage between marks, with what stands around it, on one line."""
    before, after = text.printable(passage.before, 60), text.printable(passage.after, 60)
    said = f"{begin}{text.printable(passage.excerpt, _SHOWN)}{end}"
    left = " " if passage.before[-1:].isspace() and before else ""
    right = " " if passage.after[:1].isspace() and after else ""
    return f"{before}{left}{said}{right}{after}"


def render_displaced(found: Displaced) -> list[str]:
    """Lines: what a step removed in favour of a document, and some of it with its differences."""
    lines = [
        f"  displaced in step {found.step}: {found.documents:,} document(s), {text.size(found.bytes)}, "
        f"of {sources_named(found.sources)}"
    ]
    for one in found.listed:
        lines.append(f"    {one.id} ({one.source}, {one.bytes:,} bytes): {text.reason(one.reason)}, "
                     f"similarity {one.similarity:.3g}")  # fmt: skip
        if one.comparison is not None:
            lines += render_comparison(one.comparison, " " * 6, _BRIEF)
    first, last = found.skipped + 1, found.skipped + len(found.listed)
    if found.documents > len(found.listed):
        told = f"{first:,} to {last:,}" if found.listed else "none"
        lines.append(f"    {told} of {found.documents:,} are listed; others with --skip and --limit")
    return lines
