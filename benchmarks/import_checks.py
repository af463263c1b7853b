"""Which files of a repository import which, found independently of corpusmill: the check of
`repository_order.py`.

Python's own parser reads Python; for the other languages plain expressions over single lines do, and what
they find is counted only where the file that is meant is beyond doubt: beside the importer, at the one place
where a path ends so, under the package that a file declares, or in the module tree from a crate's root.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import product
from posixpath import basename, dirname, join, normpath, splitext

Edge = tuple[str, str]
"""A file, and a file that it imports."""

LANGUAGES = {
    **dict.fromkeys((".py",), "Python"),
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".hpp", ".cxx", ".inl"), "C/C++"),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"), "JavaScript/TypeScript"),
    ".java": "Java",
    ".go": "Go",
    ".rs": "Rust",
}


def edges_of(files: dict[str, str], language: str) -> set[Edge]:
    """Imports between different files of a repository (text by path), of one language."""
    its = {path: text for path, text in files.items() if LANGUAGES.get(splitext(path)[1]) == language}
    return {(a, b) for a, b in _FINDERS[language](its, files) if a != b}


def _python(files: dict[str, str], all_files: dict[str, str]) -> Iterator[Edge]:
    names = {path: _module_name(path, files) for path in files}
    by_name: dict[str, list[str]] = {}
    for path, name in names.items():
        by_name.setdefault(name, []).append(path)
    for path, text in files.items():
        package = names[path] if basename(path) == "__init__.py" else names[path].rpartition(".")[0]
        for module, taken in _python_imports(text, package):
            for name in taken or [""]:
                for tried in (f"{module}.{name}" if name else module, module):
                    if tried in by_name:
                        found = [one for one in by_name[tried] if "." in tried or _sees(path, one)]
                        if len(found) == 1:
                            yield path, found[0]
                        break


def _sees(path: str, module: str) -> bool:
    """Whether a module of one word is a package, or a script's neighbour."""
    return basename(module) == "__init__.py" or dirname(module) == dirname(path)


def _python_imports(text: str, package: str) -> Iterator[tuple[str, list[str]]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            if node.level > len(parts) + 1:
                continue
            above = parts[: len(parts) - (node.level - 1)] if node.level else []
            yield ".".join([*above, *([node.module] if node.module else [])]), [a.name for a in node.names]


def _module_name(path: str, files: dict[str, str]) -> str:
    """From the outermost package that the file is in."""
    name = [] if basename(path) == "__init__.py" else [basename(path)[:-3]]
    folder = dirname(path)
    while join(folder, "__init__.py") in files:
        name.insert(0, basename(folder) or "?")
        if folder == dirname(folder):
            break
        folder = dirname(folder)
    return ".".join(name)


def _c(files: dict[str, str], all_files: dict[str, str]) -> Iterator[Edge]:
    ends = _ends(files)
    for path, text in files.items():
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        for target in re.findall(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', text, re.MULTILINE):
            beside = normpath(join(dirname(path), target))
            found = [beside] if beside in files else ends.get(normpath(target), [])
            if len(found) == 1:
                yield path, found[0]


def _ends(files: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in files:
        parts = path.split("/")
        for start in range(len(parts)):
            found.setdefault("/".join(parts[start:]), []).append(path)
    return found


def _javascript(files: dict[str, str], all_files: dict[str, str]) -> Iterator[Edge]:
    suffixes = ("", ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".d.ts")
    for path, text in files.items():
        text = re.sub(r"/\*.*?\*/|^[ \t]*//[^\n]*", "", text, flags=re.DOTALL | re.MULTILINE)
        line = r"""^(?:import|export)\b[^;"'`()=]*["'](\.[^"'\n]*)["']|\brequire\(["'](\.[^"'\n]*)["']\)"""
        for first, second in re.findall(line, text, re.MULTILINE):
            base = normpath(join(dirname(path), first or second))
            stem = splitext(base)[0] if splitext(base)[1] in suffixes[1:] else None
            groups = [[base], [base + suffix for suffix in suffixes[1:]]]
            groups += [[stem + suffix for suffix in suffixes[1:]]] if stem else []
            groups += [[f"{base}/index{suffix}" for suffix in suffixes[1:]]]
            if ".d." in basename(path):  # what a declaration means is a declaration, whatever it says
                groups = [[one for group in groups for one in group]]
            present = ([one for one in group if one in all_files] for group in groups)
            there = next((found for found in present if found), [])
            if len(there) == 1 and there[0] in files:
                yield path, there[0]


def _java(files: dict[str, str], all_files: dict[str, str]) -> Iterator[Edge]:
    classes: dict[str, list[str]] = {}
    for path, text in files.items():
        package = re.search(r"^package\s+([\w.]+)\s*;", text, re.MULTILINE)
        if package is not None:
            classes.setdefault(f"{package[1]}.{basename(path)[:-5]}", []).append(path)
    for path, text in files.items():
        for name in re.findall(r"^import\s+(?:static\s+)?([\w.]+)(?:\.\*)?\s*;", text, re.MULTILINE):
            while name and name not in classes:
                name = name.rpartition(".")[0]
            if len(classes.get(name, [])) == 1:
                yield path, classes[name][0]


def _go(files: dict[str, str], all_files: dict[str, str]) -> Iterator[Edge]:
    modules: dict[str, str] = {}
    for path, text in all_files.items():
        if basename(path) == "go.mod":
            modules[re.findall(r"^module\s+(\S+)", text, re.MULTILINE)[0]] = dirname(path)
    packages: dict[str, list[str]] = {}
    for path in files:
        if not path.endswith("_test.go"):
            packages.setdefault(dirname(path), []).append(path)
    for path, text in files.items():
        blocks = re.findall(r"^import\s*\(([^)]*)\)", text, re.MULTILINE)
        single = re.findall(r'^import\s+(?:[\w.]+\s+)?"([^"\n]+)"', text, re.MULTILINE)
        lines = [line.partition("//")[0] for block in blocks for line in block.splitlines()]
        targets = single + [one for line in lines for one in re.findall(r'"([^"]+)"', line)]
        for target, module in product(targets, modules):
            if target == module or target.startswith(module + "/"):
                folder = normpath(join(modules[module], target[len(module) + 1 :]))
                yield from ((path, other) for other in packages.get("" if folder == "." else folder, []))


def _rust(files: dict[str, str], all_files: dict[str, str]) -> Iterator[Edge]:
    for root in files:
        if basename(root) in ("lib.rs", "main.rs"):
            yield from _crate(root, files)


def _crate(root: str, files: dict[str, str]) -> Iterator[Edge]:
    """Uses by `crate::`, `self::` and `super::` at the beginning of lines, over the tree of `mod` from a
    root.
    """
    tree: dict[tuple[str, ...], str] = {(): root}
    waiting: list[tuple[tuple[str, ...], str, str]] = [((), root, dirname(root))]
    while waiting:
        place, path, folder = waiting.pop()
        text = re.sub(r"/\*.*?\*/", "", files[path], flags=re.DOTALL)
        for name in re.findall(r"^[ \t]*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", text, re.MULTILINE):
            for child in (f"{folder}/{name}.rs", f"{folder}/{name}/mod.rs"):
                if child in files and (*place, name) not in tree:
                    tree[(*place, name)] = child
                    waiting.append(((*place, name), child, f"{folder}/{name}"))
    for place, path in tree.items():
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", files[path], flags=re.DOTALL)
        text = re.split(r"^[ \t]*(?:pub\s+)?mod\s+tests?\s*\{", text, maxsplit=1, flags=re.MULTILINE)[0]
        for use in re.findall(r"^[ \t]*(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", text, re.MULTILINE):
            for names in _flat("".join(re.sub(r"\bas\s+\w+", "", use).split())):
                whole = (*place, *names) if (*place, names[0]) in tree else _absolute(names, place)
                while whole is not None and whole not in tree:
                    whole = whole[:-1]
                if whole is not None:
                    yield path, tree[whole]


def _absolute(names: tuple[str, ...], place: tuple[str, ...]) -> tuple[str, ...] | None:
    if names[0] == "crate":
        return names[1:]
    if names[0] not in ("self", "super"):
        return None
    while names and names[0] in ("self", "super"):
        place, names = place[: len(place) - (names[0] == "super")], names[1:]
    return (*place, *names)


def _flat(use: str) -> Iterator[tuple[str, ...]]:
    before, brace, rest = use.partition("{")
    if not brace:
        yield tuple(use.split("::"))
        return
    depth, start = 0, 0
    inside = rest[: rest.rindex("}")] if "}" in rest else rest
    for at, character in enumerate(inside + ","):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if inside[start:at]:
                yield from _flat(before + inside[start:at])
            start = at + 1


_FINDERS = {
    "Python": _python,
    "C/C++": _c,
    "JavaScript/TypeScript": _javascript,
    "Java": _java,
    "Go": _go,
    "Rust": _rust,
}
