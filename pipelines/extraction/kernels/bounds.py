"""Markup that would make a parser run away: nesting and attributes, bounded before and after parsing.

Extraction costs time quadratic in the nesting depth, and parsing in the attributes of one tag (measured:
200,000 nested `div`, or 200,000 attributes, run for minutes). `screen` reads the bytes once without a
parser, at a few hundred MB/s; where it suspects too deep a page, `depth_exceeds` decides on the tree.
On the way it notes which strings occur inside tags, so that later steps look only for what may be there.

Two rules of HTML make a parser's work grow with the square of a page. Formatting elements (`b`, `font`, ...)
that are open when a block ends are opened again in the next one, so that `<p><b a=1><p><b a=2>...` becomes
millions of elements; and every `option` of a list looks at those before it. `screen` estimates both, and
`plain_names` gives formatting elements and lists other names, so that the rules do not apply. The text of
the page stays as it is, unless formatting elements cross an `option`, `label`, `video` or `audio` left open.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.pipelines.extraction.kernels.page_bytes import find_byte
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address, byte_at

if TYPE_CHECKING:
    import numpy.typing as npt

_VOID = "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
_RAW = "script style textarea title xmp iframe noembed noframes"
_SPECIAL = (
    "address applet article aside blockquote body button caption center dd details dir div dl dt fieldset "
    "figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hgroup html li main menu nav object ol p "
    "pre section select summary table tbody td template tfoot th thead tr ul"
)
_FORMATTING = "b big code em font i nobr s small strike strong tt u"
_IS_VOID, _IS_RAW, _IS_SPECIAL, _IS_FOREIGN, _IS_FORMATTING, _IS_OPTION = 1, 2, 4, 8, 16, 32
_SLOTS = 990  # smallest table in which no two of these names collide (checked below)


def _name_hash(name: str) -> int:
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def _tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    keys, kinds = np.zeros(_SLOTS, np.uint32), np.zeros(_SLOTS, np.uint8)
    for names, kind in (
        (_VOID, _IS_VOID),
        (_RAW, _IS_RAW),
        (_SPECIAL, _IS_SPECIAL),
        ("svg math", _IS_FOREIGN),
        (_FORMATTING, _IS_FORMATTING),
        ("option optgroup", _IS_OPTION),
    ):
        for name in names.split():
            slot = _name_hash(name) % _SLOTS
            assert keys[slot] in (0, _name_hash(name)), f"tag names collide in the table: {name}"
            keys[slot] = _name_hash(name)
            kinds[slot] = kind
    return keys, kinds


_KEYS, _KINDS = _tables()
_SIGN_SLOTS = 8192  # a power of two: taken modulo for every byte of every tag


_WINDOW = 6
# Each byte as signs have it: small letters, and a space for white space.
_AS_SIGNS = np.array([ord(chr(byte).lower()) if 32 <= byte < 128 else max(byte, 32) for byte in range(256)])
_SPREAD = 0x48DB2265B1F5  # an odd multiplier under which the strings in use do not collide (checked below)


@lru_cache(maxsize=8)
def signs(groups: tuple[tuple[str, ...], ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Table for `screen`: bit i of its mask says that one of the strings of group i occurs inside a tag.

    Strings are lower-case ASCII of six characters, a space standing for any white space; at most 62 groups.
    Returns keys int64[m] and bits int64[m].
    """
    keys, bits = np.zeros(_SIGN_SLOTS, np.int64), np.zeros(_SIGN_SLOTS, np.int64)
    for index, group in enumerate(groups):
        for word in group:
            assert len(word.lower()) == _WINDOW, f"not six lower-case characters: {word!r}"
            window = int.from_bytes(word.encode("ascii"), "big")
            slot = ((window * _SPREAD) >> 35) & (_SIGN_SLOTS - 1)
            assert keys[slot] in (0, window), f"strings collide in the table: {word!r}"
            keys[slot] = window
            bits[slot] |= 1 << index
    return keys, bits


_P, _LI, _TR, _TD, _TH, _DT, _DD, _OPTION, _SELECT, _A, _CAPTION, _OBJECT, _TEMPLATE = (
    _name_hash(n)
    for n in [
        "p",
        "li",
        "tr",
        "td",
        "th",
        "dt",
        "dd",
        "option",
        "select",
        "a",
        "caption",
        "object",
        "template",
    ]
)
_TABLE, _BUTTON_NAME = _name_hash("table"), _name_hash("button")
_HEADINGS = tuple(_name_hash(f"h{level}") for level in range(1, 7))
_MOST_OPEN = 256  # formatting elements; each new one is compared with all that are open
_LESS_THAN, _GREATER_THAN = 60, 62
_X = 120  # the letter of the name that `plain_names` gives to formatting elements
_BUTTON = np.frombuffer(b"button", np.uint8)  # and to lists: what is in one is left out of texts as well


@compiled
def _kind(name: int) -> int:  # pragma: no cover - compiled
    slot = name % _SLOTS
    return int(_KINDS[slot]) if _KEYS[slot] == name else 0


@compiled
def _implied_end(new: int, top: int, special: bool) -> bool:  # pragma: no cover - compiled
    """Whether opening `new` closes an open `top` whose end tag may be omitted."""
    if top == _P:
        return special
    if top in (_LI, _OPTION):
        return new == top
    if top in (_DT, _DD):
        return new in (_DT, _DD)
    if top in (_TD, _TH):
        return new in (_TD, _TH, _TR)
    return top == _TR and new == _TR


@compiled
def _replaces(new: int, top: int) -> bool:  # pragma: no cover - compiled
    """Whether opening `new` closes the element `top` that it would stand in directly."""
    if new in (_TABLE, _BUTTON_NAME):
        return new == top
    return new in _HEADINGS and top in _HEADINGS


@compiled
def _close(
    at: int, depth: int, names: npt.NDArray[np.int64], kinds: npt.NDArray[np.uint8]
) -> tuple[int, int]:  # pragma: no cover - compiled
    """(depth, reopened) after the element at depth `at` and all above it close.

    Formatting elements above it are opened again; those above a cell or the like are forgotten.
    """
    end = at
    forgotten = _is_scope(names[at])
    for k in range(at + 1, depth + 1):
        if forgotten:
            break
        forgotten = _is_scope(names[k])
        if kinds[k] == _IS_FORMATTING:
            names[end], kinds[end] = names[k], kinds[k]
            end += 1
    return end - 1, end - at


@compiled
def _is_scope(name: int) -> bool:  # pragma: no cover - compiled
    return name in (_TD, _TH, _CAPTION, _OBJECT, _TEMPLATE)


@compiled
def screen(
    data: npt.NDArray[np.uint8],
    max_depth: int,
    sign_keys: npt.NDArray[np.int64],
    sign_bits: npt.NDArray[np.int64],
    renamed: npt.NDArray[np.uint8],
) -> tuple[int, int, int, int, int, int]:  # pragma: no cover - compiled
    """(depth, attributes, seen, tags, reopened, options) of HTML bytes.

    Deepest nesting, most attributes of one tag, mask of strings, tags, formatting elements that a parser
    opens again (from 256 open at once on, every further one counts as if it did 256 times), and `option`
    elements. `data` uint8[n] in an ASCII-compatible encoding; `sign_keys` and `sign_bits` from `signs`.
    Depth and reopened are estimates that lean high (end tags that a parser implies are not all known here);
    depth stops at `max_depth + 1`, and reopened is counted up to there. `seen` lacks no string that stands
    unescaped in a tag. `renamed` is empty, or a copy of `data` in which the names of formatting elements and
    of lists of options are overwritten.
    """
    n = len(data)
    at = address(data)
    stop = at + n
    names = np.zeros(max_depth + 2, np.int64)
    kinds = np.zeros(max_depth + 2, np.uint8)
    depth = deepest = most = 0
    seen = tags = reopened = options = formatting = 0
    pending = 0  # formatting elements, the uppermost ones, that the next text or inline element opens again
    foreign_at = 0  # depth of the enclosing svg or math element, where `/>` closes
    i = 0
    while i < n - 1:
        if byte_at(at + i) != _LESS_THAN:
            after = find_byte(at + i, stop - 1, _LESS_THAN) - at
            while pending and i < after:
                if byte_at(at + i) > 32:
                    pending = 0  # text opens them again
                i += 1
            i = after
            continue
        first = byte_at(at + i + 1) | 32
        closing = byte_at(at + i + 1) == 47  # /
        if closing and i + 2 < n:
            first = byte_at(at + i + 2) | 32
        if first < 97 or first > 122:
            if (
                byte_at(at + i + 1) == 33
                and i + 3 < n
                and byte_at(at + i + 2) == 45
                and byte_at(at + i + 3) == 45
            ):  # <!--
                end = find_byte(at + i + 6, stop, _GREATER_THAN) - at
                while end < n and not (byte_at(at + end - 1) == 45 and byte_at(at + end - 2) == 45):
                    end = find_byte(at + end + 1, stop, _GREATER_THAN) - at
                i = end + 1
            else:
                i += 1
            continue
        i += 2 if closing else 1
        opened = i
        name = 2166136261
        while i < n and byte_at(at + i) > 32 and byte_at(at + i) != 47 and byte_at(at + i) != 62:
            byte = byte_at(at + i)
            name = ((name ^ (byte | 32 if 65 <= byte <= 90 else byte)) * 16777619) & 0xFFFFFFFF
            i += 1
        attributes = 0
        slash = False
        while i < n and byte_at(at + i) != 62:  # >
            if byte_at(at + i) <= 32:
                i += 1
                continue
            slash = byte_at(at + i) == 47
            if slash:
                i += 1
                continue
            attributes += 1
            while (
                i < n
                and byte_at(at + i) > 32
                and byte_at(at + i) != 47
                and byte_at(at + i) != 62
                and byte_at(at + i) != 61
            ):
                i += 1
            while i < n and byte_at(at + i) <= 32:
                i += 1
            if i < n and byte_at(at + i) == 61:  # =
                i += 1
                while i < n and byte_at(at + i) <= 32:
                    i += 1
                if i < n and (byte_at(at + i) == 34 or byte_at(at + i) == 39):
                    i = find_byte(at + i + 1, stop, byte_at(at + i)) - at + 1
                else:
                    while i < n and byte_at(at + i) > 32 and byte_at(at + i) != 62:
                        i += 1
        if not closing:
            window = np.int64(0)
            for k in range(opened - 1, min(i + 1, n)):
                window = ((window << 8) | _AS_SIGNS[byte_at(at + k)]) & 0xFFFFFFFFFFFF
                slot = ((window * _SPREAD) >> 35) & (_SIGN_SLOTS - 1)
                if sign_keys[slot] == window:
                    seen |= sign_bits[slot]
        i += 1
        most = max(most, attributes)
        tags += 1
        kind = _kind(name)
        special = kind == _IS_SPECIAL
        if len(renamed) and (kind == _IS_FORMATTING or name == _SELECT):
            for k in range(opened, n):
                if byte_at(at + k) <= 32 or byte_at(at + k) == 47 or byte_at(at + k) == 62:
                    break
                renamed[k] = _X if kind == _IS_FORMATTING else _BUTTON[k - opened]
        if deepest > max_depth:
            if closing:
                continue
        elif closing:
            j = depth
            blocks = 0
            while (
                j > 0 and names[j] != name and (special or kind == _IS_FORMATTING or kinds[j] != _IS_SPECIAL)
            ):
                blocks += kinds[j] == _IS_SPECIAL
                j -= 1
            if j > 0 and names[j] == name:
                if kind == _IS_FORMATTING and blocks:  # it ends inside a block, where it is opened apart
                    for k in range(j, depth):
                        names[k], kinds[k] = names[k + 1], kinds[k + 1]
                    depth -= 1
                    reopened += 1
                else:
                    waiting = max(0, pending - (depth - j + 1))  # those of them below
                    depth, again = _close(j, depth, names, kinds)
                    reopened += again
                    pending = waiting + again
                if foreign_at > depth:
                    foreign_at = 0
            continue
        if kind == _IS_VOID or (slash and foreign_at > 0):
            continue
        if kind == _IS_RAW and foreign_at == 0:
            while i < n - 2:  # to the matching end tag
                i = find_byte(at + i, stop - 2, _LESS_THAN) - at
                if i < n - 2 and byte_at(at + i + 1) == 47:
                    k = i + 2
                    other = 2166136261
                    while k < n and byte_at(at + k) > 32 and byte_at(at + k) != 47 and byte_at(at + k) != 62:
                        byte = byte_at(at + k)
                        other = ((other ^ (byte | 32 if 65 <= byte <= 90 else byte)) * 16777619) & 0xFFFFFFFF
                        k += 1
                    if other == name:
                        i = k
                        break
                i += 1
            continue
        options += kind == _IS_OPTION
        if deepest > max_depth:
            continue
        while depth > 0:
            j = depth  # the innermost block, or what has the end tag that `name` implies
            while j > 1 and kinds[j] != _IS_SPECIAL and names[j] != name:
                j -= 1
            if not (_implied_end(name, names[j], special) or (name == _A and names[j] == _A)):
                break
            depth, again = _close(j, depth, names, kinds)
            reopened += again
            pending = again
        if depth > pending and _replaces(name, names[depth - pending]):
            depth, pending = _close(depth - pending, depth, names, kinds)
            reopened += pending
        if kind == _IS_FORMATTING:
            formatting = 0
            for k in range(1, depth + 1):
                formatting += kinds[k] == _IS_FORMATTING
            if formatting >= _MOST_OPEN:
                reopened += _MOST_OPEN
        depth += 1
        if special:  # a block stands below what is opened again inside it
            for k in range(depth, depth - pending, -1):
                names[k], kinds[k] = names[k - 1], kinds[k - 1]
        else:
            pending = 0
        names[depth - pending] = name
        kinds[depth - pending] = kind
        if kind == _IS_FOREIGN and foreign_at == 0:
            foreign_at = depth
        deepest = max(deepest, depth)
    return deepest, most, seen, tags, reopened, options


def plain_names(text: str) -> str:
    """`text` with formatting elements and lists of options under other names of the same length.

    Formatting elements get names of no meaning (`x`, `xx`, ...), `select` becomes `button`.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    renamed = data.copy()
    screen(data, 1, *signs(()), renamed)
    return renamed.tobytes().decode()


def depth_exceeds(root: Any, max_depth: int) -> bool:
    """Whether any element below `root` (a resiliparse node) stands more than `max_depth` levels under it."""
    node, depth = root, 0
    while True:
        child = node.first_child
        if child is not None:
            if depth > max_depth:
                return True
            node, depth = child, depth + 1
            continue
        while node.next_sibling is None:
            if depth == 0:
                return False
            node, depth = node.parent_node, depth - 1
            if depth == 0:
                return False
        node = node.next_sibling
