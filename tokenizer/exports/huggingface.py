"""The files beside tokenizer.json that `transformers` reads, so that it gives the ids of tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.tokenizer.export.exported import tokenizer_export
from corpusmill.tokenizer.export.source import Source

DEFINITION, CONFIG, SPECIALS = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
NAMED = ("bos", "eos", "pad")  # attributes every tokenizer of transformers has; the others are its own


def write_hugging_face(
    folder: Path, definition_text: str, special_tokens: Mapping[str, str], *, write_definition: bool = False
) -> tuple[str, ...]:
    """Write tokenizer_config.json and special_tokens_map.json into `folder`; returns the names written.

    `definition_text` is the tokenizer.json (written too with `write_definition`); `special_tokens` maps roles
    to spellings. `AutoTokenizer.from_pretrained(folder)` then has `bos_token`, `eos_token` and `pad_token`
    where they are given, and an attribute for each other role (`fim_hole_token`, ...). It gives the ids of
    tokenizer.json for every text (special tokens spelt in a text are read as such, as `transformers` does;
    `split_special_tokens=True` reads them as text), puts no token or space before or after, and decodes
    without clean-up. tokenizer_config.json is what `transformers` 4.48 to 5 reads; special_tokens_map.json
    repeats the special tokens for older versions and other readers.
    """
    named = {f"{role}_token": special_tokens[role] for role in NAMED if role in special_tokens}
    others = {f"{role}_token": spelling for role, spelling in special_tokens.items() if role not in NAMED}
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": others,
        "model_input_names": ["input_ids", "attention_mask"],
        "split_special_tokens": False,
        **named,
    }
    listed = {**named, **({"additional_special_tokens": list(others.values())} if others else {})}
    written = {CONFIG: _json(config), SPECIALS: _json(listed)}
    if write_definition:
        written[DEFINITION] = definition_text
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return tuple(written)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write(folder: Path, source: Source) -> tuple[str, ...]:
    """Write the tokenizer into `folder`; returns the names of the files."""
    spelt = {int(token["id"]): token["content"] for token in source.definition.get("added_tokens") or []}
    special = {role: spelt[number] for role, number in source.roles.items()}
    return write_hugging_face(folder, source.text, special, write_definition=True)


EXPORT = tokenizer_export("huggingface")
