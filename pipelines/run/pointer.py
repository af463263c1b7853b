"""`current.json`: which version of each step is the run's, what was asked for, and what no longer holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence

from corpusmill.pipelines.contract.errors import OtherVersionError, UserError
from corpusmill.pipelines.records.manifest import Manifest, StepKey
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.run.fingerprint import fingerprint
from corpusmill.pipelines.run.step import Step
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder

log = logging.getLogger("corpusmill.run")


def write_current(
    folder: RunFolder,
    recipe: str,
    names: Sequence[str],
    new: Mapping[str, str],
    stale: Sequence[str],
    asked: tuple[Sequence[str], Sequence[str]] | None,
) -> None:
    """Point at every step of `names` that has a complete version, `new` ones (name -> fingerprint) replacing
    others. Without `new` ones every step is looked at.

    Steps that were made from other inputs or options than they would be now stay, named in `stale`, until
    they are made again: their figures are still those of the data they were made from. `asked`: with
    `--until`, the steps given and those they need, themselves included.
    """
    before = folder.current()
    steps = {**before.steps, **new}
    looked_at = new or steps  # the others were looked at when they came
    whole = [
        name
        for name in names
        if name in steps and (name not in looked_at or folder.step(name, steps[name]).complete_already)
    ]
    until, names_asked = (None, None) if asked is None else (tuple(asked[0]), tuple(asked[1]))
    left = tuple(name for name in whole if name in stale)
    pointer = Pointer(recipe, {name: steps[name] for name in whole}, left, until, names_asked)
    if pointer != before or folder.store is not None:  # a store knows what its driver has written
        folder.write_current(pointer)


def begin_current(folder: RunFolder) -> tuple[Pointer, bool]:
    """The pointer as a run finds it, and whether it was lost: missing, though a run lies in the folder.

    A pointer that another version of corpusmill wrote points at nothing that this one reads, and is as good
    as lost. Raises IntegrityError where it is damaged.
    """
    lost = folder.begun
    if folder.current_path.exists():
        try:
            return folder.current(), False
        except OtherVersionError as error:
            log.warning("%s; its steps are made again", error.fault)
    folder.write_current(Pointer())
    return folder.current(), lost


def readable_current(folder: RunFolder) -> Pointer:
    """The pointer of a run, or one at nothing where another version of corpusmill wrote it.

    Raises IntegrityError where it is damaged.
    """
    try:
        return folder.current()
    except OtherVersionError:
        return Pointer()


def found_again(
    folder: RunFolder,
    graph: Sequence[Step],
    asked: Container[str],
    key: Callable[[Step, Mapping[str, str]], StepKey],
) -> dict[str, str]:
    """Versions (name -> fingerprint) of steps outside of what was `asked` for, where the pointer was lost.

    A version counts that is complete and has the key that the step has now. Of an index, whose files are not
    looked at, it is the last one written. Others, such as stale ones, are not found again.
    """
    found = dict(folder.current().steps)
    for step in graph:
        if step.name in found or step.name in asked or not all(name in found for name in step.needs):
            continue
        inputs = {name: folder.step(name, found[name]).need_manifest().content for name in step.needs}
        if step.operator.reads == "files":
            there = folder.versions(step.name)
            manifest = _readable(there[0]) if there else None
        else:
            manifest = folder.step(step.name, fingerprint(key(step, inputs))).manifest()
        if manifest is not None:
            found[step.name] = manifest.fingerprint
    return found


def _readable(step: StepFolder) -> Manifest | None:
    """The manifest of a version of a step, None where another version of corpusmill wrote it."""
    try:
        return step.need_manifest()
    except OtherVersionError:
        return None


def stale_steps(
    folder: RunFolder,
    graph: Sequence[Step],
    asked: Container[str],
    key: Callable[[Step, Mapping[str, str]], StepKey],
) -> list[str]:
    """Steps with a version, outside of what was `asked` for, that would have another version now.

    `graph`: all steps, each after what it needs; `key` of a step from the content of what it needs. An
    index is taken as it is: its files are not looked at.
    """
    steps = folder.current().steps
    stale: list[str] = []
    for step in graph:
        if step.name in asked or step.name not in steps or step.operator.reads == "files":
            continue
        inputs = {n: folder.step(n, steps[n]).manifest() for n in step.needs if n in steps}
        known = {name: manifest.content for name, manifest in inputs.items() if manifest is not None}
        if len(known) < len(step.needs) or any(name in stale for name in step.needs):
            stale.append(step.name)
            continue
        try:
            holds = fingerprint(key(step, known)) == steps[step.name]
        except UserError:  # a file that the step reads is not there: it could not be made again as it is
            holds = False
        if not holds:
            stale.append(step.name)
    return stale
