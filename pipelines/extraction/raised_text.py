"""Exponents and indices written by `sup` and `sub`, as TeX: flattened, 10<sup>6</sup> would be 106.

What is raised for another reason stays as it is: marks of notes, ordinals (1st, 2e), trade marks. Taken are:

- indices: a number or up to four letters behind a letter, a number or a bracket (x_i, CO_2, log_2);
- exponents: a signed number behind any of these; a number behind a bracket, a single letter, two letters
  behind a sign of reckoning, a unit of measure or a number that is no year; n, k, m and the like behind a
  letter or a number;
- charges: `2+`, `-` behind the letters of a formula (Ca, SO_4).

A base of one letter or number becomes part of the formula; one of several letters (CO) stays before it.
"""

from __future__ import annotations

import re
from typing import Any

_CARRIERS = ("i", "em", "b", "strong", "var", "span")
_SIGNS = str.maketrans({"−": "-", "–": "-", "\u2009": " "})
_SIGNED = re.compile(r"[-+±]\s?[0-9]{1,3}(?:[.,/][0-9]{1,2})?")
_NUMBER = re.compile(r"[0-9]{1,3}(?:[.,/][0-9]{1,2})?")
_LETTERS = re.compile(
    r"[^\W\d_]{1,4}(?:,\s?[^\W\d_]{1,2})?|[^\W\d_]{1,2}\s?[-+]\s?[0-9]{1,2}|[0-9]{1,2},\s?[0-9]{1,2}"
)
_POWERS = re.compile(r"[0-9]{0,2}[nmkijxyztTrpqN](?:\s?[-+/]\s?(?:[0-9]{1,2}|[nmkij]))?")
_CHARGE = re.compile(r"[0-9]?[-+]")
_TAIL = re.compile(r"(?:[^\W_]|[.,](?=[0-9])){1,24}\Z|[)\]|}]\Z")
_UNITS = frozenset(
    ("mm", "cm", "dm", "m", "km", "ft", "in", "yd", "mi", "kg", "ms", "µm", "μm", "nm", "sq", "inch", "feet",
     "miles", "metre", "meter", "metres", "meters")
)  # fmt: skip
_YEAR = re.compile(r"1[5-9][0-9]{2}|20[0-9]{2}")
_LONGEST = 24  # characters of the base that are looked at


def raised(name: str, content: str, before: str) -> tuple[str, str] | None:
    """(TeX, base) of a `sub` or `sup` that holds `content` behind `before`; None where it is no formula.

    TeX is `^{content}` or `_{content}`; `base` is the end of `before` that belongs into the formula, or "".
    """
    content = " ".join(content.translate(_SIGNS).split())
    tail = _TAIL.search(before, max(0, len(before) - _LONGEST))
    if not content or tail is None:
        return None
    base = tail[0]
    whole = tail.start() > 0 or len(before) <= _LONGEST  # else it goes on before what was looked at
    is_number, is_letter = base.replace(".", "").replace(",", "").isdigit(), len(base) == 1 and base.isalpha()
    if name == "sub":
        taken = _NUMBER.fullmatch(content) or _LETTERS.fullmatch(content)
    else:
        reckoned = len(base) == 2 and before[: tail.start()].rstrip()[-1:] in tuple("=+-*/·×(")  # E = mc^2
        exact = is_letter or not base[-1].isalnum() or base in _UNITS or reckoned
        taken = (
            _SIGNED.fullmatch(content)
            or (_CHARGE.fullmatch(content) if base[:1].isupper() or base[-1].isdigit() else None)
            or (_NUMBER.fullmatch(content) if exact or (is_number and not _YEAR.fullmatch(base)) else None)
            or (_POWERS.fullmatch(content) if exact or is_number else None)
        )
    if not taken:
        return None
    joined = base if whole and (is_letter or (is_number and name == "sup")) else ""
    return f"{'_' if name == 'sub' else '^'}{{{content}}}", joined


def content_of(node: Any) -> str | None:
    """The text of an element that holds one short text, or one of `_CARRIERS` with one; else None."""
    from resiliparse.parse.html import NodeType

    for _ in range(2):
        inner = node.first_child
        if inner is None or inner.next is not None:
            return None
        if inner.type == NodeType.TEXT:
            text = str(inner.value or "")
            return text if len(text) <= _LONGEST else None
        if inner.type != NodeType.ELEMENT or inner.local_name not in _CARRIERS:
            return None
        node = inner
    return None


def text_before(node: Any) -> tuple[str, Any]:
    """(text, node): what stands directly before an element, if a text or a letter in `_CARRIERS`; else "".

    The node is the text's, or the element around the letter.
    """
    from resiliparse.parse.html import NodeType

    before = node.prev
    if before is None:
        return "", None
    if before.type == NodeType.TEXT:
        return str(before.value or ""), before
    if before.type == NodeType.ELEMENT and before.local_name in _CARRIERS:
        return content_of(before) or "", before
    return "", None
