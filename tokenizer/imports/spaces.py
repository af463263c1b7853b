"""A tokenizer.json that writes spaces as `▁` (U+2581), as Gemma's does, with real spaces instead.

Such a tokenizer replaces each space by `▁` before it merges, and back when it decodes, and so takes a literal
`▁` of a text for a space. Written with real spaces, it needs neither: ids are the same for every text without
U+2581, and a text with it is kept, as three bytes (`definition_of_model` does the same for the files of
SentencePiece). A `Split` at spaces behind the replacement never finds one and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.pieces.definition import SPACE

WHAT = (
    "normalizer Replace of spaces by U+2581 (pieces are written with spaces: the same ids, and a literal "
    "U+2581 of a text stays one, as bytes)"
)


def writes_spaces_as_marks(definition: Mapping[str, Any]) -> bool:
    """Whether a parsed tokenizer.json is of this form and nothing in it changes texts besides."""
    model, decoder = definition.get("model"), definition.get("decoder")
    if not isinstance(model, dict) or not model.get("byte_fallback") or "merges" not in model:
        return False
    told = definition.get("pre_tokenizer")
    split = isinstance(told, dict) and told.get("type") == "Split" and _pattern(told) == " "
    splits_nothing = told is None or (split and not told.get("invert"))
    return (
        _replaces(definition.get("normalizer"), "normalizers", " ", SPACE)
        and splits_nothing
        and isinstance(decoder, dict)
        and decoder.get("type") == "Sequence"
        and [one.get("type") for one in decoder.get("decoders", [])] == ["Replace", "ByteFallback", "Fuse"]
        and _replaces(decoder["decoders"][0], "decoders", SPACE, " ")
    )


def with_spaces(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The same tokenizer with real spaces. Raises UserError where two of its entries would become one."""
    model = dict(definition["model"])
    controls = {token["content"] for token in definition.get("added_tokens") or [] if token.get("special")}
    vocabulary = {t if t in controls else _spaced(t): index for t, index in model["vocab"].items()}
    if len(vocabulary) < len(model["vocab"]):
        twice = next(token for token in model["vocab"] if SPACE in token and _spaced(token) in model["vocab"])
        raise UserError(
            f"the vocabulary has {twice!r} and the same with a space, which could not be told apart; give "
            "the tokenizer as its makers released it"
        )
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    model["vocab"], model["merges"] = vocabulary, [[_spaced(part) for part in pair] for pair in pairs]
    added = []
    for token in definition.get("added_tokens") or []:
        if SPACE in token["content"] and token["content"] not in controls:
            if not token.get("normalized") and token["content"] in definition["model"]["vocab"]:
                continue  # looked for before spaces are replaced, so only merges lead to it
            token = {**token, "content": _spaced(token["content"])}
        added.append(token)
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    made = {"added_tokens": added, "normalizer": None, "pre_tokenizer": None, "decoder": decoder}
    return {**definition, **made, "model": model}


def _spaced(token: str) -> str:
    return token.replace(SPACE, " ")


def _replaces(part: Any, inner: str, old: str, new: str) -> bool:
    if not isinstance(part, dict):
        return False
    if part.get("type") == "Sequence":
        within = part.get(inner)
        return isinstance(within, list) and len(within) == 1 and _replaces(within[0], inner, old, new)
    return part.get("type") == "Replace" and _pattern(part) == old and part.get("content") == new


def _pattern(part: Mapping[str, Any]) -> Any:
    told = part.get("pattern")
    return told.get("String") if isinstance(told, dict) else None
