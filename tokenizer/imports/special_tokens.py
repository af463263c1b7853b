"""Special tokens of a tokenizer file, and what to write where a run needs some that it does not name."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.imports.read_tokenizer import format_of_file, read_tokenizer

_MOST = 12
# Spellings in use, the commonest first. The first is what `add_missing` would add.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "bos": ("<|begin_of_text|>", "<s>", "<bos>", "[BOS]", "<|startoftext|>"),
    "eos": ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[EOS]", "<|eot_id|>", "<|im_end|>"),
    "pad": ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>"),
    "fim_hole": ("<|fim_suffix|>", "<fim_suffix>", "<fim-suffix>", "<|fim_hole|>"),
    "fim_begin": ("<|fim_prefix|>", "<fim_prefix>", "<fim-prefix>", "<|fim_begin|>"),
    "fim_end": ("<|fim_middle|>", "<fim_middle>", "<fim-middle>", "<|fim_end|>"),
}


def tokens_of(path: Path) -> tuple[set[str], dict[str, str]]:
    """Spellings of the added tokens of a tokenizer file, and those whose role the file itself says.

    Rank files and merges have none. Raises UserError for a file that cannot be read as a tokenizer.
    """
    form = format_of_file(path)
    if form in ("tiktoken", "merges"):
        return set(), {}
    read = read_tokenizer(path)
    try:
        added = json.loads(read.text).get("added_tokens") or []
        return {str(token["content"]) for token in added}, read.special_tokens
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path} is not a tokenizer.json: {error}") from error


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
