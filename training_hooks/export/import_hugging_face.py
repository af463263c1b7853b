"""Reading a DeepSeek-V3 folder, whether `export_hugging_face`, transformers or a release wrote it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpusmill.pipelines.errors import DataError
from corpusmill.training_hooks.export.layout import Piece, mtp_layers, pieces
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.transformer import Transformer

_READABLE = ("F32", "BF16", "F16")


def import_hugging_face(folder: Path, *, mtp: bool = True) -> Transformer:
    """The model of `folder` (config.json; model.safetensors, or several files with an index), FP32, on the
    CPU. BF16 and FP16 weights are widened, which is exact.

    `mtp=False` leaves the MTP modules out, for folders that name them in config.json but lack their weights:
    transformers' `save_pretrained` drops them. Reads safetensors only. Raises DataError, naming the file,
    for a file that is missing or broken, another architecture, quantised weights, tensors that are missing,
    unexpected or of another shape, and for copies of the embedding or the head in an MTP module that are
    not copies.
    """
    written = _read_json(folder / "config.json")
    try:
        config = ModelConfig.from_json(written | ({} if mtp else {"num_nextn_predict_layers": 0}))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{folder / 'config.json'} does not describe a model of this kind: {error}"
        ) from error
    # Built without memory, so that no weight is drawn only to be replaced.
    with torch.device("meta"):
        model = Transformer(config)
    model.to_empty(device="cpu")
    state = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    wanted = {piece.name: piece for piece in pieces(state, config.num_hidden_layers)}
    files = _files(folder)
    if not mtp:
        dropped = range(config.num_hidden_layers, config.num_hidden_layers + _depth(written))
        prefixes = tuple(f"model.layers.{number}." for number in dropped)
        files = {name: path for name, path in files.items() if not (prefixes and name.startswith(prefixes))}
    _check_names(wanted, files, folder, config)
    by_file: defaultdict[Path, list[Piece]] = defaultdict(list)
    for name, path in files.items():
        by_file[path].append(wanted[name])
    for repeated in (False, True):  # copies last, when what they repeat has been read
        for path, inside in by_file.items():
            _load(path, [piece for piece in inside if piece.repeated == repeated], state)
    return model


def _depth(written: Mapping[str, Any]) -> int:
    depth = written.get("num_nextn_predict_layers")
    return depth if isinstance(depth, int) else ModelConfig.num_nextn_predict_layers


def _files(folder: Path) -> dict[str, Path]:
    """Tensor name -> the file that holds it."""
    whole = folder / "model.safetensors"
    if whole.exists():
        return dict.fromkeys(_names(whole), whole)
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        raise DataError(f"{folder} holds neither model.safetensors nor model.safetensors.index.json")
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise DataError(f"{index} has no `weight_map` of tensor names to files")
    for file in sorted(set(weight_map.values())):
        if Path(file).name != file:
            raise DataError(f"{index} names {file!r}, which does not lie beside it")
        here = {name for name, other in weight_map.items() if other == file}
        if missing := sorted(here - _names(folder / file)):
            raise DataError(f"{folder / file} lacks {missing[0]}, which the index says it holds")
    return {name: folder / file for name, file in weight_map.items()}


def _check_names(
    wanted: Mapping[str, Piece], files: Mapping[str, Path], folder: Path, config: ModelConfig
) -> None:
    missing = sorted(name for name, piece in wanted.items() if name not in files and not piece.repeated)
    if missing:
        ahead = mtp_layers([piece.key for piece in wanted.values()], config.num_hidden_layers)
        of_mtp = tuple(f"model.layers.{number}." for number in ahead)
        only_mtp = all(name.startswith(of_mtp) for name in missing) if of_mtp else False
        cure = "; it has no MTP weights: leave them out with mtp=False" if only_mtp else ""
        raise DataError(f"{folder} lacks {len(missing)} tensors, the first {missing[0]}{cure}")
    if unexpected := sorted(files.keys() - wanted.keys()):
        raise DataError(f"{folder} holds {len(unexpected)} tensors too many, the first {unexpected[0]}")


def _load(path: Path, inside: list[Piece], state: Mapping[str, Tensor]) -> None:
    with _open(path) as file:
        for piece in inside:
            header, place = file.get_slice(piece.name), piece.take(state)
            found, asked = list(header.get_shape()), list(place.shape)
            if header.get_dtype() not in _READABLE:
                raise DataError(f"{path}: {piece.name} has type {header.get_dtype()}, not one of {_READABLE}")
            if found != asked:
                raise DataError(f"{path}: {piece.name} has shape {found}, config.json asks for {asked}")
            tensor = file.get_tensor(piece.name)
            if not piece.repeated:
                piece.put(state, tensor)
            elif not torch.equal(tensor.to(place.dtype), place):
                raise DataError(f"{path}: {piece.name} differs from the main model's, which MTP shares")


def _names(path: Path) -> set[str]:
    with _open(path) as file:
        return set(file.keys())


def _open(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} does not hold a JSON object")
    return content
