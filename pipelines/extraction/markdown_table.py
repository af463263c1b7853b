"""Tables of a page as tables of GitHub Flavored Markdown, where they hold data in rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corpusmill.pipelines.extraction.attributes import attributes
from corpusmill.pipelines.extraction.tags import NUMBERS

if TYPE_CHECKING:
    from corpusmill.pipelines.extraction.kernels.blocks import Blocks
    from corpusmill.pipelines.extraction.markdown_tree import Tree

_TR, _TD, _TH, _THEAD = (NUMBERS[name] for name in ("tr", "td", "th", "thead"))
_HEADINGS = tuple(f"h{level}" for level in range(1, 7))
# What no cell of such a table can hold.
_BLOCKS_WITHIN = frozenset(
    NUMBERS[name]
    for name in ("table", "pre", "ul", "ol", "dl", "blockquote", "article", "section", *_HEADINGS)
)
_MOST_SPANNED = 64  # rows or columns of one cell
_LONGEST_CELL = 1000  # characters; longer ones are layout


@dataclass
class _Rows:
    """Cells by row and column, with what cells of rows above take up."""

    rows: list[list[str]] = field(default_factory=list)
    cells: int = 0
    _reaching: dict[int, int] = field(default_factory=dict)  # column -> rows that a cell above goes on for

    def begin(self) -> None:
        self.rows.append([])

    def add(self, text: str, columns: int, rows: int) -> None:
        """The next cell of the row."""
        row = self.rows[-1]
        self._pass_taken(row)
        if rows > 1:
            self._reaching.update(dict.fromkeys(range(len(row), len(row) + columns), rows))
        row += [text, *[""] * (columns - 1)]
        self.cells += 1

    def end(self) -> None:
        """End the row; the columns taken go on for a row less."""
        self._pass_taken(self.rows[-1])
        self._reaching = {column: left - 1 for column, left in self._reaching.items() if left > 1}

    def _pass_taken(self, row: list[str]) -> None:
        while len(row) in self._reaching:
            row.append("")


def table_lines(
    tree: Tree, blocks: Blocks, kept: list[bool], table: int, cell: Callable[[int], str]
) -> list[str] | None:
    """The lines of a table; None where it holds no data in rows and columns, or is laid out in another way.

    `cell` gives the text of a block. Such a table has two rows and two columns at least, cells of one
    paragraph's length, nothing within them that stands on lines of its own kind (lists, code, headings, other
    tables), and no more room spanned than cells. Rows without a kept block are left out. The first row is the
    head where two of its cells or all are heads, else the head is empty. Time is linear in the table.
    """
    grid = _Rows()
    heads: list[bool] = []  # of the first row
    element = table + 1
    while element < len(tree.tag) and tree.parent[element] >= table:  # what follows a table lies outside it
        tag = tree.tag[element]
        if tag in _BLOCKS_WITHIN:
            return None
        if tag == _TR:
            if grid.rows:
                grid.end()
            grid.begin()
        elif tag in (_TD, _TH):
            if not grid.rows:
                return None
            text = _cell(tree, blocks, kept, element, cell)
            if len(text) > _LONGEST_CELL:
                return None
            grid.add(text, *_spans(tree, element))
            if len(grid.rows) == 1:
                heads.append(tag == _TH or tree.tag[tree.parent[tree.parent[element]]] == _THEAD)
        element += 1
    if grid.rows:
        grid.end()
    # A head in the first column alone is the row's.
    return _written(grid, sum(heads) >= 2 or (bool(heads) and all(heads)))


def _cell(tree: Tree, blocks: Blocks, kept: list[bool], element: int, cell: Callable[[int], str]) -> str:
    first, end = blocks.first_of[tree.first_text[element]], blocks.first_of[tree.end_text[element]]
    return " ".join(cell(b) for b in range(first, end) if kept[b])


def _spans(tree: Tree, element: int) -> tuple[int, int]:
    """(columns, rows) that a cell takes."""
    given = attributes(tree.markup, int(tree.opening[element]))
    found = []
    for name in ("colspan", "rowspan"):
        value = given.get(name, "1").strip()
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 1
        found.append(max(1, min(_MOST_SPANNED, number)))
    return found[0], found[1]


def _written(grid: _Rows, first_is_head: bool) -> list[str] | None:
    rows = []
    for number, row in enumerate(grid.rows):
        while row and not row[-1]:
            row.pop()
        if row:
            rows.append((number, row))
    width = max((len(row) for _, row in rows), default=0)
    if len(rows) < 2 or width < 2 or sum(len(row) for _, row in rows) > 4 * grid.cells:
        return None
    head = rows.pop(0)[1] if first_is_head and rows[0][0] == 0 else []
    head = head + [""] * (width - len(head))
    lines = [head, ["---"] * width, *(row for _, row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
