"""Where a tokenizer lies: a file of it, the folder of its artefact, a run or its step that gives one."""

from __future__ import annotations

from pathlib import Path

from corpusmill.pipelines.contract.given import TOKENIZER
from corpusmill.pipelines.storage.graph_file import step_giving
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.storage.verified import verified
from corpusmill.pipelines.storage.versions import note_version

_FILES = ("tokenizer.json", "tokenizer.json.zst", "tokenizer.json.gz")
_ENDINGS = ("tokenizer.json", ".tiktoken", "merges.txt", "tokenizer.model")


def tokenizer_file(path: Path) -> Path | None:
    """The file that holds the tokenizer at `path`: itself, or a tokenizer.json its folder stands for.

    Warns where it is of a version that the run it lies in no longer holds. Raises IntegrityError where a run
    wrote it and it has changed since.
    """
    if path.is_file():
        note_version(path)
        return verified(path)
    for folder in (path, path / "data", _step(path), _of_run(path)):
        for name in _FILES:
            if folder is not None and (folder / name).is_file():
                note_version(folder)
                return verified(folder) / name
    return None


def looks_like_tokenizer(path: Path) -> bool:
    """Whether a file's name is a tokenizer's, or a folder that is no step's holds one."""
    if path.is_dir():
        of_step = (path.parent / "manifest.json").exists() or (path / "manifest.json").exists()
        return not of_step and any((path / name).is_file() for name in _FILES)
    return path.name.removesuffix(".zst").removesuffix(".gz").endswith(_ENDINGS)


def _of_run(folder: Path) -> Path | None:
    """The data of the step that gives the tokenizer of a run."""
    run = RunFolder(folder)
    step = step_giving(run, TOKENIZER) if folder.is_dir() and run.begun else None
    return step.verified() if step is not None else None


def _step(folder: Path) -> Path | None:
    """The data of the version in use of a run's step, given `<run>/steps/<step>`."""
    if folder.parent.name != "steps" or not folder.is_dir():
        return None
    current = RunFolder(folder.parent.parent).current_step(folder.name)
    return current.verified() if current is not None else None
