"""Repair of one step: find what is damaged and take away what stands in the way of making it again.

A unit whose files are not what it wrote is done again by the very rule by which an interrupted step goes
on: the step has no manifest, and a unit counts only with a sound receipt and sound files. So to repair is
to bring the receipts in order and to remove the manifest; killed at any instant, the same command goes on.
Only a step's current version is looked at, and every file of it is hashed once.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from corpusmill.pipelines.contract.errors import IntegrityError, repairing
from corpusmill.pipelines.records.manifest import Manifest
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.storage.committed import hash_again
from corpusmill.pipelines.storage.graph_file import read_graph
from corpusmill.pipelines.storage.not_kept import NAME, has_again, not_kept, there
from corpusmill.pipelines.storage.remote.mirrors import with_urls
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.segments import Segment

log = logging.getLogger("corpusmill.run")


@dataclass
class StepRepair:
    """What was damaged in one step. `files`: the hashes that its files had by a sound manifest, by name."""

    faults: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def differing(self, manifest: Manifest) -> list[str]:
        """Names of files that are not what they were before, now that the step is complete again."""
        made = {file.name: file.sha256 for file in manifest.files}
        return sorted(
            name for name in self.files.keys() | made.keys() if self.files.get(name) != made.get(name)
        )


def repair_step(folder: StepFolder) -> StepRepair:
    """Find the faults of a step and prepare it, so that running it makes the damaged units again.

    Files that belong to no unit are removed, and where a segment or a unit's files are damaged the manifest
    is, which makes the step incomplete, with receipts for the units that are sound. A damaged manifest is
    removed: it follows from the segments.
    """
    found = StepRepair()
    try:
        manifest = folder.manifest()
        not_kept(folder.path)
    except IntegrityError as error:
        found.faults.append(error.fault)
        if (folder.path / NAME).exists():  # units may have no files that would show whether they are sound
            folder.forget_units()
            has_again(folder.path)
            return found
        folder.remove_manifest()
        found.faults += hash_again(folder)
        return found
    if manifest is None:
        found.faults += hash_again(folder)
        return found
    if broken := segment_faults(folder):
        found.faults += broken
        folder.remove_manifest()
        hash_again(folder)
        has_again(folder.path)
        return found
    for name, fault in unlike_segments(folder).items():
        found.faults.append(fault)
        assert folder.store is not None
        folder.store.put_segment(folder.path, name, (folder.segments / name).read_bytes())
    for path in [*folder.strangers(), *folder.strays()]:
        found.faults.append(f"{path}: not a file of its step")
        path.unlink()
    folder.clear_receipts()
    for left in (folder.path / "tmp", folder.path / "scratch", folder.path / "poison"):
        shutil.rmtree(left, ignore_errors=True)
    damage = folder.faults(there(folder.path, folder.units.files()))
    if damage:
        found.files = {name: file.sha256 for name, file in folder.files().items()}
        found.faults += damage
        folder.remove_manifest()
        hash_again(folder)
        has_again(folder.path)
    return found


def segment_faults(folder: StepFolder) -> list[str]:
    """Faults of the receipts of a complete step's units: of a run on object storage also a segment that is
    not there, though the mirror has it."""
    faults: list[str] = []
    listed = None if folder.store is None else set(folder.unit_names())
    for entry in folder.units.entries:
        if listed is not None and entry.name not in listed:
            faults.append(f"{folder.segments / entry.name}: missing")
            continue
        try:
            Segment(folder.segments / entry.name, folder.place).receipts()
        except IntegrityError as error:
            faults.append(error.fault)
    return faults


def unlike_segments(folder: StepFolder) -> dict[str, str]:
    """Of a run on object storage, segments that are sound in the mirror and not in the store, by name, with
    what is wrong with the object. Those that are missing are `segment_faults`."""
    if (store := folder.store) is None:
        return {}
    found = {entry.name: store.unlike_segment(folder.path, entry.name) for entry in folder.units.entries}
    return {name: fault for name, fault in found.items() if fault is not None}


class Repairs:
    """The repair of a run: of each step before it is used, and what became of it."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.differing: list[str] = []  # files that came out other than they were
        self._steps: dict[str, StepRepair] = {}

    def begin(self, folder: RunFolder) -> bool:
        """Look at `current.json`, `recipe.json` and `graph.json`, which the run writes again, and whether the
        steps that the first points at are complete.

        Returns whether `current.json` was lost: missing or damaged.
        """
        if not folder.begun:
            return False
        lost, pointed = False, Pointer()
        try:
            pointed = folder.current()
        except IntegrityError as error:
            self._found(error.fault)
            folder.current_path.unlink(missing_ok=True)
            lost = True
        for read in (folder.recipe, partial(read_graph, folder)):
            try:
                read()
            except IntegrityError as error:
                self._found(error.fault)
        for name, version in pointed.steps.items():
            step = folder.step(name, version)
            if not step.complete_already:
                self._found(f"{step.manifest_path}: missing")
        return lost

    def _found(self, fault: str) -> None:
        self.faults.append(fault)
        log.warning("repair: %s", with_urls(fault))

    def prepare(self, step: str, folder: StepFolder) -> None:
        """Repair a step as `repair_step` does, before the run looks whether it is complete."""
        self._steps[step] = found = repair_step(folder)
        self.faults += found.faults
        for fault in found.faults:
            log.warning("repair: step %s: %s", step, with_urls(fault))

    def done(self, step: str, folder: StepFolder) -> None:
        """Compare what a step now holds with what it held: later steps were made from that."""
        found = self._steps.get(step)
        if found is None or not found.files:
            return
        for name in found.differing(folder.need_manifest()):
            path = folder.data / name
            self.differing.append(str(path))
            log.warning(
                "repair: step %s: %s came out with other bytes than before: inputs, libraries or the machine "
                "changed; later steps are made again from it", step, path,
            )  # fmt: skip


@contextmanager
def naming_repair(command: str) -> Iterator[None]:
    """Let an IntegrityError say what repairs a run of `command`, in place of the general cure."""
    try:
        yield
    except IntegrityError as error:
        raise error.with_command(repairing(command)) from error
