"""C and C++: `#include`, also `#import` of Objective-C and `#include_next`.

A quoted name is looked up beside the file first, then both kinds wherever a path ends so, the nearest first:
which folders a compiler is given is not known. A header of the C standard between angle brackets is the
compiler's, unless the repository has one in a folder named `include`. Files that are not compiled alone
(headers, `.inl`) are like others here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import basename, dirname, join, normpath
from typing import TYPE_CHECKING

from corpusmill.mixtures.repository.files import Files
from corpusmill.mixtures.repository.language import Import, Language, Statement, words

if TYPE_CHECKING:
    from tree_sitter import Node

# ISO/IEC 9899:2024, 7.1.2.
_STANDARD = frozenset(
    [
        *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale"),
        *("math", "setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbit", "stdbool", "stdckdint"),
        *("stddef", "stdint", "stdio", "stdlib", "stdnoreturn", "string", "tgmath", "threads", "time"),
        *("uchar", "wchar", "wctype"),
    ]
)
_TOKENS = re.compile(
    r"""
      ^[ \t]*+(?P<statement>\#[ \t]*+(?:include(?:_next)?+|import)\b[ \t]*+(?:"[^"\n]*+"|<[^>\n]*+>))
    | //[^\n]*+
    | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+
    | R"(?P<mark>[^()\\\s]{0,16})\((?:[^)]++|\)(?!(?P=mark)"))*+
    | "(?:[^"\\\n]++|\\.)*+"?+
    | '(?:[^'\\\n]++|\\.)*+'?+
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_PATH = re.compile(r'(["<])([^">\n]+)[">]')


def _statements(text: str) -> Iterator[Statement]:
    return (
        Statement(match["statement"]) for match in _TOKENS.finditer(text) if match["statement"] is not None
    )


def _read(root: Node) -> Iterator[Import]:
    for node in root.named_children:
        # Directives that the grammar does not know have an argument.
        path = node.child_by_field_name("path") or node.child_by_field_name("argument")
        if path is not None:
            yield from _scan(words(path))


def _scan(statement: str) -> Iterator[Import]:
    found = _PATH.search(statement)
    if found is not None:
        yield Import(found[2].strip(), ("<",) if found[1] == "<" else ())


def _resolve(files: Files, importer: str, imported: Import) -> Iterator[str]:
    beside = normpath(join(dirname(importer), imported.target))
    end = normpath(imported.target).lstrip("./")
    if imported.names and end.removesuffix(".h") in _STANDARD:
        end = f"include/{end}"
    elif files.has(beside):
        yield beside
        return
    found = files.ending(end, importer) if basename(end) else None
    if found is not None:
        yield found


LANGUAGE = Language(
    suffixes=(
        *(".c", ".h", ".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".h++", ".inl", ".ipp", ".tpp"),
        *(".cu", ".cuh", ".m", ".mm"),
    ),
    grammar=("tree_sitter_cpp", "language"),
    statements=_statements,
    read=_read,
    scan=_scan,
    resolve=_resolve,
)
