"""What the tokenizer is: DeepSeek-V3's pre-tokenizer over a byte-level BPE, and its special tokens.

Source: the released tokenizer.json of DeepSeek-V3. The three patterns are applied one after the other,
each isolating its matches in the pieces the one before left:

1. digits in groups of at most three;
2. runs of CJK ideographs and kana (so that a Chinese phrase can become one token);
3. words with one leading mark, punctuation with the line breaks that follow it, white space.
"""

from __future__ import annotations

import json
from typing import Any

SPLIT_PATTERNS = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-\u309f\u30a0-\u30ff]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*"
    "|\\s*[\r\n]+"
    "|\\s+(?!\\S)"
    "|\\s+",
)

# Role -> spelling, in the order of the ids 0, 1, ... of a trained tokenizer.
SPECIAL_TOKENS = {
    "bos": "<｜begin▁of▁sentence｜>",
    "eos": "<｜end▁of▁sentence｜>",
    "pad": "<｜▁pad▁｜>",
    "fim_hole": "<｜fim▁hole｜>",
    "fim_begin": "<｜fim▁begin｜>",
    "fim_end": "<｜fim▁end｜>",
}

BYTES = 256  # the byte alphabet every trained vocabulary holds

# While training, longer pre-tokens are cut into pieces of this many characters: a merge touches every
# pre-token that holds its pair, so one pre-token of millions of characters (a run of white space, Han
# text without punctuation, base64) would otherwise make training quadratic. Encoding has no such cut.
LONGEST_TRAINING_PRETOKEN = 256


def new_tokenizer(*, training: bool = False) -> Any:
    """An untrained `tokenizers.Tokenizer` of this definition; `training` cuts very long pre-tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLIT_PATTERNS]
    if training:
        longest = Regex(rf"[\s\S]{{1,{LONGEST_TRAINING_PRETOKEN}}}")
        splits.append(pre_tokenizers.Split(longest, "isolated"))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([])
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def as_trained(tokenizer: Any) -> str:
    """The tokenizer.json of a tokenizer trained with `new_tokenizer(training=True)`, training cut removed."""
    definition = json.loads(tokenizer.to_str())
    definition["pre_tokenizer"] = json.loads(new_tokenizer().to_str())["pre_tokenizer"]
    return json.dumps(definition, ensure_ascii=False, indent=1)


def documents_only(definition: dict[str, Any]) -> dict[str, Any]:
    """`definition` (a parsed tokenizer.json) without any token that text could spell but not mean.

    Added tokens go, special or not (DeepSeek marks `<｜User｜>` as not special), so that a literal
    `<｜end▁of▁sentence｜>` in a document is ordinary text. Kept are added tokens of white space alone,
    which some code tokenizers use for indentation. Entries of the vocabulary that only served as added
    tokens go with them; ids of all others stay. So do truncation, padding and post-processing go.
    """
    added = definition.get("added_tokens") or []
    kept = [token for token in added if token["content"].strip() == "" and not token["special"]]
    gone = {token["content"] for token in added} - {token["content"] for token in kept}
    model = dict(definition["model"])
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {token: index for token, index in model["vocab"].items() if token not in gone}
        # An added token takes its id from the vocabulary; outside of it, the next free one: not its own.
        model["vocab"].update({token["content"]: token["id"] for token in kept})
    stripped = {"added_tokens": kept, "model": model}
    return {**definition, **stripped, "post_processor": None, "truncation": None, "padding": None}
