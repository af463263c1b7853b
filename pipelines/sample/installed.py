"""What is installed: packages, their licences, their files. Reads only; nothing is imported or fetched."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path

import xxhash

_SKIPPED_FOLDERS = {"__pycache__", "site-packages", "lib2to3", "idlelib", "ensurepip"}
_OWN = "corpusmill"


@dataclass(frozen=True)
class File:
    """One file: its path inside the package (POSIX) and on disk, and its size in bytes."""

    path: str
    place: Path
    size: int

    def read_text(self) -> str | None:
        """Its text, or None where it is not UTF-8 or holds NUL."""
        try:
            text = self.place.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text


@dataclass(frozen=True)
class Package:
    """An installed distribution, or the standard library (name `cpython`)."""

    name: str
    version: str
    license: str | None
    description: str
    distribution: Distribution | None

    @cached_property
    def files(self) -> tuple[File, ...]:
        """Its files that exist, sorted by path; symbolic links and byte code left out."""
        return tuple(sorted(self._walk(), key=lambda file: file.path))

    def _walk(self) -> Iterator[File]:
        if self.distribution is None:
            yield from _standard_library()
            return
        for entry in self.distribution.files or ():
            path = entry.as_posix()
            if path.startswith("..") or "__pycache__" in path:
                continue
            place = Path(str(entry.locate()))
            if place.is_file() and not place.is_symlink():
                yield File(path, place, place.stat().st_size)


def installed_packages() -> list[Package]:
    """The standard library and every installed distribution but corpusmill, sorted by name, each once."""
    found: dict[str, Package] = {}
    for distribution in distributions():
        stated = distribution.metadata.json  # a plain mapping: absent fields are simply absent
        name = str(stated.get("name") or "").lower().replace("_", "-")
        if name and name != _OWN and name not in found:
            description = str(stated.get("description") or "").strip()
            license_ = _license(distribution.metadata)
            found[name] = Package(name, distribution.version, license_, description, distribution)
    found["cpython"] = Package("cpython", platform.python_version(), "PSF-2.0", "", None)
    return [found[name] for name in sorted(found)]


def mix(text: str) -> int:
    """A fixed pseudo-random order: 64 bits of a name, the same on every machine."""
    return xxhash.xxh3_64_intdigest(text.encode())


def _standard_library() -> Iterator[File]:
    root = Path(sysconfig.get_path("stdlib"))
    folders = [root]
    while folders:
        for place in folders.pop().iterdir():
            if place.is_symlink() or place.name.startswith("."):
                continue
            if place.is_dir():
                if place.name not in _SKIPPED_FOLDERS and not place.name.startswith("config-"):
                    folders.append(place)
            elif place.suffix not in (".pyc", ".so"):
                yield File(place.relative_to(root).as_posix(), place, place.stat().st_size)


def _license(metadata: PackageMetadata) -> str | None:
    """The licence as the package states it: SPDX expression, classifier, or a short free text."""
    stated = metadata.json
    if stated.get("license_expression"):
        return str(stated["license_expression"])
    classified = [
        str(c).rpartition(" :: ")[2]
        for c in metadata.get_all("Classifier") or ()
        if str(c).startswith("License ::")
    ]
    if classified:
        return " AND ".join(sorted(set(classified)))
    free = str(stated.get("license") or "").strip()
    return free if free and "\n" not in free and len(free) <= 80 else None
