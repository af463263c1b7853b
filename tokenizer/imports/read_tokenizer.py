"""Tokenizer files of several libraries, told apart by what they hold, as the text of a tokenizer.json.

- tokenizer.json of `tokenizers`: taken as it is;
- a rank file of tiktoken: lines of base64 and rank, nothing of the pre-tokenizer or special tokens;
- GPT-2's merges.txt: lines of two tokens in GPT-2's characters. Ids are GPT-2's: bytes in the order of those
  characters, then one entry for each merge;
- a `.model` file of SentencePiece.

Each may be packed with zstd or gzip.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.text.byte_characters import CHARACTERS, shown
from corpusmill.tokenizer.export.merge_order import merges_of_ranks

if TYPE_CHECKING:
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

Format = Literal["tokenizer_json", "tiktoken", "merges", "sentencepiece"]
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_FIRST_PIECE = re.compile(
    rb"\n(?:[\x03-\x7f]|[\x80-\xff].)\n", re.DOTALL
)  # a message that begins with a string
_RANK_LINE = re.compile(rb"[A-Za-z0-9+/]+=* [0-9]+\s*(\n|$)")
_MERGE_LINE = re.compile(rb"#version|[^\s{]+ [^\s]+\r?(\n|$)")


@dataclass(frozen=True)
class Imported:
    """`text`: a tokenizer.json; `special_tokens`: role -> spelling, where the file itself says so; `model`:
    the SentencePiece model it was made from.
    """

    format: Format
    text: str
    special_tokens: dict[str, str] = field(default_factory=dict)
    model: bytes | None = None


def format_of_file(path: Path) -> Format:
    """What a file is, from its content. Raises UserError for what is none of these."""
    try:
        return _format(_content(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_tokenizer(path: Path, pre: PreTokenizer | None = None, form: Format | None = None) -> Imported:
    """The tokenizer in the file `path`; `pre` is the pre-tokenizer of a rank file or of merges (GPT-2's own).

    `form`: what the file must be; without it, that is told from the content.

    Raises UserError naming the file, what is wrong and the cure.
    """
    content = _content(path)
    format_ = form or _format(content)
    try:
        if format_ == "tokenizer_json":
            if pre is not None:
                raise UserError("the file says itself how text is split; leave `pre_tokenizer` out")
            return Imported(format_, content.decode("utf-8"))
        if format_ == "sentencepiece":
            if pre is not None:
                raise UserError("SentencePiece has no pre-tokenizer; leave `pre_tokenizer` out")
            return _sentencepiece(content)
        if format_ == "tiktoken":
            return Imported(format_, _from_ranks(content, pre))
        return Imported(format_, _from_merges(content, pre))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read the tokenizer {path}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the tokenizer {path}: {error}") from error
    if content.startswith(_GZIP):
        import gzip
        import zlib

        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"cannot unpack the tokenizer {path}: {error}") from error
    if not content.startswith(_ZSTD):
        return content
    import zstandard

    unpacked = zstandard.ZstdDecompressor().decompressobj()
    try:
        content = unpacked.decompress(content)
    except zstandard.ZstdError as error:
        raise UserError(f"cannot unpack the tokenizer {path}: {error}") from error
    if not unpacked.eof:
        raise UserError(f"cannot unpack the tokenizer {path}: it is cut short")
    return content


def _format(content: bytes) -> Format:
    if _FIRST_PIECE.match(content):
        return "sentencepiece"
    if _RANK_LINE.match(content):
        return "tiktoken"
    if _MERGE_LINE.match(content):
        return "merges"
    return "tokenizer_json"


def _sentencepiece(content: bytes) -> Imported:
    from corpusmill.tokenizer.pieces.definition import definition_of_model
    from corpusmill.tokenizer.pieces.model_file import read_model

    model = read_model(content)
    roles = {
        role: model.pieces[number].text
        for role, number in model.ids.items()
        if role != "unk" and model.pieces[number].kind == "control"
    }
    return Imported("sentencepiece", definition_of_model(model), roles, content)


def _from_ranks(content: bytes, pre: PreTokenizer | None) -> str:
    from corpusmill.tokenizer.exports.tiktoken import read_ranks
    from corpusmill.tokenizer.pretokenizer.patterns import NAMES

    if pre is None:
        raise UserError(
            f"a rank file does not say how text is split; give `pre_tokenizer` (one of {', '.join(NAMES)}, "
            "or a list of regular expressions)"
        )
    ranks = {shown(token): rank for token, rank in read_ranks(content).items()}
    missing = [byte for byte, character in CHARACTERS.items() if character not in ranks]
    if missing:
        raise UserError(f"the rank file lacks {len(missing)} of the 256 bytes (the first: {missing[0]:#04x})")
    return byte_level_definition(ranks, merges_of_ranks(ranks), pre)


def _from_merges(content: bytes, pre: PreTokenizer | None) -> str:
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    vocabulary = {character: number for number, character in enumerate(sorted(CHARACTERS.values()))}
    merges: list[tuple[str, str]] = []
    # Not `splitlines`: GPT-2's characters for bytes include some that it would take for ends of lines.
    for number, line in enumerate(content.decode("utf-8").split("\n"), 1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        pair = line.split(" ")
        if len(pair) != 2 or pair[0] not in vocabulary or pair[1] not in vocabulary:
            raise UserError(
                f"line {number} of the merges does not join two tokens made before: {line[:60]!r}"
            )
        merges.append((pair[0], pair[1]))
        vocabulary.setdefault(pair[0] + pair[1], len(vocabulary))
    return byte_level_definition(vocabulary, merges, pre or PreTokenizer(pattern="gpt2"))


def byte_level_definition(
    vocabulary: dict[str, int], merges: list[tuple[str, str]], pre: PreTokenizer
) -> str:
    """The tokenizer.json of a byte-level BPE without special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    shell = Tokenizer(models.BPE())
    shell.pre_tokenizer = pre.hugging_face()
    if pre == PreTokenizer(pattern="gpt2"):
        # The same expression, built in: the form in which other readers know this tokenizer.
        shell.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    shell.post_processor = processors.ByteLevel(trim_offsets=False)
    shell.decoder = decoders.ByteLevel()
    definition: dict[str, Any] = json.loads(shell.to_str())
    definition["model"] |= {
        "vocab": dict(sorted(vocabulary.items(), key=lambda item: item[1])),
        "merges": merges,
    }
    return json.dumps(definition, ensure_ascii=False, indent=1) + "\n"
