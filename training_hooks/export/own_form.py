"""Writing a model in corpusmill's own form: what a `train` step leaves, and can start from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from torch import Tensor

from corpusmill.training_hooks.export.tokenizer_files import copy_tokenizer
from corpusmill.training_hooks.model.transformer import Transformer

ENCODER = "encoder.json"  # roles of control tokens, of a tokenizer that corpusmill made


def write_own_form(model: Transformer, folder: Path, tokenizer: Path | None) -> list[str]:
    """`model.safetensors` (FP32, names of `Transformer.state_dict`) and `config.json` into `folder`, and the
    files of the tokenizer in `tokenizer`. Returns the names of the files, sorted.

    Raises UserError for a tokenizer that cannot be read or has tokens beyond the model's vocabulary.
    """
    from safetensors.torch import save_file

    if tokenizer is not None:
        copy_tokenizer(tokenizer, folder, model.config.vocab_size)
        if (tokenizer / ENCODER).is_file():
            shutil.copyfile(tokenizer / ENCODER, folder / ENCODER)
    weights: dict[str, Tensor] = {name: t.detach().cpu() for name, t in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    written = json.dumps(model.config.to_json(), indent=2, sort_keys=True) + "\n"
    (folder / "config.json").write_text(written, encoding="utf-8")
    return sorted(path.name for path in folder.iterdir())
