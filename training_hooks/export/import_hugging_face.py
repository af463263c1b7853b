"""Reading a DeepSeek-V3 folder, whether `export_hugging_face`, transformers or a release wrote it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.training_hooks.export.fp8_blocks import STORED, block_of, split_scales, widen
from corpusmill.training_hooks.export.layout import Piece, mtp_layers, pieces
from corpusmill.training_hooks.model.config import ModelConfig
from corpusmill.training_hooks.model.transformer import Transformer

_READABLE = ("F32", "BF16", "F16")


def import_hugging_face(folder: Path, *, mtp: bool = True) -> Transformer:
    """The model of `folder` (config.json; model.safetensors, or several files with an index), FP32, on the
    CPU. BF16 and FP16 weights are widened, which is exact, and FP8 ones of the releases multiplied by their
    blocks' scales (`export.fp8_blocks`).

    `mtp=False` leaves the MTP modules out, for folders that name them in config.json but lack their weights:
    transformers' `save_pretrained` drops them. Reads safetensors only. Raises DataError, naming the file,
    for a file that is missing or broken, another architecture, weights quantised in another way, tensors that
    are missing, unexpected or of another shape, and for copies of the embedding or the head in an MTP module
    that are not copies.
    """
    written = _read_json(folder / "config.json")
    try:
        block = block_of(written)
        plain = {key: value for key, value in written.items() if key != "quantization_config"}
        config = ModelConfig.from_json(plain | ({} if mtp else {"num_nextn_predict_layers": 0}))
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
    files = tensor_files(folder)
    scales: dict[str, Path] = {}
    if block is not None:
        files, scales = split_scales(files)
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
            _load(path, [piece for piece in inside if piece.repeated == repeated], state, block, scales)
    return model


def _depth(written: Mapping[str, Any]) -> int:
    depth = written.get("num_nextn_predict_layers")
    return depth if isinstance(depth, int) else ModelConfig.num_nextn_predict_layers


def has_mtp_weights(folder: Path) -> bool:
    """Whether the weights of `folder` go on beyond the main layers. Reads config.json and names alone; raises
    DataError where that cannot be done."""
    layers = _read_json(folder / "config.json").get("num_hidden_layers")
    if type(layers) is not int:
        raise DataError(f"{folder / 'config.json'}: num_hidden_layers must be a whole number, got {layers!r}")
    numbered = (name.split(".")[2] for name in tensor_files(folder) if name.startswith("model.layers."))
    return any(number.isdecimal() and int(number) >= layers for number in numbered)


def promised_mtp(folder: Path) -> int:
    """How many MTP modules config.json speaks of; DeepSeek-V3's one where it says nothing."""
    return _depth(_read_json(folder / "config.json"))


def tensor_files(folder: Path) -> dict[str, Path]:
    """Tensor name -> the file that holds it. Raises DataError for files that are missing or broken."""
    whole = folder / "model.safetensors"
    if whole.exists():
        return dict.fromkeys(_names(whole), whole)
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        unread = f"; {pickled[0]} is pickled, save it as safetensors first" if pickled else ""
        raise DataError(f"{folder} holds neither model.safetensors nor model.safetensors.index.json{unread}")
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise DataError(f"{index} has no `weight_map` of tensor names to files")
    by_file: defaultdict[str, set[str]] = defaultdict(set)
    for name, file in weight_map.items():
        by_file[file].add(name)
    for file, here in sorted(by_file.items()):
        if Path(file).name != file:
            raise DataError(f"{index} names {file!r}, which does not lie beside it")
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
        cure = (
            "; it has no MTP weights, as what transformers saves: do without MTP modules (mtp=False)"
            if only_mtp
            else ""
        )
        raise DataError(f"{folder} lacks {len(missing)} tensors, the first {missing[0]}{cure}")
    if unexpected := sorted(files.keys() - wanted.keys()):
        raise DataError(f"{folder} holds {len(unexpected)} tensors too many, the first {unexpected[0]}")


def _load(
    path: Path,
    inside: list[Piece],
    state: Mapping[str, Tensor],
    block: tuple[int, int] | None,
    scales: Mapping[str, Path],
) -> None:
    with _open(path) as file:
        for piece in inside:
            header, place = file.get_slice(piece.name), piece.take(state)
            found, asked = list(header.get_shape()), list(place.shape)
            stored = header.get_dtype()
            if stored not in (_READABLE if block is None else (*_READABLE, STORED)):
                raise DataError(f"{path}: {piece.name} has type {stored}, not one of {_READABLE}")
            if found != asked:
                raise DataError(f"{path}: {piece.name} has shape {found}, config.json asks for {asked}")
            tensor = file.get_tensor(piece.name)
            if block is not None and stored == STORED:
                tensor = widen(tensor, piece.name, block, scales, _read_tensor)
            elif piece.name in scales:
                raise DataError(f"{path}: {piece.name} has scales, but type {stored}, not {STORED}")
            if not piece.repeated:
                piece.put(state, tensor)
            elif not torch.equal(tensor.to(place.dtype), place):
                raise DataError(f"{path}: {piece.name} differs from the main model's, which MTP shares")


def _read_tensor(path: Path, name: str) -> Tensor:
    with _open(path) as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


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
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} does not hold a JSON object")
    return content
