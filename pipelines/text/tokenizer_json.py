"""tokenizer.json, the file of the library `tokenizers`: parsed, taken apart, and as it serves documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

UNICODE_FORMS = ("NFC", "NFD", "NFKC", "NFKD")


def documents_only(definition: dict[str, Any]) -> dict[str, Any]:
    """`definition` (a parsed tokenizer.json) without any token that text could spell but not mean.

    Added tokens go, special or not (DeepSeek marks `<｜User｜>` as not special), so that a literal
    `<｜end▁of▁sentence｜>` in a document is ordinary text. Kept are added tokens of white space alone,
    which some code tokenizers use for indentation. Entries of the vocabulary that only served as added
    tokens are left out with them; ids of all others stay. Dropout, truncation, padding and post-processing
    are left out too: the same text gives the same tokens every time, all of them and no others.
    """
    added = definition.get("added_tokens") or []
    kept = [token for token in added if token["content"].strip() == "" and not token["special"]]
    dropped = {token["content"] for token in added} - {token["content"] for token in kept}
    model = dict(definition["model"])
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {token: index for token, index in model["vocab"].items() if token not in dropped}
        # An added token takes its id from the vocabulary; outside of it, the next free one: not its own.
        model["vocab"].update({token["content"]: token["id"] for token in kept})
    if "dropout" in model:
        model["dropout"] = None
    stripped = {"added_tokens": kept, "model": model}
    return {**definition, **stripped, "post_processor": None, "truncation": None, "padding": None}


def parsed(text: str) -> Any:
    """The `tokenizers.Tokenizer` of a tokenizer.json. Raises ValueError for whatever it cannot parse.

    The library raises bare Exception, and panics where parts contradict one another (a prefix of
    continuing subwords longer than a merge's second half): no Exception, which would end the process.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the library tokenizers cannot read it: {error}") from error


def model_type(definition: Mapping[str, Any]) -> str:
    """The kind of the model; of older files, which do not say it, from what it holds."""
    model = definition["model"]
    return str(model.get("type") or ("BPE" if "merges" in model else "unnamed"))


def component_types(definition: Mapping[str, Any], key: str) -> list[str]:
    """Types of the components of `pre_tokenizer`, `normalizer` or `decoder`, sequences taken apart."""
    inner = {"pre_tokenizer": "pretokenizers", "normalizer": "normalizers", "decoder": "decoders"}[key]
    return [str(leaf.get("type")) for leaf in leaves(definition.get(key), inner)]


def leaves(part: Any, inner: str) -> Iterator[Mapping[str, Any]]:
    """The components of a part, those of sequences one by one, in order."""
    if not isinstance(part, dict):
        return
    if part.get("type") == "Sequence":
        within = part.get(inner)
        for each in within if isinstance(within, list) else []:
            yield from leaves(each, inner)
    else:
        yield part
