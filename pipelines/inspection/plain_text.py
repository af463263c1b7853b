"""Text for a terminal: aligned tables, thousands separators, and foreign text made harmless.

No colours. Whatever comes from documents passes through `printable`, so that control characters and
bidirectional overrides of a document never reach the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

# Format characters reorder or hide what follows; surrogates and unassigned characters cannot be shown.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: object, limit: int = 200) -> str:
    """`text` on one line of at most `limit` characters: white space runs are one space, the rest escaped."""
    out: list[str] = []
    for character in " ".join(str(text)[: 4 * limit].split()):
        out.append(_harmless(character))
        if len(out) > limit:
            break
    shown = "".join(out)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def lines(text: str) -> list[str]:
    """All lines of a text, each made harmless, white space as it is but for tabs, which are four spaces."""
    return ["".join(map(_harmless, line.replace("\t", "    "))) for line in text.split("\n")]


def _harmless(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def reason(word: str) -> str:
    """A reason as a stage gave it, on one line; one that is empty is told as that."""
    return printable(word) or "(no reason given)"


def count(value: float | None) -> str:
    """A number with thousands separators; a dash for None."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def percent(part: float | None, whole: float) -> str:
    """`part` of `whole` in per cent; a dash where there is no part (None) or no whole."""
    return f"{100 * part / whole:.1f}%" if part is not None and whole else "-"


def fixed(value: float | None, digits: int) -> str:
    """A number with so many decimal places; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def size(value: float | None) -> str:
    """Bytes in decimal units, as the recipe writes them."""
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(amount) < 1000 or unit == "TB":
            return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def cells(text: str) -> int:
    """Columns a text takes on a terminal: East Asian wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], indent: str = "") -> str:
    """An aligned table. Numbers stand right with separators, text left; None is a dash."""
    texts = [[_cell(value) for value in row] for row in rows]
    right = [
        bool(rows)
        and all(
            isinstance(row[i], (int, float, type(None))) or _numeric(texts[k][i])
            for k, row in enumerate(rows)
        )
        for i in range(len(headers))
    ]
    widths = [max([cells(h), *(cells(row[i]) for row in texts)]) for i, h in enumerate(headers)]

    def line(values: Sequence[str]) -> str:
        padded = [
            " " * (width - cells(value)) + value if at_right else value + " " * (width - cells(value))
            for value, width, at_right in zip(values, widths, right, strict=True)
        ]
        return (indent + "  ".join(padded)).rstrip()

    rule = indent + "  ".join("-" * width for width in widths)
    return "\n".join([line(list(headers)), rule, *(line(row) for row in texts)])


def facts(pairs: Sequence[tuple[str, Any]], indent: str = "") -> str:
    """Names and values under one another, values aligned; pairs without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value is not None]
    width = max((cells(name) for name, _ in shown), default=0)
    return "\n".join(f"{indent}{name}{' ' * (width - cells(name))}  {value}" for name, value in shown)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, (int, float)):
        return count(value)
    return printable(value, 400)


def _numeric(text: str) -> bool:
    return text[:1].isdigit() and text.split(" ")[0].rstrip("%x").replace(",", "").replace(".", "").isdigit()
