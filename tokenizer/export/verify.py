"""Does the library that an export was written for give the ids of the tokenizer? Asked of the library itself.

The texts are the probes that encoders are compared on, with added tokens spelt in them, all code points of
the planes that have characters, in order, and long runs. Each function opens what was written, as a user
would, and raises CorpusmillError at the first text on which ids or decoded text differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract.errors import CorpusmillError

LIBRARIES = {
    "huggingface": "transformers",
    "tiktoken": "tiktoken",
    "gguf": "tokenizers",  # there is no GGUF reader of tokenizers for Python: what was written is read back
    "sentencepiece": "sentencepiece",
}
Ids = Callable[[str], list[int]]


def verify_export(folder: Path, format_: str, text: str, roles: Mapping[str, int]) -> dict[str, Any] | None:
    """Compare what stands in `folder` with the tokenizer.json `text`.

    `roles`: ids of bos and so on. Returns what was compared; None where the library is not installed.
    """
    from corpusmill.tokenizer.bpe.probes import probe_texts

    library = LIBRARIES[format_]
    if find_spec(library) is None:
        return None
    definition = json.loads(text)
    spellings = [token["content"] for token in definition.get("added_tokens") or []]
    texts = [*probe_texts(spellings[:64]), *_long_texts()]
    tokens = {
        "huggingface": _hugging_face,
        "tiktoken": _tiktoken,
        "gguf": _gguf,
        "sentencepiece": _sentencepiece,
    }[format_](folder, text, texts, roles)
    return {"library": f"{library} {version(library)}", "texts": len(texts), "tokens": tokens}


def _long_texts() -> list[str]:
    planes = (range(0xD800), range(0xE000, 0x32400), range(0xE0000, 0xE0200), range(0x32400, 0x110000, 997))
    points = "".join(chr(c) for plane in planes for c in plane)
    return [
        points,
        " " * 20_000 + "a",
        " \n" * 10_000,
        "a" * 20_000,
        "\0" * 20_000 + "a",
        "中" * 20_000 + "・",
    ]


def _documents(text: str) -> Any:
    """The tokenizer as documents are encoded: no special token comes from text."""
    from tokenizers import Tokenizer

    from corpusmill.pipelines.text.tokenizer_json import documents_only

    return Tokenizer.from_str(json.dumps(documents_only(json.loads(text)), ensure_ascii=False))


def _compare(
    texts: Sequence[str],
    expected: Ids,
    got: Ids,
    decode: Callable[[list[int]], str],
    decoded: Callable[[list[int]], str] | None = None,
) -> int:
    """Tokens compared. `decoded`: what decoding should give, where that is not the text itself."""
    count = 0
    for text in texts:
        ids = expected(text)
        count += len(ids)
        found = got(text)
        if found != ids:
            at = next(
                (i for i, (a, b) in enumerate(zip(ids, found, strict=False)) if a != b),
                min(len(ids), len(found)),
            )
            raise CorpusmillError(
                f"the export gives other ids for {text[:40]!r}: token {at} is {found[at : at + 3]}, not "
                f"{ids[at : at + 3]}; it was not written"
            )
        if decode(ids) != (decoded(ids) if decoded else text):
            raise CorpusmillError(f"the export does not decode {text[:40]!r} as it was; it was not written")
    return count


def _hugging_face(folder: Path, text: str, texts: Sequence[str], roles: Mapping[str, int]) -> int:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    reference = Tokenizer.from_str(text)
    loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    for role, number in roles.items():
        if loaded.convert_tokens_to_ids(getattr(loaded, f"{role}_token")) != number:
            raise CorpusmillError(f"the export has another {role} token than {number}; it was not written")
    return _compare(
        texts,
        lambda one: list(reference.encode(one, add_special_tokens=False).ids),
        lambda one: list(loaded.encode(one, add_special_tokens=False)),
        lambda ids: str(loaded.decode(ids)),
        lambda ids: str(reference.decode(ids, skip_special_tokens=False)),  # a normalizer may have changed it
    )


def _tiktoken(folder: Path, text: str, texts: Sequence[str], roles: Mapping[str, int]) -> int:
    from corpusmill.tokenizer.exports.tiktoken import open_tiktoken

    documents, encoding = _documents(text), open_tiktoken(folder)
    for token in json.loads(text).get("added_tokens") or []:
        if encoding.encode(token["content"], allowed_special="all") != [token["id"]]:
            raise CorpusmillError(f"the export has another id for {token['content']!r}; it was not written")
    return _compare(
        texts,
        lambda one: list(documents.encode(one, add_special_tokens=False).ids),
        encoding.encode_ordinary,
        encoding.decode,
    )


def _gguf(folder: Path, text: str, texts: Sequence[str], roles: Mapping[str, int]) -> int:
    from corpusmill.tokenizer.exports.gguf import FILE, definition_of_metadata

    documents = _documents(text)
    rebuilt = _documents(
        json.dumps(definition_of_metadata(json.loads((folder / FILE).read_text(encoding="utf-8"))))
    )
    return _compare(
        texts,
        lambda one: list(documents.encode(one, add_special_tokens=False).ids),
        lambda one: list(rebuilt.encode(one, add_special_tokens=False).ids),
        lambda ids: str(rebuilt.decode(ids, skip_special_tokens=False)),
    )


def _sentencepiece(folder: Path, text: str, texts: Sequence[str], roles: Mapping[str, int]) -> int:
    import sentencepiece

    documents = _documents(text)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    # SentencePiece takes U+2581 for a space: the one character on which it is not expected to agree.
    return _compare(
        [one.replace("\u2581", "") for one in texts],
        lambda one: list(documents.encode(one, add_special_tokens=False).ids),
        lambda one: list(model.encode(one)),
        lambda ids: str(model.decode(ids)),
    )
