"""Python: `import` and `from`, also of Cython.

Imports in a function, those under `if TYPE_CHECKING`, and all of a stub, are of level LATER. A package whose
module is imported (`a/__init__.py` for `import a.b`), which runs without being named, is IMPLIED.

A module name is looked up from the folder above the importer's outermost package, or beside a script, as its
interpreter would; then from each folder above, and from `src` and `lib` in it; a name of several words, and
of a package, then wherever a path outside of packages ends so. What is not found is of the standard library
or another project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import basename, dirname, join, splitext
from typing import TYPE_CHECKING

from corpusmill.mixtures.repository.files import Files, ancestors
from corpusmill.mixtures.repository.language import FIRM, LATER, Import, Language, Statement, words

if TYPE_CHECKING:
    from tree_sitter import Node

_MODULES = (".py", ".pyx", ".pyi", ".pxd")

# Strings and comments are passed over. `line` is where any other line begins that is no closing bracket.
_TOKENS = re.compile(
    r"""
      (?:^|(?<=[;:]))(?P<indent>[ \t\f]*+)
        (?P<statement>(?:from|c?import)\b(?:[\w.,*\ \t]++|\\\r?\n|\((?:[\w.,*\s\\]++|\#[^\n]*+)*+\))*+)
    | \#[^\n]*+
    | \"\"\"(?:[^"\\]++|\\.|"(?!""))*+(?:\"\"\")?+
    | '''(?:[^'\\]++|\\.|'(?!''))*+(?:''')?+
    | "(?:[^"\\\n]++|\\.)*+"?+
    | '(?:[^'\\\n]++|\\.)*+'?+
    | ^(?P<line>[ \t\f]*+)(?=[^\s#)\]}])
        (?P<later>(?:async[ \t]++)?+def\b|if\b(?![^\n]*\bnot\b)[^\n#]*\bTYPE_CHECKING\b)?+
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_FROM = re.compile(r"\s*from[\s\\]*+(?P<source>[\w.]++)[\s\\]++c?import\b[\s\\]*+(?P<names>.*)", re.DOTALL)


def _statements(text: str) -> Iterator[Statement]:
    """Import statements; one is firm unless a function or a test of TYPE_CHECKING that it is indented below
    is open.
    """
    later: list[int] = []  # indents of those that are open
    for match in _TOKENS.finditer(text):
        indent = match["indent"] if match["statement"] is not None else match["line"]
        if indent is None:
            continue
        # A statement behind `:` or `;` stands on the line of what came before.
        if match["statement"] is None or match.start() == 0 or text[match.start() - 1] not in ";:":
            depth = len(indent.expandtabs())
            while later and later[-1] >= depth:
                later.pop()
        if match["statement"] is not None:
            yield Statement(match["statement"].rstrip(), LATER if later else FIRM)
        elif match["later"] is not None:
            later.append(len(indent.expandtabs()))


def _read(root: Node) -> Iterator[Import]:
    for node in root.named_children:
        if node.type == "import_statement":
            yield from (Import(_name(name)) for name in node.children_by_field_name("name"))
        elif node.type == "import_from_statement":
            source = node.child_by_field_name("module_name")
            assert source is not None
            names = [_name(name) for name in node.children_by_field_name("name")]
            star = any(child.type == "wildcard_import" for child in node.named_children)
            yield Import("".join(words(source).split()), tuple([*names, "*"] if star else names))


def _name(node: Node) -> str:
    """`a.b` of `a.b as c`."""
    named = node.child_by_field_name("name") if node.type == "aliased_import" else node
    return "".join(words(named or node).split())


def _scan(statement: str) -> Iterator[Import]:
    found = _FROM.match(statement)
    if found is not None:
        yield Import(found["source"], tuple(_listed(found["names"])))
    elif not statement.startswith("from"):
        yield from (Import(module) for module in _listed(statement.partition("import")[2]))


def _listed(listing: str) -> list[str]:
    """`a as b, c` -> ["a", "c"]"""
    pieces = re.sub(r"#[^\n]*", "", listing).strip("()").replace("\\", " ").split(",")
    return [piece.split()[0] for piece in pieces if piece.split()]


def _resolve(files: Files, importer: str, imported: Import) -> Iterator[str]:
    base = _base(files, importer, imported.target)
    if base is None:
        return
    whole = _module(files, base, importer)
    parts = [_module(files, join(base, name), importer) for name in imported.names]
    # `from . import a, b` names the package's own file only where a name is not a module.
    if whole is not None and not (parts and all(parts)):
        yield whole
    yield from (part for part in parts if part is not None)


def _implied(files: Files, importer: str, text: str, meant: Sequence[str]) -> Iterator[str]:
    """The packages that modules lie in, up to those that the importer lies in, too."""
    own = set(ancestors(dirname(importer)))
    for path in meant:
        for folder in ancestors(dirname(path)):
            if folder in own or not _is_package(files, folder):
                break
            package = _module(files, join(folder, "__init__"), importer)
            if package is not None and package != path:
                yield package


def _module(files: Files, base: str, importer: str) -> str | None:
    """The file of the module at path `base` (without suffix); stubs see stubs first."""
    suffixes = (
        sorted(_MODULES, key=lambda suffix: suffix != ".pyi") if importer.endswith(".pyi") else _MODULES
    )
    tried = [base + suffix for suffix in suffixes] + [f"{base}/__init__{suffix}" for suffix in suffixes]
    return next((path for path in tried if files.has(path)), None)


def _is_package(files: Files, folder: str) -> bool:
    return any(files.has(join(folder, "__init__" + suffix)) for suffix in _MODULES)


def _above_packages(files: Files, folder: str) -> str:
    """The nearest folder at or above `folder` that is no package, or the root."""
    known = files.once(_tops)
    walked = []
    while folder not in known and dirname(folder) != folder and _is_package(files, folder):
        walked.append(folder)
        folder = dirname(folder)
    top = known.get(folder, folder)
    known.update(dict.fromkeys(walked, top))
    return top


def _tops(files: Files) -> dict[str, str]:
    return {}


def _base(files: Files, importer: str, target: str) -> str | None:
    """The path without suffix that a module name stands for in the importer."""
    dots = len(target) - len(target.lstrip("."))
    parts = target[dots:].split(".") if target[dots:] else []
    folder = dirname(importer)
    if dots:
        for _ in range(dots - 1):
            folder = dirname(folder)
        return join(folder, *parts)
    if not parts:
        return None
    for above in ancestors(_above_packages(files, folder)):
        for root in (above, join(above, "src"), join(above, "lib")):
            base = join(root, *parts)
            # A package's parts are modules only from outside of it.
            if not _is_package(files, root) and (_module(files, base, importer) or _is_folder(files, base)):
                return base
    found = files.folder("/".join(parts), importer)
    for suffix in _MODULES if len(parts) > 1 else ():
        ending = files.ending("/".join(parts) + suffix, importer)
        if ending is not None:
            found = splitext(ending)[0]
            break
    if found is None or (len(parts) == 1 and not _is_package(files, found)):
        return None
    top = found
    for _ in parts:
        top = dirname(top)
    return None if _is_package(files, top) else found


def _is_folder(files: Files, folder: str) -> bool:
    """Whether modules stand directly in `folder`."""
    return files.has_folder(folder) and any(
        basename(path).endswith(_MODULES) for path in files.inside(folder)
    )


LANGUAGE = Language(
    suffixes=(".py", ".pyi", ".pyx", ".pxd"),
    grammar=("tree_sitter_python", "language"),
    statements=_statements,
    read=_read,
    scan=_scan,
    resolve=_resolve,
    implied=_implied,
)
