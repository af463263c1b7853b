"""What a file of `languages/` says of its language, and how a file's imports are read by it.

Reading a file takes two passes. One regular expression finds import statements outside of comments and
strings, in time linear in the text. Each statement is then parsed by the language's tree-sitter grammar.
Whole files are not parsed: where a file is full of errors the grammars' parsers take time that grows with
its square (8 KB of `x => ` as C: 1.2 s), and real files hold little of what is looked for.

A statement that the grammar has no sense for, or longer than `LONGEST_STATEMENT`, is read by a second,
plainer expression instead (`Language.scan`). Both ways are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

    from corpusmill.mixtures.repository.files import Files

LONGEST_STATEMENT = 4096  # characters
FIRM, LATER, IMPLIED = LEVELS = range(3)
"""How firm a dependency is: needed when the file is loaded or compiled; written, but needed later or by
types or tests alone; not written as an import, or of what need not be known before."""


@dataclass(frozen=True)
class Import:
    """One dependency as written: `target` in the language's own spelling, `names` taken from it.

    Python: `target` "..pkg.mod" with its dots, `names` of `from target import names`. C: the included path,
    `names` ("<",) where it stands between angle brackets. JavaScript: the module specifier. Java: the
    qualified name ("a.b.C", "a.b.*"). Go: the import path. Rust: "use" paths such as "crate::a::B", `names`
    ("mod",) for a module that the file declares, then with the file that an attribute names. `level`: how
    firm it is. `inside`: modules of Rust, written in the file itself, that the statement stands in.
    """

    target: str
    names: tuple[str, ...] = ()
    level: int = FIRM
    inside: int = 0


class Statement(NamedTuple):
    """An import statement as found: its text, how firm it is, and how many modules it is inside of."""

    text: str
    level: int = FIRM
    inside: int = 0


@dataclass(frozen=True)
class Package:
    """All files of a language directly in one folder, as what an import means."""

    folder: str
    suffixes: tuple[str, ...]
    without: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether a file in the folder belongs to it."""
        return path.endswith(self.suffixes) and not (self.without and path.endswith(self.without))


@dataclass(frozen=True)
class Language:
    """How imports are read in files with `suffixes`.

    `statements` finds them; `read` takes them from the syntax tree of one statement; `scan` takes them from
    its text. `grammar` is module and function of a tree-sitter grammar, None where there is none. `resolve`
    gives the paths, and packages, that an import in a file means; `implied` what a file of this path and
    text needs without saying so, given the paths that its imports mean.
    """

    suffixes: tuple[str, ...]
    grammar: tuple[str, str] | None
    statements: Callable[[str], Iterator[Statement]]
    read: Callable[[Node], Iterable[Import]]
    scan: Callable[[str], Iterable[Import]]
    resolve: Callable[[Files, str, Import], Iterable[str | Package]]
    implied: Callable[[Files, str, str, Sequence[str]], Iterable[str | Package]] | None = None


class Read(NamedTuple):
    """Imports of a file in order, and how many statements the grammar and the plain expression read."""

    imports: list[Import]
    parsed: int
    scanned: int


def imports_of(text: str, language: Language) -> Read:
    """The imports of a file in order, repeats included. Linear in `text`."""
    found: list[Import] = []
    parsed = scanned = 0
    for statement in language.statements(text):
        imports = None
        if language.grammar is not None and len(statement.text) <= LONGEST_STATEMENT:
            imports = _parsed(language, statement.text)
        if imports is None:
            scanned += 1
            imports = tuple(language.scan(statement.text))
        else:
            parsed += 1
        found.extend(
            _placed(one, statement.level, statement.inside) if statement.level or statement.inside else one
            for one in imports
        )
    return Read(found, parsed, scanned)


@lru_cache(maxsize=2**14)
def _placed(one: Import, level: int, inside: int) -> Import:
    return replace(one, level=max(one.level, level), inside=inside)


@lru_cache(maxsize=2**14)
def _parsed(language: Language, statement: str) -> tuple[Import, ...] | None:
    """What the statement imports by the grammar; None where it has errors in it."""
    # Directives of C end with their line.
    root = _parser(language).parse(f"{statement}\n".encode("utf-8", "surrogatepass")).root_node
    return None if root.has_error else tuple(language.read(root))


@cache
def _parser(language: Language) -> Parser:
    from tree_sitter import Language as Grammar
    from tree_sitter import Parser

    assert language.grammar is not None
    module, function = language.grammar
    return Parser(Grammar(getattr(import_module(module), function)()))


def words(node: Node) -> str:
    """The source text of a node."""
    return (node.text or b"").decode("utf-8", "replace")
