"""Foreign text on the page: what would reorder or hide the page's own words is shown as codes."""

from __future__ import annotations

import unicodedata

_KEPT_CONTROLS = "\n\t"
_SHOWN_AS_CODE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: object) -> str:
    """`text` with control and format characters (bidirectional overrides among them) as codes.

    Escaping for HTML is done besides, by the template and by markup's `format`.
    """
    return "".join(
        f"\\u{{{ord(c):x}}}" if c not in _KEPT_CONTROLS and unicodedata.category(c) in _SHOWN_AS_CODE else c
        for c in str(text)
    )
