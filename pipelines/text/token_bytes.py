"""How many bytes of text each token of a byte-level vocabulary stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.byte_characters import bytes_of
from corpusmill.pipelines.text.tokenizer_json import (
    UNICODE_FORMS,
    component_types,
    documents_only,
    model_type,
)


def token_lengths(definition: Path) -> npt.NDArray[np.int64] | None:
    """Bytes of every id of a tokenizer.json, int64[ids]; 0 for added tokens that no document holds.

    None for a vocabulary that is not byte-level, or that changes text before it splits it, but to a Unicode
    form (lengths are of the text in that form): there a token has no length of its own.
    """
    made = json.loads(definition.read_text(encoding="utf-8"))
    spelled = spellings(made)
    if spelled is None:
        return None
    added = [token["id"] for token in made["added_tokens"]]
    lengths = np.zeros(max([*made["model"]["vocab"].values(), *added]) + 1, np.int64)
    for number, spelling in spelled.items():
        lengths[number] = len(spelling)
    return lengths


def spellings(made: dict[str, Any]) -> dict[int, bytes] | None:
    """The bytes of every id that a document may hold, of a parsed tokenizer.json; None as `token_lengths`."""
    changes = set(component_types(made, "normalizer")) - set(UNICODE_FORMS)
    if changes or "ByteLevel" not in json.dumps(made.get("decoder")) or model_type(made) != "BPE":
        return None
    added = {token["id"] for token in made["added_tokens"]}
    vocabulary = made["model"]["vocab"].items()
    spelled = {number: bytes_of(token) for token, number in vocabulary if number not in added}
    for token in documents_only(made)["added_tokens"]:  # of white space
        spelled[token["id"]] = token["content"].encode()
    return spelled
