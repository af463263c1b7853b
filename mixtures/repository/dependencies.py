"""What the files of a repository depend on, as a graph.

Nodes 0..n-1 are the files. A package that is imported as a whole, such as one of Go, is a node of its own
behind them: it depends on its files, and they are not counted again for each file that imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.mixtures.repository.configuration import is_configuration
from corpusmill.mixtures.repository.files import Files
from corpusmill.mixtures.repository.imports import language_of
from corpusmill.mixtures.repository.language import FIRM, IMPLIED, LATER, LEVELS, Package, imports_of


@dataclass
class Dependencies:
    """What files depend on, and how it was found.

    `levels[k][i]`: nodes that node i depends on, of level k (`language.LEVELS`); of each only the firmest
    counts. `parsed[i]`, `scanned[i]`: the import statements of file i that its language's grammar read, and
    those that a regular expression did; null for files of other languages.
    """

    levels: list[list[set[int]]]
    parsed: list[int | None]
    scanned: list[int | None]


def asks_for(path: str) -> bool:
    """Whether the text of this file is looked at."""
    return language_of(path) is not None or is_configuration(path)


def dependencies_of(paths: Sequence[str], texts: Sequence[str]) -> Dependencies:
    """The dependencies of n files, each on no more nodes than it has imports and names.

    Time: linear in the texts, and in the paths times the logarithm of their number.
    """
    texts = [text.removeprefix("\ufeff") for text in texts]
    configurations = {path: text for path, text in zip(paths, texts, strict=True) if is_configuration(path)}
    files = Files(paths, configurations)
    nodes = _Nodes(files, len(paths))
    parsed: list[int | None] = [None] * len(paths)
    scanned: list[int | None] = [None] * len(paths)
    for number, (path, text) in enumerate(zip(paths, texts, strict=True)):
        language = language_of(path)
        if language is None:
            continue
        read = imports_of(text, language)
        parsed[number], scanned[number] = read.parsed, read.scanned
        meant: dict[str, None] = {}
        least = LATER if path.endswith(".pyi") else FIRM  # types alone
        for imported in dict.fromkeys(read.imports):
            for one in files.meant(path, language, imported):
                nodes.add(number, one, max(imported.level, least))
                if isinstance(one, str):
                    meant[one] = None
        if language.implied is not None:
            for one in language.implied(files, path, text, list(meant)):
                nodes.add(number, one, IMPLIED)
    return Dependencies(nodes.levels, parsed, scanned)


class _Nodes:
    """The graph as it grows."""

    def __init__(self, files: Files, count: int) -> None:
        self.levels: list[list[set[int]]] = [[set() for _ in range(count)] for _ in LEVELS]
        self._files = files
        self._packages: dict[Package, int] = {}

    def add(self, number: int, meant: str | Package, level: int) -> None:
        """Let a file depend on a file or a package."""
        target = self._files.number(meant) if isinstance(meant, str) else self._package(meant)
        if target != number and not any(target in self.levels[firmer][number] for firmer in range(level)):
            self.levels[level][number].add(target)
            for weaker in LEVELS[level + 1 :]:
                self.levels[weaker][number].discard(target)

    def _package(self, package: Package) -> int:
        known = self._packages.get(package)
        if known is None:
            known = self._packages[package] = len(self.levels[0])
            for level in self.levels:
                level.append(set())
            inside = self._files.inside(package.folder)
            self.levels[FIRM][known] = {self._files.number(path) for path in inside if package.holds(path)}
        return known
