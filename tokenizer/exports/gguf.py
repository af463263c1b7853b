"""What a GGUF converter needs to know of a tokenizer: the keys and values of a GGUF file's header, as JSON.

Keys, types and numbers are those of the GGUF specification (ggml, `docs/gguf.md`) and of llama.cpp's
converter. A byte-level BPE is its model `gpt2`, whose pre-tokenizer goes by a name that llama.cpp knows the
expressions of; a SentencePiece model is its model `llama`, with scores. Nothing is said here of weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.bpe.definition import added_token
from corpusmill.tokenizer.export.byte_level import read_byte_level
from corpusmill.tokenizer.export.exported import tokenizer_export
from corpusmill.tokenizer.export.merge_order import check_merges_are_ranks
from corpusmill.tokenizer.export.source import Source
from corpusmill.tokenizer.pieces.model_file import Kind, Model

FILE = "gguf_metadata.json"
# Token types of the specification.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_TYPES: dict[Kind, int] = {
    "normal": NORMAL,
    "unknown": UNKNOWN,
    "control": CONTROL,
    "user_defined": USER_DEFINED,
    "unused": UNUSED,
    "byte": BYTE,
}
# Names under which llama.cpp has the same expressions (llama-vocab.cpp). Its nearest to cl100k (`dbrx`) cuts
# white space at the end of a text in another way; none has other digits or line breaks. It folds case in
# ASCII only, which matters where a name is in DIFFERENCES.
DIFFERENCES = {
    "llama-bpe": "contractions written with U+017F (long s) are not taken as such",
    "qwen2": "contractions written with U+017F (long s) are not taken as such",
    "gpt-4o": "upper and lower case are told apart in ASCII only, and marks do not count as letters",
}
PRE_NAMES = {
    "deepseek_v3": "deepseek-v3",
    "gpt2": "gpt-2",
    "llama3": "llama-bpe",
    "o200k": "gpt-4o",
    "qwen": "qwen2",
}
_ROLES = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "pad": "padding_token_id",
    "fim_begin": "fim_pre_token_id",
    "fim_hole": "fim_suf_token_id",
    "fim_end": "fim_mid_token_id",
}


def write_gguf_metadata(
    folder: Path,
    definition: Mapping[str, Any],
    roles: Mapping[str, int],
    model_vocab_size: int,
    model: Model | None = None,
) -> tuple[str, ...]:
    """Write gguf_metadata.json into `folder`; returns its name.

    `definition`: a parsed tokenizer.json; `roles`: ids of bos, eos, pad and the FIM tokens;
    `model_vocab_size`: ids up to it that have no token are filled up; `model`: the SentencePiece model it was
    made from, if any.
    Where llama.cpp splits rare texts in another way, `corpusmill.tokenizer.differences` says which. Raises
    UserError where a GGUF file could not say what the tokenizer is.
    """
    values = _llama(model) if model else _gpt2(definition)
    size = len(values["tokenizer.ggml.tokens"][1])
    for number in range(size, model_vocab_size):
        values["tokenizer.ggml.tokens"][1].append(f"[PAD{number}]")
        values["tokenizer.ggml.token_type"][1].append(UNUSED)
        if model:
            values["tokenizer.ggml.scores"][1].append(-10000.0)
    for role, key in _ROLES.items():
        if role in roles:
            values[f"tokenizer.ggml.{key}"] = ("UINT32", roles[role])
    values |= {
        "tokenizer.ggml.add_bos_token": ("BOOL", False),
        "tokenizer.ggml.add_eos_token": ("BOOL", False),
        "tokenizer.ggml.add_space_prefix": ("BOOL", False),
    }
    written = {key: {"type": kind, "value": value} for key, (kind, value) in values.items()}
    (folder / FILE).write_text(json.dumps(written, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return (FILE,)


def _gpt2(definition: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    tokenizer = read_byte_level(definition)
    pre = PreTokenizer.of(tokenizer.regexes)
    name = PRE_NAMES.get(pre.pattern) if isinstance(pre.pattern, str) else None
    if name is None or pre.digits is not None or not pre.punctuation_line_breaks:
        raise UserError(
            "llama.cpp has no pre-tokenizer that splits text as this tokenizer does, so a GGUF file could "
            f"not give its ids; it has those of {', '.join(PRE_NAMES)} with their own digits and line breaks"
        )
    if not (tokenizer.ignore_merges and name == "llama-bpe"):
        # llama.cpp looks whole words up first for some names, which changes nothing under this condition.
        check_merges_are_ranks(tokenizer.ranks, tokenizer.merges)
    tokens: dict[int, tuple[str, int]] = {
        number: (token, NORMAL) for token, number in tokenizer.ranks.items()
    }
    _refuse_flags_and_overlaps(definition)
    for spelling, number in tokenizer.added.items():
        tokens[number] = (spelling, CONTROL if spelling in tokenizer.special else USER_DEFINED)
    unused = {number: (f"[PAD{number}]", UNUSED) for number in range(max(tokens)) if number not in tokens}
    ordered = [each for _, each in sorted({**unused, **tokens}.items())]
    differs = (
        {"corpusmill.tokenizer.differences": ("STRING", DIFFERENCES[name])} if name in DIFFERENCES else {}
    )
    return {
        **differs,
        "tokenizer.ggml.model": ("STRING", "gpt2"),
        "tokenizer.ggml.pre": ("STRING", name),
        "tokenizer.ggml.tokens": ("ARRAY[STRING]", [token for token, _ in ordered]),
        "tokenizer.ggml.token_type": ("ARRAY[INT32]", [kind for _, kind in ordered]),
        "tokenizer.ggml.merges": ("ARRAY[STRING]", [f"{left} {right}" for left, right in tokenizer.merges]),
    }


def _refuse_flags_and_overlaps(definition: Mapping[str, Any]) -> None:
    """Raise UserError for added tokens of white space that llama.cpp would take from a text in another way.

    It searches a text for the longest of them first, then what is left for the next (`tokenizers`: from left
    to right, the longest that begins there), and a GGUF file says nothing of a token's neighbours.
    """
    tokens = documents_only(dict(definition))["added_tokens"]
    for token in tokens:
        for flag in ("single_word", "lstrip", "rstrip"):
            if token.get(flag):
                raise UserError(
                    f"the added token {token['content']!r} (id {token['id']}) has {flag}: true, for which a "
                    f"GGUF file has no place; set its {flag} to false in tokenizer.json"
                )
    spellings = [str(token["content"]) for token in tokens]
    for first in spellings:
        for second in spellings:
            shorter = range(1, min(len(first), len(second)))
            mixed = first != second and len({*first, *second}) > 1
            if mixed and any(first.endswith(second[:size]) for size in shorter):
                raise UserError(
                    f"the added tokens {first!r} and {second!r} can overlap in a text, where llama.cpp takes "
                    "the longer and tokenizers the first; a GGUF file could not give the same ids"
                )


def _llama(model: Model) -> dict[str, tuple[str, Any]]:
    return {
        "tokenizer.ggml.model": ("STRING", "llama"),
        "tokenizer.ggml.pre": ("STRING", "default"),
        "tokenizer.ggml.tokens": ("ARRAY[STRING]", [piece.text for piece in model.pieces]),
        "tokenizer.ggml.scores": ("ARRAY[FLOAT32]", [piece.score for piece in model.pieces]),
        "tokenizer.ggml.token_type": ("ARRAY[INT32]", [_TYPES[piece.kind] for piece in model.pieces]),
        "tokenizer.ggml.remove_extra_whitespaces": ("BOOL", False),
        "tokenizer.ggml.unknown_token_id": ("UINT32", model.ids["unk"]),
    }


def definition_of_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json (parsed) from the keys and values alone, as llama.cpp would understand them."""
    from corpusmill.tokenizer.imports.read_tokenizer import byte_level_definition
    from corpusmill.tokenizer.pieces.definition import definition_of_model
    from corpusmill.tokenizer.pieces.model_file import Piece
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    def value(key: str) -> Any:
        return metadata[f"tokenizer.ggml.{key}"]["value"]

    tokens, types = value("tokens"), value("token_type")
    if value("model") == "llama":
        kinds = {number: kind for kind, number in _TYPES.items()}
        pieces = tuple(
            Piece(token, score, kinds[kind])
            for token, score, kind in zip(tokens, value("scores"), types, strict=True)
            if kind != UNUSED
        )
        squeezes = bool(value("remove_extra_whitespaces"))
        prefix = bool(value("add_space_prefix"))
        model = Model(pieces, "bpe", True, {}, "identity", False, prefix, squeezes, True)
        definition: dict[str, Any] = json.loads(definition_of_model(model))
        return definition
    (pattern,) = [pattern for pattern, name in PRE_NAMES.items() if name == value("pre")]
    ordinary = {token: i for i, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind == NORMAL}
    merges = [(left, right) for left, right in (pair.split(" ") for pair in value("merges"))]
    rebuilt: dict[str, Any] = json.loads(
        byte_level_definition(ordinary, merges, PreTokenizer.model_validate({"pattern": pattern}))
    )
    rebuilt["added_tokens"] = [
        added_token(token, number, special=kind == CONTROL)
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    ]
    return rebuilt


def write(folder: Path, source: Source) -> tuple[str, ...]:
    """Write the tokenizer's metadata into `folder`; returns the name of the file. Raises UserError."""
    from corpusmill.tokenizer.pieces.model_file import read_model

    model = read_model(source.model) if source.model is not None else None
    return write_gguf_metadata(folder, source.definition, source.roles, source.model_size, model)


EXPORT = tokenizer_export("gguf")
