"""A schedule as text, and a timeline as an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from corpusmill.training_hooks.schedules.actions import (
    Action,
    Backward,
    Forward,
    InputGradient,
    Overlapped,
    Pass,
    Schedule,
    WeightGradient,
)
from corpusmill.training_hooks.schedules.simulate import Span, Timeline

_LEFT, _TOP, _ROW, _BAR = 64, 34, 26, 22
_DIGIT = 6.2  # pixels of a digit in the numbers of chunks
# Of direction 0 and of direction 1.
_COLOURS: dict[type[Pass], tuple[str, str]] = {
    Forward: ("#e8a33d", "#f3cd8f"),
    Backward: ("#3f7fb5", "#93bbdc"),
    InputGradient: ("#3f9c7a", "#98cfb9"),
    WeightGradient: ("#8a8f98", "#c3c7cd"),
}
_NAMES: dict[type[Pass], str] = {
    Forward: "forward",
    Backward: "backward",
    InputGradient: "gradient of the input",
    WeightGradient: "gradient of the weights",
}


def as_text(schedule: Schedule) -> str:
    """One line a rank: `F0.3` is the forward pass of chunk 3 in direction 0, `B` backward, `I` and `W` its
    two parts, `&` two passes side by side."""
    return "\n".join(
        f"rank {rank}: {' '.join(map(str, actions))}" for rank, actions in enumerate(schedule.actions)
    )


def as_svg(timeline: Timeline, width: int = 1400) -> str:
    """A picture of `width` pixels: a row a rank, a box an action, two boxes above one another for passes side
    by side. Boxes tell their action and its times; chunks are numbered where there is room."""
    schedule = timeline.schedule
    scale = (width - _LEFT - 10) / timeline.makespan
    bottom = _TOP + schedule.ranks * _ROW
    label = f"{schedule.name}, {schedule.ranks} ranks, {schedule.chunks} chunks"
    legend, height = _legend(timeline, bottom + 12, width)
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(label)}</text>',
    ]
    for rank, spans in enumerate(timeline.spans):
        y = _TOP + rank * _ROW
        body.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">rank {rank}</text>')
        whole = timeline.makespan * scale
        body.append(f'<rect x="{_LEFT}" y="{y}" width="{whole:.1f}" height="{_BAR}" fill="#f4f4f4"/>')
        for span in spans:
            body += _boxes(span, y, scale)
    body += legend
    return "\n".join([*body, "</svg>", ""])


def _boxes(span: Span, y: float, scale: float) -> list[str]:
    passes = _passes(span.action)
    tall = _BAR / len(passes)
    x, wide = _LEFT + span.start * scale, max(0.2, (span.end - span.start) * scale - 0.5)
    title = f"<title>{escape(str(span.action))}: {span.start:.4g} to {span.end:.4g}</title>"
    made = []
    for place, one in enumerate(passes):
        colour = _COLOURS[type(one)][one.direction % 2]
        top = y + place * tall
        made.append(
            f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}">'
            f"{title}</rect>"
        )
        number = str(one.chunk)
        if wide > _DIGIT * len(number) + 2:
            size = 10 if len(passes) == 1 else 9
            made.append(
                f'<text x="{x + wide / 2:.1f}" y="{top + tall / 2 + size * 0.36:.1f}" font-size="{size}" '
                f'text-anchor="middle" pointer-events="none">{number}</text>'
            )
    return made


def _passes(action: Action) -> Sequence[Pass]:
    return (action.forward, action.backward) if isinstance(action, Overlapped) else (action,)


def _legend(timeline: Timeline, y: int, width: int) -> tuple[list[str], int]:
    """The colours of what there is, in rows from `y`, and where the picture ends below them."""
    there = {
        (type(one), one.direction)
        for spans in timeline.spans
        for span in spans
        for one in _passes(span.action)
    }
    made: list[str] = []
    x = _LEFT
    for kind, colours in _COLOURS.items():
        for direction in sorted(direction for one, direction in there if one is kind):
            words = _NAMES[kind]
            if len(timeline.schedule.directions) > 1:
                words += f", direction {direction}"
            wide = 30 + 6 * len(words)
            if x + wide > width and x > _LEFT:
                x, y = _LEFT, y + 18
            made.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colours[direction % 2]}"/>')
            made.append(f'<text x="{x + 17}" y="{y + 10}">{words}</text>')
            x += wide
    return made, y + 24
