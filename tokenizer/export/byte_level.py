"""A byte-level BPE tokenizer.json as other libraries need to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.pipelines.text.tokenizer_json import component_types


@dataclass(frozen=True)
class ByteLevel:
    """`ranks`: id of each ordinary token, written in GPT-2's characters; `merges` in their order; `regexes`:
    the expressions of the pre-tokenizer, applied one after the other; `added`: id of each added token by its
    spelling, `special` those of them that are marked so; `ignore_merges`: whole pre-tokens that are tokens
    are taken as they are.
    """

    ranks: dict[str, int]
    merges: list[tuple[str, str]]
    regexes: tuple[str, ...]
    added: dict[str, int]
    special: frozenset[str]
    ignore_merges: bool


def read_byte_level(definition: Mapping[str, Any]) -> ByteLevel:
    """`definition` (a parsed tokenizer.json). Raises UserError where it is more than a byte-level BPE."""
    model = definition["model"]
    if model.get("type", "BPE") != "BPE":
        raise UserError(
            f"a {model.get('type')} tokenizer has no merges; only a byte-level BPE can be exported so"
        )
    if model.get("byte_fallback"):
        raise UserError(
            "the tokenizer falls back to bytes by the character; only a byte-level BPE can be exported so"
        )
    if model.get("dropout"):
        raise UserError("the tokenizer drops merges at random (`dropout`); its ids cannot be kept")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise UserError(
                f"the tokenizer marks parts of words (`{key}`); only a byte-level BPE can be exported so"
            )
    if changes := component_types(definition, "normalizer"):
        raise UserError(
            f"the tokenizer changes text before splitting it (normalizer {', '.join(changes)}), for which "
            "this format has no place; ids could not be kept"
        )
    tokens = definition.get("added_tokens") or []
    added = {token["content"]: int(token["id"]) for token in tokens}
    ranks = {token: int(number) for token, number in model["vocab"].items() if token not in added}
    missing = [byte for byte, character in CHARACTERS.items() if character not in ranks]
    if missing:
        raise UserError(
            f"the vocabulary lacks {len(missing)} of the 256 bytes (the first: {missing[0]:#04x})"
        )
    merges = [(pair.split(" ", 1) if isinstance(pair, str) else pair) for pair in model["merges"]]
    return ByteLevel(
        ranks=ranks,
        merges=[(str(left), str(right)) for left, right in merges],
        regexes=regexes_of(definition),
        added=added,
        special=frozenset(token["content"] for token in tokens if token["special"]),
        ignore_merges=bool(model.get("ignore_merges")),
    )


def regexes_of(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The expressions of a pre-tokenizer that isolates matches and shows bytes; UserError on another."""
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    steps = definition.get("pre_tokenizer")
    steps = steps["pretokenizers"] if steps and steps["type"] == "Sequence" else [steps] if steps else []
    *splits, last = steps or [{"type": "none"}]
    if last["type"] != "ByteLevel" or last["add_prefix_space"]:
        raise UserError("the pre-tokenizer does not end in bytes without a space put before (ByteLevel)")
    regexes = []
    for split in splits:
        pattern = split.get("pattern", {})
        if (
            split["type"] != "Split"
            or split["behavior"] != "Isolated"
            or split["invert"]
            or "Regex" not in pattern
        ):
            raise UserError(f"the pre-tokenizer has a step that is more than a split: {split['type']}")
        regexes.append(str(pattern["Regex"]))
    if last["use_regex"]:
        regexes.extend(PreTokenizer(pattern="gpt2").regexes())
    if not regexes:
        raise UserError("the pre-tokenizer does not split text, so merges cross it without limit")
    return tuple(regexes)
