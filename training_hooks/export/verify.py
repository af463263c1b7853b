"""What was written, read again: every tensor bit for bit, and transformers' logits, where it is installed."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from corpusmill.pipelines.contract.errors import CorpusmillError
from corpusmill.training_hooks.export.hugging_face import kind_of
from corpusmill.training_hooks.export.import_hugging_face import import_hugging_face, tensor_files
from corpusmill.training_hooks.export.layout import Piece, pieces
from corpusmill.training_hooks.model.transformer import Transformer

SEQUENCES, LENGTH = 16, 8
APART = 1e-4  # of the largest logit, or of 1: FP32 round-off of two ways to compute the same
AGREEING = 12  # of the sequences: two experts that tie up to round-off may part one, a wrong weight parts all


@dataclass(frozen=True)
class TensorsRead:
    """Tensors that read back as they were written, and their bytes in the files."""

    tensors: int
    bytes: int


@dataclass(frozen=True)
class LogitsCompared:
    """`library`: name and version of what gave the other logits; `tokens`: places compared."""

    library: str
    tokens: int
    largest_difference: float


def compare_tensors(model: Transformer, folder: Path, dtype: Literal["float32", "bfloat16"]) -> TensorsRead:
    """Every tensor in the files of `folder` against `model`'s, rounded to `dtype`.

    One tensor at a time is in memory. Raises CorpusmillError naming the
    first that differs in a bit, or is missing or too many; DataError for files that cannot be read.
    """
    from safetensors import safe_open

    kind = getattr(torch, dtype)
    state = {key: tensor.detach() for key, tensor in model.state_dict().items()}
    wanted = {piece.name: piece for piece in pieces(state, model.config.num_hidden_layers)}
    files = tensor_files(folder)
    if different := sorted(wanted.keys() ^ files.keys()):
        raise CorpusmillError(f"{folder}: {different[0]} was written wrongly, or not at all")
    by_file: defaultdict[Path, list[Piece]] = defaultdict(list)
    for name, path in files.items():
        by_file[path].append(wanted[name])
    total = 0
    for path, inside in by_file.items():
        with safe_open(path, framework="pt") as file:
            for piece in inside:
                found: Tensor = file.get_tensor(piece.name)
                given = piece.take(state).to("cpu", kind_of(piece, kind))
                if found.dtype != given.dtype or not _same_bits(found, given):
                    raise CorpusmillError(f"{path}: {piece.name} does not read back as it was written")
                total += found.numel() * found.itemsize
    return TensorsRead(len(files), total)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))


def compare_logits(folder: Path) -> LogitsCompared | str:
    """Next-token logits of transformers' model of `folder` against those of ours, both in FP32.

    Returns why nothing was compared where transformers is not installed or does not know the architecture.
    Raises CorpusmillError where more than rounding parts them, or it finds tensors missing.
    """
    if find_spec("transformers") is None:
        return "transformers is not installed: logits were not compared"
    transformers: Any = importlib.import_module("transformers")
    library = f"transformers {version('transformers')}"
    if not hasattr(transformers, "DeepseekV3ForCausalLM"):
        return f"{library} has no DeepseekV3ForCausalLM: logits were not compared"
    with _quiet(transformers):
        theirs, loading = transformers.DeepseekV3ForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
    if missing := sorted(loading["missing_keys"]):
        raise CorpusmillError(f"{folder}: {library} misses {missing[0]} ({len(missing)} tensors)")
    ours = import_hugging_face(folder, mtp=False)
    # Numbers far apart in the vocabulary; 7919 is prime to its size, so none comes twice in a small part.
    tokens_BT = (torch.arange(SEQUENCES * LENGTH) * 7919 % ours.config.vocab_size).view(SEQUENCES, LENGTH)
    with torch.no_grad():
        ours_BTV, theirs_BTV = ours.logits(tokens_BT), theirs.eval()(tokens_BT).logits
    apart_B = (ours_BTV - theirs_BTV).abs().amax(dim=(1, 2)) / theirs_BTV.abs().amax().clamp_min(1.0)
    if int((apart_B <= APART).sum()) < AGREEING:
        raise CorpusmillError(
            f"{folder}: {library} gives other logits, {float(apart_B.median()):.3g} of the largest apart"
        )
    return LogitsCompared(library, tokens_BT.numel(), float((ours_BTV - theirs_BTV).abs().amax()))


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without its remarks on tensors it does not use (MTP's), and without its progress bar."""
    said = transformers.utils.logging
    level, bar = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity_error()
    said.disable_progress_bar()
    try:
        yield
    finally:
        said.set_verbosity(level)
        if bar:
            said.enable_progress_bar()
