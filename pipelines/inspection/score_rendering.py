"""Distributions of scores as block characters, with the limits drawn in."""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.blocks import columns
from corpusmill.pipelines.inspection.score_histograms import ScoreDistribution, ScoreGroup, ScoreLine

_LANGUAGE = 10  # characters of a language's name


def render_scores(distributions: Sequence[ScoreDistribution]) -> str:
    """Every distribution, a line for each language."""
    if not distributions:
        return "no scores: no filter of a complete source gave numbers"
    lines: list[str] = []
    head, was_plain = "", False
    for one in distributions:
        here = f"{one.source}: {one.stage}" + (f" ({one.step})" if one.step != one.source else "")
        if here != head:
            lines += ["", here]
            if one.units < one.of_units:
                lines.append(f"  measured in {one.units} of {one.of_units:,} units")
            if not one.kept_known:
                lines.append("  of documents that were removed alone: the others were not kept")
        plain = one.constant is not None
        lines += [*([] if plain and was_plain and head == here else [""]), *_distribution(one)]
        head, was_plain = here, plain
    return "\n".join(lines[1:])


def _distribution(one: ScoreDistribution) -> list[str]:
    told = [
        f"    │ {words}" for words in dict.fromkeys(_told(x) for group in one.groups for x in group.lines)
    ]
    if one.constant is not None:
        return [f"  {one.score}: {constant_words(one, one.constant)}", *told]
    first, last = one.groups[0].bars[0].from_, one.groups[0].bars[-1].to
    grows = ", bars grow with the values" if one.scale == "logarithmic" else ""
    lines = [f"  {one.score}: {text.count(first)} to {text.count(last)}{grows}"]
    lines += [f"    {_group(group)}" for group in one.groups]
    return [*lines, *told]


def constant_words(one: ScoreDistribution, value: float) -> str:
    """What is said of a score that all documents have the same value of."""
    whole = one.groups[0]
    removed = sum(bar.removed for bar in whole.bars)
    without = f", {whole.without:,} without" if whole.without else ""
    taken = f", {text.percent(removed, whole.documents)} removed here" if removed else ""
    return f"{value:g} in all {whole.documents - whole.without:,} documents{without}{taken}"


def _told(line: ScoreLine) -> str:
    return f"{line.option} {line.value:g}: {line.side} it {text.reason(line.reason)}"


def _group(group: ScoreGroup) -> str:
    heights = [bar.passed + bar.removed for bar in group.bars]
    drawn = columns(heights, max(heights, default=0))
    edges = [bar.from_ for bar in group.bars] + [group.bars[-1].to]
    marks: dict[int, None] = {}
    for line in group.lines:
        if edges[0] <= line.value <= edges[-1]:
            at = min(range(len(edges)), key=lambda k: abs(edges[k] - line.value))
            marks[at] = None
    chart = "".join(("│" if at in marks else "") + (drawn[at] if at < len(drawn) else "")
                    for at in range(len(edges)))  # fmt: skip
    removed = sum(bar.removed for bar in group.bars)
    name = text.printable(group.language or "all", _LANGUAGE).ljust(_LANGUAGE)
    share = text.percent(removed, group.documents)
    without = f", {group.without:,} without" if group.without else ""
    median = "-" if group.median is None else f"{group.median:.4g}"
    return f"{name} {chart}  {group.documents:,} documents, median {median}, {share} removed here{without}"
