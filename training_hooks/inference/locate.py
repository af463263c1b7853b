"""Where a trained model lies, its tokenizer, and how its documents were framed. Reads JSON only.

A run's model is what the last of its complete training steps left: `long_context.<k>` of the largest k, or
`train` where the run has none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.run_folder import RunFolder, StepFolder
from corpusmill.pipelines.storage.verified import verified
from corpusmill.pipelines.storage.versions import note_version
from corpusmill.tokenizer.fim.options import Fim

_EXTENSION = re.compile(r"long_context\.(0|[1-9][0-9]*)")
_KINDS = "a run, its step `train` or `long_context.<k>`, or a folder of config.json and weights"


@dataclass(frozen=True)
class Framing:
    """What stands around a training document: a token at its start, and the order of its parts where it was
    framed for fill-in-the-middle (null: none was)."""

    bos: bool = False
    fim: Literal["psm", "spm"] | None = "psm"


@dataclass(frozen=True)
class Located:
    """`weights`: the folder of config.json and the weights; `tokenizer`: of tokenizer.json, null where none
    was found."""

    weights: Path
    tokenizer: Path | None
    framing: Framing


def locate(model: Path) -> Located:
    """The model at `model`: a run's folder, its step `train` or `long_context.<k>` (or one version of it, or
    the `data` in that), or a folder with config.json and weights, such as an exported one.

    The tokenizer is the one beside the weights or, of a run, the one whose hash the training step's manifest
    names. Framing is read from the step that encoded the run's documents; elsewhere it is DeepSeek-V3's.
    Warns where the model is of a version that its run no longer holds. Raises UserError naming what is
    missing.
    """
    weights = _weights(model)
    note_version(weights)
    run, step = _run_of(weights)
    beside = weights if (weights / "tokenizer.json").is_file() else None
    if run is None or step is None:
        return Located(weights, beside, Framing())
    return Located(weights, beside or _tokenizer_of(run, step), _framing_of(run))


def training_steps(run: RunFolder) -> list[str]:
    """Names of the run's complete training steps in the order they went: `train`, `long_context.0`, ..."""
    numbers = [found[1] for name in run.current().steps if (found := _EXTENSION.fullmatch(name))]
    names = ["train", *(f"long_context.{number}" for number in sorted(map(int, numbers)))]
    steps = [(name, run.current_step(name)) for name in names]
    return [name for name, step in steps if step is not None and step.manifest() is not None]


def choose_tokenizer(model: Path, found: Path | None, given: Path | None) -> Path:
    """The tokenizer's folder: `given` by the user, else the one `found` by `locate`.

    Raises UserError where there is neither, for a folder without tokenizer.json, and for another tokenizer
    than the one found.
    """
    folder = given or found
    if folder is None:
        raise UserError(
            f"{model}: no tokenizer beside the model and no run that it belongs to; give the folder of its "
            "tokenizer.json with --tokenizer"
        )
    if folder.name == "tokenizer.json":
        folder = folder.parent
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"{folder}: holds no tokenizer.json; give the folder of the model's tokenizer")
    verified(folder if folder.name == "data" else folder / "tokenizer.json")
    own = None if found is None else found / "tokenizer.json"
    if own is not None and own.read_bytes() != (folder / "tokenizer.json").read_bytes():
        raise UserError(f"{folder}: not the tokenizer that the model was trained with, which is {found}")
    return folder


def _weights(model: Path) -> Path:
    if not model.exists():
        raise UserError(f"{model}: no such folder; give {_KINDS}")
    if not model.is_dir():
        raise UserError(f"{model}: a file; give the folder it lies in")
    places = [model, model / "data"]
    run, names = RunFolder(model), []
    if run.begun:
        names = training_steps(run)[-1:]
    elif model.resolve().parent.name == "steps":
        run, names = RunFolder(model.resolve().parents[1]), [model.resolve().name]
    if run.begun:
        step = run.current_step(names[0]) if names else None
        if step is None or step.manifest() is None:
            raise UserError(f"{model}: no trained model here yet; run `corpusmill train` on the run's recipe")
        places = [step.data]
    for folder in places:
        verified(folder)
        if (folder / "config.json").is_file():
            return folder
    raise UserError(
        f"{model}: neither a run (current.json) nor a model (config.json and weights); give {_KINDS}. "
        "A checkpoint is not a model yet: go on with its run"
    )


def _run_of(weights: Path) -> tuple[RunFolder | None, StepFolder | None]:
    """The run and the step's version that `weights` is the data of."""
    absolute = weights.resolve()
    if absolute.name != "data" or len(absolute.parents) < 4:
        return None, None
    run = RunFolder(absolute.parents[3])
    if absolute.parents[2].name != "steps" or not run.begun:
        return None, None
    return run, StepFolder(absolute.parent)


def _tokenizer_of(run: RunFolder, step: StepFolder) -> Path | None:
    wanted = step.need_manifest().key.artefacts.get("tokenizer")
    if wanted is None:
        return None
    for other in _versions(run, "tokenizer"):
        manifest = other.manifest()
        if manifest is not None and manifest.content == wanted:
            return other.verified()
    return None


def _versions(run: RunFolder, name: str) -> Iterator[StepFolder]:
    """All versions of a step, the one in use first."""
    current = run.current_step(name)
    if current is not None:
        yield current
    for path in sorted((run.path / "steps" / name).glob("*")):
        if current is None or path != current.path:
            yield StepFolder(path)


def _framing_of(run: RunFolder) -> Framing:
    encode = run.current_step("encode")
    if encode is None or encode.manifest() is None:
        return Framing()
    stages = encode.need_manifest().key.stages
    options = next((stage.options for stage in stages if stage.name == "encode"), None)
    if options is None:
        return Framing()
    fim = Fim.model_validate(options["fim"])
    return Framing(bool(options["add_bos"]), fim.mode if fim.frames() else None)
