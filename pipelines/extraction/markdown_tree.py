"""What Markdown needs to know of a page's elements: containers of blocks, headings, tables, marks of texts.

Everything is worked out for elements on the way from a kept block to the root, once each.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from corpusmill.pipelines.extraction.attributes import attributes, unescaped
from corpusmill.pipelines.extraction.inserts import target_of
from corpusmill.pipelines.extraction.kernels.blocks import NO_NUMBER, numbers_of
from corpusmill.pipelines.extraction.markdown_inline import Marks, Piece
from corpusmill.pipelines.extraction.tags import BREAKS, INLINE, NUMBERS

if TYPE_CHECKING:
    from corpusmill.pipelines.extraction.content_model import Look

MOST_CONTAINERS = 12
"""Quotations and lists within one another; what is deeper stands at this depth. Readers of Markdown have such
bounds, and every line repeats the indentation of all."""
_LI, _A, _TABLE, _QUOTATION, _PRE = (NUMBERS[name] for name in ("li", "a", "table", "blockquote", "pre"))
_LISTS = tuple(NUMBERS[name] for name in ("ul", "ol", "menu", "dir"))
_HEADINGS = {NUMBERS[f"h{level}"]: level for level in range(1, 7)}
_MARKS = {
    NUMBERS[tag]: kind
    for kind, tags in {
        "strong": "b strong",
        "emphasis": "i em cite var",
        "deleted": "s del",
        "code": "code kbd samp tt",
    }.items()
    for tag in tags.split()
}
_LANGUAGE_MARKS = ("language-", "lang-", "highlight-source-", "highlight-", "brush:", "sourcecode-")
_NO_LANGUAGES = frozenset(["plain", "plaintext", "none", "nohighlight", "text", "txt", "default", "auto"])


class Context(NamedTuple):
    """What stands around an element, itself included."""

    containers: tuple[int, ...]
    """Quotations and items of lists, from the outermost in, at most `MOST_CONTAINERS`."""
    heading: int
    """The heading's element, 0 for none."""
    table: int
    """The innermost table, 0 for none."""
    list: int
    """The innermost list, 0 for none."""


class Tree:
    """The elements of a page as lists, read from its outline."""

    def __init__(self, look: Look) -> None:
        page = look.page
        self._data, self._page = look.markup, page
        self.markup = look.markup.tobytes()
        self.tag, self.parent = page.tag.tolist(), page.parent.tolist()
        self.opening, self.names = page.opening, page.names
        self.first_text, self.end_text = page.first_text.tolist(), page.end_text.tolist()
        self.begin, self.end = page.begin, page.end
        self.element, self.link, self.shown = page.element, page.link, page.shown
        self._contexts: dict[int, Context] = {0: Context((), 0, 0, 0)}
        self._marks: dict[int, Marks] = {}

    def context(self, element: int) -> Context:
        """The context of an element."""
        path = []
        while element not in self._contexts:
            path.append(element)
            element = self.parent[element]
        found = self._contexts[element]
        for inner in reversed(path):
            tag = self.tag[inner]
            if tag in (_LI, _QUOTATION) and len(found.containers) < MOST_CONTAINERS:
                found = found._replace(containers=(*found.containers, inner))
            elif tag == _TABLE:
                found = found._replace(table=inner)
            elif tag in _HEADINGS:
                found = found._replace(heading=inner)
            if tag in _LISTS:
                found = found._replace(list=inner)
            self._contexts[inner] = found
        return found

    def level(self, heading: int) -> int:
        """Of a heading, 1 to 6."""
        return _HEADINGS[self.tag[heading]]

    def is_item(self, container: int) -> bool:
        """Whether a container is an item of a list, else it is a quotation."""
        return bool(self.tag[container] == _LI)

    def list_of(self, item: int) -> int:
        """The list that an item belongs to, else the element around it."""
        return self.context(self.parent[item]).list or self.parent[item]

    @cached_property
    def number(self) -> dict[int, int]:
        """Of every item of a numbered list, its number as the page shows it."""
        numbers = numbers_of(self._data, self._page)
        return {int(item): int(numbers[item]) for item in np.nonzero(numbers != NO_NUMBER)[0]}

    def pieces(self, first: int, end: int) -> list[Piece]:
        """The shown texts `first` to `end` with their marks. Links side by side with the same tag are one."""
        found = []
        before = link = 0  # the link's element, and the one that it goes on with
        for t in range(first, end):
            if self.shown[t]:
                target = int(self.link[t])
                if target != before:
                    link = link if before and target and self._same_tag(before, target) else target
                    before = target
                found.append(Piece(self.text(t), self.marks(int(self.element[t]), link)))
        return found

    def _same_tag(self, a: int, b: int) -> bool:
        return attributes(self.markup, int(self.opening[a])) == attributes(self.markup, int(self.opening[b]))

    def text(self, t: int) -> str:
        """Text t of the page."""
        return unescaped(self.markup[self.begin[t] : self.end[t]].decode("utf-8", "replace"))

    def marks(self, element: int, link: int) -> Marks:
        """Marks of texts that stand directly in an element; inline elements around it count."""
        path = []
        while element not in self._marks and BREAKS[self.tag[element]] == INLINE and element > 0:
            path.append(element)
            element = self.parent[element]
        found = self._marks.get(element, Marks())
        for inner in reversed(path):
            kind = _MARKS.get(self.tag[inner])
            if kind is not None:
                found = found._replace(**{kind: True})
            self._marks[inner] = found
        return found._replace(link=link)

    def target(self, link: int) -> str:
        """The target of a link's element."""
        return target_of(attributes(self.markup, int(self.opening[link])))

    def language(self, text: int) -> str:
        """The language that the names around code state, for the line that opens it; "" for none.

        `text` is the first one of the code: the classes of the elements around it count, up to the second
        beyond `pre`.
        """
        element, beyond = int(self.element[text]), -1
        for _ in range(8):
            begin, end = self.names[element][:2]
            words = self.markup[begin:end].decode("utf-8", "replace").replace("brush: ", "brush:").split()
            for word in words:
                for mark in _LANGUAGE_MARKS:
                    name = word.lower().removeprefix(mark).rstrip(";")
                    if len(name) < len(word.rstrip(";")) and _is_language(name):
                        return "" if name in _NO_LANGUAGES else name
            beyond += beyond >= 0 or self.tag[element] == _PRE
            if beyond == 2 or element == 0:
                break
            element = self.parent[element]
        return ""


def _is_language(name: str) -> bool:
    return 0 < len(name) <= 20 and all(c.isalnum() or c in "+#-_." for c in name)
