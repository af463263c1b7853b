"""Units that an earlier version of a step has done: taken over instead of done again.

A unit's key names what it reads by content, the code and options of its step, and the seed, but not where
it stands among the units: the same key means the same files. Operators whose units read nothing else say
what a unit reads (`Operator.content`). What was added, changed or taken away costs its own units and what
must meet them; the result is that of a run from nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.manifest import StepKey
from corpusmill.pipelines.records.receipt import Part, Receipt
from corpusmill.pipelines.records.unit_columns import renamed
from corpusmill.pipelines.run.operators.job import marked_artefacts
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.not_kept import not_kept
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.sealed import canonical, digest

VERSIONS = 8  # of a step that are looked into, the newest first


def base_of(step: Step, key: StepKey) -> str:
    """Digest of all that the units of a step have in common, which their inputs are not, nor artefacts of
    which each takes the marks of its own documents alone."""
    marked = marked_artefacts(step)
    artefacts = {name: content for name, content in key.artefacts.items() if name not in marked}
    left = replace(key, inputs=(), masks=(), known=(), artefacts=artefacts, listing=None, unit_bytes=None)
    return digest(encode(left))


def unit_key(base: str, content: object) -> str:
    """The key of a unit that reads `content`, ready for JSON: 32 hex digits."""
    return hashlib.sha256(base.encode() + canonical(content)).hexdigest()[:32]


class Earlier:
    """Units of earlier, complete versions of the step at `folder`. Memory: 24 bytes a unit.

    `prove`: compare the bytes of files with their hashes before a unit is taken over, so that a repair does
    not bring damage back. Files are otherwise looked at for their sizes.
    """

    def __init__(self, folder: StepFolder, *, prove: bool = False) -> None:
        self._prove = prove
        self._versions: list[tuple[StepFolder, np.ndarray, np.ndarray]] = []
        for version, found in _versions(folder):
            keys = np.array(found, "V16")
            order = np.argsort(keys)
            self._versions.append((version, keys[order], order))

    def __bool__(self) -> bool:
        return bool(self._versions)

    def find(self, key: str) -> tuple[StepFolder, int] | None:
        """A version and the number of its unit of this key, whose files are sound; None where none is."""
        wanted = np.frombuffer(bytes.fromhex(key), "V16")
        for version, keys, order in self._versions:
            at = int(np.searchsorted(keys, wanted)[0])
            if at < len(keys) and keys[at] == wanted[0]:
                number = int(order[at])
                files = version.units[number].files
                if not any(map(version.fault if self._prove else version.lost, files)):
                    return version, number
        return None


def other_versions(folder: StepFolder) -> list[StepFolder]:
    """Other versions of the step at `folder` that are complete, the newest first."""
    versions = RunFolder(folder.path.parent.parent.parent).versions(folder.path.parent.name)
    return [version for version in versions if version != folder]


def _versions(folder: StepFolder) -> Iterator[tuple[StepFolder, list[bytes]]]:
    """Versions, the newest first, with the keys of their units."""
    for version in other_versions(folder)[:VERSIONS]:
        try:
            if version.store is not None and not_kept(version.path) is not None:
                continue  # a receipt is proof of its files else
            keys = list(version.units.keys())
        except IntegrityError:  # damaged, or of another version of corpusmill: nothing is taken from it
            continue
        yield version, keys


def adopt(
    folder: StepFolder,
    number: int,
    version: StepFolder,
    unit: int,
    placed: Callable[[Part | None], Part | None],
) -> Receipt:
    """Let the unit `number` of a step have the files of a unit of an earlier version, and give its receipt,
    with what `placed` makes of its part.

    Files are linked, or copied where the file system has no links; on object storage versions share them.
    What they hold is compared with their hashes by whoever reads them.
    """
    old = version.units[unit]
    files = tuple(replace(file, name=renamed(file.name, unit, number)) for file in old.files)
    folder.data.mkdir(parents=True, exist_ok=True)  # where no unit has a file too
    for before, after in zip(old.files, files, strict=True):
        target = folder.data / after.name
        target.unlink(missing_ok=True)
        if folder.store is None or (version.data / before.name).exists():
            _link(version.data / before.name, target)  # else it is fetched as that of any unit
    return replace(old, unit=number, files=files, part=placed(old.part))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
