"""Released tokenizers, whole or cut down to their first merges: their own patterns, flags and added tokens,
without the seconds that each library takes to load 128,000 entries and more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.oracles.tokenizer_texts import DATA


def reference(file: str) -> Path:
    """A file of the released tokenizers; skips where it is absent."""
    path = DATA / "tokenizers" / file
    if not path.exists():
        pytest.skip(f"{path} is not there; set CORPUSMILL_DATA")
    return path


def unpacked(file: str) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(reference(file).read_bytes()).read()


def released(name: str) -> dict[str, Any]:
    """A tokenizer.json, parsed."""
    found: dict[str, Any] = json.loads(unpacked(f"{name}.tokenizer.json.zst"))
    return found


def shortened(definition: dict[str, Any], merges: int) -> dict[str, Any]:
    """`definition` with its first `merges` merges, its ordinary entries in their order, and then all of its
    added tokens."""
    model = definition["model"]
    first = model["merges"][:merges]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in first]
    made = {entry for entry in model["vocab"] if len(entry) == 1}
    # Llama 3 lists merges of tokens that only later merges make.
    while new := {left + right for left, right in pairs if {left, right} <= made} - made:
        made |= new
    kept = [pair for pair in pairs if made.issuperset(pair)]
    entries = [entry for entry in model["vocab"] if entry in made]
    added = sorted(definition["added_tokens"], key=lambda token: token["id"])
    added = [{**token, "id": len(entries) + number} for number, token in enumerate(added)]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    vocabulary |= {token["content"]: token["id"] for token in added}
    return {**definition, "added_tokens": added, "model": {**model, "vocab": vocabulary, "merges": kept}}


def first_ranks(file: str, count: int) -> bytes:
    """The first `count` lines of a rank file."""
    return b"".join(unpacked(file).splitlines(keepends=True)[:count])
