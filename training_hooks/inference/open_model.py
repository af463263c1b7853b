"""Reading a trained model's weights, of a training step or of a DeepSeek-V3 folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.storage.verified import verified
from corpusmill.training_hooks.export.import_hugging_face import has_mtp_weights, import_hugging_face
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.transformer import Transformer


def open_model(folder: Path, *, mtp: bool | None = True, ema: bool = False) -> Transformer:
    """The model of `folder`, FP32, on the CPU: what `train` writes, or a folder of released layout.

    `mtp=False` leaves the MTP modules out, and None does so where the folder has no weights of any. `ema`
    takes the averaged weights that `train` keeps where asked to. Raises UserError where there are none,
    IntegrityError where a run wrote the folder and a file of it has changed since, and DataError naming the
    file for weights that are missing, broken or do not fit config.json.
    """
    verified(folder)
    name = "ema.safetensors" if ema else "model.safetensors"
    path = folder / name
    if not ema and not is_own(folder):
        return import_hugging_face(folder, mtp=has_mtp_weights(folder) if mtp is None else mtp)
    mtp = mtp is not False  # what `train` writes holds every module that its config.json names
    if not path.is_file():
        raise UserError(
            f"{path}: missing; averaged weights are kept where the recipe says `train: {{ema: ...}}`"
        )
    config = _config(folder / "config.json")
    if not mtp:
        config = dataclasses.replace(config, num_nextn_predict_layers=0)
    with torch.device("meta"):
        model = Transformer(config)
    state = _read(path, mtp)
    _check(path, state, model.state_dict())
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False)


def is_own(folder: Path) -> bool:
    """Whether the weights in `folder` are in corpusmill's own form, which `train` writes. Raises DataError
    where they cannot be read."""
    path = folder / "model.safetensors"
    return path.is_file() and "embed_tokens.weight" in _names(path)


def _names(path: Path) -> set[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return set(file.keys())
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read {path}: {error}; train or export the model again") from error


def _read(path: Path, mtp: bool) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            wanted = [name for name in set(file.keys()) if mtp or not name.startswith("mtp.")]
            return {name: file.get_tensor(name) for name in wanted}
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read {path}: {error}; train or export the model again") from error


def _check(path: Path, state: dict[str, Tensor], wanted: dict[str, Any]) -> None:
    if different := sorted(wanted.keys() ^ state.keys()):
        there = "lacks" if different[0] in wanted else "has, beyond what config.json beside it asks for,"
        raise DataError(f"{path} {there} {different[0]} ({len(different)} tensors differ)")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            asked = list(wanted[name].shape)
            raise DataError(f"{path}: {name} has shape {list(tensor.shape)}, config.json asks for {asked}")
        if tensor.dtype != torch.float32:
            raise DataError(f"{path}: {name} has type {tensor.dtype}, not FP32")


def _config(path: Path) -> ModelConfig:
    try:
        return ModelConfig.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} does not describe a model of this kind: {error}") from error
