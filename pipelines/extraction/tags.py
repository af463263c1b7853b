"""Names of HTML elements as small numbers, and what each kind of element does to the text in it.

0 stands for every name that is not listed here; such an element is part of a line, as browsers show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_PARAGRAPHS = (
    "p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre article section main aside nav header footer hgroup "
    "figure form fieldset details dialog body center menu dir noframes frameset hr search template textarea"
)
_LINES = (
    "div li dt dd thead tbody tfoot tr caption address figcaption legend button summary noscript html option "
    "optgroup select datalist video audio canvas object iframe"
)
_CELLS = "td th"
_INLINE = (
    "a b strong i em u s small big font span sub sup mark cite q time abbr code kbd samp var tt del ins "
    "label img br svg math input output script style link meta title head base noembed xmp plaintext area "
    "param source track embed wbr col colgroup keygen basefont bgsound frame"
)
NAMES: tuple[str, ...] = ("", *" ".join((_PARAGRAPHS, _LINES, _CELLS, _INLINE)).split())
NUMBERS = {name: number for number, name in enumerate(NAMES)}
"""Numbers by names; `NAMES` is the other way round."""

_VOID = "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
_RAW = "script style xmp iframe noembed noframes plaintext"
_NOT_SHOWN = (
    "head title script style template iframe noembed noframes svg select option optgroup datalist xmp"
)

# What an end and a beginning of the element put between the texts on its two sides.
INLINE, CELL, LINE, PARAGRAPH = 0, 1, 2, 3


def _marked(names: str) -> npt.NDArray[np.bool_]:
    return np.array([name in names.split() for name in NAMES])


BREAKS = np.maximum.reduce(
    [
        kind * _marked(names).astype(np.uint8)
        for names, kind in ((_PARAGRAPHS, PARAGRAPH), (_LINES, LINE), (_CELLS, CELL))
    ]
)
IS_VOID, IS_RAW, IS_HIDDEN = _marked(_VOID), _marked(_RAW), _marked(_NOT_SHOWN)


def name_hash(name: str) -> int:
    """32-bit FNV-1a of the name's bytes, as the kernels compute it."""
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def _table(values: dict[str, int]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Keys and values by `name_hash` modulo their length, the least one at which no two names collide."""
    hashes = [name_hash(name) for name in values]
    slots = next(size for size in range(256, 1 << 16) if len({h % size for h in hashes}) == len(hashes))
    keys, found = np.zeros(slots, np.uint32), np.zeros(slots, np.uint8)
    for name, value in values.items():
        keys[name_hash(name) % slots], found[name_hash(name) % slots] = name_hash(name), value
    return keys, found


# Whole words of `class` (between white space) that say what an element is for.
LINE_BREAK, CODE, CODE_TABLE, LINE_NUMBERS, FURNITURE = 1, 2, 3, 4, 5
_CLASSES = {
    LINE_BREAK: "br",  # an empty element, as `br` is
    CODE: "syntaxhighlighter",
    CODE_TABLE: "highlight highlighttable rouge-table lntable hljs-ln",
    LINE_NUMBERS: (
        "gutter lineno linenos linenodiv lnt ln line-number line-numbers line-numbers-rows linenumber "
        "linenumbers line_numbers blob-num hljs-ln-numbers pre-numbering rouge-gutter react-line-number "
        "crayon-nums lnums"
    ),
    FURNITURE: "headerlink anchorjs-link mw-editsection",
}
KEYS, VALUES = _table({name: number for name, number in NUMBERS.items() if name})
SLOTS = len(KEYS)
CLASS_KEYS, CLASS_VALUES = _table({word: kind for kind, words in _CLASSES.items() for word in words.split()})
CLASS_SLOTS = len(CLASS_KEYS)
