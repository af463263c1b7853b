"""`corpusmill import`: a DeepSeek-V3 folder in corpusmill's own form, verified before it is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.conversion import Import


def import_model(folder: Path, out: Path, *, tokenizer: Path | None = None) -> dict[str, Any]:
    """Write the model of the DeepSeek-V3 `folder` into the new folder `out`, as a `train` step would.

    `folder` may be a release, what `corpusmill export` wrote or what transformers saved; the latter has no
    MTP weights, and the model is then without MTP modules. Weights become FP32, which is exact. The
    tokenizer beside the weights, or the one in the folder `tokenizer`, comes along. Before `out` appears,
    it is opened again and compared bit for bit.

    Returns model, `mtp_modules` with, where config.json promised others, `mtp_promised`; parameters
    (`parameter_counts`), vocabulary, context, tensors, bytes, files (name -> SHA-256) and tokenizer (null
    where there is none). Raises UserError for what is no such folder or a tokenizer that does not fit,
    DataError naming the file for one that is broken, another architecture, quantised weights, or tensors
    that are missing, unexpected or of another shape.
    """
    from corpusmill.pipelines.contract.errors import CorpusmillError
    from corpusmill.pipelines.storage.sealed import sha256_file
    from corpusmill.training_hooks.trainer.require_torch import require_torch

    require_torch()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads sleep: see trainer
    import torch

    from corpusmill.pipelines.system.new_folder import new_folder
    from corpusmill.training_hooks.export.import_hugging_face import (
        has_mtp_weights,
        import_hugging_face,
        promised_mtp,
    )
    from corpusmill.training_hooks.export.own_form import write_own_form
    from corpusmill.training_hooks.inference.locate import Framing, choose_tokenizer
    from corpusmill.training_hooks.inference.open_model import open_model
    from corpusmill.training_hooks.inference.text_tokens import TextTokens
    from corpusmill.training_hooks.model.parameter_counts import parameter_counts

    _require_release(folder)
    beside = folder if (folder / "tokenizer.json").is_file() else None
    chosen = None
    if tokenizer is not None or beside is not None:
        chosen = choose_tokenizer(folder, None if tokenizer else beside, tokenizer)
    model = import_hugging_face(folder, mtp=has_mtp_weights(folder))
    if chosen is not None:
        TextTokens(chosen, model.config.vocab_size, Framing())  # raises where `generate` could not use it
    with new_folder(out) as unfinished:
        names = write_own_form(model, unfinished, chosen)
        back, given = open_model(unfinished).state_dict(), model.state_dict()
        for name, tensor in given.items():
            if not torch.equal(back[name], tensor):
                raise CorpusmillError(f"{out}: {name} does not read back as it was written")
    counts, depth, promised = parameter_counts(model.config), len(model.mtp), promised_mtp(folder)
    return {
        "model": str(folder),
        "mtp_modules": depth,
        **({} if depth == promised else {"mtp_promised": promised}),
        "parameters": {"main": counts.total, "active": counts.active, "mtp": counts.mtp_unique},
        "vocabulary": model.config.vocab_size,
        "context": model.config.max_position_embeddings,
        "tensors": len(given),
        "bytes": sum(tensor.numel() * tensor.itemsize for tensor in given.values()),
        "files": {name: sha256_file(out / name) for name in names},
        "tokenizer": None if chosen is None else str(chosen),
    }


def _require_release(folder: Path) -> None:
    """Raise UserError unless `folder` looks like a DeepSeek-V3 folder, saying what it is instead."""
    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.training_hooks.inference.open_model import is_own

    what = "give a folder of config.json and model.safetensors (or several with an index)"
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; {what}")
    if not folder.is_dir():
        raise UserError(f"{folder}: a file; {what}")
    if (folder / "current.json").exists() or (folder / "manifest.json").exists():
        raise UserError(f"{folder}: a run of corpusmill or its step: its model needs no import")
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; {what}")
    if is_own(folder):
        raise UserError(f"{folder}: already in corpusmill's own form: its model needs no import")


IMPORT = Import("a model", import_model, ("tokenizer",))
