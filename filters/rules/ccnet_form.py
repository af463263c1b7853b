"""The form that CCNet brings texts to before it asks its language models.

After cc_net, `text_normalizer.normalize` with its defaults: strip, small letters, NFD without marks (Mn),
decimal digits as 0, punctuation of other scripts as ASCII, then without control characters (U+0000 to U+001F
and U+007F to U+009F), line ends among them. The fullwidth digit one, which its table maps to a quotation
mark, is 0 by then.
"""

from __future__ import annotations

import re
import unicodedata

_PUNCTUATION = {
    ",": "，、",
    ".": "。",
    '"': "„”“«»」「《》",
    "'": "´’",
    ":": "∶：",
    "?": "？",
    "!": "！",
    "(": "（",
    ")": "）",
    ";": "；",
    "-": "–━►",
    " - ": "—",
    ". ": "．",
    "~": "～",
    "...": "…",
    "<": "〈",
    ">": "〉",
    "[": "【",
    "]": "】",
    "%": "％",
}


_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "")
_SIGNS = _CONTROLS | {ord(sign): plain for plain, signs in _PUNCTUATION.items() for sign in signs}
_DIGIT = re.compile(r"\d")


def ccnet_form(text: str) -> str:
    """The text in this form."""
    marked = unicodedata.normalize("NFD", text.strip().lower())
    bare = marked if marked.isascii() else "".join(c for c in marked if unicodedata.category(c) != "Mn")
    return _DIGIT.sub("0", bare).translate(_SIGNS)
