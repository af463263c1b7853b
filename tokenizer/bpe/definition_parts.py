"""The parts of a foreign tokenizer.json that are random, add to a text, or lose some of it.

`tokenizers` runs a text through normalizer, added tokens, pre-tokenizer, model and post-processor, and back
through the decoder; truncation and padding come last. Documents must give the same tokens every time and come
back as they were, so each part is used, dropped with a word, or refused by its name:

| part | what happens |
|---|---|
| model.dropout (BPE), alpha and nbest_size (Unigram) | dropped: merges or pieces drawn at random |
| truncation, padding | dropped: they cut a text, or add tokens to it |
| post_processor | those that add tokens are dropped, ByteLevel (offsets alone) stays |
| model.type other than BPE | refused |
| continuing_subword_prefix, end_of_word_suffix | refused: they mark parts of words, as texts can too |
| normalizer ByteLevel | stays, which is its own inverse with the decoder |
| normalizer NFC, NFD, NFKC, NFKD | applied or dropped as the recipe says, else refused |
| other normalizers | refused |
| pre_tokenizer | refused where it removes or adds characters, or writes some as others |
| neither ByteLevel nor byte_fallback, or a byte without an entry | refused: it would be unk, or lost |
| decoder | ByteLevel, ByteFallback and Fuse stay; all others are refused |
| added token of white space with lstrip or rstrip | refused: it takes the white space beside it |
| other added tokens | never matched in documents (`tokenizer_json.documents_only`), whatever their flags |
| unk_token, fuse_unk | without effect where every byte has an entry |
| ignore_merges, single_word and normalized of added tokens | used as they are: neither random nor lossy |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.pipelines.text.tokenizer_json import UNICODE_FORMS, component_types, documents_only, leaves

_DRAWN = {"dropout": "merges are left out at random", "alpha": "pieces are drawn at random"}
_DRAWN["nbest_size"] = _DRAWN["alpha"]
_CHANGING = {
    "Whitespace": "removes white space",
    "WhitespaceSplit": "removes white space",
    "BertPreTokenizer": "removes white space",
    "CharDelimiterSplit": "removes the delimiter",
    "Metaspace": "writes a space as another character, which texts can hold too",
}
_FLAGS = {
    "lstrip": "white space before it stays",
    "rstrip": "white space behind it stays",
    "single_word": "it is taken inside words too",
}
Normalizer = Literal["apply", "drop"]
_DECODERS = ("ByteLevel", "ByteFallback", "Fuse")


def without_additions(definition: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`definition` (a parsed tokenizer.json) without what is random, cuts a text or adds tokens to it.

    Returns it, and what was dropped and why, one sentence each; nothing of `definition` is altered. Where
    nothing had to be dropped, the result equals `definition`.
    """
    found, dropped = dict(definition), []
    model = definition.get("model")
    if isinstance(model, dict):
        for key, why in _DRAWN.items():
            if model.get(key):
                dropped.append(f"model.{key} {model[key]} ({why})")
        if dropped:
            kept = {key: value for key, value in model.items() if key not in ("alpha", "nbest_size")}
            found["model"] = {**kept, **({"dropout": None} if "dropout" in model else {})}
    for key, why in (("truncation", "documents are not cut"), ("padding", "documents are not filled up")):
        if definition.get(key) is not None:
            dropped.append(f"{key} ({why})")
            found[key] = None
    steps = list(leaves(definition.get("post_processor"), "processors"))
    adding = [leaf for leaf in steps if leaf.get("type") != "ByteLevel"]
    if adding:
        names = ", ".join(str(leaf.get("type")) for leaf in adding)
        dropped.append(f"post_processor {names} (control tokens are added by `pack` alone)")
        rest = [leaf for leaf in steps if leaf.get("type") == "ByteLevel"]
        found["post_processor"] = rest[0] if rest else None
    return found, dropped


def lossy_parts(definition: Mapping[str, Any], *, applied: bool = False) -> list[str]:
    """What of `definition` would change a text, each by its name, with what it does and the cure.

    `applied`: whether texts are to be encoded in a Unicode form, so that it changes nothing unasked."""
    return [*_model_parts(definition), *_text_parts(definition, applied), *_token_parts(definition)]


def without_unicode_form(definition: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`definition` without its normalizer where that is a Unicode form, and what was dropped, in words."""
    kinds = component_types(definition, "normalizer")
    if not kinds or not set(kinds) <= set(UNICODE_FORMS):
        return dict(definition), []
    words = (
        f"normalizer {', '.join(kinds)} (documents are encoded as they are: where one is in another form, "
        "ids are others than the tokenizer's own library gives)"
    )
    return {**definition, "normalizer": None}, [words]


def refuse_lossy_parts(definition: Mapping[str, Any], *, applied: bool = False) -> None:
    """Raise UserError naming every part that would change a text; none that is random is looked at."""
    if found := lossy_parts(definition, applied=applied):
        raise UserError(
            f"the tokenizer does not give back texts as they were, so documents would change silently: "
            f"{'; '.join(found)}"
        )


def _model_parts(definition: Mapping[str, Any]) -> Iterator[str]:
    model = definition["model"]
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            yield (
                f"model.{key} {model[key]!r} marks parts of words, which texts can spell too; give a "
                "byte-level BPE"
            )
    shapes = {kind for key in ("pre_tokenizer", "normalizer") for kind in component_types(definition, key)}
    entries = documents_only(dict(definition))["model"]["vocab"]
    if "ByteLevel" in shapes:
        missing = [byte for byte, character in CHARACTERS.items() if character not in entries]
    elif model.get("byte_fallback"):
        missing = [byte for byte in range(256) if f"<0x{byte:02X}>" not in entries]
    else:
        unknown = model.get("unk_token")
        fate = f"become {unknown!r}" if unknown else "vanish"
        yield (
            f"it is neither byte-level (pre_tokenizer ByteLevel) nor has model.byte_fallback, so characters "
            f"without an entry {fate}; give a byte-level BPE"
        )
        return
    if missing:
        yield (
            f"model.vocab lacks {len(missing)} of the 256 bytes (the first: {missing[0]:#04x}), so texts "
            "that hold them cannot be written; give the whole vocabulary"
        )
    decoders = component_types(definition, "decoder")
    undone = "ByteLevel" if "ByteLevel" in shapes else "ByteFallback"
    if undone not in decoders:
        yield f"decoder {', '.join(decoders) or 'null'} does not turn bytes into text; set it to {undone}"


def _text_parts(definition: Mapping[str, Any], applied: bool) -> Iterator[str]:
    for kind in component_types(definition, "normalizer"):
        if kind in UNICODE_FORMS:
            if not applied:
                yield (
                    f"normalizer {kind} rewrites texts; under `load` set `normalizer: apply` (documents are "
                    "encoded in that form, with the ids of the tokenizer's own library) or "
                    "`normalizer: drop` (as they are)"
                )
        elif kind != "ByteLevel":
            yield f"normalizer {kind} rewrites texts; give a tokenizer without it"
    for leaf in leaves(definition.get("pre_tokenizer"), "pretokenizers"):
        kind = str(leaf.get("type"))
        if kind in _CHANGING:
            yield f"pre_tokenizer {kind} {_CHANGING[kind]}; give a byte-level BPE"
        if kind == "ByteLevel" and leaf.get("add_prefix_space"):
            yield "pre_tokenizer ByteLevel puts a space before texts; set its add_prefix_space to false"
        if leaf.get("behavior") == "Removed":
            yield f"pre_tokenizer {kind} removes what it splits at; set its behavior to Isolated"
    for kind in component_types(definition, "decoder"):
        if kind not in _DECODERS:
            yield f"decoder {kind} changes what it decodes; give a byte-level BPE"


def _token_parts(definition: Mapping[str, Any]) -> Iterator[str]:
    """Of added tokens that documents are searched for: white space alone, not special."""
    for token in documents_only(dict(definition))["added_tokens"]:
        for flag in ("lstrip", "rstrip"):
            if token.get(flag):
                yield (
                    f"the added token {token['content']!r} (id {token['id']}) has {flag}: true, which takes "
                    f"the white space beside it from the text; set its {flag} to false in tokenizer.json"
                )


def flags_without_place(definition: Mapping[str, Any], format_: str) -> list[str]:
    """Flags of added tokens that a file of `format_` cannot say, each with its token and what that changes.

    Of tokens that no document gives (`documents_only`); those of white space are refused by `_token_parts`
    and by the formats. Without `normalizer`, which is refused as well, `normalized` changes nothing.
    """
    kept = {token["content"] for token in documents_only(dict(definition))["added_tokens"]}
    return [
        f"{flag} of the added token {token['content']!r} (id {token['id']}) (a {format_} file has no place "
        f"for it: where a prompt spells the token, {_FLAGS[flag]}; documents never give it)"
        for token in definition.get("added_tokens") or []
        for flag in _FLAGS
        if token.get(flag) and token["content"] not in kept
    ]
