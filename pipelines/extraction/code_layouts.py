"""Code that a page lays out by other means than the text of a `pre`: made a `pre` with that text.

Viewers, editors and highlighters write a row of code as an element (`li`, `div`, `td`, `span`), put numbers
before it, or keep a second copy to be copied from. Each becomes one `pre` whose text is the rows, without
numbers, in the tree itself, so that every extractor sees code. What `kernels.outline` understands by the
words of `class` (tables of code, numbers in elements of their own) is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from corpusmill.pipelines.extraction.tags import BREAKS, LINE, NUMBERS


class _Layout(NamedTuple):
    """How one program lays out code in rows."""

    container: str
    rows: str
    signs: tuple[str, ...]
    """Strings of which one occurs in the tags of each page with this layout (see `bounds.signs`)."""
    copies: tuple[tuple[str, str], ...] = ()
    """Copies of the code that stand beside it: (copy, what must be on the page)."""


_LAYOUTS = (
    _Layout(  # SyntaxHighlighter 1
        ".dp-highlighter ol, ol[class^='dp-']", "li", ("dp-hig", 's="dp-', "s='dp-", "ss=dp-")
    ),
    _Layout(  # GitHub
        *(".react-code-lines", ".react-file-line", ("ct-cod",)),
        (("#read-only-cursor-text-area", ".react-code-lines"),),
    ),
    _Layout(".fragment", ".line", ('"fragm', "'fragm", " fragm", "=fragm")),  # Doxygen
    _Layout(".view-lines", ".view-line", ("ew-lin",)),  # Monaco
    _Layout(
        *(".enlighter", ".enlighter > div", ("enligh",)),
        (
            (".enlighter-raw", ".enlighter"),
            (".enlighter-default:has(+ .EnlighterJSRAW)", ".EnlighterJSRAW"),
        ),
    ),
    _Layout(
        *(".crayon-pre", ".crayon-line", ("crayon",)),
        ((".crayon-plain-wrap", ".crayon-syntax .crayon-pre"),),
    ),
    _Layout(".FileContents", ".FileContents-lineContents", ("lecont",)),  # Gitiles
    _Layout(".CodeMirror-code", ".CodeMirror-line", ("codemi",)),
    _Layout(".ace_text-layer", ".ace_line", ("ace_li",)),
    _Layout(".hljs-ln", ".hljs-ln-code", ("hljs-l",)),
    _Layout("ol:has(> li > .de1)", "li > .de1", ('"de1">', "'de1'>", "s=de1>")),  # GeSHi
    _Layout(".prettyprint ol, ol.linenums", "li", ("rettyp", "inenum")),  # google-code-prettify
)
_OTHER_SIGNS = (
    *(("<listi", "<plain", "\0<xmp>", "\0<xmp "), ("<code>", "<code ")),
    ("\0<pre>", "\0<pre "),
)
SIGNS = (*(layout.signs for layout in _LAYOUTS), *_OTHER_SIGNS)
"""Strings that occur in the tags of pages with each layout, with old elements of code, `code` and `pre` (see
`bounds.signs`); NUL stands before a tag of fewer characters."""
EVERYTHING = (1 << len(SIGNS)) - 1
_NUMBERS = ".lineno, .linenumber, .line-number"
_ROW_WORDS = frozenset(("line", "code-line", "token-line", "view-line"))
_SPACED = re.compile(r"white-space:\s*(?:pre|break-spaces)", re.IGNORECASE)
_WHITE = re.compile(r"[ \t\r\n\f]+")
_DIGITS = re.compile(r"\s*([0-9]{1,6})[.:)|]?\s*")
_LEAST_NUMBERS = 3


def take_code_layouts(tree: Any, seen: int) -> None:
    """Make code of `tree`, resiliparse's, a `pre` each; `seen` is the mask of the `SIGNS` that occur.

    Time is linear in the page for each kind of layout.
    """
    old, code, pre = (seen >> bit & 1 for bit in range(len(_LAYOUTS), len(SIGNS)))
    document = tree.document
    layouts = [layout for bit, layout in enumerate(_LAYOUTS) if seen >> bit & 1]
    for layout in layouts:
        for copy, original in layout.copies:
            if document.query_selector(original) is not None:
                for node in _outermost(document.query_selector_all(copy)):
                    node.decompose()
    for layout in layouts:
        for node in _outermost(document.query_selector_all(layout.container)):
            _take_rows(tree, node, layout.rows)
    if old:
        for node in _outermost(document.query_selector_all("xmp, listing, plaintext")):
            _replace(tree, node, str(node.text or ""))
    if code:  # by name: three times as fast as a selector
        for node in _outermost(document.get_elements_by_tag_name("code")):
            _take_code(tree, node)
    if pre:
        for node in _outermost(document.get_elements_by_tag_name("pre")):
            _take_pre(node)


def _outermost(nodes: Any) -> list[Any]:
    """The elements of a collection that lie in no other one of it; all read before any is replaced."""
    found: list[Any] = []
    for node in nodes.values():
        if not found or not found[-1].contains(node):
            found.append(node)
    return found


def _take_rows(tree: Any, node: Any, row: str) -> None:
    rows = _outermost(node.query_selector_all(row))
    if not rows:
        return
    numbers = _outermost(node.query_selector_all(_NUMBERS))
    for number in numbers:
        if _DIGITS.fullmatch(number.text or ""):
            number.decompose()
    texts = [_row(str(each.text or "")) for each in rows]
    _replace(tree, node, "\n".join(_unspaced(texts) if numbers else texts))


def _row(text: str) -> str:
    """The text of one row of code; editors give an empty one a character to stand on."""
    return text.replace("\xa0", " ").replace("\u200b", "").strip("\r\n").replace("\n", " ").rstrip()


def _replace(tree: Any, node: Any, code: str) -> None:
    """Put `code` in the place of an element: as a `pre`, or as a text where it stands in one."""
    if _within(node, "pre"):
        made = tree.create_text_node(code)
    else:
        made = tree.create_element("pre")
        # A parser passes over the line end behind `<pre>`; a tree holds none.
        made.text = code
    node.parent.replace_child(made, node)


def _within(node: Any, name: str) -> bool:
    around = node.parent
    while around is not None:
        if around.tag == name:
            return True
        around = around.parent
    return False


def _take_code(tree: Any, node: Any) -> None:
    """`code` of several rows in no `pre`: parted by `br`, or by line ends that its style keeps."""
    text = str(node.text or "")
    kept = "\n" in text and _SPACED.search(node.getattr("style") or "") is not None
    broken = not kept and _holds_break(node) and _is_alone(node)
    if not (kept or broken) or _within(node, "pre"):
        return
    if broken:
        parts = [
            "\0" if part.tag == "br" else _WHITE.sub(" ", str(part.value or "")) for part in _leaves(node)
        ]
        text = "\n".join(row.strip(" ") for row in "".join(parts).split("\0"))
    node.text = text.replace("\xa0", " ")
    made = tree.create_element("pre")
    node.parent.insert_before(made, node)
    made.append_child(node)


def _holds_break(node: Any) -> bool:
    """Whether a `br` stands in an element; most of `code` hold no element at all."""
    return node.first_element_child is not None and node.query_selector("br") is not None


def _is_alone(node: Any) -> bool:
    """Whether an element stands on lines of its own: nothing of a line before or behind it."""
    for step in ("prev", "next"):
        beside = getattr(node, step)
        if beside is not None and beside.tag == "#text" and not str(beside.value or "").strip():
            beside = getattr(beside, step)
        if beside is not None and BREAKS[NUMBERS.get(beside.tag, 0)] < LINE:
            return False
    return True


def _leaves(node: Any) -> Iterator[Any]:
    """Texts, and elements without children, within `node` in document order."""
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        if inner is not node and inner.first_child is None:
            yield inner
        waiting.extend(reversed(inner.child_nodes.values()))


def _holds_alone(node: Any, child: Any) -> bool:
    """Whether an element holds one child and blank texts."""
    beside = (each for each in (node.first_child, node.last_child) if each != child)
    return child.next_element is None and not any(str(each.text or "").strip() for each in beside)


def _text_of(leaf: Any) -> str:
    if leaf.tag == "br":
        return "\n"
    return str(leaf.value or "") if leaf.tag == "#text" else ""


def _take_pre(node: Any) -> None:
    """Rows that are elements without line ends, and numbers that begin all rows."""
    child = node.first_element_child
    inner = child if child is not None and child.tag == "code" and child.next_element is None else node
    listed = inner.first_element_child
    if listed is not None and listed.tag in ("ol", "ul") and _holds_alone(inner, listed):
        rows = [each for each in listed.child_nodes.values() if each.tag == "li"]
        inner.text = "\n".join(_row(str(each.text or "")) for each in rows)
        return
    text = str(inner.text or "")
    if "\n" not in text.strip("\n"):
        rows = inner.child_nodes.values()
        if len(rows) > 1 and all(_is_row(each) for each in rows):
            inner.text = "\n".join(_row(str(each.text or "")) for each in rows)
        return
    if _DIGITS.match(text) is None:
        return
    without = _without_numbers(inner)
    if without is not None:
        inner.text = without


def _is_row(node: Any) -> bool:
    if node.tag == "#text":
        return not str(node.value or "").strip()
    words = (node.getattr("class") or "").split()
    return node.tag == "span" and (node.hasattr("data-line") or not _ROW_WORDS.isdisjoint(words))


def _without_numbers(node: Any) -> str | None:
    """The text of code without the elements of digits that begin all its rows and count up by one.

    None where there are none. One space that follows all numbers belongs to them.
    """
    rows: list[str] = [""]
    numbers: list[str] = []
    for leaf in _leaves(node):
        first, *more = _text_of(leaf).split("\n")
        number = _DIGITS.fullmatch(first) if leaf.parent != node and not rows[-1].strip() else None
        if number is not None and len(numbers) < len(rows) and first.strip():
            if len(numbers) != len(rows) - 1 or (numbers and int(number[1]) != int(numbers[-1]) + 1):
                return None
            numbers.append(number[1])
            rows[-1] = ""
        else:
            rows[-1] += first
            if first.strip() and len(numbers) < len(rows):
                return None
        rows += more
    while rows and not rows[-1]:
        rows.pop()
    if len(numbers) < _LEAST_NUMBERS or len(numbers) != len(rows):
        return None
    return "\n".join(_unspaced(rows))


def _unspaced(rows: list[str]) -> list[str]:
    """Rows without the space that stood behind their numbers, if all that are not empty have one."""
    spaced = all(not row or row[0] == " " for row in rows)
    return [row[1:] for row in rows] if spaced else rows
