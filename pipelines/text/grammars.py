"""Which grammar of tree-sitter a file's language has, and its parser.

Time and memory of a parse are linear in a file but for crafted ones: where a file ends, or goes wrong, inside
constructs that are open thousands deep (`x => x => ...` in Java), tree-sitter's recovery takes both
quadratic in the depth: 8 KB take 2 seconds and 1.4 GB. Callers bound the time, or what is parsed at once.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from tree_sitter import Parser

    from corpusmill.pipelines.contract.documents import Documents

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
LIBRARIES = ("tree-sitter", *sorted({module.replace("_", "-") for module, _ in GRAMMARS.values()}))
"""Distributions whose version decides what a parse gives."""


def parser_of(kind: str) -> Parser:
    """The parser of a kind that `GRAMMARS` has."""
    return _parser(*GRAMMARS[kind])


@cache
def _parser(module: str, function: str) -> Parser:
    from tree_sitter import Language, Parser

    return Parser(Language(getattr(importlib.import_module(module), function)()))


def file_kinds(docs: Documents) -> list[str | None]:
    """Of each document the language, as the column `code_language` or the extension of its `path` names it,
    in lower case; null where neither does. A `code_language` of white space alone names none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.extract_regex(docs.column("path").cast(pa.string()), r"(?:^|[./\\\\])(?P<end>[^./\\\\]+)$")
    names = pc.struct_field(found, "end")
    if "code_language" in docs.table.column_names:
        names = told_language(docs, names)
    kinds: list[str | None] = pc.utf8_lower(names).to_pylist()
    return kinds


def told_language(docs: Documents, otherwise: pa.Array) -> pa.Array:
    """string[n]: the column `code_language` without white space around; `otherwise` where nothing is left."""
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pc.utf8_trim_whitespace(docs.column("code_language").cast(pa.string()))
    return pc.coalesce(pc.if_else(pc.equal(told, ""), None, told), otherwise)
