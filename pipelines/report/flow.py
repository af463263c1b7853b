"""What flows from raw input to shards: columns of bands, in documents, bytes and tokens, for `sankey`.

A column is a step, or all steps of the sources' own, at which bands of sources arrive; what each loses there
leaves the flow. Figures are those of the funnel and of the plan of the mixture; nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from corpusmill.pipelines.report.accounts import FunnelRow
from corpusmill.pipelines.report.figures import Report
from corpusmill.pipelines.run.operators.operator import operator_named

Unit = Literal["documents", "bytes", "tokens"]
BANDS = 6  # sources of their own; the rest is one band
COLUMNS = 7  # at most; neighbours that lose the least become one
OTHERS = "others"
_READ = "read"


@dataclass(frozen=True)
class Band:
    """What came to a column and what went on, and what was lost there by kind."""

    came: float
    went: float
    lost: Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """A place of the flow, and its bands in the flow's order."""

    name: str
    bands: tuple[Band, ...]

    @property
    def came(self) -> float:
        return sum(band.came for band in self.bands)

    @property
    def lost(self) -> dict[str, float]:
        """What was lost of all bands, by kind."""
        found: dict[str, float] = {}
        for band in self.bands:
            for kind, value in band.lost.items():
                found[kind] = found.get(kind, 0.0) + value
        return {kind: value for kind, value in found.items() if value > 0}


@dataclass(frozen=True)
class Flow:
    """A picture's figures: the unit, the sources of the bands (those beyond `BANDS` are `OTHERS`), and
    columns, the last of which is what is left."""

    unit: Unit
    sources: tuple[str, ...]
    columns: tuple[Column, ...]


def flows(report: Report) -> tuple[Flow, ...]:
    """Flows in bytes, documents and tokens, as far as the run has come: none before a source is read, and no
    tokens before the mixture is planned."""
    if not any(account.documents_read for account in report.ledger.sources.values()):
        return ()
    bands = _bands(report)
    found = [_texts(report, bands, "bytes"), _texts(report, bands, "documents")]
    if report.mixture is not None and report.mixture.achieved_tokens:
        found.append(_tokens(report, bands))
    return tuple(found)


def _bands(report: Report) -> dict[str, tuple[str, ...]]:
    """The sources of each band, those of the most bytes first."""
    sources = report.ledger.sources
    order = sorted(sources, key=lambda name: (-sources[name].bytes_read, name))
    if len(order) <= BANDS + 1:
        return {name: (name,) for name in order}
    return {**{name: (name,) for name in order[:BANDS]}, OTHERS: tuple(order[BANDS:])}


def _texts(report: Report, bands: Mapping[str, Sequence[str]], unit: Unit) -> Flow:
    columns = _by_column(report)
    made = [
        Column(name, tuple(_sum(_band(rows.get(one, ()), unit) for one in of) for of in bands.values()))
        for name, rows in columns.items()
    ]
    accounts = report.ledger.sources
    left = [
        sum(accounts[one].bytes_left if unit == "bytes" else accounts[one].documents_left for one in of)
        for of in bands.values()
    ]
    # A step that no row tells of passes what came on.
    passing = [column for column in made if column.lost or column is made[0]]
    end = Column("left", tuple(Band(value, value, {}) for value in left))
    return Flow(unit, tuple(bands), (*_few(passing), end))


def _by_column(report: Report) -> dict[str, dict[str, list[FunnelRow]]]:
    """Rows of the funnel by column and source, columns in the order of the steps, up to the mixture."""
    place = {step.name: number for number, step in enumerate(report.steps)}
    staying = {
        step.name
        for step in report.steps
        if step.operator is not None and operator_named(step.operator).leaves_in_place
    }
    drawing = {row.step for rows in report.funnel.values() for row in rows if row.drawing}
    end = min((place[step] for step in drawing), default=len(place))
    found: dict[str, dict[str, list[FunnelRow]]] = {}
    order: dict[str, float] = {}
    for source, rows in report.funnel.items():
        if source not in report.ledger.sources:
            continue
        for row in rows:
            if place.get(row.step, end) >= end or row.step in staying:
                continue
            own = row.step == source or row.step.startswith(f"{source}.")
            name = row.step if not own else _READ if row.stage == _READ else "own steps"
            order[name] = -2.0 if name == _READ else -1.0 if own else place[row.step]
            found.setdefault(name, {}).setdefault(source, []).append(row)
    return {name: found[name] for name in sorted(found, key=lambda name: order[name])}


def _band(rows: Sequence[FunnelRow], unit: Unit) -> Band:
    if not rows:
        return Band(0, 0, {})
    count = unit == "documents"
    lost = {
        "removed": sum(r.documents if count else r.bytes for row in rows for r in row.removed),
        "quarantined": sum(r.documents if count else r.bytes for row in rows for r in row.quarantined),
        "cut": 0 if count else sum(row.bytes_cut for row in rows),
    }
    came = rows[0].documents_in if count else rows[0].bytes_in
    went = rows[-1].documents_kept if count else rows[-1].bytes_out
    lost["edited"] = max(0, came - went - sum(lost.values()))  # markup, mostly
    return Band(came, went, lost)


def _sum(bands: Iterable[Band]) -> Band:
    several = list(bands)
    lost: dict[str, float] = {}
    for band in several:
        for kind, value in band.lost.items():
            lost[kind] = lost.get(kind, 0) + value
    return Band(sum(band.came for band in several), sum(band.went for band in several), lost)


def _few(columns: Sequence[Column]) -> list[Column]:
    """At most `COLUMNS` of them."""
    found = list(columns)
    while len(found) > COLUMNS:
        sizes = [sum(column.lost.values()) for column in found]
        at = min(range(1, len(found) - 1), key=lambda k: sizes[k] + sizes[k + 1])
        first, second = found[at], found[at + 1]
        bands = [
            Band(a.came, b.went, _sum([a, b]).lost) for a, b in zip(first.bands, second.bands, strict=True)
        ]
        found[at : at + 2] = [Column(f"{first.name}, {second.name}", tuple(bands))]
    return found


def _tokens(report: Report, bands: Mapping[str, Sequence[str]]) -> Flow:
    mixture, packing = report.mixture, report.packing
    assert mixture is not None
    encoded, drawn, packed = [], [], []
    for of in bands.values():
        some = [mixture.sources[one] for one in of if one in mixture.sources]
        apart = sum(plan.tokens for one in of if (plan := mixture.held_out.sources.get(one)) is not None)
        there = sum(one.available_tokens for one in some)
        once = sum(min(one.available_tokens, one.achieved_tokens) for one in some)
        copies = sum(one.achieved_tokens for one in some)
        encoded.append(Band(there + apart, once, {"held out": apart, "not drawn": there - once}))
        drawn.append(Band(copies, copies, {}))
        if packing is not None:
            packed.append(sum(packing.sources[one].tokens for one in of if one in packing.sources))
    columns = [Column("encoded", tuple(encoded)), Column("drawn", tuple(drawn))]
    if packing is not None:
        columns.append(Column("in shards", tuple(Band(value, value, {}) for value in packed)))
    return Flow("tokens", tuple(bands), tuple(columns))
