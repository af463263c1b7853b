"""A tokenizer beside an exported model: its files, and what config.json says of it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.bpe.definition_parts import without_additions

_log = logging.getLogger("corpusmill.export")
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def copy_tokenizer(source: Path, folder: Path, vocab_size: int) -> dict[str, int | None]:
    """Copy the tokenizer's files from `source`; returns bos_token_id, eos_token_id and pad_token_id.

    What tokenizer.json holds that is random, cuts texts or adds tokens (`tokenizer.bpe.definition_parts`) is
    left out of the copy, as it is when documents are encoded: a warning in the log names it. Roles are read
    from tokenizer_config.json, null where it names none. Raises UserError without a readable tokenizer.json,
    for a role whose token it lacks, and for numbers of `vocab_size` and above.
    """
    tokenizer = _read(source / "tokenizer.json")
    numbers = {token["content"]: token["id"] for token in tokenizer.get("added_tokens") or []}
    vocabulary = (tokenizer.get("model") or {}).get("vocab")
    if not isinstance(vocabulary, dict):
        raise UserError(f"{source / 'tokenizer.json'} has no vocabulary of the form token -> number")
    numbers = vocabulary | numbers
    if (largest := max(numbers.values(), default=0)) >= vocab_size:
        raise UserError(
            f"{source / 'tokenizer.json'} has a token {largest}, the model a vocabulary of {vocab_size}: "
            "give the tokenizer that the model was trained with"
        )
    roles = _read(source / "tokenizer_config.json") if (source / "tokenizer_config.json").exists() else {}
    found: dict[str, int | None] = {}
    for role in ("bos", "eos", "pad"):
        token = roles.get(f"{role}_token")
        spelling = token.get("content") if isinstance(token, dict) else token
        if spelling is not None and spelling not in numbers:
            raise UserError(f"{source}: the {role} token {spelling!r} is not in tokenizer.json")
        found[f"{role}_token_id"] = None if spelling is None else numbers[spelling]
    for name in FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    plain, dropped = without_additions(tokenizer)
    if dropped and not (source / "encoder.json").is_file():  # it holds the digest of a file without these
        _log.warning("%s: not used: %s", source / FILES[0], "; ".join(dropped))
        (folder / FILES[0]).write_text(
            json.dumps(plain, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a JSON object")
    return content
