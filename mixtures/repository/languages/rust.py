"""Rust: `use`, `mod name;` and `extern crate`.

A `use` within a module that is written out in a file, mostly of tests, is of level LATER. A module that a
file declares with `mod` is built with it, but need not be known before it: it is IMPLIED, so that `use
crate::x` of the module does not stand against it.

Modules are found as the compiler does, from the importer's place: `src/a.rs` and `src/a/mod.rs` are the
module a of the crate in `src`, and hold those in `src/a/`. A path is followed as far as it names modules,
and means the file of the last one; where none is named, the root of the crate. `lib.rs`, `main.rs`,
`build.rs` and every file directly in `bin`, `examples`, `tests` and `benches` are roots. Other crates of the
repository are known by `Cargo.toml`, under the names that the importer's own gives them, or by the name of
the folder that holds `src/lib.rs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import basename, dirname, join, normpath
from typing import TYPE_CHECKING, Any

from corpusmill.mixtures.repository.configuration import read_toml
from corpusmill.mixtures.repository.files import Files, ancestors
from corpusmill.mixtures.repository.language import FIRM, IMPLIED, LATER, Import, Language, Statement, words

if TYPE_CHECKING:
    from tree_sitter import Node

_ROOTS = ("lib.rs", "main.rs", "build.rs")
_ROOT_FOLDERS = ("bin", "examples", "tests", "benches")
_TOKENS = re.compile(
    r"""
      ^(?P<indent>[ \t]*+)(?P<statement>
        (?:\#\[path\s*+=\s*+"[^"\n]*+"\]\s*+)?+(?:pub\b[ \t]*+(?:\([^()\n]*+\))?+[ \t]*+)?+
        (?: use\b(?:[\w:{},*\s#]++|//[^\n]*+)*+;?+
          | mod\b[ \t]++\w++[ \t]*+;
          | extern\b[ \t]++crate\b[\w \t]*+; ))
    | ^(?P<opening>[ \t]*+)(?:pub\b[ \t]*+(?:\([^()\n]*+\))?+[ \t]*+)?+mod\b[ \t]++\w++\s*+\{
    | ^(?P<closing>[ \t]*+)\}
    | //[^\n]*+
    | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+
    | \bb?r(?P<hashes>\#{0,16})"(?:[^"]++|"(?!(?P=hashes)))*+(?:"(?P=hashes))?+
    | "(?:[^"\\]++|\\.)*+"?+
    | '(?:[^\\'\n]|\\[^\n][^'\n]{0,8})'
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_PATH = re.compile(r'\#\[path\s*=\s*"([^"\n]*)"\]')
_DECLARED = re.compile(r"\b(?:mod|crate)\s+(\w+)")
_USED = re.compile(r"\buse\s+(?:::)?([\w:]*\w)")


def _statements(text: str) -> Iterator[Statement]:
    """Statements, each with how many modules that are written out in the file it is inside of."""
    within: list[int] = []  # indents of modules that are open
    for match in _TOKENS.finditer(text):
        if match["statement"] is not None:
            depth = len(match["indent"].expandtabs())
            inside = sum(indent < depth for indent in within)
            yield Statement(match["statement"], LATER if inside else FIRM, inside)
        elif match["opening"] is not None and len(within) < 64:
            within.append(len(match["opening"].expandtabs()))
        elif match["closing"] is not None:
            depth = len(match["closing"].expandtabs())
            while within and within[-1] >= depth:
                within.pop()


def _read(root: Node) -> Iterator[Import]:
    path = ""
    for node in root.named_children:
        if node.type == "attribute_item":
            named = _PATH.match(words(node))
            path = named[1] if named is not None else path
        elif node.type in ("mod_item", "extern_crate_declaration"):
            name = node.child_by_field_name("name")
            assert name is not None
            yield _declared(words(name), node.type == "mod_item", path)
        elif node.type == "use_declaration":
            argument = node.child_by_field_name("argument")
            if argument is not None:
                yield from (Import(used) for used in _used(argument))


def _used(argument: Node) -> Iterator[str]:
    """Every path of a tree of uses, written out; `*` and names it is known by are left out."""
    waiting = [("", argument)]
    while waiting:
        before, node = waiting.pop()
        if node.type == "use_list":
            waiting.extend((before, child) for child in reversed(node.named_children))
        elif node.type == "scoped_use_list":
            path, listed = node.child_by_field_name("path"), node.child_by_field_name("list")
            beyond = before + (f"{_spelt(path)}::" if path is not None else "")
            if listed is not None:
                waiting.append((beyond, listed))
        elif node.type == "use_as_clause":
            path = node.child_by_field_name("path")
            if path is not None:
                waiting.append((before, path))
        elif node.type == "use_wildcard":
            inner = "".join(_spelt(child) for child in node.named_children)
            yield (before + inner).removesuffix("::")
        elif node.type not in ("line_comment", "block_comment"):
            yield before + _spelt(node)


def _spelt(node: Node) -> str:
    return "".join(words(node).split())


def _declared(name: str, is_module: bool, path: str = "") -> Import:
    return Import(name, ("mod", path), IMPLIED) if is_module else Import(name, ("crate",))


def _scan(statement: str) -> Iterator[Import]:
    used, declared = _USED.search(statement), _DECLARED.search(statement)
    if used is not None:
        yield Import(used[1])
    elif declared is not None:
        path = _PATH.match(statement)
        yield _declared(declared[1], "mod" in statement.split(), path[1] if path is not None else "")


def _resolve(files: Files, importer: str, imported: Import) -> Iterator[str]:
    parts = [part.removeprefix("r#") for part in imported.target.removeprefix("::").split("::")]
    if imported.names[:1] == ("mod",):
        if imported.inside == 0:
            yield from _first(files, _module_files(files, importer, parts[0], imported.names[1]))
        return
    place = _Place(files, importer)
    if parts[0] == "crate":
        yield from _followed(files, place.root, place.crate, parts[1:])
    elif parts[0] in ("self", "super"):
        ups = sum(part == "super" for part in parts) - imported.inside
        names = [part for part in parts if part not in ("self", "super")]
        folder = place.folder
        for _ in range(ups):
            folder = dirname(folder)
        if ups >= 0 and place.holds(folder):
            yield from _followed(files, place.file_of(folder), folder, names)
    elif (own := _child(files, place.folder, parts[0])) is not None and not imported.names:
        yield from _followed(files, own, place.folder, parts)
    elif (root := _crate(files, importer, parts[0])) is not None:
        yield from _followed(files, root, dirname(root), parts[1:])
    elif len(parts) > 1 and _child(files, place.crate, parts[0]) is not None:
        yield from _followed(files, place.root, place.crate, parts)  # as of the edition of 2015


class _Place:
    """Where a file stands: `crate`, the folder of its crate's modules, `root`, the crate's file or None, and
    `folder`, which holds the modules inside of the file's own."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        name, above = basename(path), dirname(path)
        self.folder = above if name == "mod.rs" else join(above, name.removesuffix(".rs"))
        is_module = _child(files, dirname(above), basename(above)) is not None
        if name in _ROOTS or (basename(above) in _ROOT_FOLDERS and not is_module):
            self.folder = self.crate = above
            self.root: str | None = path
            return
        self.crate, self.root = above, None
        for folder in ancestors(above):
            roots = [join(folder, one) for one in _ROOTS[:2] if files.has(join(folder, one))]
            if roots:
                self.crate, self.root = folder, roots[0]
                return

    def holds(self, folder: str) -> bool:
        """Whether `folder` is the crate's, or below it."""
        return folder == self.crate or folder.startswith(f"{self.crate}/" if self.crate else "")

    def file_of(self, folder: str) -> str | None:
        """The file of the module whose modules `folder` holds."""
        if folder == self.crate:
            return self.root
        return _child(self._files, dirname(folder), basename(folder))


def _child(files: Files, folder: str, name: str) -> str | None:
    """The file of the module `name` among those in `folder`."""
    return next(iter(_first(files, [join(folder, f"{name}.rs"), join(folder, name, "mod.rs")])), None)


def _first(files: Files, paths: Sequence[str]) -> list[str]:
    return [path for path in paths if files.has(path)][:1]


def _module_files(files: Files, importer: str, name: str, path: str) -> list[str]:
    """Where the module that a file declares may be."""
    if path:
        return [normpath(join(dirname(importer), path))]
    folder = _Place(files, importer).folder
    return [join(folder, f"{name}.rs"), join(folder, name, "mod.rs")]


def _followed(files: Files, start: str | None, folder: str, names: Sequence[str]) -> list[str]:
    """The file of the last module that `names` lead to from the module `start`, whose modules are in
    `folder`.
    """
    found = start
    for name in names:
        child = _child(files, folder, name)
        if child is None:
            break
        found, folder = child, join(folder, name)
    return [] if found is None else [found]


def _crate(files: Files, importer: str, name: str) -> str | None:
    """The root of the library that code of the importer knows by this name: a dependency of its `Cargo.toml`
    or of its workspace that has a path or another name there, else a library of that name.
    """
    renamed = files.once(_dependencies)
    for folder in ancestors(dirname(importer)):
        root = renamed.get((folder, name))
        if root is not None:
            return root
    return files.once(_crates).get(name)


def _crates(files: Files) -> dict[str, str]:
    """The root of each library of the repository by the name that code has for it; of two of one name the
    first.
    """
    found: dict[str, str] = {}
    for name, root in files.once(_libraries).values():
        if name is not None:
            found.setdefault(name, root)
    for folder in files.folders("src"):
        if files.has(join(folder, "lib.rs")):
            found.setdefault(basename(dirname(folder)).replace("-", "_"), join(folder, "lib.rs"))
    return found


def _libraries(files: Files) -> dict[str, tuple[str | None, str]]:
    """By the folder of a `Cargo.toml` the name and the root of its library, if that is there."""
    found: dict[str, tuple[str | None, str]] = {}
    for path, text in files.configurations("Cargo.toml"):
        options = read_toml(text)
        package, library = options.get("package"), options.get("lib")
        named = [one.get("name") for one in (library, package) if isinstance(one, dict)]
        name = next((one for one in named if isinstance(one, str)), None)
        inside = library.get("path") if isinstance(library, dict) else None
        root = normpath(join(dirname(path), inside if isinstance(inside, str) else "src/lib.rs"))
        if files.has(root):
            found[dirname(path)] = (name.replace("-", "_") if name is not None else None, root)
    return found


def _dependencies(files: Files) -> dict[tuple[str, str], str]:
    """By the folder of a `Cargo.toml` and the name of a dependency the root of its library, where the file
    has a path or another name for it.
    """
    crates, libraries = files.once(_crates), files.once(_libraries)
    found: dict[tuple[str, str], str] = {}
    for path, text in files.configurations("Cargo.toml"):
        for name, wanted in _wanted(read_toml(text)):
            inside, package = wanted.get("path"), wanted.get("package")
            root = None
            if isinstance(inside, str):
                folder = normpath(join(dirname(path), inside))
                root = libraries.get("" if folder == "." else folder, (None, None))[1]
            if root is None and isinstance(package, str):
                root = crates.get(package.replace("-", "_"))
            if root is not None:
                found.setdefault((dirname(path), name.replace("-", "_")), root)
    return found


def _wanted(options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and table of each dependency that is written as a table."""
    targets = options.get("target")
    conditional = list(targets.values()) if isinstance(targets, dict) else []
    for one in (options, options.get("workspace"), *conditional):
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            tables = one.get(kind) if isinstance(one, dict) else None
            for name, wanted in tables.items() if isinstance(tables, dict) else ():
                if isinstance(wanted, dict):
                    yield name, wanted


LANGUAGE = Language(
    suffixes=(".rs",),
    grammar=("tree_sitter_rust", "language"),
    statements=_statements,
    read=_read,
    scan=_scan,
    resolve=_resolve,
)
