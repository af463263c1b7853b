"""Presentation MathML to TeX, for formulas that carry no TeX of their own.

Covers MathML Core's presentation elements and the older `mfenced`. Characters become the TeX commands of
LaTeX with amssymb; what has none stays as it is. Braces are always written (`x^{2}`), so the result never
depends on TeX's reading of single characters. The tree is any object with `local_name`, `text`,
`children` (elements) and `getattr`, as resiliparse's nodes are.
"""

from __future__ import annotations

import re
from typing import Any

from corpusmill.pipelines.extraction.symbols import FUNCTIONS, MOVABLE, OVER, STYLES, UNDER, character

_DEEPEST = 60  # deeper formulas are machine-made noise; their text is kept as it stands
_SPACES = re.compile(r"\s+")
_COMMAND_END = re.compile(r"\\[A-Za-z]+$")


def to_tex(math: Any) -> str:
    """TeX of one `math` element (or any element inside one), without dollar signs."""
    return _convert(math, 0).strip()


def join(parts: list[str]) -> str:
    """Concatenates TeX, with a space only where a command would swallow the letter after it."""
    out: list[str] = []
    last = ""
    for part in parts:
        if not part:
            continue
        if part[0].isalpha() and part[0].isascii() and _COMMAND_END.search(last):
            out.append(" ")
        out.append(part)
        last = part
    return "".join(out)


def _elements(node: Any) -> list[Any]:
    return list(node.children.values())


def _name(node: Any) -> str:
    return str(node.local_name).lower().rpartition(":")[2]


def _text(node: Any) -> str:
    return _SPACES.sub(" ", node.text or "").strip()


def _row(nodes: list[Any], depth: int) -> str:
    return join([_convert(node, depth) for node in nodes])


def _convert(node: Any, depth: int) -> str:
    if depth > _DEEPEST:
        return "".join(character(c) for c in _text(node))
    name, inner = _name(node), depth + 1
    if name in _LEAVES:
        return _leaf(node, name)
    children = _elements(node)
    if name == "semantics":
        return _convert(children[0], inner) if children else ""
    if name in ("annotation", "annotation-xml", "none", "mprescripts", "mspace", "maligngroup", "malignmark"):
        return " " if name == "mspace" else ""
    if name == "mtable":
        return _table(children, inner)
    if name == "mfenced":
        return _fenced(node, children, inner)
    if name == "mmultiscripts":
        return _multiscripts(children, inner)
    if name == "msqrt":
        return f"\\sqrt{{{_row(children, inner)}}}"
    if name == "mphantom":
        return f"\\phantom{{{_row(children, inner)}}}"
    wanted = _ARITY.get(name)
    if wanted is None or len(children) != wanted:
        return _row(children, inner)
    return _scripted(node, name, [_convert(child, inner) for child in children])


_LEAVES = frozenset(("mi", "mn", "mo", "mtext", "ms"))
_ARITY = {
    "mfrac": 2,
    "mroot": 2,
    "msup": 2,
    "msub": 2,
    "mover": 2,
    "munder": 2,
    "msubsup": 3,
    "munderover": 3,
}


def _leaf(node: Any, name: str) -> str:
    text = _text(node)
    if name in ("mtext", "ms"):
        escaped = re.sub(r"([#$%&_{}])", r"\\\1", (node.text or "").replace("\n", " "))
        return f"\\text{{{escaped}}}" if escaped.strip() else " " if escaped else ""
    if name == "mi" and text in FUNCTIONS:
        return "\\" + text
    body = join([character(c) for c in text])
    style = STYLES.get(node.getattr("mathvariant") or "")
    if style and text.isascii() and text.isalpha():
        return f"\\{style}{{{body}}}"
    if len(text) > 1 and name in ("mi", "mo") and text.isascii() and text.isalpha():
        return f"\\mathrm{{{body}}}" if name == "mi" else f"\\operatorname{{{body}}}"
    return body


def _base(tex: str) -> str:
    """A base that carries scripts: braced when it is more than one symbol or group."""
    return tex if re.fullmatch(r"\\?\w|\\[A-Za-z]+(\{[^{}]*\})?|", tex) else f"{{{tex}}}"


def _scripted(node: Any, name: str, parts: list[str]) -> str:
    first = parts[0]
    if name == "mfrac":
        if (node.getattr("linethickness") or "").strip() in ("0", "0pt", "0px", "0em"):
            return f"{{{{{first}}} \\atop {{{parts[1]}}}}}"
        return f"\\frac{{{first}}}{{{parts[1]}}}"
    if name == "mroot":
        return f"\\sqrt[{parts[1]}]{{{first}}}"
    if name == "msup":
        # TeX writes primes without a caret.
        return f"{_base(first)}'" if parts[1] == "'" else f"{_base(first)}^{{{parts[1]}}}"
    if name == "msub":
        return f"{_base(first)}_{{{parts[1]}}}"
    if name == "msubsup":
        return f"{_base(first)}_{{{parts[1]}}}^{{{parts[2]}}}"
    if first.strip() in MOVABLE:
        marks = {"munder": "_", "mover": "^"}.get(name)
        return f"{first}{marks}{{{parts[1]}}}" if marks else f"{first}_{{{parts[1]}}}^{{{parts[2]}}}"
    if name == "munder":
        return _under(first, parts[1])
    if name == "mover":
        return _over(first, parts[1])
    return _over(_under(first, parts[1]), parts[2])


def _over(base: str, mark: str) -> str:
    command = OVER.get(mark.strip())
    return f"\\{command}{{{base}}}" if command else f"\\overset{{{mark}}}{{{base}}}"


def _under(base: str, mark: str) -> str:
    command = UNDER.get(mark.strip())
    return f"\\{command}{{{base}}}" if command else f"\\underset{{{mark}}}{{{base}}}"


def _table(rows: list[Any], depth: int) -> str:
    lines = []
    for row in rows:
        cells = _elements(row)
        if _name(row) == "mlabeledtr":
            cells = cells[1:]
        lines.append(" & ".join(_convert(cell, depth) for cell in cells))
    return "\\begin{matrix}" + " \\\\ ".join(lines) + "\\end{matrix}"


def _fenced(node: Any, children: list[Any], depth: int) -> str:
    opening, closing = node.getattr("open"), node.getattr("close")
    separators = node.getattr("separators")
    marks = [c for c in ("," if separators is None else separators) if not c.isspace()]
    parts = ["(" if opening is None else "".join(character(c) for c in opening)]
    for index, child in enumerate(children):
        if index and marks:
            parts.append(character(marks[min(index - 1, len(marks) - 1)]))
        parts.append(_convert(child, depth))
    parts.append(")" if closing is None else "".join(character(c) for c in closing))
    return join(parts)


def _multiscripts(children: list[Any], depth: int) -> str:
    if not children:
        return ""
    base, target = _convert(children[0], depth), "after"
    before: list[str] = []
    after: list[str] = []
    for child in children[1:]:
        if _name(child) == "mprescripts":
            target = "before"
        else:
            (before if target == "before" else after).append(_convert(child, depth))

    def scripts(parts: list[str]) -> str:
        pairs = zip(parts[::2], [*parts[1::2], ""], strict=False)
        return "".join(
            (f"_{{{low}}}" if low else "") + (f"^{{{high}}}" if high else "") for low, high in pairs
        )

    lead = scripts(before)
    return ("{}" + lead if lead else "") + _base(base) + scripts(after)
