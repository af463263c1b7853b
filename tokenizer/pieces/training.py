"""Training with SentencePiece so that equal samples give equal bytes and no text is changed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.contract.errors import UserError

# What the trainer sees is a line with the line breaks before it; it drops those at the end of an item. Left
# out are characters that make it skip a whole item, NUL and `▅` (its mark of the unknown), and `▁`, a space
# to it.
_LINE = re.compile("[\r\n]*([^\r\n\0\u2581\u2585]*)")


def training_items(texts: pa.Array, longest: int) -> Iterator[str]:
    """Items of training text, at most `longest` characters each, of large_string[n], in order.

    Cutting bounds the trainer's time: it works on whole items where there are no spaces.
    """
    for text in texts:
        for line in _LINE.finditer(text.as_py() or ""):
            item = line.group() if line.group(1) else ""
            for start in range(0, len(item), longest):
                yield item[start : start + longest]


def train_model(
    texts: pa.Array,
    *,
    vocab_size: int,
    special_tokens: Mapping[str, str],
    character_coverage: float,
    split_digits: bool,
    longest_piece: int,
    longest_item: int,
) -> bytes:
    """The `.model` file of a BPE with byte fallback trained on `texts` (large_string[n]).

    Ids: `special_tokens` (role -> spelling; bos, eos, pad among them) from 0 in their order, the unknown
    piece, 256 bytes, pieces in the order they were made, single characters by frequency. One thread: the
    result does not depend on the machine. Raises UserError where the vocabulary cannot hold the characters
    that the coverage asks for.
    """
    import sentencepiece

    items = training_items(texts, longest_item)
    first = next(items, None)
    if first is None:
        raise UserError("no text to train a tokenizer on: every chosen document is empty")
    ids = {role: number for number, role in enumerate(special_tokens)}
    named = {f"{role}_id": ids[role] for role in ("bos", "eos", "pad")}
    spelt = {f"{role}_piece": special_tokens[role] for role in ("bos", "eos", "pad")}
    if sorted(named.values()) != [0, 1, 2]:
        raise ValueError(
            "bos, eos and pad must come first: SentencePiece gives the others the ids that are left"
        )
    options: dict[str, Any] = {
        **named,
        **spelt,
        "unk_id": len(ids),
        "control_symbols": [spelling for role, spelling in special_tokens.items() if ids[role] > 2],
        "model_type": "bpe",
        "vocab_size": vocab_size,
        "hard_vocab_limit": False,
        "byte_fallback": True,
        "split_digits": split_digits,
        "character_coverage": character_coverage,
        "max_sentencepiece_length": longest_piece,
        "max_sentence_length": 2**30,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "num_threads": 1,
        "minloglevel": 2,
    }
    made = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_chained(first, items), model_writer=made, **options
        )
    except RuntimeError as error:
        raise UserError(
            f"SentencePiece could not train {vocab_size:,} entries: {str(error).splitlines()[0]}; "
            "raise vocab_size or lower character_coverage"
        ) from error
    return made.getvalue()


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def beginnings(texts: pa.Array, stops: npt.NDArray[np.int64]) -> pa.Array:
    """`texts` (large_string[n]), each cut after its first `stops` (int64[n]) bytes; null becomes empty."""
    import pyarrow.compute as pc

    texts = texts.fill_null("") if texts.null_count else texts
    long = pa.array(np.diff(buffers(texts)[0]) > stops)
    at = np.flatnonzero(long)
    if len(at) == 0:
        return texts
    cut = [texts[int(i)].as_buffer()[: int(stops[i])].to_pybytes().decode("utf-8") for i in at]
    return pc.replace_with_mask(texts, long, pa.array(cut, pa.large_string()))
