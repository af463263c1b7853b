"""The tokenizer.json of a SentencePiece model: the same ids, and every text comes back as it was.

SentencePiece writes a space as `▁` (U+2581) and so takes a literal `▁` for a space. Here pieces are written
with real spaces and nothing is rewritten before: a literal `▁` is in no piece and falls back to its three
bytes, `<0xE2><0x96><0x81>`. So ids are SentencePiece's for every text without U+2581, and a text with it,
which SentencePiece would change, is kept.

Merges are the pieces' scores as ranks (`export.merge_order` says when that is the same). There is no
pre-tokenizer: as in SentencePiece, what a piece may cross was decided while training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.merge_order import merges_of_ranks
from corpusmill.tokenizer.pieces.model_file import Model

SPACE = "\u2581"


def definition_of_model(model: Model) -> str:
    """The tokenizer.json text of `model`. Raises UserError where the two could not agree on every text.

    Control pieces become special tokens, with their own spelling. The unknown piece stays an entry that
    nothing leads to.
    """
    _refuse_others(model)
    vocabulary: dict[str, int] = {}
    added: list[dict[str, Any]] = []
    ranks: dict[str, int] = {}
    for number, piece in enumerate(model.pieces):
        text = piece.text.replace(SPACE, " ") if piece.kind == "normal" else piece.text
        if text in vocabulary:
            raise UserError(f"the model spells two of its pieces {text!r}; they could not be told apart")
        vocabulary[text] = number
        if piece.kind == "normal":
            ranks[text] = number
        elif piece.kind == "control":
            added.append(
                {
                    "id": number,
                    "content": text,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
            )
    unknown = [piece.text for piece in model.pieces if piece.kind == "unknown"]
    definition = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown[0],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges_of_ranks(_by_score(model, ranks)),
        },
    }
    return json.dumps(definition, ensure_ascii=False, indent=1) + "\n"


def _by_score(model: Model, ranks: Mapping[str, int]) -> dict[str, int]:
    """Ranks in the order of the scores, the higher first. Equal scores of two merges leave the order open."""
    order = sorted(ranks.items(), key=lambda item: (-model.pieces[item[1]].score, item[1]))
    scores = [model.pieces[number].score for text, number in order if len(text) > 1]
    if len(set(scores)) < len(scores):
        raise UserError("two pieces of the model have the same score, so it is open which is made first")
    return {text: rank for rank, (text, _) in enumerate(order)}


def _refuse_others(model: Model) -> None:
    if model.algorithm != "bpe":
        raise UserError(f"the model is of the kind {model.algorithm!r}; only BPE models can be used")
    changes = {
        "replaces characters": model.rewrites,
        "puts a space before each text (add_dummy_prefix)": model.dummy_prefix,
        "removes spaces (remove_extra_whitespaces)": model.squeezes,
        "does not escape spaces (escape_whitespaces: false)": not model.escapes,
    }
    for what, does in changes.items():
        if does:
            raise UserError(
                f"the model (normalizer {model.normalizer!r}) {what}, so documents would not come back as "
                "they were; give one trained with the rule `identity` and without these"
            )
    byte_pieces = {piece.text for piece in model.pieces if piece.kind == "byte"}
    if not model.byte_fallback or len(byte_pieces) != 256:
        raise UserError("the model has no byte fallback, so characters it does not know would be lost")
    for kind in ("user_defined", "unused"):
        found = [piece.text for piece in model.pieces if piece.kind == kind]
        if found:
            raise UserError(
                f"the model has {len(found)} {kind} pieces (such as {found[0]!r}), which are matched before "
                "or undone after merging; a tokenizer.json cannot say that"
            )
    if sum(piece.kind == "unknown" for piece in model.pieces) != 1:
        raise UserError("the model does not have exactly one unknown piece")
