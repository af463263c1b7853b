"""Special tokens of a tokenizer file by role, and what to write where a run needs some that it does not name.

A role that neither the recipe nor the file names takes the spelling of the first family of `FAMILIES` that
the tokenizer has all needed tokens of; the roles of fill-in-the-middle are taken where all three are there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS

_MOST = 12


@dataclass(frozen=True)
class Family:
    """Spellings of tokenizers of one origin: `needed` tell that a tokenizer is one of them, `others` are
    taken where they are there."""

    needed: Mapping[str, str]
    others: Mapping[str, str]


# Llama 3; Gemma; Llama 2 and Mistral; GPT-2, tiktoken's, Qwen and OLMo; T5 and others of SentencePiece.
FAMILIES = (
    Family({"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>"}, {"pad": "<|finetune_right_pad_id|>"}),
    Family({"bos": "<bos>", "eos": "<eos>"}, {"pad": "<pad>"}),
    Family({"bos": "<s>", "eos": "</s>"}, {"pad": "<pad>"}),
    Family({"eos": "<|endoftext|>"}, {"pad": "<|pad|>"}),
    Family({"eos": "</s>"}, {"pad": "<pad>"}),
)
# Qwen and CodeGemma; StarCoder; SantaCoder.
FRAMES = (
    {"fim_begin": "<|fim_prefix|>", "fim_hole": "<|fim_suffix|>", "fim_end": "<|fim_middle|>"},
    {"fim_begin": "<fim_prefix>", "fim_hole": "<fim_suffix>", "fim_end": "<fim_middle>"},
    {"fim_begin": "<fim-prefix>", "fim_hole": "<fim-suffix>", "fim_end": "<fim-middle>"},
)
# Spellings in use, the commonest first. The first is what `add_missing` would add.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "bos": ("<|begin_of_text|>", "<s>", "<bos>", "[BOS]", "<|startoftext|>"),
    "eos": ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[EOS]", "<|eot_id|>", "<|im_end|>"),
    "pad": ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|fim_pad|>"),
    "fim_hole": ("<|fim_suffix|>", "<fim_suffix>", "<fim-suffix>", "<|fim_hole|>"),
    "fim_begin": ("<|fim_prefix|>", "<fim_prefix>", "<fim-prefix>", "<|fim_begin|>"),
    "fim_end": ("<|fim_middle|>", "<fim_middle>", "<fim-middle>", "<|fim_end|>"),
}


def known_roles(present: Collection[str]) -> dict[str, str]:
    """Role -> spelling of a tokenizer with these added tokens, as far as its family is known.

    DeepSeek-V3's spellings, which corpusmill's own tokenizers have, are each taken by themselves.
    """
    roles: dict[str, str] = {}
    for family in FAMILIES:
        if all(spelling in present for spelling in family.needed.values()):
            roles |= family.needed
            roles |= {role: text for role, text in family.others.items() if text in present}
            break
    for frame in FRAMES:
        if all(spelling in present for spelling in frame.values()):
            roles |= frame
            break
    return roles | {role: spelling for role, spelling in SPECIAL_TOKENS.items() if spelling in present}


def listed(present: Collection[str]) -> str:
    """The added tokens there are, in words."""
    names = sorted(present)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"its added tokens are {', '.join(map(repr, names[:_MOST]))}{more}" if names else "it has none"


def lacking_roles(
    path: Path, missing: Mapping[str, str], present: Collection[str], given: Mapping[str, str]
) -> str:
    """The error for all roles of `missing` (role -> how to do without, or "") at once, with what to write."""
    chosen = dict(given) | {role: _spelling(role, present) for role in missing}
    mapping = ", ".join(f"{role}: {json.dumps(text, ensure_ascii=False)}" for role, text in chosen.items())
    add = "" if all(spelling in present for spelling in chosen.values()) else ", add_missing: true"
    write = f"load: {{path: {path.name}, special_tokens: {{{mapping}}}{add}}}"
    without = list(dict.fromkeys(cure for cure in missing.values() if cure))
    return (
        f"the tokenizer names no token for {', '.join(missing)}, which `pack` needs; {listed(present)}; say "
        f"which they are, such as `{write}`" + "".join(f"; or {cure}" for cure in without)
    )


def _spelling(role: str, present: Collection[str]) -> str:
    """A spelling of the tokenizer's that is in use for `role`, else the one to add."""
    return next((text for text in _SPELLINGS[role] if text in present), _SPELLINGS[role][0])
