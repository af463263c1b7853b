"""Imports as a tree-sitter parse of the whole file has them: the check of what finds statements one by one.

The statements' own syntax trees are read by the same code; what is checked is where statements are looked
for, which corpusmill does by an expression over the text.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import import_module
from typing import cast

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from corpusmill.mixtures.repository.imports import language_of
from corpusmill.mixtures.repository.language import imports_of

_STATEMENTS = frozenset(
    ["import_statement", "import_from_statement", "preproc_include", "import_declaration", "use_declaration"]
) | {"extern_crate_declaration"}
_DIRECTIVES = (b"#import", b"#include_next")


class _Alone:
    """A root with one statement below it, which is what a language's `read` looks for."""

    def __init__(self, node: Node) -> None:
        self.named_children = [node]


def compare(path: str, text: str) -> tuple[int, int, int] | None:
    """Imports of the whole file's tree, those of them not found, and those found besides; None without a
    grammar.
    """
    language = language_of(path)
    if language is None or language.grammar is None:
        return None
    module, function = language.grammar
    if path.endswith((".ts", ".mts", ".cts")):
        function = "language_typescript"  # the other one takes `<T>x` for an element
    whole: Counter[str] = Counter()
    waiting = [_parser(module, function).parse(text.encode()).root_node]
    while waiting:
        node = waiting.pop()
        if not _is_import(node):
            waiting.extend(node.children)
        elif node.type == "call_expression":
            given = node.child_by_field_name("arguments")
            assert given is not None
            whole[(given.named_children[0].text or b"").decode()[1:-1]] += 1
            waiting.extend(node.children)
        else:
            whole.update(one.target for one in language.read(cast("Node", _Alone(node))))
    found = Counter(one.target for one in imports_of(text, language).imports)
    return whole.total(), (whole - found).total(), (found - whole).total()


def _is_import(node: Node) -> bool:
    if node.type in ("import_statement", "export_statement"):
        # Of TypeScript's `import a = require("b")` the call is one, of `export const a` nothing is.
        return node.child_by_field_name("source") is not None or bool(node.children_by_field_name("name"))
    if node.type == "import_declaration":
        return node.parent is not None and node.parent.type in ("program", "source_file")
    if node.type == "mod_item":
        return node.child_by_field_name("body") is None
    if node.type == "preproc_call":
        return (node.children[0].text or b"").strip() in _DIRECTIVES
    if node.type == "call_expression":
        called, given = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        return (
            called is not None
            and called.text in (b"require", b"import")
            and called.type in ("identifier", "import")
            and given is not None
            and bool(given.named_children)
            and given.named_children[0].type == "string"
        )
    return node.type in _STATEMENTS


@cache
def _parser(module: str, function: str) -> Parser:
    return Parser(Grammar(getattr(import_module(module), function)()))
