"""How good the tokenizer is: what it was judged by, its compression beside others', and how it grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from corpusmill.pipelines.contract.given import JUDGEMENT, TOKENIZER
from corpusmill.pipelines.inspection.run_record import RunRecord, StepRecord
from corpusmill.pipelines.records.codec import decode
from corpusmill.pipelines.records.tokenizer_figures import (
    Composition,
    GroupFigures,
    Growth,
    Judged,
    Judgement,
    RoundTrip,
    Suspicious,
    Usage,
)
from corpusmill.pipelines.report import charts
from corpusmill.pipelines.storage.sealed import read_json

CURVES = ("a", "b", "c", "d", "e", "f")  # classes of the style sheet
_OWN = "tokenizer"  # the run's own among those measured
_GROUPS = 12  # languages shown, the largest
_ROWS = 12  # of the growth table


@dataclass(frozen=True)
class Verdict:
    """Whether it is accepted, and documents and bytes that it was judged on, of `bytes_offered`."""

    accepted: bool
    documents: int
    bytes: int
    bytes_offered: int


@dataclass(frozen=True)
class Reference:
    """Another tokenizer: its ids, and figures of it by group; None without texts."""

    ids: int
    groups: tuple[GroupFigures, ...] | None


@dataclass(frozen=True)
class TokenizerSection:
    """What `acceptance.json` says of the run's tokenizer, and of others on all held-out text. `steps`: those
    that gave it and judged it; `digits`: how 1234567 is cut; `growth`: bytes per token on held-out text."""

    steps: tuple[str, ...]
    verdict: Verdict
    held_out: float
    judged: tuple[Judged, ...]
    groups: tuple[GroupFigures, ...]
    vocabulary: Composition
    usage: Usage | None
    round_trip: RoundTrip
    suspicious: Suspicious
    digits: tuple[str, ...]
    growth: Growth | None
    references: Mapping[str, Reference]


@dataclass(frozen=True)
class TokenizerParts:
    """Parts of a tokenizer's file that are not used (`dropped`) and that change texts (`lossy`)."""

    dropped: tuple[str, ...]
    lossy: tuple[str, ...]


def tokenizer(record: RunRecord) -> TokenizerSection | None:
    """Verdict, thresholds, groups and growth; None before the tokenizer is judged."""
    step = record.finished_giving(JUDGEMENT)
    if step is None:
        return None
    found = _judgement(step)
    own = found.tokenizers[_OWN]
    return TokenizerSection(
        steps=tuple(one.name for word in (TOKENIZER, JUDGEMENT) for one in record.giving(word)),
        verdict=Verdict(found.accepted, found.documents, found.bytes, found.bytes_offered),
        held_out=found.held_out,
        judged=found.judged,
        groups=found.groups,
        vocabulary=own.vocabulary,
        usage=own.usage,
        round_trip=own.round_trip,
        suspicious=own.suspicious,
        digits=own.digits.examples["1234567"],
        growth=own.growth,
        references={
            name: Reference(figures.vocabulary.ids, figures.groups)
            for name, figures in found.tokenizers.items()
            if name != _OWN
        },
    )


def _judgement(step: StepRecord) -> Judgement:
    path = step.data.file("acceptance.json")
    return decode(Judgement, read_json(path), str(path))


def tokenizer_parts(record: RunRecord) -> dict[str, TokenizerParts]:
    """By tokenizer, what of its file is not used or changes texts; those of which there is nothing left out.

    `tokenizer` is the run's own, of which nothing changes texts, and the others are its references.
    """
    step = record.finished_giving(TOKENIZER)
    units = step.units if step is not None else ()
    dropped = [str(part) for unit in units for part in unit.summary.get("dropped", ())]
    parts = {_OWN: TokenizerParts(tuple(dropped), ())}
    judge = record.finished_giving(JUDGEMENT)
    if judge is not None:
        for name, figures in _judgement(judge).tokenizers.items():
            if name != _OWN:
                parts[name] = TokenizerParts(figures.dropped, figures.lossy)
    return {name: one for name, one in parts.items() if one.dropped or one.lossy}


@dataclass(frozen=True)
class GroupRow:
    """A row of the table: a group by the name it is shown by, and the others' bytes per token of it."""

    name: str
    figures: GroupFigures
    others: Mapping[str, float | None]


@dataclass(frozen=True)
class GrowthView:
    """The chart of growth, its legend, the groups that it draws, and the same as rows of a table."""

    chart: Markup
    legend: Markup
    names: tuple[str, ...]
    sizes: tuple[tuple[int, tuple[float, ...]], ...]


@dataclass(frozen=True)
class TokenizerView:
    """What the page shows beside the section's own figures; no growth where it cannot be told."""

    rows: tuple[GroupRow, ...]
    growth: GrowthView | None


def tokenizer_view(found: TokenizerSection) -> TokenizerView:
    """Rows of the table, and the chart of growth."""
    return TokenizerView(tuple(_rows(found)), _growth_view(found))


def _growth_view(found: TokenizerSection) -> GrowthView | None:
    growth = found.growth
    if growth is None or growth.why_not is not None:
        return None
    drawn = _curves(growth, found.groups)
    if not drawn:
        return None
    names = tuple(name for name, _, _ in drawn)
    points = [
        (name, reference.ids, value)
        for name, reference in found.references.items()
        if reference.groups and (value := reference.groups[0].bytes_per_token) is not None
    ]
    label = "bytes per token on held-out text by vocabulary size"
    axis = "entries of the vocabulary (logarithmic)"
    return GrowthView(
        chart=charts.growth(growth.vocabulary, drawn, points, label, axis),
        legend=charts.legend([(css, _name(name)) for name, _, css in drawn]),
        names=names,
        sizes=_sizes(growth, names),
    )


def _name(group: str) -> str:
    return "all sources" if group == "*" else group


def _curves(growth: Growth, groups: Sequence[GroupFigures]) -> list[tuple[str, Sequence[float], str]]:
    """The whole and the largest sources, as many as there are colours."""
    order = sorted(groups, key=lambda group: (-group.bytes, group.group))
    names = [group.group for group in order if group.group in growth.groups]
    return [(name, growth.groups[name], css) for name, css in zip(names, CURVES, strict=False)]


def _sizes(growth: Growth, names: Sequence[str]) -> tuple[tuple[int, tuple[float, ...]], ...]:
    last = len(growth.vocabulary) - 1
    chosen = sorted({round(k * last / (_ROWS - 1)) for k in range(_ROWS)})
    return tuple((growth.vocabulary[at], tuple(growth.groups[name][at] for name in names)) for at in chosen)


def _rows(found: TokenizerSection) -> list[GroupRow]:
    """The whole, every source, and the largest languages, with the references' bytes per token."""
    theirs = {
        name: {group.group: group.bytes_per_token for group in reference.groups or ()}
        for name, reference in found.references.items()
    }
    chosen = [group for group in found.groups if group.by in ("all", "source")]
    for by in ("language", "code language"):
        languages = [group for group in found.groups if group.by == by and group.group.startswith("*/")]
        chosen += sorted(languages, key=lambda group: (-group.bytes, group.group))[:_GROUPS]
    return [
        GroupRow(
            name=_name(group.group).removeprefix("*/"),
            figures=group,
            others={name: values.get(group.group) for name, values in theirs.items()},
        )
        for group in chosen
    ]
