"""Writing a model as a DeepSeek-V3 folder, for transformers and other engines that read released weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.sealed import write_json
from corpusmill.pipelines.system.new_folder import new_folder
from corpusmill.training_hooks.export.layout import Piece, pieces
from corpusmill.training_hooks.export.tokenizer_files import copy_tokenizer
from corpusmill.training_hooks.model.transformer import Transformer

# The routing bias moves in steps of a thousandth and decides between experts that are nearly equal: it stays
# FP32 in files of any type, as in the released ones.
_ALWAYS_FP32 = "e_score_correction_bias"


def export_hugging_face(
    model: Transformer,
    folder: Path,
    *,
    tokenizer: Path | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    shard_bytes: int = 5_000_000_000,
) -> None:
    """Make `folder`: config.json, model.safetensors and, where `tokenizer` is given, its files.

    The layout is that of the released weights, MTP modules included (`export.layout`); FP32 files give the
    same model back bit for bit. Weights of more than `shard_bytes` are split over model-00001-of-0000N
    .safetensors with an index, and memory beside the model's is that of one such file. `tokenizer` is the
    tokenizer artefact's folder: its tokenizer.json and, where there is one, tokenizer_config.json are copied
    and the numbers of its bos, eos and pad tokens enter config.json (null where it has none).

    The folder appears whole or not at all: it is written under a temporary name beside its own, synced and
    renamed. Raises UserError where something is already there, for a tokenizer with tokens beyond the
    model's vocabulary, and for a model without shared experts, which the layout cannot express.
    """
    if model.config.n_shared_experts == 0:
        raise UserError("the DeepSeek-V3 layout needs a shared expert: n_shared_experts is 0")
    kind = getattr(torch, dtype)
    with new_folder(folder) as unfinished:
        config = model.config.to_json() | {"torch_dtype": dtype, "use_cache": True}
        if tokenizer is not None:
            config |= copy_tokenizer(tokenizer, unfinished, model.config.vocab_size)
        else:
            config |= dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
        _write_weights(model, unfinished, kind, shard_bytes)
        write_json(unfinished / "config.json", config)


def _write_weights(model: Transformer, folder: Path, kind: torch.dtype, shard_bytes: int) -> None:
    from safetensors.torch import save_file

    state = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    on_meta = {key: tensor.to("meta") for key, tensor in state.items()}
    shards: list[list[Piece]] = [[]]
    total, room = 0, shard_bytes
    for piece in pieces(state, model.config.num_hidden_layers):
        size = math.prod(piece.take(on_meta).shape) * kind_of(piece, kind).itemsize
        if size > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(piece)
        total, room = total + size, room - size
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = (
            f"model-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        )
        # Copied even where type and device fit: the writer refuses tensors that share memory.
        tensors = {
            p.name: p.take(state).to(
                "cpu", kind_of(p, kind), copy=True, memory_format=torch.contiguous_format
            )
            for p in shard
        }
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
    if len(shards) > 1:
        index: dict[str, Any] = {"metadata": {"total_size": total}, "weight_map": weight_map}
        write_json(folder / "model.safetensors.index.json", index)


def kind_of(piece: Piece, kind: torch.dtype) -> torch.dtype:
    """The type that a tensor has in files of type `kind`."""
    return torch.float32 if piece.key.endswith(_ALWAYS_FP32) else kind
