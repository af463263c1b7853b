"""Which input files, of this machine or remote, a source's patterns stand for.

A file's name is its path relative to the fixed part of its pattern (up to the first wildcard), so moving
the data folder changes no name, and names order the files whatever the file system's own order.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.recipe.places import escaped, is_text, place_of
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.current import matched_objects
from corpusmill.pipelines.storage.objects.urls import is_url
from corpusmill.pipelines.system.patterns import matches


def _checked(source: str, file: Path, name: str) -> Path:
    """The file's real path. Raises RecipeError unless it can be read, and be told by its place in JSON: of a
    path that is not UTF-8 the file's own name must be it, which `name_fault` tells."""
    real = file.resolve()
    if is_text(name) and not is_text(str(real)):
        raise RecipeError(
            f"source {source}: the path of {escaped(str(real))} is not UTF-8; rename the folder or file"
        )
    if not os.access(real, os.R_OK):
        raise RecipeError(f"source {source}: {escaped(str(file))} cannot be read; change its permissions")
    return real


Identity = tuple[int, int] | str  # device and inode, or URL: one file, whatever it is called
Reached = dict[Identity, tuple[str, str]]  # which source reached which file by which path


def list_files(
    source: str, reader: Reader, data_folder: Path, reached: Reached | None = None
) -> dict[str, str]:
    """`{name: place}` of a source's files, sorted by name: absolute path or URL, or that of a file without a
    name in UTF-8 (`places`), whose name is escaped here.

    A file that one pattern reaches by several names (links to it or to a folder above it, hard links) is read
    once, under the name without a symbolic link or else the first one. `reached` collects which source
    reached which file by which path, over sources. Raises RecipeError where a pattern matches nothing, where
    a match is not readable, where two files would share a name, and where two patterns, or two sources by two
    paths, reach one file, which would be read twice; ObjectError where a store cannot be asked.
    """
    found: dict[str, _Listed] = {}
    owners: dict[Identity, _Listed] = {}
    for pattern in reader.files:
        remote = is_url(pattern)
        for listed in _objects(pattern) if remote else _files(source, reader, data_folder, pattern):
            first = found.setdefault(listed.name, listed)
            if first.real != listed.real:
                raise RecipeError(
                    f"source {source}: {first.real} and {listed.real} would both be called {listed.name}; "
                    "give them one pattern with a common folder, or two sources"
                )
            owner = owners.setdefault(listed.identity, listed)
            if owner.name == listed.name:
                continue
            if owner.pattern != pattern:
                raise RecipeError(
                    f"source {source}: the patterns {owner.pattern} and {pattern} both match one file, as "
                    f"{owner.file} and {listed.file}, and would read it twice; let only one of them match it"
                )
            chosen, other = sorted((owner, listed), key=lambda one: (one.linked, one.name))
            owners[listed.identity] = chosen
            del found[other.name]
    for listed in found.values():
        if reached is not None:
            _refuse_twice(source, listed, reached)
    return {name: found[name].real for name in sorted(found)}


@dataclass(frozen=True)
class _Listed:
    """One file as a pattern reached it. `linked`: by way of a symbolic link below the pattern's folder."""

    name: str
    pattern: str
    file: str
    real: str
    identity: Identity
    linked: bool = False


def _objects(pattern: str) -> list[_Listed]:
    found = matched_objects(pattern).objects.items()
    return [_Listed(name, pattern, info.url, info.url, info.url) for name, info in found]


def _files(source: str, reader: Reader, data_folder: Path, pattern: str) -> list[_Listed]:
    base, matched = matches(data_folder, pattern)
    files = []
    for match in matched:
        if match.is_symlink() and not match.exists():
            raise RecipeError(f"source {source}: {match} is a broken link; mend or remove it")
        files += [file for file in reader.expand(match) if file.is_file()]
    if not files:
        raise RecipeError(f"source {source}: {_nothing(reader, data_folder / pattern, matched)}")
    return [_listed(source, pattern, reader.name_of(base, file), base, file) for file in files]


def _listed(source: str, pattern: str, name: str, base: Path, file: Path) -> _Listed:
    real = _checked(source, file, name)
    stat = real.stat()
    linked = base.resolve() / file.relative_to(base) != real
    shown = escaped(os.path.normpath(file))
    place = place_of(real) if is_text(name) else place_of(file)
    return _Listed(escaped(name), pattern, shown, place, (stat.st_dev, stat.st_ino), linked)


def _refuse_twice(source: str, listed: _Listed, reached: Reached) -> None:
    """Raise RecipeError where another source reaches the file by another path.

    By the same path it is meant: two readers may take two columns of one file.
    """
    other, known = reached.setdefault(listed.identity, (source, listed.file))
    if other != source and known != listed.file:
        raise RecipeError(
            f"the sources {other} and {source} reach one file by two names, {known} and {listed.file}, and "
            "would both read it; let only one of them match it, or give both the same path if it is meant to "
            "be read twice"
        )


def _nothing(reader: Reader, pattern: Path, matched: Sequence[Path]) -> str:
    """Why no file is read: nothing there, no files, or links alone, which readers of folders pass over."""
    for match in matched:
        if match.is_dir() and match in reader.expand(match):
            return f"{match} is a folder, and `{reader.name}` reads files; name them, such as {match / '*'}"
        if not match.is_dir() and not match.is_file():
            return f"{match} is a pipe, a socket or a device; write what it gives into a file and name that"
    folders = [match for match in matched if match.is_dir()]
    links = [match for match in matched if match.is_symlink() and match.is_file()]
    for folder in folders:
        if not links:
            links = [place for place in sorted(folder.rglob("*")) if place.is_symlink() and place.exists()]
    if links:
        target = links[0].resolve()
        return (
            f"{pattern} holds no file that `{reader.name}` reads but {len(links)} symbolic "
            f"link{'s' * (len(links) != 1)} (such as {links[0].name}), and links are passed over; to follow "
            f"them, name the folder they lead to in `files` (here "
            f"{target if target.is_dir() else target.parent}), or put hard links or copies in their place"
        )
    if folders:
        return (
            f"{folders[0]} holds no file that `{reader.name}` reads; correct the pattern or the options that "
            "choose files, or make the files first"
        )
    return f"no file matches {pattern}; correct the pattern or the recipe's `data`, or make the files first"
