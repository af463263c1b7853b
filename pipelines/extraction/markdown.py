"""The blocks of a page as Markdown (CommonMark 0.31, with GitHub's tables and strikethrough)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from corpusmill.pipelines.extraction.attributes import attributes
from corpusmill.pipelines.extraction.inserts import image_of, images_of
from corpusmill.pipelines.extraction.kernels.plain_text import NO_INSERTS, plain_text
from corpusmill.pipelines.extraction.markdown_escapes import at_line_start, fence, heading_text
from corpusmill.pipelines.extraction.markdown_inline import Marks, Piece, cell, inline
from corpusmill.pipelines.extraction.markdown_table import table_lines
from corpusmill.pipelines.extraction.markdown_tree import Tree
from corpusmill.pipelines.extraction.tags import NUMBERS

if TYPE_CHECKING:
    import numpy.typing as npt

    from corpusmill.pipelines.extraction.content_model import Look

_HR = NUMBERS["hr"]
_LINES, _PARAGRAPHS = 1, 2  # columns of `Outline.breaks`
_LONGEST_NUMBER = 9  # digits that CommonMark reads before an item


def markdown(
    look: Look,
    keep: npt.NDArray[np.bool_],
    links: bool,
    alt_texts: bool,
    restore: Callable[[str], str] = str,
) -> str:
    """The kept blocks, bool[blocks], as Markdown; time is linear in the page.

    Headings, paragraphs with line breaks, lists, quotations, code with the language it states, tables, rules;
    emphasis, inline code and strikethrough. With `links` and `alt_texts` links and images as well.
    `restore` puts formulas back into the text of a cell, where a bar of theirs must be escaped.
    """
    return _Writer(look, keep, links, alt_texts, restore).written()


class _Writer:
    def __init__(
        self,
        look: Look,
        keep: npt.NDArray[np.bool_],
        links: bool,
        alt_texts: bool,
        restore: Callable[[str], str],
    ) -> None:
        self.look, self.keep, self.kept, self.restore = look, keep, keep.tolist(), restore
        self.tree = Tree(look)
        self.target = self.tree.target if links else _no_target
        self.first, self.end = look.blocks.first_text.tolist(), look.blocks.end_text.tolist()
        self.images: dict[int, list[Piece]] = {}  # before text t: key 2t, after it: 2t + 1
        self.alone: dict[int, list[Piece]] = {}
        if alt_texts:
            self._place_images()
        self.lines: list[str] = []
        self.begun = False  # whether the last line holds nothing yet but what begins containers
        self.open: tuple[int, ...] = ()
        self.prefixes: dict[int, str] = {}  # of the lines of a container that is open, behind its first
        self.bullet: dict[int, int] = {}  # of each list, which of the two marks its items have
        self.tables: dict[int, list[str] | None] = {}

    def written(self) -> str:
        """All lines."""
        code, spans = self._code()
        rules = np.nonzero(self.look.page.tag == _HR)[0].tolist()
        rule, before = 0, -1
        for b in np.nonzero(self.keep)[0].tolist():
            ruled = False
            while rule < len(rules) and self.tree.first_text[rules[rule]] <= self.first[b]:
                ruled = before >= 0
                rule += 1
            self._block(b, before, code, spans, ruled and before == b - 1)
            for image in self.alone.get(b, ()):
                self._paragraph(inline([image], self.target))
            before = b
        return "\n".join(self.lines)

    def _code(self) -> tuple[bytes, list[list[int]]]:
        """(text, spans) of the kept blocks of code."""
        wanted = self.keep & self.look.page.in_code[self.look.blocks.first_text]
        look = self.look
        if not wanted.any():
            return b"", []
        text, spans = plain_text(look.markup, look.page, look.blocks, wanted, NO_INSERTS)
        return text.tobytes(), spans.tolist()

    def _place_images(self) -> None:
        tree, page = self.tree, self.look.page
        for element, place, number in images_of(self.look, self.keep):
            alt, source = image_of(attributes(tree.markup, int(page.opening[element])))
            if not alt and not source:
                continue
            around = int(page.parent[element])
            piece = Piece(alt, Marks(link=around if page.tag[around] == NUMBERS["a"] else 0), source)
            if place == "alone":
                self.alone.setdefault(number, []).append(piece)
            else:
                self.images.setdefault(2 * number + (place == "after"), []).append(piece)

    def _block(self, b: int, before: int, code: bytes, spans: list[list[int]], ruled: bool) -> None:
        context = self.tree.context(int(self.look.blocks.element[b]))
        table = context.table
        if table and table not in self.tables:
            self.tables[table] = table_lines(self.tree, self.look.blocks, self.kept, table, self._cell)
            lines = self.tables[table]
            if lines is not None:
                self._table(table, b, lines, context.containers)
        if table and self.tables[table] is not None:
            return
        begins = before < 0
        if ruled:
            self._open(self._common(context.containers), False)
            self._write("---")
        if self.look.page.in_code[self.first[b]]:
            start, stop = spans[b]
            self._open(context.containers, begins)
            self._fenced(code[start:stop].decode("utf-8", "replace"), self.tree.language(self.first[b]))
            return
        line = inline(self._pieces(b), self.target)
        if not line:
            return
        if context.heading:
            same = not begins and self._heading_of(before) == context.heading
            if same:
                self.lines[-1] += f" {heading_text(line)}"
            else:
                self._open(context.containers, begins)
                self._write(f"{'#' * self.tree.level(context.heading)} {heading_text(line)}")
        elif not begins and not ruled and self._is_broken_line(before, b):
            self.lines[-1] += "  "
            self.lines.append(self._inside() + at_line_start(line))
        else:
            self._open(context.containers, begins)
            self._write(at_line_start(line))

    def _table(self, table: int, b: int, lines: list[str], containers: tuple[int, ...]) -> None:
        """Write a table, after the kept blocks of it that stand in no cell."""
        blocks, tree = self.look.blocks, self.tree
        end = int(blocks.first_of[tree.end_text[table]])
        for number in range(b, end):
            if self.kept[number] and not self._in_cell(number, table):
                self._open(containers, not self.lines)
                self._write(at_line_start(inline(self._pieces(number), self.target)))
        self._open(containers, not self.lines)
        for line in lines:
            self._write(line)

    def _in_cell(self, b: int, table: int) -> bool:
        element = int(self.look.blocks.element[b])
        while element != table:
            if self.tree.tag[element] in (NUMBERS["td"], NUMBERS["th"]):
                return True
            element = self.tree.parent[element]
        return False

    def _cell(self, b: int) -> str:
        return cell(self.restore(inline(self._pieces(b), self.target)))

    def _pieces(self, b: int) -> list[Piece]:
        first, end = self.first[b], self.end[b]
        if not self.images:
            return self.tree.pieces(first, end)
        found: list[Piece] = []
        for t in range(first, end):
            found += self.images.get(2 * t, ())
            found += self.tree.pieces(t, t + 1)
            found += self.images.get(2 * t + 1, ())
        return found

    def _heading_of(self, b: int) -> int:
        return self.tree.context(int(self.look.blocks.element[b])).heading

    def _is_broken_line(self, before: int, b: int) -> bool:
        """Whether one `br` alone stands between two blocks of one element."""
        breaks, blocks = self.look.page.breaks, self.look.blocks
        last, first = self.end[before] - 1, self.first[b]
        return bool(
            blocks.element[before] == blocks.element[b]
            and before not in self.alone
            and not self.look.page.in_code[self.first[before]]
            and breaks[first, _LINES] - breaks[last, _LINES] == 1
            and breaks[first, _PARAGRAPHS] == breaks[last, _PARAGRAPHS]
        )

    def _common(self, containers: tuple[int, ...]) -> tuple[int, ...]:
        """The containers that are open already, from the outermost in."""
        same = 0
        while same < min(len(containers), len(self.open)) and containers[same] == self.open[same]:
            same += 1
        return containers[:same]

    def _open(self, containers: tuple[int, ...], begins: bool) -> None:
        """Part what follows from what was written, and begin the containers around it."""
        common = self._common(containers)
        opened = containers[len(common) :]
        if not begins and not self._is_next_item(len(common), opened):
            self.lines.append("".join(self.prefixes[container] for container in common).rstrip())
        line = "".join(self.prefixes[container] for container in common)
        for place, container in enumerate(opened, len(common)):
            mark = self._mark(container, self.open[place] if place < len(self.open) else 0)
            self.prefixes[container] = mark if mark == "> " else " " * len(mark)
            line += mark
        self.open = containers
        self.lines.append(line)
        self.begun = True

    def _is_next_item(self, common: int, opened: tuple[int, ...]) -> bool:
        """Whether an item begins directly below the item before it, or below the one it lies in."""
        if not opened or not self.tree.is_item(opened[0]):
            return False
        owner = self.tree.list_of(opened[0])
        if len(self.open) > common:
            sibling = self.open[common]
            return self.tree.is_item(sibling) and self.tree.list_of(sibling) == owner
        # A numbered list that does not begin with 1 would go on with the paragraph above it.
        return common > 0 and self.tree.is_item(self.open[-1]) and self.tree.number.get(opened[0], 1) == 1

    def _mark(self, container: int, before: int) -> str:
        """What begins the first line of a container; `before` was open in its place."""
        tree = self.tree
        if not tree.is_item(container):
            return "> "
        owner = tree.list_of(container)
        if owner not in self.bullet:
            other = tree.list_of(before) if before and tree.is_item(before) else -1
            # Two lists in a row with one mark would be one list.
            self.bullet[owner] = 1 - self.bullet[other] if other in self.bullet else 0
        number = str(tree.number.get(container, ""))
        if number and len(number) <= _LONGEST_NUMBER:
            return number + (".", ")")[self.bullet[owner]] + " "
        return ("- ", "* ")[self.bullet[owner]]

    def _inside(self) -> str:
        return "".join(self.prefixes[container] for container in self.open)

    def _write(self, text: str) -> None:
        """Write a line: the first one behind what `_open` began."""
        if self.begun:
            self.lines[-1] += text
            self.begun = False
        else:
            self.lines.append(self._inside() + text if text else self._inside().rstrip())

    def _fenced(self, code: str, language: str) -> None:
        marks = fence(code)
        self._write(marks + language)
        for row in code.split("\n"):
            self._write(row)
        self._write(marks)

    def _paragraph(self, text: str) -> None:
        if text:
            self._open(self.open, not self.lines)
            self._write(text)


def _no_target(link: int) -> str:
    return ""
