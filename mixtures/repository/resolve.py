"""From an import as written to the file of the same repository that it names, if there is one.

A repository's root inside the data is not known (an archive may add leading folders), so absolute names
are matched from the end of paths: `a/b/c.h` names every file whose path ends so; of several, the one that
shares the longest leading path with the importing file is taken, then the shortest, then the first in
order of names.

Bounds that keep the time linear: a name of more than `_LONGEST` characters or `_MOST_PARTS` components, a
file whose own path is longer than that, and a folder of more than `_MOST_FILES` files are taken for nothing
in the repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from posixpath import dirname, join, normpath, splitext

from corpusmill.mixtures.repository.imports import Import
from corpusmill.mixtures.repository.path_ends import PathEnds

_SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".d.ts")
_PYTHONS = (".py", ".pyx", ".pyi")
_LONGEST, _MOST_PARTS, _MOST_FILES = 1024, 64, 1024


class Files:
    """The paths of one repository (str[n], "/" between folders), indexed for look-up by their ends."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._by_path = {path: number for number, path in reversed(list(enumerate(paths)))}
        self._folders: dict[str, list[str]] = {}
        short = [path for path in sorted(self._by_path) if len(path) <= _LONGEST]
        for path in short:
            self._folders.setdefault(dirname(path), []).append(path)
        self._ends = PathEnds(short)
        self._folder_ends = PathEnds(self._folders)
        self._above: dict[str, str] = {}

    def targets(self, importer: str, language: str, imported: Import) -> list[int]:
        """Numbers of the files that `imported`, written in the file `importer`, names; without `importer`."""
        if max(len(imported.target), len(importer)) > _LONGEST or _parts(imported.target) > _MOST_PARTS:
            return []
        paths = dict.fromkeys(_RESOLVERS[language](self, importer, imported))
        return [self._by_path[path] for path in paths if path != importer]

    def has(self, path: str) -> bool:
        return path in self._by_path

    def ending(self, end: str, importer: str) -> str | None:
        """The best file whose path is `end` or ends in "/" + `end`."""
        return self._ends.nearest(end, importer)

    def folder(self, end: str, importer: str) -> str | None:
        """The best folder whose path is `end` or ends in "/" + `end`."""
        return self._folder_ends.nearest(end, importer)

    def has_folder(self, folder: str) -> bool:
        """Whether a file stands directly in `folder`."""
        return folder in self._folders

    def above_packages(self, folder: str) -> str:
        """The nearest folder at or above `folder` that is no Python package, or the root."""
        walked = []
        while folder not in self._above and dirname(folder) != folder and _is_package(self, folder):
            walked.append(folder)
            folder = dirname(folder)
        top = self._above.get(folder, folder)
        self._above.update(dict.fromkeys(walked, top))
        return top

    def inside(self, folder: str) -> list[str]:
        """The files directly in `folder`, sorted; none of a folder that holds more than `_MOST_FILES`."""
        found = self._folders.get(folder, [])
        return found if len(found) <= _MOST_FILES else []


def _parts(target: str) -> int:
    """Components of a name at most, whatever its language puts between them."""
    return target.count("/") + target.count(".") + 1


def _first(files: Files, paths: Iterable[str]) -> str | None:
    return next((path for path in paths if files.has(path)), None)


def _module(files: Files, base: str) -> str | None:
    """The file of the Python module at path `base` (without suffix)."""
    return _first(files, [base + s for s in _PYTHONS] + [f"{base}/__init__{s}" for s in _PYTHONS])


def _python_base(files: Files, importer: str, target: str) -> str | None:
    """The path without suffix that a module name stands for, from the importer's place."""
    dots = len(target) - len(target.lstrip("."))
    parts = target[dots:].split(".") if target[dots:] else []
    folder = dirname(importer)
    if dots:
        for _ in range(dots - 1):
            folder = dirname(folder)
        return join(folder, *parts)
    # Absolute: from the folder above the importer's outermost package, or beside a script.
    base = join(files.above_packages(folder), *parts)
    if _module(files, base) or files.has_folder(base):
        return base
    if len(parts) < 2:  # a single word is more likely the standard library's than a file elsewhere
        found = files.folder(parts[0], importer) if parts else None
        return found if found is not None and _is_package(files, found) else None
    for suffix in _PYTHONS:
        found = files.ending("/".join(parts) + suffix, importer)
        if found is not None:
            return splitext(found)[0]
    return files.folder("/".join(parts), importer)


def _is_package(files: Files, folder: str) -> bool:
    return any(files.has(join(folder, "__init__" + s)) for s in _PYTHONS)


def _python(files: Files, importer: str, imported: Import) -> Iterator[str]:
    base = _python_base(files, importer, imported.target)
    if base is None:
        return
    whole = _module(files, base)
    parts = [_module(files, join(base, name)) for name in imported.names]
    # `from . import a, b` needs the package's own file only where a name is not a module: leaving it out
    # otherwise spares a cycle between every package and its parts.
    if whole is not None and not (parts and all(parts)):
        yield whole
    yield from (part for part in parts if part is not None)


def _c(files: Files, importer: str, imported: Import) -> Iterator[str]:
    beside = normpath(join(dirname(importer), imported.target))
    found = beside if files.has(beside) else files.ending(normpath(imported.target).lstrip("./"), importer)
    if found is not None:
        yield found


def _javascript(files: Files, importer: str, imported: Import) -> Iterator[str]:
    if not imported.target.startswith("."):
        return  # a package, not a file of this repository
    base = normpath(join(dirname(importer), imported.target))
    stem = splitext(base)[0]  # TypeScript writes "./x.js" for x.ts
    tried = [base, *(base + s for s in _SCRIPTS), *(f"{base}/index{s}" for s in _SCRIPTS)]
    found = _first(files, [*tried, *(stem + s for s in _SCRIPTS)])
    if found is not None:
        yield found


def _java(files: Files, importer: str, imported: Import) -> Iterator[str]:
    parts = imported.target.split(".")
    if parts[-1] == "*":
        folder = files.folder("/".join(parts[:-1]), importer)
        if folder is not None:
            yield from (p for p in files.inside(folder) if p.endswith((".java", ".kt")))
            return
        parts = parts[:-1]
    # `import static a.b.C.member` and nested classes name a file by a shorter beginning.
    for length in range(len(parts), max(1, len(parts) - 3), -1):
        for suffix in (".java", ".kt"):
            found = files.ending("/".join(parts[:length]) + suffix, importer)
            if found is not None:
                yield found
                return


def _go(files: Files, importer: str, imported: Import) -> Iterator[str]:
    parts = imported.target.split("/")
    if "." not in parts[0]:
        return  # the standard library
    for start in range(1, len(parts)):
        folder = files.folder("/".join(parts[start:]), importer)
        if folder is not None:
            yield from (p for p in files.inside(folder) if p.endswith(".go") and not p.endswith("_test.go"))
            return


_RESOLVERS = {"python": _python, "c": _c, "javascript": _javascript, "java": _java, "go": _go}
