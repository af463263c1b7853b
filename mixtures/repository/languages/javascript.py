"""JavaScript and TypeScript: `import`, `export from`, `require` and `import()`.

Types alone that are imported, and what `import()` loads, are not needed when a module is loaded: they are
not firm.

A specifier with a leading dot is a path from the importer. Others are looked up in `paths` and `baseUrl` of
the nearest `tsconfig.json` or `jsconfig.json` above the importer, then among the names of the packages of
the repository (`node_packages`: `package.json`, with its `exports` and `imports`), and `@/x` and `~/x` in
`src` of a folder above. A folder means its `index`, or what its `package.json` calls `main`; a path without
suffix, or with the suffix that it is compiled to, the source file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import basename, dirname, join, normpath, splitext
from typing import TYPE_CHECKING, Any

from corpusmill.mixtures.repository.configuration import read_json
from corpusmill.mixtures.repository.files import Files, ancestors
from corpusmill.mixtures.repository.language import FIRM, LATER, Import, Language, Statement, words
from corpusmill.mixtures.repository.languages.node_packages import mains, package_places

if TYPE_CHECKING:
    from tree_sitter import Node

_JAVASCRIPT = (".js", ".jsx", ".mjs", ".cjs")
_TYPESCRIPT = (".ts", ".tsx", ".mts", ".cts")
_DECLARATIONS = (".d.ts", ".d.mts", ".d.cts")
_STRING = r"""(?:"[^"\n]*+"|'[^'\n]*+')"""
_TOKENS = re.compile(
    rf"""
      (?<![\w$.])(?P<statement>
          (?:require|import)\s*+\(\s*+{_STRING}\s*+\)
        | (?P<clause>(?:import|export)\b(?:[\w$\s*,{{}}]++|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+)
          {_STRING}?+)
    | //[^\n]*+
    | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+
    | "(?:[^"\\\n]++|\\.)*+"?+
    | '(?:[^'\\\n]++|\\.)*+'?+
    | `(?:[^`\\]++|\\.)*+`?+
    | (?:(?<=[=(,:;!&|?{{}}\[\n+>~^%<*-])|(?<=\breturn))[ \t]*+
        /(?![*/])(?:[^/\\\[\n]++|\\[^\n]|\[(?:[^\]\\\n]++|\\[^\n])*+\]?+)*+/?+
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_SPECIFIER = re.compile(r"""\b(?:from|import|require)\s*\(?\s*["']([^"'\n]+)["']""")


def _statements(text: str) -> Iterator[Statement]:
    for match in _TOKENS.finditer(text):
        clause = match["clause"]
        if clause is not None and not clause.rstrip().endswith("from") and clause.strip() != "import":
            continue  # an export of this file's own, or no statement at all
        statement = match["statement"]
        if statement is not None and statement[-1] in "\"')":
            yield Statement(statement)


def _read(root: Node) -> Iterator[Import]:
    waiting = list(reversed(root.named_children))
    while waiting:
        node = waiting.pop()
        source = node.child_by_field_name("source")
        if source is not None:
            types = any(child.type == "type" for child in node.children)
            yield Import(words(source)[1:-1], level=LATER if types else FIRM)
        elif node.type == "call_expression":
            called, given = node.child_by_field_name("function"), node.child_by_field_name("arguments")
            if called is not None and given is not None:
                later = called.type == "import"
                yield Import(words(given.named_children[0])[1:-1], level=LATER if later else FIRM)
        else:
            waiting.extend(reversed(node.named_children))


def _scan(statement: str) -> Iterator[Import]:
    return (Import(specifier) for specifier in _SPECIFIER.findall(statement))


def _resolve(files: Files, importer: str, imported: Import) -> Iterator[str]:
    target = imported.target.partition("?")[0]
    if target.startswith("."):
        bases = iter([join(dirname(importer), target)])
    else:
        bases = _absolute(files, importer, target)
    order = _order(importer)
    found = next((path for base in bases if (path := _file(files, normpath(base), order)) is not None), None)
    if found is not None:
        yield found


def _order(importer: str) -> tuple[str, ...]:
    """Suffixes in the order in which they are tried: declarations see those first, TypeScript itself."""
    if basename(importer).rpartition(".")[0].endswith(".d"):
        return (*_DECLARATIONS, *_TYPESCRIPT, *_JAVASCRIPT)
    if importer.endswith(_TYPESCRIPT):
        return (*_TYPESCRIPT, *_DECLARATIONS, *_JAVASCRIPT)
    return (*_JAVASCRIPT, *_TYPESCRIPT, *_DECLARATIONS)


def _file(files: Files, base: str, order: tuple[str, ...]) -> str | None:
    """The file that a path without suffix, or of a folder, stands for."""
    stem, suffix = splitext(base)
    # Declarations say "./x.js" for x.d.ts, TypeScript for x.ts.
    own = [f"{stem}.d{suffix.replace('j', 't')}"] if order[0] in _DECLARATIONS else []
    tried = [*own, base, *(base + one for one in order)]
    if suffix in _JAVASCRIPT or suffix in _TYPESCRIPT:
        tried += [stem + one for one in order]
    found = next((path for path in tried if files.has(path)), None)
    if found is None and base in files.once(mains):
        main = normpath(join(base, files.once(mains)[base]))
        places = (main, *(main + one for one in order), *(f"{main}/index{one}" for one in order))
        found = next((path for path in places if files.has(path)), None)
    if found is None:
        folder = "" if base == "." else f"{base}/"
        found = next((path for one in order if files.has(path := f"{folder}index{one}")), None)
    return found


def _absolute(files: Files, importer: str, target: str) -> Iterator[str]:
    """Paths that a specifier without a leading dot may stand for."""
    configured = files.once(_configured)
    nearest = next((configured[a] for a in ancestors(dirname(importer)) if a in configured), None)
    if nearest is not None:
        yield from nearest.places(target)
    yield from package_places(files, importer, target)
    parts = target.split("/")
    if parts[0] in ("@", "~"):
        yield from (join(above, "src", *parts[1:]) for above in ancestors(dirname(importer)))
        yield from (join(above, *parts[1:]) for above in ancestors(dirname(importer)))


class _Paths:
    """`baseUrl` and `paths` of a configuration in `folder`: patterns with at most one `*`, and what they
    mean.
    """

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        base, paths = options.get("baseUrl"), options.get("paths")
        self._base = normpath(join(folder, base)) if isinstance(base, str) else None
        root = self._base if self._base is not None else folder
        self._patterns = [
            (*pattern.partition("*"), [join(root, one) for one in meant if isinstance(one, str)])
            for pattern, meant in (paths.items() if isinstance(paths, dict) else ())
            if isinstance(meant, list)
        ]
        # The longest beginning counts, as in TypeScript's own resolution.
        self._patterns.sort(key=lambda one: (-len(one[0]), one[1]))

    def places(self, target: str) -> Iterator[str]:
        """Paths that `target` may stand for, the likeliest first."""
        for before, star, after, meant in self._patterns:
            if target == before if not star else target.startswith(before) and target.endswith(after):
                middle = target[len(before) : len(target) - len(after)]
                yield from (one.replace("*", middle, 1) for one in meant)
        if self._base is not None:
            yield join(self._base, target)


def _configured(files: Files) -> dict[str, _Paths]:
    """By folder what its `tsconfig.json`, or `jsconfig.json`, says of paths."""
    found: dict[str, _Paths] = {}
    for name in ("tsconfig.json", "tsconfig.base.json", "jsconfig.json"):
        for path, text in files.configurations(name):
            options = read_json(text).get("compilerOptions")
            if isinstance(options, dict) and ("baseUrl" in options or "paths" in options):
                found.setdefault(dirname(path), _Paths(dirname(path), options))
    return found


def _language(suffixes: tuple[str, ...], grammar: tuple[str, str]) -> Language:
    return Language(suffixes, grammar, statements=_statements, read=_read, scan=_scan, resolve=_resolve)


LANGUAGE = _language(_JAVASCRIPT, ("tree_sitter_javascript", "language"))
TYPESCRIPT = _language(_TYPESCRIPT, ("tree_sitter_typescript", "language_tsx"))
