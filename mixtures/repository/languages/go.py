"""Go: `import` declarations, which stand before all others of a file.

An import names a package, all files of one folder but its tests. Where the repository has `go.mod`, its
`module` says which path its folder has, and `replace` there or in `go.work` which folder stands for another
path. Of several the longest that fits counts. Copies lie under `vendor`.
Without `go.mod` folders are matched from the end of the path, and a folder that holds all files is the root
of the module if it is named after it, as those of archives are (`cobra-1.8.1`). Files of tests need the
package that they lie in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING

from corpusmill.mixtures.repository.files import Files
from corpusmill.mixtures.repository.language import Import, Language, Package, Statement, words

if TYPE_CHECKING:
    from tree_sitter import Node

_TOKENS = re.compile(
    r"""
      ^[ \t]*+(?P<statement>import\b[ \t]*+(?:
          \((?:[^()"`/]++|"[^"\n]*+"|`[^`\n]*+`|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+\)
        | (?:[\w.]++[ \t]*+)?+(?:"[^"\n]*+"|`[^`\n]*+`)))
    | ^(?P<end>(?:func|type|var|const)\b)
    | //[^\n]*+
    | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+
    | `[^`]*+`?+
    | "(?:[^"\\\n]++|\\.)*+"?+
    | '(?:[^'\\\n]++|\\.)*+'?+
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_QUOTED = re.compile(r'//[^\n]*|"([^"\n]+)"|`([^`\n]+)`')
_VERSION = re.compile(r"v\d+")
_REPLACED = re.compile(
    r'^[ \t]*(?:replace[ \t]+)?"?([^\s"(]+)"?(?:[ \t]+v\S+)?[ \t]+=>[ \t]+"?(\.\.?(?:/[^\s"]*)?)"?',
    re.MULTILINE,
)
_MODULE = re.compile(r'^[ \t]*module[ \t]+"?([^\s"]+)', re.MULTILINE)


def _statements(text: str) -> Iterator[Statement]:
    for match in _TOKENS.finditer(text):
        if match["statement"] is not None:
            yield Statement(match["statement"])
        elif match["end"] is not None:
            return


def _read(root: Node) -> Iterator[Import]:
    waiting = list(reversed(root.named_children))
    while waiting:
        node = waiting.pop()
        if node.type == "import_spec":
            path = node.child_by_field_name("path")
            if path is not None:
                yield Import(words(path)[1:-1])
        else:
            waiting.extend(reversed(node.named_children))


def _scan(statement: str) -> Iterator[Import]:
    yield from (Import(quoted or raw) for quoted, raw in _QUOTED.findall(statement) if quoted or raw)


def _modules(files: Files) -> dict[str, str]:
    """The folder of each module of the repository by its path; of two of one path the first."""
    found: dict[str, str] = {}
    for path, text in files.configurations("go.mod"):
        declared = _MODULE.search(text)
        if declared is not None:
            found.setdefault(declared[1], dirname(path))
    for name in ("go.mod", "go.work"):
        for path, text in files.configurations(name):
            for module, folder in _REPLACED.findall(text):
                found.setdefault(module, _relative(dirname(path), folder))
    return found


def _resolve(files: Files, importer: str, imported: Import) -> Iterator[Package]:
    target = imported.target
    if target.startswith("."):
        folder: str | None = _relative(dirname(importer), target)
    else:
        folder = _in_modules(files, target)
        if folder is None:
            folder = files.folder(f"vendor/{target}", importer)
        if folder is None and not files.once(_modules):
            folder = _by_end(files, importer, target)
    if folder is not None and files.has_folder(folder):
        yield _package(folder)


def _relative(folder: str, target: str) -> str:
    found = normpath(join(folder, target))
    return "" if found == "." else found


def _in_modules(files: Files, target: str) -> str | None:
    modules = files.once(_modules)
    parts = target.split("/")
    for length in range(len(parts), 0, -1):
        folder = modules.get("/".join(parts[:length]))
        if folder is not None:
            return join(folder, *parts[length:]).rstrip("/")
    return None


def _by_end(files: Files, importer: str, target: str) -> str | None:
    """Without `go.mod`: the root where it is named after the module, else the longest end that is a
    folder.
    """
    parts = target.split("/")
    if "." not in parts[0]:
        return None  # the standard library
    top = importer.split("/")[0]
    named = parts[-2] if len(parts) > 2 and _VERSION.fullmatch(parts[-1]) else parts[-1]
    if re.split(r"[-@]", top)[0] == named and _is_package(files, top):
        return top
    for start in range(len(parts)):
        folder = files.folder("/".join(parts[start:]), importer)
        if folder is not None and _is_package(files, folder):
            return folder
    return None


def _is_package(files: Files, folder: str) -> bool:
    return any(path.endswith(".go") for path in files.inside(folder))


def _implied(files: Files, importer: str, text: str, meant: Sequence[str]) -> Iterator[Package]:
    """Of a test, its package."""
    if importer.endswith("_test.go"):
        yield _package(dirname(importer))


def _package(folder: str) -> Package:
    return Package(folder, (".go",), ("_test.go",))


LANGUAGE = Language(
    suffixes=(".go",),
    grammar=("tree_sitter_go", "language"),
    statements=_statements,
    read=_read,
    scan=_scan,
    resolve=_resolve,
    implied=_implied,
)
