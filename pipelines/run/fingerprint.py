"""Fingerprints: what a step's output depends on, and nothing else.

A step's key names its operator and its stages with their options, the code of all of these, the files that
stages read by themselves, the versions of libraries that can change its bytes, the seed, and the content
hashes of its inputs, masks and artefacts. Equal keys mean equal bytes, so a complete step with this key is
used as it is; the difference between two keys is the reason a step runs again (`reasons`).
"""

from __future__ import annotations

import platform
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.manifest import StageKey, StepKey
from corpusmill.pipelines.records.opaque import Options
from corpusmill.pipelines.run.code_version import code_digest
from corpusmill.pipelines.run.operators.job import build_stage
from corpusmill.pipelines.run.step import StageSpec, Step
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.sealed import digest, sha256_file

# Libraries through which every step's bytes pass.
ALWAYS = ("pyarrow", "numpy", "xxhash")
_WORK = "corpusmill.pipelines.run.work"  # how a unit is executed and committed, whatever its operator
# Options of readers that say where input lies; what lies there is in the inputs' content.
_PLACES = ("files",)


@cache
def library(name: str) -> str:
    """Installed version of a distribution. Raises PackageNotFoundError."""
    return version(name)


def versions(steps: Iterable[Step]) -> dict[str, str]:
    """Versions of everything that can change the bytes of these steps."""
    names = set(ALWAYS)
    for step in steps:
        for spec in step.stages:
            names.update(build_stage(spec).libraries)
    return {
        "python": platform.python_version(),
        "unicode": unicodedata.unidata_version,
        **{name: library(name) for name in sorted(names)},
    }


def kept_options(spec: StageSpec) -> Options:
    """Options of a stage but those that change no byte, and without places of files: what a run may tell."""
    stage = build_stage(spec)
    left_out = {*type(stage).incidental, *(_PLACES if isinstance(stage, Reader) else ())}
    given = dict(stage)
    return {k: _without_places(v, given.get(k)) for k, v in spec.options.items() if k not in left_out}


def _stage_key(spec: StageSpec) -> StageKey:
    stage = build_stage(spec)
    return StageKey(
        name=spec.name,
        options=kept_options(spec),
        code=code_digest(spec.module),
        libraries={name: library(name) for name in stage.libraries},
        files=_contents(spec.name, stage.external_files()),
    )


def _without_places(plain: Any, value: Any) -> Any:
    """`plain`, an option as JSON, with the name alone of every path in `value`, the option as it is.

    Where a file lies decides nothing; its content is in the key besides.
    """
    if isinstance(value, Path):
        return value.name
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict) and isinstance(plain, dict) and len(value) == len(plain):
        pairs = zip(plain.items(), value.values(), strict=True)
        return {key: _without_places(item, inner) for (key, item), inner in pairs}
    if isinstance(value, (list, tuple)) and isinstance(plain, list):
        return [_without_places(item, inner) for item, inner in zip(plain, value, strict=True)]
    return plain


def need_external_files(step: Step) -> None:
    """Raise UserError for the first file outside the run that a stage of `step` needs and cannot read."""
    for spec in step.stages:
        for path in build_stage(spec).external_files():
            try:
                next(path.iterdir(), None) if path.is_dir() else path.open("rb").close()
            except OSError as error:
                raise _unreadable(spec.name, path, error) from error


def _contents(stage: str, paths: Sequence[Path]) -> dict[str, str]:
    """The digest of each file, by its name; of several with one name the later have a number."""
    found: dict[str, str] = {}
    for path in paths:
        name = path.name if path.name not in found else f"{path.name} ({len(found) + 1})"
        try:
            found[name] = _content(path)
        except OSError as error:
            raise _unreadable(stage, path, error) from error
    return found


def _content(path: Path) -> str:
    """SHA-256 of a file; of a folder, a digest of the names and contents of the files in it."""
    if not path.is_dir():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest([[file.relative_to(path).as_posix(), sha256_file(file)] for file in files])


def _unreadable(stage: str, path: Path, error: OSError) -> UserError:
    return UserError(f"{stage}: cannot read {path}: {error.strerror}; correct its path in the recipe")


def step_key(
    step: Step,
    seed: int,
    inputs: Mapping[str, str],
    *,
    known: Sequence[tuple[str, str]] = (),
    listing: str | None = None,
    unit_bytes: int | None = None,
    limit: int | None = None,
) -> StepKey:
    """The key of a step: everything its output depends on. `inputs`: the content of the steps it needs, by
    name; for the others see `StepKey`."""
    return StepKey(
        operator=step.operator.name,
        stages=tuple(_stage_key(spec) for spec in step.stages),
        spine=digest([code_digest(module) for module in (_WORK, step.operator.work.__module__)]),
        libraries={name: library(name) for name in ALWAYS},
        # Letter case and names of characters are this interpreter's; kernels have a pinned version.
        unicode=unicodedata.unidata_version,
        seed=seed,
        options=step.options,
        # In order: unit numbers of a view run through its datasets one after the other.
        inputs=tuple((name, inputs[name]) for name in step.inputs),
        masks=tuple((name, inputs[name]) for name in step.masks),
        artefacts={name: inputs[where] for name, where in step.artefacts.items()},
        listing=listing,
        unit_bytes=unit_bytes,
        limit=limit,
        known=tuple(known),
    )


def fingerprint(key: StepKey) -> str:
    """The fingerprint of a key, 64 hex digits."""
    return digest(encode(key))
