"""Extended grapheme clusters by the rules of Unicode Standard Annex 29, one bound at a time."""

from __future__ import annotations

from functools import cache

import regex

# Rules in their order: what stands before and after a bound, and whether it is none.
_CONTROL = r"[\p{GCB=CR}\p{GCB=LF}\p{GCB=Control}]"
_WITHIN = r"[\p{InCB=Extend}\p{InCB=Linker}]*"
_FLAG = r"\p{GCB=Regional_Indicator}"
_RULES = [
    (r"\p{GCB=CR}", r"\p{GCB=LF}", True),
    (_CONTROL, "", False),
    ("", _CONTROL, False),
    (r"\p{GCB=L}", r"[\p{GCB=L}\p{GCB=V}\p{GCB=LV}\p{GCB=LVT}]", True),
    (r"[\p{GCB=LV}\p{GCB=V}]", r"[\p{GCB=V}\p{GCB=T}]", True),
    (r"[\p{GCB=LVT}\p{GCB=T}]", r"\p{GCB=T}", True),
    ("", r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]", True),
    (r"\p{GCB=Prepend}", "", True),
    (rf"\p{{InCB=Consonant}}{_WITHIN}\p{{InCB=Linker}}{_WITHIN}", r"\p{InCB=Consonant}", True),
    (r"\p{Extended_Pictographic}\p{GCB=Extend}*\p{GCB=ZWJ}", r"\p{Extended_Pictographic}", True),
    (rf"(?:^|[^{_FLAG}])(?:{_FLAG}{{2}})*{_FLAG}", _FLAG, True),
]


@cache
def _compiled() -> list[tuple[regex.Pattern[str], regex.Pattern[str], bool]]:
    flags = regex.V1 | regex.DOTALL
    return [
        (regex.compile(rf"(?:{before})\Z", flags), regex.compile(after, flags), joined)
        for before, after, joined in _RULES
    ]


def clusters(text: str) -> list[str]:
    """The clusters of a text. Takes time with its square."""
    found: list[str] = []
    for at, character in enumerate(text):
        says = (
            joined
            for before, after, joined in _compiled()
            if before.search(text[:at]) and after.match(text, at)
        )
        if at > 0 and next(says, False):
            found[-1] += character
        else:
            found.append(character)
    return found
