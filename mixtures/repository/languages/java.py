"""Java and Kotlin: `import`, and classes of the same package, which need none.

A qualified name means the file at the end of whose path it stands: the longest beginning of it that does, so
that members and nested classes mean the file of their class. `import a.b.*` means every file of a folder
`a/b`, whatever source root it is in; what of them is used is not known, so it is LATER. Classes of the
importer's own package whose names stand in it are IMPLIED.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import basename, dirname, splitext
from typing import TYPE_CHECKING

from corpusmill.mixtures.repository.files import Files
from corpusmill.mixtures.repository.language import FIRM, LATER, Import, Language, Package, Statement, words

if TYPE_CHECKING:
    from tree_sitter import Node

_SUFFIXES = (".java", ".kt")
_TOKENS = re.compile(
    r"""
      (?:^|(?<=;))[ \t]*+(?P<statement>
        import[ \t]++(?:static[ \t]++)?+[\w.$`]++\*?+[ \t]*+(?:as[ \t]++\w++)?+;?+)
    | ^(?:(?:public|protected|private|abstract|final|static|strictfp|sealed|data|open|internal)[ \t]++)*+
        (?P<end>(?:class|interface|enum|record|@interface|object|fun)\b)
    | //[^\n]*+
    | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+
    | \"\"\"(?:[^"\\]++|\\.|"(?!""))*+(?:\"\"\")?+
    | "(?:[^"\\\n]++|\\.)*+"?+
    | '(?:[^'\\\n]++|\\.)*+'?+
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_IMPORT = re.compile(r"import\s+(static\s+)?([\w.$`]+\*?)")
_CLASS = re.compile(r"\b[A-Z]\w*")


def _statements(text: str) -> Iterator[Statement]:
    for match in _TOKENS.finditer(text):
        if match["statement"] is not None:
            yield Statement(match["statement"])
        elif match["end"] is not None:
            return


def _read(root: Node) -> Iterator[Import]:
    for node in root.named_children:
        if node.type == "import_declaration":
            star = any(child.type == "asterisk" for child in node.named_children)
            name = next(child for child in node.named_children if child.type != "asterisk")
            yield _import("".join(words(name).split()) + (".*" if star else ""))


def _scan(statement: str) -> Iterator[Import]:
    found = _IMPORT.match(statement)
    if found is not None:
        yield _import(found[2].replace("`", ""))


def _import(target: str) -> Import:
    return Import(target, level=LATER if target.endswith("*") else FIRM)


def _resolve(files: Files, importer: str, imported: Import) -> Iterator[str | Package]:
    parts = imported.target.split(".")
    if parts[-1] == "*":
        parts.pop()
        folders = files.folders("/".join(parts))
        if folders:
            yield from (Package(folder, _SUFFIXES) for folder in folders)
            return
    # `import static a.b.C.member` and nested classes name a file by a shorter beginning.
    for length in range(len(parts), max(1, len(parts) - 3), -1):
        for suffix in _SUFFIXES:
            found = files.ending("/".join(parts[:length]) + suffix, importer)
            if found is not None:
                yield found
                return


def _implied(files: Files, importer: str, text: str, meant: Sequence[str]) -> Iterator[str]:
    """Files of the importer's folder whose class it names, in comments too."""
    beside = files.once(_beside)
    folder = dirname(importer)
    if folder not in beside:
        beside[folder] = {
            splitext(basename(path))[0]: path for path in files.inside(folder) if path.endswith(_SUFFIXES)
        }
    classes = beside[folder]
    if len(classes) > 1:
        yield from (classes[name] for name in dict.fromkeys(_CLASS.findall(text)) if name in classes)


def _beside(files: Files) -> dict[str, dict[str, str]]:
    """Classes by folder: path by name."""
    return {}


LANGUAGE = Language(
    suffixes=(".java",),
    grammar=("tree_sitter_java", "language"),
    statements=_statements,
    read=_read,
    scan=_scan,
    resolve=_resolve,
    implied=_implied,
)
KOTLIN = Language(
    suffixes=(".kt",),
    grammar=None,
    statements=_statements,
    read=_read,
    scan=_scan,
    resolve=_resolve,
    implied=_implied,
)
