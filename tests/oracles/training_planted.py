"""Damage to the documents of token shards, written back as shards whose metadata fits: whole to the eye."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.tokenizer.shards.format import write_shard
from corpusmill.tokenizer.shards.reader import open_shard

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Document:
    """Ids int64[n] of a document of `source` (a code), its end among them; `size`: bytes of its text."""

    source: int
    name: bytes
    epoch: int
    fim: bool
    ids: Ids
    size: int


def documents_of(path: Path, tokenizer: Tokenizer) -> tuple[dict[str, Any], list[Document]]:
    """The metadata of a shard, its `cut` documents left out, and its whole documents, in the order they
    begin."""
    shard = open_shard(path)
    cut = {(bytes.fromhex(one["document"]), one["epoch"]) for one in shard.metadata["cut"]}
    parts: dict[tuple[bytes, int], list[dict[str, Any]]] = {}
    for piece in shard.piece_table().to_pylist():
        parts.setdefault((piece["document"], piece["epoch"]), []).append(piece)
    found = []
    for (name, epoch), pieces in parts.items():
        if (name, epoch) in cut:
            continue
        pieces.sort(key=lambda piece: piece["offset"])
        ids = np.concatenate(
            [shard.tokens(p["row"])[p["start"] : p["start"] + p["length"]] for p in pieces]
        ).astype(np.int64)
        size = len(text_of(ids, tokenizer).encode())
        found.append(Document(pieces[0]["source"], name, epoch, pieces[0]["fim"], ids, size))
    return {**shard.metadata, "cut": []}, found


def write_documents(path: Path, facts: dict[str, Any], length: int, documents: Sequence[Document]) -> Path:
    """A shard of rows of `length` that hold the documents one after the other."""
    names = facts["sources"]
    tokens, sizes, counts = ([0] * len(names) for _ in range(3))
    total = sum(len(each.ids) for each in documents)
    rows = -(-total // length)
    flat = np.full(rows * length, facts["pad_id"], np.int64)
    pieces, held = [], np.zeros(rows, np.int64)
    at = 0
    for each in documents:
        flat[at : at + len(each.ids)] = each.ids
        tokens[each.source] += len(each.ids)
        sizes[each.source] += each.size
        counts[each.source] += 1
        offset = 0
        while offset < len(each.ids):
            row, start = divmod(at + offset, length)
            size = min(length - start, len(each.ids) - offset)
            place = {"start": start, "length": size, "offset": offset, "epoch": each.epoch}
            pieces.append({**place, "source": each.source, "fim": each.fim, "document": each.name})
            held[row] += 1
            offset += size
        at += len(each.ids)
    by_source = {
        "tokens_by_source": dict(zip(names, tokens, strict=True)),
        "bytes_by_source": dict(zip(names, sizes, strict=True)),
        "documents_by_source": dict(zip(names, counts, strict=True)),
    }
    totals = {"rows": rows, "tokens": total, "padding": flat.size - total, "documents": len(documents)}
    ends = np.concatenate([[0], np.cumsum(held)]).astype(np.int32)
    matrix = flat.astype(np.uint16).reshape(rows, length)
    write_shard(path, matrix, pa.array(pieces, PIECE), ends, {**facts, "counts": {**totals, **by_source}})
    return path


def text_of(ids: Ids, tokenizer: Tokenizer) -> str:
    return str(tokenizer.decode(ids.tolist(), skip_special_tokens=True))


def encoded(document: Document, text: str, tokenizer: Tokenizer, end: int) -> Document:
    """The document with another text, encoded anew."""
    ids = [*tokenizer.encode(text, add_special_tokens=False).ids, end]
    return replace(document, fim=False, ids=np.array(ids, np.int64), size=len(text.encode()))


def _shuffled(parts: list[str], draw: random.Random) -> list[str]:
    return draw.sample(parts, len(parts))


def shuffled_bytes(text: str, draw: random.Random) -> str:
    """What was no UTF-8 any more, a reader would have replaced."""
    raw = text.encode()
    return bytes(draw.sample(raw, len(raw))).decode("utf-8", errors="replace")


def shuffled_characters(text: str, draw: random.Random) -> str:
    return "".join(_shuffled([*text], draw))


def shuffled_words(text: str, draw: random.Random) -> str:
    """White space stays in its place."""
    parts = re.split(r"(\s+)", text)
    parts[::2] = _shuffled(parts[::2], draw)
    return "".join(parts)


def noise(text: str, draw: random.Random) -> str:
    return "".join(draw.choices([chr(k) for k in range(32, 127)], k=len(text)))


def one_text(text: str, draw: random.Random) -> str:
    return "This text was lost on its way here, and what stands here stands everywhere. "


def one_letter(text: str, draw: random.Random) -> str:
    return "a " * (len(text) // 2)


def no_text(text: str, draw: random.Random) -> str:
    return ""


TEXT: dict[str, Callable[[str, random.Random], str]] = {
    "bytes shuffled": shuffled_bytes,
    "characters shuffled": shuffled_characters,
    "words shuffled": shuffled_words,
    "noise": noise,
    "one text for all": one_text,
    "one letter": one_letter,
    "no text": no_text,
}


def shuffled_tokens(ids: Ids, vocabulary: int) -> Ids:
    return np.concatenate([np.random.default_rng(int(ids.sum())).permutation(ids[:-1]), ids[-1:]])


def reversed_tokens(ids: Ids, vocabulary: int) -> Ids:
    return np.concatenate([ids[:-1][::-1], ids[-1:]])


def reversed_with_ends(ids: Ids, vocabulary: int) -> Ids:
    return ids[::-1].copy()


def next_ids(ids: Ids, vocabulary: int) -> Ids:
    return np.minimum(ids + 1, vocabulary - 1)


def swapped_bytes(ids: Ids, vocabulary: int) -> Ids:
    return ids.astype(np.uint16).byteswap().astype(np.int64)


def renamed_ids(ids: Ids, vocabulary: int) -> Ids:
    return np.random.default_rng(5).permutation(vocabulary)[ids]


def padding_inside(ids: Ids, vocabulary: int, pad: int = 2) -> Ids:
    found = ids.copy()
    found[len(ids) // 3 : len(ids) // 2] = pad
    return found


TOKENS: dict[str, Callable[[Ids, int], Ids]] = {
    "tokens shuffled": shuffled_tokens,
    "tokens reversed": reversed_tokens,
    "tokens reversed, ends too": reversed_with_ends,
    "ids off by one": next_ids,
    "bytes of ids swapped": swapped_bytes,
    "ids renamed": renamed_ids,
    "padding inside": padding_inside,
}


def byte_level(texts: Sequence[str], size: int, specials: Sequence[str]) -> Tokenizer:
    """A byte-level BPE of `size` ids, the first of them `specials`."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size, special_tokens=[*specials], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return made
