"""The files of one repository, indexed for the look-ups of the languages.

A repository's root inside the data is not known (an archive may add leading folders), and configuration
files may be missing. What they say is used where they are there; else names are matched from the end of
paths: `a/b/c.h` names every file whose path ends so; of several, the one that shares the longest leading
path with the importing file is taken, then the shortest, then the first in order of names.

Bounds that keep the time linear: a name of more than `_LONGEST` characters or `_MOST_PARTS` components, and a
file whose own path is longer than that, are taken for nothing in the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from posixpath import basename, dirname
from typing import Any, TypeVar

from corpusmill.mixtures.repository.language import Import, Language, Package
from corpusmill.mixtures.repository.path_ends import PathEnds

_LONGEST, _MOST_PARTS = 1024, 64

T = TypeVar("T")


class Files:
    """The paths of one repository (str[n], "/" between folders) and `texts` of its configuration files, by
    path.
    """

    def __init__(self, paths: Sequence[str], texts: Mapping[str, str] | None = None) -> None:
        self._by_path = {path: number for number, path in reversed(list(enumerate(paths)))}
        self._folders: dict[str, list[str]] = {}
        short = [path for path in sorted(self._by_path) if len(path) <= _LONGEST]
        for path in short:
            self._folders.setdefault(dirname(path), []).append(path)
        self._ends = PathEnds(short)
        self._folder_ends = PathEnds(self._folders)
        self._texts = dict(texts or {})
        self._known: dict[Any, Any] = {}

    def meant(self, importer: str, language: Language, imported: Import) -> list[str | Package]:
        """What `imported`, written in the file `importer`, means: paths of files, and packages."""
        if max(len(imported.target), len(importer)) > _LONGEST or _parts(imported.target) > _MOST_PARTS:
            return []
        return [one for one in dict.fromkeys(language.resolve(self, importer, imported)) if one != importer]

    def number(self, path: str) -> int:
        """The place of a path among those given, of its first appearance. Raises KeyError for another."""
        return self._by_path[path]

    def has(self, path: str) -> bool:
        """Whether there is a file of this path."""
        return path in self._by_path

    def ending(self, end: str, importer: str) -> str | None:
        """The best file whose path is `end` or ends in "/" + `end`."""
        return self._ends.nearest(end, importer)

    def folder(self, end: str, importer: str) -> str | None:
        """The best folder whose path is `end` or ends in "/" + `end`."""
        return self._folder_ends.nearest(end, importer)

    def folders(self, end: str) -> Sequence[str]:
        """All folders whose path is `end` or ends in "/" + `end`, sorted."""
        return self._folder_ends.all(end)

    def has_folder(self, folder: str) -> bool:
        """Whether a file stands directly in `folder`."""
        return folder in self._folders

    def inside(self, folder: str) -> Sequence[str]:
        """The files directly in `folder`, sorted."""
        return self._folders.get(folder, [])

    def configurations(self, name: str) -> Iterator[tuple[str, str]]:
        """Path and text of the configuration files of this name, sorted by path."""
        return ((path, self._texts[path]) for path in sorted(self._texts) if basename(path) == name)

    def once(self, make: Callable[[Files], T]) -> T:
        """What `make` gives for these files, made at the first call."""
        if make not in self._known:
            self._known[make] = make(self)
        known: T = self._known[make]
        return known


def _parts(target: str) -> int:
    """Components of a name at most, whatever its language puts between them."""
    return target.count("/") + target.count(".") + target.count(":") + 1


def ancestors(folder: str) -> Iterator[str]:
    """`folder` and those above it, the nearest first, at most `_MOST_PARTS`; the last is "" or "/"."""
    for _ in range(_MOST_PARTS):
        yield folder
        if dirname(folder) == folder:
            return
        folder = dirname(folder)
