"""What `doctor` finds of a run: is its output what its manifests and receipts say?

Manifests, receipts and the other sealed files are always read: they have some hundred bytes for each unit.
The files of units are looked at by their sizes or, as a deep look, by their bytes, which reads all of the
run's output once. A flipped byte is found by the latter alone; so is a file in whose place another one of its
size lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from corpusmill.pipelines.contract.errors import REPAIR, IntegrityError, OtherVersionError
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.arithmetic import wrong_figures
from corpusmill.pipelines.inspection.run_log import repair_command
from corpusmill.pipelines.inspection.run_record import STATES, load_record
from corpusmill.pipelines.records.receipt import FileEntry
from corpusmill.pipelines.run.repair import segment_faults, unlike_segments
from corpusmill.pipelines.storage.graph_file import read_graph
from corpusmill.pipelines.storage.not_kept import not_kept, there
from corpusmill.pipelines.storage.remote.mirrors import with_urls
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.step_units import Checker, faults_in

_FAULTS_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `cure` is empty where it is well; `damage`: whether a file of the run is
    not what it wrote."""

    name: str
    ok: bool
    damage: bool
    detail: str
    cure: str


def checked(name: str, ok: bool, detail: str, cure: str) -> Check:
    """A check of which no fault is damage to a run."""
    return Check(name, ok, False, detail, "" if ok else cure)


def _file_check(name: str, faults: Sequence[str], detail: str, cure: str) -> Check:
    """A check of what the run wrote: any fault is damage."""
    shown = with_urls(_shown(faults))
    return Check(name, not faults, bool(faults), shown or detail, cure if faults else "")


def _shown(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
    return "; ".join(faults[:_FAULTS_SHOWN]) + more


@dataclass
class _Step:
    """A step whose manifest is sound, and what was found of its files."""

    name: str
    folder: StepFolder
    faults: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class _File:
    step: _Step
    entry: FileEntry
    check: Checker


def run_checks(folder: RunFolder, *, deep: bool, workers: int | None) -> list[Check]:
    """Pointer, recipe, graph, then every current step's manifest, receipts and files; where those are sound,
    the arithmetic of the ledgers within and between steps.

    Files are looked at by so many threads, of all steps together; what is found and in which order does not
    depend on their number. Damage has one cure, a command, with the recipe where the run's log tells it. A
    step that a run with --until left stale is no fault. Memory: of a run in a folder, the names of a step's
    files; of one on object storage also a listing of a step's objects.
    """
    cure = repair_command(folder.path) or REPAIR
    checks = []
    for name, read in (
        ("current.json", folder.current),
        ("recipe.json", folder.recipe),
        ("graph.json", partial(read_graph, folder)),
    ):
        checks += _unread(name, read, cure)
    if checks:
        return checks
    steps = [
        _sealed(name, folder.step(name, version), cure) for name, version in folder.current().steps.items()
    ]
    looked_at = [step for step in steps if isinstance(step, _Step)]
    files = _files(looked_at, deep=deep)
    wrong = 0
    for file, fault in faults_in(folder.store, files, lambda file: file.check(file.entry), workers):
        file.step.faults.append(fault)
        wrong += 1
    checks = [step if isinstance(step, Check) else _step(step, deep, cure) for step in steps]
    if all(check.ok for check in checks):
        checks += _accounts(folder, cure)
    return [*checks, _bytes(looked_at, wrong, len(steps) - len(looked_at), deep)]


def _unread(name: str, read: Callable[[], object], cure: str) -> list[Check]:
    """The check of a file that cannot be read: a damaged run is what doctor is for, its errors are
    findings."""
    try:
        read()
    except OtherVersionError as error:
        return [checked(name, False, with_urls(error.fault), error.cure)]
    except IntegrityError as error:
        return [_file_check(name, [error.fault], "", cure)]
    return []


def _sealed(name: str, folder: StepFolder, cure: str) -> Check | _Step:
    """The step with the faults of its segments, or a check where there is no telling which files it has."""
    for read in (folder.need_manifest, partial(not_kept, folder.path)):
        if unread := _unread(f"step {name}", read, cure):
            return unread[0]
    if faults := segment_faults(folder):
        return _file_check(f"step {name}", faults, "", cure)
    return _Step(name, folder, list(unlike_segments(folder).values()))


def _files(steps: Sequence[_Step], *, deep: bool) -> Iterator[_File]:
    """The files that the steps should have, counted as they are taken."""
    for step in steps:
        check = step.folder.checker(deep=deep)
        for entry in there(step.folder.path, step.folder.units.files()):
            step.files += 1
            step.bytes += entry.bytes
            yield _File(step, entry, check)


def _step(step: _Step, deep: bool, cure: str) -> Check:
    folder = step.folder
    beside = folder.strangers() or ([] if step.faults else folder.strays())
    faults = [*step.faults, *(f"{path}: not a file of its step" for path in beside)]
    told = "match their hashes" if deep else f"in {_files_told(step.files)} of their sizes"
    said = f"{text.size(step.bytes)} {told}"
    if (left := not_kept(folder.path)) is not None:
        said += f"; the rest was removed after use (`keep: {left.keep}`)"
    return _file_check(f"step {step.name}", faults, said, cure)


def _accounts(folder: RunFolder, cure: str) -> list[Check]:
    """Steps that are not complete or outdated, and the arithmetic of the ledgers."""
    record = load_record(folder)
    checks = []
    for step in record.steps.values():
        if step.state != "complete":
            name = f"step {step.name}: inputs" if step.manifest is not None else f"step {step.name}"
            checks.append(checked(name, step.state == "stale", STATES[step.state], "run the recipe again"))
    faults = list(wrong_figures(record))
    entries = [entry for step in record.steps.values() for entry in step.ledger]
    judgements = sum(entry.documents_in for entry in entries)
    detail = f"{len(entries):,} entries balance, {judgements:,} judgements"
    checks.append(_file_check("ledger", faults, detail, cure))
    return checks


def _files_told(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def _bytes(steps: Sequence[_Step], wrong: int, unknown: int, deep: bool) -> Check:
    """What was read of the files of units, so many of them `wrong`; which files `unknown` steps have there is
    no telling."""
    size, files = text.size(sum(step.bytes for step in steps)), sum(step.files for step in steps)
    told = "compared with their hashes" if deep else "not read, sizes alone were compared; --deep reads them"
    if wrong:
        told += f"; {wrong:,} of them missing or wrong"
    if unknown:
        told += f"; those of {unknown:,} step{'s' * (unknown != 1)} without sound receipts were not looked at"
    return checked("bytes", True, f"{size} in {_files_told(files)} {told}", "")
