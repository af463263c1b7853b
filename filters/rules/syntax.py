"""How much of a source file its grammar does not parse, by tree-sitter. The caller bounds the time
(`pipelines.text.grammars`)."""

from __future__ import annotations

from corpusmill.pipelines.text.grammars import GRAMMARS, parser_of

LARGEST = 2_000_000  # bytes; a larger file is not parsed


def syntax_errors(data: bytes, kind: str | None) -> float | None:
    """The share of bytes in nodes of errors, 0 to 1; null where `kind` has no grammar here, for an empty file
    and for one of over `LARGEST` bytes.
    """
    if kind not in GRAMMARS or not data or len(data) > LARGEST:
        return None
    root = parser_of(kind).parse(data).root_node
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
