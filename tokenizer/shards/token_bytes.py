"""How many bytes of text each token of a byte-level vocabulary stands for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpusmill.tokenizer.bpe.byte_characters import bytes_of
from corpusmill.tokenizer.bpe.definition import documents_only
from corpusmill.tokenizer.bpe.definition_parts import model_type


def token_lengths(definition: Path) -> npt.NDArray[np.int64] | None:
    """Bytes of every id of a tokenizer.json, int64[ids]; 0 for added tokens that no document holds.

    None for a vocabulary that is not byte-level, or that changes text before it splits it: there a token has
    no length of its own.
    """
    made = json.loads(definition.read_text(encoding="utf-8"))
    normalizer = made.get("normalizer")
    changes = normalizer is not None and normalizer != {"type": "Sequence", "normalizers": []}
    if changes or "ByteLevel" not in json.dumps(made.get("decoder")) or model_type(made) != "BPE":
        return None
    added = {token["id"] for token in made["added_tokens"]}
    ids = [*made["model"]["vocab"].values(), *added]
    lengths = np.zeros(max(ids) + 1, np.int64)
    for token, number in made["model"]["vocab"].items():
        if number not in added:
            lengths[number] = len(bytes_of(token))
    for token in documents_only(made)["added_tokens"]:  # of white space
        lengths[token["id"]] = len(token["content"].encode())
    return lengths
