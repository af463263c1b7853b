"""A tokenizer for tiktoken: a rank file, and a JSON file with what else `tiktoken.Encoding` takes.

`tokenizer.tiktoken` has a line for each ordinary token: its bytes in base64, a space, its rank, which is its
id. Ids begin after the special tokens, so the lowest rank is not 0, which tiktoken allows. The same ids come
out because ids and merges are checked to be the same tokenizer (`merge_order`) and the pre-tokenizer is
written as one expression (`one_pattern`). All added tokens become special tokens; `encode_ordinary` and
`encode(text, disallowed_special=())` never give one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.byte_characters import bytes_of
from corpusmill.tokenizer.export.byte_level import read_byte_level
from corpusmill.tokenizer.export.exported import tokenizer_export
from corpusmill.tokenizer.export.merge_order import check_merges_are_ranks
from corpusmill.tokenizer.export.one_pattern import one_pattern
from corpusmill.tokenizer.export.source import Source

if TYPE_CHECKING:
    import tiktoken

RANKS, SETTINGS = "tokenizer.tiktoken", "tiktoken.json"


def write_tiktoken(
    folder: Path, definition: Mapping[str, Any], roles: Mapping[str, int], name: str = "corpusmill"
) -> tuple[str, ...]:
    """Write the two files into `folder`; returns their names.

    `definition` is a parsed tokenizer.json, `roles` the ids of bos, eos and so on. Raises UserError where
    tiktoken could not give the same ids.
    """
    tokenizer = read_byte_level(definition)
    spaces = [
        spelling for spelling in tokenizer.added if not (spelling in tokenizer.special or spelling.strip())
    ]
    if spaces:
        raise UserError(
            f"the added token {spaces[0]!r} of white space is taken from text before splitting; tiktoken "
            "knows only special tokens, so ids could not be kept"
        )
    check_merges_are_ranks(tokenizer.ranks, tokenizer.merges)
    lines = [
        base64.b64encode(bytes_of(token)) + b" %d\n" % rank
        for token, rank in sorted(tokenizer.ranks.items(), key=lambda item: item[1])
    ]
    ranks = b"".join(lines)
    settings = {
        "name": name,
        "pat_str": one_pattern(tokenizer.regexes),
        "mergeable_ranks": {"file": RANKS, "sha256": hashlib.sha256(ranks).hexdigest(), "tokens": len(lines)},
        "special_tokens": dict(sorted(tokenizer.added.items(), key=lambda item: item[1])),
        "roles": dict(roles),
    }
    (folder / RANKS).write_bytes(ranks)
    (folder / SETTINGS).write_text(
        json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return RANKS, SETTINGS


def open_tiktoken(folder: Path) -> tiktoken.Encoding:
    """The encoding that `write_tiktoken` left in `folder`; needs the library tiktoken."""
    import tiktoken

    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    # tiktoken's own reader keeps copies of local files by their path in a temporary folder: stale ones too.
    ranks = (folder / settings["mergeable_ranks"]["file"]).read_bytes()
    if hashlib.sha256(ranks).hexdigest() != settings["mergeable_ranks"]["sha256"]:
        raise UserError(
            f"{folder / RANKS} is not the file that {SETTINGS} beside it was written for; export again"
        )
    return tiktoken.Encoding(
        settings["name"],
        pat_str=settings["pat_str"],
        mergeable_ranks=read_ranks(ranks),
        special_tokens=settings["special_tokens"],
    )


def read_ranks(content: bytes) -> dict[bytes, int]:
    """Rank by token of a rank file. Raises UserError naming the first line that is wrong."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split()
        try:
            token, rank = base64.b64decode(fields[0], validate=True), int(fields[1])
        except (ValueError, IndexError) as error:
            raise UserError(f"line {number} of the rank file is not `base64 rank`: {line[:60]!r}") from error
        if len(fields) != 2 or not token or token in ranks:
            raise UserError(f"line {number} of the rank file has no token of its own: {line[:60]!r}")
        ranks[token] = rank
    if len(set(ranks.values())) != len(ranks):
        raise UserError("two tokens of the rank file have the same rank")
    return ranks


def write(folder: Path, source: Source) -> tuple[str, ...]:
    """Write the tokenizer into `folder`; returns the names of the files. Raises UserError."""
    return write_tiktoken(folder, source.definition, source.roles)


EXPORT = tokenizer_export("tiktoken")
