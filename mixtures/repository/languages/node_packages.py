"""Packages of JavaScript by their `package.json`: what a specifier with a name, or with `#`, stands for.

A package's `exports` say which file each of its subpaths is, and `imports` what a name with `#` is within it
(https://nodejs.org/api/packages.html). Of several conditions all are tried, those of types last. A file that
is built from sources is looked for in `src` in place of the folder it is built to.
"""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, join
from typing import Any

from corpusmill.mixtures.repository.configuration import read_json
from corpusmill.mixtures.repository.files import Files, ancestors

_BUILT = ("dist", "lib", "build", "out", "esm", "cjs")
_MOST = 64  # targets of one subpath


def package_places(files: Files, importer: str, target: str) -> Iterator[str]:
    """Paths that `target` may stand for, the likeliest first."""
    known = files.once(_manifests)
    if target.startswith("#"):
        inside = next((a for a in ancestors(dirname(importer)) if a in known and known[a].imports), None)
        if inside is not None:
            yield from _placed(inside, _meant(known[inside].imports, target))
        return
    packages = files.once(_folders)
    parts = target.split("/")
    for length in (1, 2):
        folder = packages.get("/".join(parts[:length]))
        if folder is not None:
            rest = parts[length:]
            yield from _placed(folder, _meant(known[folder].exports, "/".join([".", *rest])))
            yield from (join(folder, *rest), join(folder, "src", *rest))


def mains(files: Files) -> dict[str, str]:
    """By folder the file that its `package.json` says is its entry: sources before what they are built to."""
    return {folder: one.main for folder, one in files.once(_manifests).items() if one.main is not None}


class _Manifest:
    """What a `package.json` says: `name` and `main`, or None; by subpath what `exports` says, and by name
    `imports`."""

    def __init__(self, options: dict[str, Any]) -> None:
        name = options.get("name")
        self.name = name if isinstance(name, str) else None
        entries = [options.get(key) for key in ("source", "module", "main", "types")]
        self.main = next((one for one in entries if isinstance(one, str)), None)
        exports, imports = options.get("exports"), options.get("imports")
        if not (isinstance(exports, dict) and all(key.startswith(".") for key in exports)):
            exports = {".": exports}  # the package itself alone
        self.exports: dict[str, Any] = exports
        self.imports: dict[str, Any] = imports if isinstance(imports, dict) else {}


def _manifests(files: Files) -> dict[str, _Manifest]:
    return {dirname(path): _Manifest(read_json(text)) for path, text in files.configurations("package.json")}


def _folders(files: Files) -> dict[str, str]:
    """The folder of each package of the repository by its name; of two of one name the first."""
    found: dict[str, str] = {}
    for folder, one in files.once(_manifests).items():
        if one.name is not None:
            found.setdefault(one.name, folder)
    return found


def _meant(said: dict[str, Any], name: str) -> Iterator[str]:
    """The targets of the entry that is `name`, else of the pattern with the longest beginning that fits."""
    if name in said:
        yield from _targets(said[name])
        return
    patterns = sorted(
        (key.partition("*") for key in said if "*" in key), key=lambda one: (-len(one[0]), -len(one[2]))
    )
    for before, _, after in patterns:
        if name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after):
            middle = name[len(before) : len(name) - len(after)]
            yield from (one.replace("*", middle) for one in _targets(said[f"{before}*{after}"]))
            return


def _targets(value: object) -> list[str]:
    """The paths of an entry: a text, a list, or one for each condition."""
    found: list[str] = []
    types: list[str] = []
    waiting = [(value, found)]
    while waiting and len(found) + len(types) < _MOST:
        one, into = waiting.pop()
        if isinstance(one, str):
            into.append(one)
        elif isinstance(one, list):
            waiting.extend((inner, into) for inner in reversed(one))
        elif isinstance(one, dict):
            waiting.extend((inner, types if key == "types" else into) for key, inner in reversed(one.items()))
    return found + types


def _placed(folder: str, targets: Iterator[str]) -> Iterator[str]:
    for target in targets:
        yield join(folder, target)
        parts = target.removeprefix("./").split("/")
        if len(parts) > 1 and parts[0] in _BUILT:
            yield join(folder, "src", *parts[1:])
