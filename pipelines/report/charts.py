"""Charts as inline SVG: plain shapes with words, coloured by classes of the page's style sheet.

Every function returns markup whose texts are escaped; each chart is one image with a spoken label, and
its shapes carry titles. The figures themselves stand in the page's tables and in the JSON twin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from corpusmill.pipelines.report.foreign_text import visible

_WIDTH = 400


def _svg(height: float, label: str, body: Sequence[Markup], width: int = _WIDTH) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">').format(
        width, height, visible(label)
    )
    return head + Markup("").join(body) + Markup("</svg>")


def _text(x: float, y: float, words: object, css: str = "", anchor: str = "start") -> Markup:
    markup = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return markup.format(x, y, anchor, css, visible(words))


def _bar(x: float, y: float, width: float, height: float, css: str, title: str) -> Markup:
    markup = Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5" class="{}">'
        "<title>{}</title></rect>"
    )
    return markup.format(x, y, max(0.0, width), max(0.0, height), css, visible(title))


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    markup = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')
    return markup.format(x1, y1, x2, y2, css)


def cut_short(label: str, most: int) -> str:
    """A label of at most so many characters."""
    return label if len(label) <= most else label[: most - 1] + "…"


def short(value: float) -> str:
    """A number in a few characters: 950, 1.2k, 35M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def power_of_two(value: int, unit: str = "") -> str:
    """A power of two in a few characters: 512, 4Ki, 4 KiB."""
    for limit, prefix in ((2**30, "Gi"), (2**20, "Mi"), (2**10, "Ki")):
        if value >= limit:
            return f"{value // limit}{' ' if unit else ''}{prefix}{unit}"
    return f"{value} {unit}".rstrip()


def pairs(rows: Sequence[tuple[str, float, float | None]], label: str, names: tuple[str, str]) -> Markup:
    """Two horizontal bars a row, such as requested beside achieved; values are shares of 1, None where
    there is none."""
    left, right, each = 110, 62, 40
    room = _WIDTH - left - right
    most = max([share for row in rows for share in row[1:] if share is not None] or [1.0]) or 1.0
    body: list[Markup] = []
    for number, (name, first, second) in enumerate(rows):
        y = 4 + number * each
        body.append(_text(left - 8, y + 19, cut_short(name, 14), "", "end"))
        for offset, value, css, what in ((2, first, "ghost", names[0]), (16, second, "kept", names[1])):
            if value is None:
                body.append(_text(left + 5, y + offset + 10, "-", "small"))
                continue
            width = room * value / most
            body.append(_bar(left, y + offset, width, 12, css, f"{name}: {what} {value:.2%}"))
            body.append(_text(left + width + 5, y + offset + 10, f"{value:.1%}", "small"))
    return _svg(4 + len(rows) * each, label, body)


def parts(kept: float, removed: float, quarantined: float, label: str) -> Markup:
    """One thin bar of three parts that stretches over its table cell."""
    total = kept + removed + quarantined
    body: list[Markup] = []
    x = 0.0
    for value, css, what in (
        (kept, "kept", "kept"),
        (removed, "removed", "removed"),
        (quarantined, "fault", "quarantined"),
    ):
        width = 100 * value / total if total else 0.0
        if width:
            body.append(
                Markup(
                    '<rect x="{:.2f}" y="0" width="{:.2f}" height="8" class="{}"><title>{}</title></rect>'
                ).format(x, width, css, f"{what}: {value:,.0f}")
            )
        x += width
    head = Markup(
        '<svg class="thin" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
    )
    return head.format(visible(label)) + Markup("").join(body) + Markup("</svg>")


def histogram(bars: Sequence[tuple[str, float, str]], label: str, axis: str, css: str = "kept") -> Markup:
    """Vertical bars, each (word under the axis, value, title); words are thinned out to fit."""
    width, height, left, top, bottom = 340, 170, 8, 18, 34
    most = max([value for _, value, _ in bars] or [0.0])
    each = min(80.0, (width - 2 * left) / max(1, len(bars)))
    every = max(1, math.ceil(34 / each))
    body = [_line(left, height - bottom, width - left, height - bottom, "axis")]
    for number, (word, value, title) in enumerate(bars):
        x = left + number * each
        tall = (height - top - bottom) * value / most if most else 0.0
        if value:
            tall = max(1.0, tall)  # what is there must be seen
            body.append(_bar(x + each * 0.1, height - bottom - tall, each * 0.8, tall, css, title))
        if number % every == 0:
            body.append(_text(x + each / 2, height - bottom + 13, word, "small", "middle"))
    body.append(_text(left, 11, f"most: {short(most)}", "small"))
    body.append(_text(width / 2, height - 5, axis, "small", "middle"))
    return _svg(height, label, body, width)


def rows(bars: Sequence[tuple[str, float]], label: str, css: str = "kept") -> Markup:
    """Horizontal bars with their share of the whole, such as languages."""
    total = sum(value for _, value in bars)
    most = max([value for _, value in bars] or [0.0])
    left, right, each, width = 84, 92, 20, 340
    body: list[Markup] = []
    for number, (name, value) in enumerate(bars):
        y = 2 + number * each
        wide = (width - left - right) * value / most if most else 0.0
        body.append(_text(left - 6, y + 13, cut_short(name, 11), "small", "end"))
        body.append(_bar(left, y + 3, max(1.0, wide), 12, css, f"{name}: {value:,.0f}"))
        share = f"{value / total:.1%}" if total else ""
        body.append(_text(left + max(1.0, wide) + 5, y + 13, f"{short(value)} · {share}", "small"))
    return _svg(4 + len(bars) * each, label, body, width)


def curve(
    steps: Sequence[float],
    series: Sequence[tuple[str, Sequence[float | None], str]],
    references: Sequence[tuple[str, float]],
    label: str,
    axis: str,
) -> Markup:
    """Lines over steps, with dashed horizontal lines for what they are measured against. A line leaves
    out the steps where its value is None."""
    height, left, right, top, bottom = 260, 40, 12, 14, 34
    values = [v for _, line, _ in series for v in line if v is not None]
    values += [value for _, value in references]
    low, high = _span(values)
    first, last = (steps[0], steps[-1]) if steps else (0.0, 1.0)

    def at(step: float, value: float) -> tuple[float, float]:
        x = left + (_WIDTH - left - right) * ((step - first) / ((last - first) or 1.0))
        y = top + (height - top - bottom) * (1 - (value - low) / (high - low))
        return x, y

    body: list[Markup] = []
    for tick in _ticks(low, high):
        _, y = at(first, tick)
        body += [
            _line(left, y, _WIDTH - right, y, "rule"),
            _text(left - 5, y + 4, f"{tick:g}", "small", "end"),
        ]
    for share in (0.0, 0.5, 1.0):
        step = first + (last - first) * share
        x, _ = at(step, low)
        body.append(
            _text(
                x,
                height - bottom + 15,
                short(round(step)),
                "small",
                ("start", "middle", "end")[round(2 * share)],
            )
        )
    for name, value in references:
        _, y = at(first, value)
        body += [
            _line(left, y, _WIDTH - right, y, "dashed"),
            _text(_WIDTH - right, y - 4, name, "small", "end"),
        ]
    for name, line, css in series:
        known = [(s, v) for s, v in zip(steps, line, strict=True) if v is not None]
        points = " ".join("{:.1f},{:.1f}".format(*at(s, v)) for s, v in known)
        markup = Markup('<polyline points="{}" class="curve {}"><title>{}</title></polyline>')
        body.append(markup.format(points, css, visible(name)))
    body.append(_text((left + _WIDTH - right) / 2, height - 4, axis, "small", "middle"))
    return _svg(height, label, body)


def growth(
    sizes: Sequence[float],
    series: Sequence[tuple[str, Sequence[float], str]],
    points: Sequence[tuple[str, float, float]],
    label: str,
    axis: str,
) -> Markup:
    """Lines over sizes on a logarithmic axis; `points` (name, size, value) are marked beside them."""
    height, left, right, top, bottom = 320, 40, 60, 14, 34
    low, high = _span([v for _, line, _ in series for v in line] + [value for _, _, value in points])
    places = [*sizes, *(size for _, size, _ in points)]
    first, last = math.log(min(places)), math.log(max(places))

    def at(size: float, value: float) -> tuple[float, float]:
        x = left + (_WIDTH - left - right) * (math.log(size) - first) / ((last - first) or 1.0)
        return x, top + (height - top - bottom) * (1 - (value - low) / (high - low))

    body: list[Markup] = []
    for tick in _ticks(low, high):
        _, y = at(min(places), tick)
        body += [
            _line(left, y, _WIDTH - right, y, "rule"),
            _text(left - 5, y + 4, f"{tick:g}", "small", "end"),
        ]
    for power in _powers(min(places), max(places)):
        x, _ = at(power, low)
        word = f"{power // 1024}k" if power >= 1024 else str(power)
        body += [
            _line(x, height - bottom, x, height - bottom + 4, "axis"),
            _text(x, height - bottom + 15, word, "small", "middle"),
        ]
    for name, line, css in series:
        drawn = " ".join("{:.1f},{:.1f}".format(*at(s, v)) for s, v in zip(sizes, line, strict=True))
        markup = Markup('<polyline points="{}" class="curve {}"><title>{}</title></polyline>')
        body.append(markup.format(drawn, css, visible(f"{name}: {line[-1]:.3f} at {sizes[-1]:,}")))
    for name, size, value in points:
        x, y = at(size, value)
        markup = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" class="point"><title>{}</title></circle>')
        body.append(markup.format(x, y, visible(f"{name}: {value:.3f} at {size:,}")))
        body.append(_text(x + 6, y + 4, cut_short(name, 12), "small"))
    body.append(_text((left + _WIDTH - right) / 2, height - 4, axis, "small", "middle"))
    return _svg(height, label, body)


def probability(
    line: Sequence[tuple[float, float]], points: Sequence[tuple[float, float, str]], label: str, axis: str
) -> Markup:
    """A line of a chance between 0 and 1, and points (place, share, title) measured beside it."""
    width, height, left, right, top, bottom = 340, 190, 30, 10, 12, 34

    def at(place: float, share: float) -> tuple[float, float]:
        return left + (width - left - right) * place, top + (height - top - bottom) * (1 - share)

    body: list[Markup] = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = at(0, tick)
        x, _ = at(tick, 0)
        body += [
            _line(left, y, width - right, y, "rule"),
            _text(left - 4, y + 4, f"{tick:g}", "small", "end"),
        ]
        body.append(_text(x, height - bottom + 14, f"{tick:g}", "small", "middle"))
    drawn = " ".join("{:.1f},{:.1f}".format(*at(place, share)) for place, share in line)
    body.append(
        Markup('<polyline points="{}" class="curve a"><title>by theory</title></polyline>').format(drawn)
    )
    for place, share, title in points:
        x, y = at(place, share)
        markup = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" class="point"><title>{}</title></circle>')
        body.append(markup.format(x, y, visible(title)))
    body.append(_text((left + width - right) / 2, height - 4, axis, "small", "middle"))
    return _svg(height, label, body, width)


def _powers(low: float, high: float) -> list[int]:
    """Powers of two between two sizes, at most ten, in even steps."""
    exponents = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    return [2**k for k in exponents][:: max(1, math.ceil(len(exponents) / 10))]


def _span(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two."""
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return [round(k * step, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def legend(names: Sequence[tuple[str, str]]) -> Markup:
    """Words beside the colours of a chart."""
    one = Markup('<span class="item"><span class="key {}"></span>{}</span> ')
    return (
        Markup('<p class="legend">')
        + Markup("").join(one.format(css, visible(name)) for css, name in names)
        + Markup("</p>")
    )
