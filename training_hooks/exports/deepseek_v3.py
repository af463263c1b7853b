"""`corpusmill export --to deepseek_v3`: a model as a DeepSeek-V3 folder, verified before it is kept."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from corpusmill.pipelines.contract.conversion import Export


def export_model(
    model: Path,
    out: Path,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    ema: bool = False,
    tokenizer: Path | None = None,
) -> dict[str, Any]:
    """Write the model at `model` (see `inference.locate`) into the new folder `out`.

    The layout is that of DeepSeek-V3's releases, MTP modules included (`export.hugging_face`), with
    the model's tokenizer or, where none is found, the one in the folder `tokenizer`. `ema` takes the averaged
    weights. Before `out` appears, every tensor is read back and compared with the model's bit for bit (as
    rounded to `dtype`), and transformers, where it is installed, must give our logits.

    Returns format, model (the weights' folder), `weights` (`trained` or `averaged`), dtype, parameters
    (`parameter_counts`), tensors, bytes, files (name -> SHA-256), tokenizer (null where there is none) and
    `verified`. Raises UserError naming what is wrong and what to do, DataError for weights that cannot be
    read, CorpusmillError where what was written is not the model.
    """
    from corpusmill.pipelines.storage.sealed import sha256_file
    from corpusmill.training_hooks.trainer.require_torch import require_torch

    require_torch()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads sleep: see trainer

    from corpusmill.pipelines.system.new_folder import new_folder
    from corpusmill.training_hooks.export.hugging_face import export_hugging_face
    from corpusmill.training_hooks.export.verify import compare_logits, compare_tensors
    from corpusmill.training_hooks.inference.locate import choose_tokenizer, locate
    from corpusmill.training_hooks.inference.open_model import open_model
    from corpusmill.training_hooks.model.parameter_counts import parameter_counts

    found = locate(model)
    chosen = None
    if tokenizer is not None or found.tokenizer is not None:
        chosen = choose_tokenizer(model, found.tokenizer, tokenizer)
    opened = open_model(found.weights, mtp=None, ema=ema)
    with new_folder(out) as unfinished:
        export_hugging_face(opened, unfinished, tokenizer=chosen, dtype=dtype)
        written = compare_tensors(opened, unfinished, dtype)
        logits = compare_logits(unfinished)
    counts = parameter_counts(opened.config)
    return {
        "format": "deepseek_v3",
        "model": str(found.weights),
        "weights": "averaged" if ema else "trained",
        "dtype": dtype,
        "parameters": {"main": counts.total, "active": counts.active, "mtp": counts.mtp_unique},
        **asdict(written),
        "files": {path.name: sha256_file(path) for path in sorted(out.iterdir())},
        "tokenizer": None if chosen is None else str(chosen),
        "verified": {
            "tensors": "every one reads back as written",
            "logits": logits if isinstance(logits, str) else asdict(logits),
        },
    }


EXPORT = Export("a model", export_model, ("dtype", "ema", "tokenizer"))
