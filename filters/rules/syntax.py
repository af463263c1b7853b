"""How much of a source file its grammar does not parse, by tree-sitter.

Time and memory are linear in a file but for crafted ones: where a file ends, or goes wrong, inside
constructs that are open thousands deep (`x => x => ...` in Java), tree-sitter's recovery takes both
quadratic in the depth: 8 KB take 2 seconds and 1.4 GB. The caller bounds the time.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Parser

# File name extension, or language name in lower case, to module and function of a grammar.
GRAMMARS = {
    **dict.fromkeys(("py", "pyi", "python"), ("tree_sitter_python", "language")),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx", "javascript"), ("tree_sitter_javascript", "language")),
    **dict.fromkeys(("ts", "typescript"), ("tree_sitter_typescript", "language_typescript")),
    **dict.fromkeys(("tsx",), ("tree_sitter_typescript", "language_tsx")),
    **dict.fromkeys(("go",), ("tree_sitter_go", "language")),
    **dict.fromkeys(("java",), ("tree_sitter_java", "language")),
    **dict.fromkeys(("rs", "rust"), ("tree_sitter_rust", "language")),
    **dict.fromkeys(("c", "h", "cc", "cpp", "cxx", "hpp", "hh", "c++"), ("tree_sitter_cpp", "language")),
}
LARGEST = 2_000_000  # bytes; a larger file is not parsed


@cache
def _parser(module: str, function: str) -> Parser:
    from tree_sitter import Language, Parser

    return Parser(Language(getattr(importlib.import_module(module), function)()))


def syntax_errors(data: bytes, kind: str | None) -> float | None:
    """The share of bytes in nodes of errors, 0 to 1; null where `kind` has no grammar here, for an empty file
    and for one of over `LARGEST` bytes.
    """
    grammar = GRAMMARS.get(kind or "")
    if grammar is None or not data or len(data) > LARGEST:
        return None
    root = _parser(*grammar).parse(data).root_node
    if not root.has_error:
        return 0.0
    wrong, todo = 0, [root]
    while todo:
        node = todo.pop()
        if node.is_error:
            wrong += node.end_byte - node.start_byte
        elif node.is_missing:
            wrong += 1
        elif node.has_error:
            todo += node.children
    return min(wrong / len(data), 1.0)
