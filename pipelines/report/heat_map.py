"""A table of ratios as coloured squares: inline SVG in the manner of `charts`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from corpusmill.pipelines.report import charts
from corpusmill.pipelines.report.foreign_text import visible

_FULL = 2.0  # powers of two from 1 at which a colour is full
_WIDTH, _LEFT, _TOP, _EACH = 340, 84, 6, 20


def heat_map(
    values: Sequence[Sequence[float | None]], rows: Sequence[str], columns: Sequence[str], label: str
) -> Markup:
    """Squares by row and column: the first colour above 1, the second below, the paler the nearer; none for
    None."""
    titles = [
        [f"{name}, expert {columns[c]}: {value:.2f} times its share of all" for c, value in enumerate(known)]
        for name, row in zip(rows, values, strict=True)
        for known in ([0.0 if value is None else value for value in row],)
    ]
    powers = [[None if value is None else _power(value) for value in row] for row in values]
    return _squares(powers, rows, columns, titles, label, _FULL)


def _power(value: float) -> float:
    return math.log2(value) if value > 0 else -_FULL


def signed(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    titles: Sequence[Sequence[str]],
    label: str,
    full: float = 3.0,
) -> Markup:
    """The first colour above 0, the second below, full at `full`; a square tells its title."""
    return _squares(values, rows, columns, titles, label, full)


def _squares(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    titles: Sequence[Sequence[str]],
    label: str,
    full: float,
) -> Markup:
    wide = (_WIDTH - _LEFT - 4) / max(1, len(columns))
    every = max(1, math.ceil(16 / wide))
    height = _TOP + len(rows) * _EACH + 18
    body: list[Markup] = []
    for r, name in enumerate(rows):
        y = _TOP + r * _EACH
        shown = name if len(name) <= 11 else name[:10] + "…"
        text = Markup('<text x="{}" y="{}" text-anchor="end" class="small">{}</text>')
        body.append(text.format(_LEFT - 6, y + 14, visible(shown)))
        for c, value in enumerate(values[r]):
            if value is None:
                continue
            square = Markup(
                '<rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" class="{}" fill-opacity="{:.2f}">'
                "<title>{}</title></rect>"
            )
            css = "kept" if value >= 0 else "removed"
            strength = min(1.0, max(0.06, abs(value) / full))
            place = (_LEFT + c * wide, y, max(wide - 1, 0.5), _EACH - 1)
            body.append(square.format(*place, css, strength, visible(titles[r][c])))
    for c in range(0, len(columns), every):
        text = Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="small">{}</text>')
        body.append(text.format(_LEFT + (c + 0.5) * wide, height - 5, visible(columns[c])))
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(_WIDTH, height, visible(label)) + Markup("").join(body) + Markup("</svg>")


def legend() -> Markup:
    """What the colours mean."""
    return charts.legend(
        [
            ("kept", "more than its share of all tokens, full at four times"),
            ("removed", "less, full at a quarter"),
        ]
    )
