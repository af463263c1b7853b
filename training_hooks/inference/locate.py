"""Where a trained model lies, its tokenizer, and how its documents were framed. Reads JSON only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from corpusmill.pipelines.errors import UserError
from corpusmill.pipelines.storage import RunFolder, StepFolder, read_json


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
    """The model at `model`: a run's folder, its step `train` (or one version of it, or the `data` in that),
    or a folder with config.json and weights, such as an exported one.

    The tokenizer is the one beside the weights or, of a run, the one whose hash the training step's manifest
    names. Framing is read from the step that encoded the run's documents; elsewhere it is DeepSeek-V3's.
    Raises UserError naming what is missing.
    """
    weights = _weights(model)
    run, step = _run_of(weights)
    beside = weights if (weights / "tokenizer.json").is_file() else None
    if run is None or step is None:
        return Located(weights, beside, Framing())
    return Located(weights, beside or _tokenizer_of(run, step), _framing_of(run))


def _weights(model: Path) -> Path:
    if not model.exists():
        raise UserError(f"{model}: no such folder; give a run, its step `train` or an exported model")
    if not model.is_dir():
        raise UserError(f"{model}: a file; give the folder it lies in")
    places = [model, model / "data"]
    steps = model.resolve().parent
    run, name = RunFolder(model), "train"
    if steps.name == "steps":
        run, name = RunFolder(steps.parent), model.resolve().name
    if run.current_path.exists():
        step = run.current_step(name)
        if step is None or step.manifest() is None:
            raise UserError(f"{model}: no trained model here yet; run `corpusmill train` on the run's recipe")
        places = [step.data]
    for folder in places:
        if (folder / "config.json").is_file():
            return folder
    raise UserError(
        f"{model}: neither a run (current.json) nor a model (config.json and weights); give a run's folder, "
        "its step `train` or an exported model. A checkpoint is not a model yet: go on with its run"
    )


def _run_of(weights: Path) -> tuple[RunFolder | None, StepFolder | None]:
    """The run and the step's version that `weights` is the data of."""
    absolute = weights.resolve()
    if absolute.name != "data" or len(absolute.parents) < 4:
        return None, None
    run = RunFolder(absolute.parents[3])
    if absolute.parents[2].name != "steps" or not run.current_path.exists():
        return None, None
    return run, StepFolder(absolute.parent)


def _tokenizer_of(run: RunFolder, step: StepFolder) -> Path | None:
    wanted = step.need_manifest()["key"]["artefacts"].get("tokenizer")
    for other in _versions(run, "tokenizer"):
        manifest = other.manifest()
        if manifest is not None and manifest["content"] == wanted:
            return other.data
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
    stages: list[dict[str, Any]] = read_json(encode.manifest_path)["key"]["stages"]
    options = next((stage["options"] for stage in stages if stage["name"] == "encode"), None)
    if options is None:
        return Framing()
    fim = options["fim"]
    return Framing(bool(options["add_bos"]), fim["mode"] if fim["rate"] > 0 else None)
