"""A flow as a picture: ribbons of sources from column to column, and what is lost on the way below them.

Drawn twice: from left to right for wide pages, from top to bottom, with its words beside it, for narrow ones.
The height of a ribbon (its width in the second) is its share of the largest column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from corpusmill.pipelines.inspection import plain_text
from corpusmill.pipelines.report.charts import cut_short, legend, short
from corpusmill.pipelines.report.flow import OTHERS, Column, Flow
from corpusmill.pipelines.report.foreign_text import visible

COLOURS = ("a", "b", "c", "d", "e", "f")  # classes of the style sheet
_LOSSES = {
    "removed": ("removed", "removed"),
    "quarantined": ("fault", "quarantined"),
    "cut": ("cut", "cut from kept texts"),
    "edited": ("ghost", "dropped by edits"),
    "held out": ("cut", "held out"),
    "not drawn": ("ghost", "not drawn"),
}  # kind: class, words
_TOLD = 0.002  # of a column: what is less has no ribbon
_NODE = 7.0  # length of a column's bar
_GAP = 14.0  # between what goes on and what is lost


@dataclass(frozen=True)
class Picture:
    """A flow drawn in both ways, with the legend of its sources."""

    unit: str
    wide: Markup
    narrow: Markup
    legend: Markup


@dataclass(frozen=True)
class _Loss:
    kind: str
    value: float
    share: float  # of what came to the column

    @property
    def words(self) -> str:
        return _LOSSES[self.kind][1]

    @property
    def css(self) -> str:
        return _LOSSES[self.kind][0]


def picture(flow: Flow) -> Picture:
    """The picture of a flow."""
    keys = [(_colour(flow, k), name) for k, name in enumerate(flow.sources)]
    return Picture(flow.unit, _wide(flow), _narrow(flow), legend(keys))


def amount(value: float, unit: str) -> str:
    """A figure of the unit in a few characters."""
    if unit == "bytes":
        return plain_text.size(value)
    return f"{value:,.0f}" if value < 1e6 else short(value)


def _colour(flow: Flow, k: int) -> str:
    return "ghost" if flow.sources[k] == OTHERS or k >= len(COLOURS) else COLOURS[k]


def _losses(column: Column) -> list[_Loss]:
    came = column.came
    return [
        _Loss(kind, value, value / came)
        for kind, value in column.lost.items()
        if came and value / came >= _TOLD
    ]


Ribbon = Callable[[float, float, float, float, float, float], str]  # along 0, 1; across from-to 0; 1


def _across(x0: float, x1: float, a0: float, a1: float, b0: float, b1: float) -> str:
    """A ribbon from left to right: a0 to a1 at x0, b0 to b1 at x1."""
    m = (x0 + x1) / 2
    return (
        f"M{x0:.1f} {a0:.1f}C{m:.1f} {a0:.1f} {m:.1f} {b0:.1f} {x1:.1f} {b0:.1f}"
        f"V{b1:.1f}C{m:.1f} {b1:.1f} {m:.1f} {a1:.1f} {x0:.1f} {a1:.1f}Z"
    )


def _down(y0: float, y1: float, a0: float, a1: float, b0: float, b1: float) -> str:
    """A ribbon from top to bottom."""
    m = (y0 + y1) / 2
    return (
        f"M{a0:.1f} {y0:.1f}C{a0:.1f} {m:.1f} {b0:.1f} {m:.1f} {b0:.1f} {y1:.1f}"
        f"H{b1:.1f}C{b1:.1f} {m:.1f} {a1:.1f} {m:.1f} {a1:.1f} {y0:.1f}Z"
    )


def _path(drawn: str, css: str, title: str) -> Markup:
    markup = Markup('<path d="{}" class="band {}"><title>{}</title></path>')
    return markup.format(drawn, css, visible(title))


def _text(x: float, y: float, words: str, css: str, anchor: str = "start") -> Markup:
    markup = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return markup.format(x, y, anchor, css, visible(words))


def _bar(x: float, y: float, width: float, height: float) -> Markup:
    markup = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="node"/>')
    return markup.format(x, y, width, height)


def _svg(width: float, height: float, flow: Flow, css: str, body: Sequence[Markup]) -> Markup:
    label = f"flow of {flow.unit} from {flow.columns[0].name} to {flow.columns[-1].name}"
    head = Markup('<svg viewBox="0 0 {:.0f} {:.0f}" class="{}" role="img" aria-label="{}">')
    return head.format(width, height, css, visible(label)) + Markup("").join(body) + Markup("</svg>")


def _scale(flow: Flow, room: float) -> float:
    most = max(column.came for column in flow.columns)
    return room / most if most else 0.0


def _bands(flow: Flow, k: int, scale: float, start: float, place: Callable[..., str]) -> list[Markup]:
    """Ribbons of the sources from column k to the next; `place` draws one between offsets."""
    here, there = flow.columns[k], flow.columns[k + 1]
    body, a, b = [], start, start
    for number, (mine, theirs) in enumerate(zip(here.bands, there.bands, strict=True)):
        left, right = mine.went * scale, theirs.came * scale
        if max(left, right) > 0.05:
            title = f"{flow.sources[number]}: {amount(mine.went, flow.unit)} from {here.name}"
            if right > left * 1.005:
                title += f", {amount(theirs.came, flow.unit)} with repeats"
            body.append(_path(place(a, a + left, b, b + right), _colour(flow, number), title))
        a, b = a + left, b + right
    return body


def _wide(flow: Flow) -> Markup:
    width, top, room, right = 860.0, 46.0, 220.0, 124.0
    scale = _scale(flow, room)
    last = len(flow.columns) - 1
    each = (width - right - _NODE) / max(1, last)
    body: list[Markup] = []
    words: list[Markup] = []
    bottom = top + room
    for k, column in enumerate(flow.columns):
        x = k * each
        came = column.came * scale
        name = cut_short(column.name, max(6, int(each / 7.6)) if k < last else 16)
        words.append(_text(x, 14, name, "strong"))
        words.append(_text(x, 30, amount(column.came, flow.unit), "small"))
        if k < last:
            x0, x1 = x + _NODE, x + each
            next_came = flow.columns[k + 1].came * scale
            body += _bands(
                flow, k, scale, top, lambda a0, a1, b0, b1, x0=x0, x1=x1: _across(x0, x1, a0, a1, b0, b1)
            )
            a = top + sum(band.went for band in column.bands) * scale
            b = top + max(next_came, a - top) + _GAP
            for loss in _losses(column):
                tall = loss.value * scale
                drawn = _across(x0, x1 - 4, a, a + tall, b, b + tall)
                share = f"{loss.share:.1%}"
                told = amount(loss.value, flow.unit)
                body.append(_path(drawn, loss.css, f"{column.name}: {told} {loss.words}, {share}"))
                y = b + min(tall / 2, 40.0) + 1 if tall > 30 else b + 9
                words.append(_text(x1 + 3, y, cut_short(loss.words, int(each / 6.2)), "small"))
                words.append(_text(x1 + 3, y + 13, f"{told} · {share}", "small"))
                a, b = a + tall, max(b + tall, y + 18) + 6
                bottom = max(bottom, b + 4)
        body.append(_bar(x, top, _NODE, max(came, 1.0)))
    y = top
    for number, band in enumerate(flow.columns[-1].bands):
        tall = band.came * scale
        if tall >= 12:
            name = cut_short(flow.sources[number], 12)
            told = f"{name} {amount(band.came, flow.unit)}"
            words.append(_text(last * each + _NODE + 6, y + tall / 2 + 4, told, "small"))
        y += tall
    return _svg(width, bottom, flow, "wide", [*body, *words])


def _narrow(flow: Flow) -> Markup:
    width, top, room, words_at = 350.0, 8.0, 136.0, 178.0
    scale = _scale(flow, room)
    body: list[Markup] = []
    y = top
    rows = [y]
    for column, _ in pairwise(flow.columns):
        y += 44 + 17 * len(_losses(column))
        rows.append(y)
    for k, column in enumerate(flow.columns):
        y = rows[k]
        body.append(_text(words_at, y + 9, cut_short(column.name, 22), "strong"))
        body.append(_text(words_at, y + 25, amount(column.came, flow.unit), "small"))
        if k < len(rows) - 1:
            y0, y1 = y + _NODE, rows[k + 1]
            body += _bands(
                flow, k, scale, 0, lambda a0, a1, b0, b1, y0=y0, y1=y1: _down(y0, y1, a0, a1, b0, b1)
            )
            a = sum(band.went for band in column.bands) * scale
            b = max(flow.columns[k + 1].came * scale, a) + _GAP
            for number, loss in enumerate(_losses(column)):
                tall = loss.value * scale
                drawn = _down(y0, y1 - 5, a, a + tall, b, b + tall)
                told = f"{amount(loss.value, flow.unit)} {loss.words}"
                body.append(_path(drawn, loss.css, f"{column.name}: {told}"))
                body.append(_text(words_at + 10, y + 42 + 17 * number, f"−{told}", "small"))
                a, b = a + tall, b + tall + 3
        body.append(_bar(0, y, max(column.came * scale, 1.0), _NODE))
    return _svg(width, rows[-1] + 34, flow, "narrow", body)
