"""Readings beside their words (`ruby`): put in brackets, as browsers without them show it.

漢字<rt>かんじ</rt> without `rp` would come out as one word, 漢字かんじ.
"""

from __future__ import annotations

from typing import Any

SIGNS = ("\0\0<rt>", "\0\0<rt ", "\0<rtc>", "\0<rtc ")
"""Strings of which one occurs in the tags of pages with readings (see `code_layouts.SIGNS`)."""
_READINGS = ("rt", "rtc")


def take_readings(tree: Any) -> None:
    """Put brackets around each run of readings of `tree`, resiliparse's, but where the page has its own."""
    for node in tree.document.query_selector_all("ruby").values():
        if node.query_selector("rp") is not None:
            continue
        previous = ""
        last: Any = None
        for child in node.child_nodes.values():
            if child.tag == "#text" and not str(child.value or "").strip():
                continue
            kind = child.tag if child.tag in _READINGS and (child.text or "").strip() else ""
            if previous and kind != previous:
                last.append_child(tree.create_text_node(")"))
            if kind and kind != previous:
                opening = tree.create_text_node("(")
                if child.first_child is None:
                    child.append_child(opening)
                else:
                    child.insert_before(opening, child.first_child)
            previous, last = kind, child
        if previous:
            last.append_child(tree.create_text_node(")"))
