"""Lines within an article that point to another one: "Related: ...", "Read more: ...", in several languages.

They look like a paragraph of the article, and stand where it does; a label and a link are all they hold. They
are no part of what the article says, and on another day the page points elsewhere.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import numpy as np

from corpusmill.pipelines.extraction.kernels.blocks import LINK_SHARE
from corpusmill.pipelines.extraction.kernels.surroundings import ANCESTORS

if TYPE_CHECKING:
    import numpy.typing as npt

    from corpusmill.pipelines.extraction.content_model import Look

_LABELS = (
    r"related(?: (?:articles?|stor(?:y|ies)|posts?|content|reading|reads|topics?|news|coverage))?",
    r"(?:also|must) read|read(?: (?:also|more|next|on))?|see (?:also|more)|watch(?: (?:also|more|now|next))?",
    r"(?:more|further|recommended) (?:reading|stories)|more (?:on|from|about)[^:]{0,40}|recommended|up next",
    r"lire aussi|à lire(?: aussi)?|voir aussi|sur le même sujet",
    r"lesen sie auch|lest auch|mehr zum thema|mehr dazu|siehe auch|auch interessant|passend dazu",
    r"lea también|lee también|te puede interesar|leia também|leia mais|veja também|leggi anche",
    r"lees ook|læs også|les også|läs också|lue myös|czytaj także|czytaj też|zobacz też|читайте также",
    r"相关阅读|延伸阅读|相关新闻|推荐阅读|関連記事|関連",
)
_POINTER = re.compile(rf"\W{{0,4}}(?:{'|'.join(_LABELS)})\s?[:：]", re.IGNORECASE)
_LINKED = np.float32(0.4)  # least share of a line's characters in links
_LOOKED_AT = 160  # bytes of a line, in which its label ends
_LI = ANCESTORS.index("li")


def without_pointers(look: Look, keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """`keep`, bool[blocks], without lines that are a label with a colon and, from 40% on, links.

    Items of lists stay: a list of links is judged as a whole.
    """
    in_item = (look.around.bits[look.blocks.element] >> _LI) & 1 == 1
    lines = np.nonzero(keep & ~in_item & (look.counts[:, LINK_SHARE] >= _LINKED))[0]
    if not len(lines):
        return keep
    made = keep.copy()
    for b in lines.tolist():
        made[b] = _POINTER.match(_beginning(look, b)) is None
    return made


def _beginning(look: Look, b: int) -> str:
    """The first shown characters of a block."""
    page, left, parts = look.page, _LOOKED_AT, []
    for t in range(look.blocks.first_text[b], look.blocks.end_text[b]):
        if left <= 0:
            break
        if page.shown[t]:
            begin = int(page.begin[t])
            parts.append(look.markup[begin : min(int(page.end[t]), begin + left)].tobytes())
            left -= len(parts[-1])
    return " ".join(html.unescape(b"".join(parts).decode("utf-8", "ignore")).split())
