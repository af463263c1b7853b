"""Whether every text, every byte and every sequence of bytes survives the tokenizer.

Documents are text, that is valid UTF-8 (readers quarantine anything else), so invalid bytes can only come
about when tokens that hold parts of a character are taken apart: by cutting a sequence of tokens, or by a
model that writes them. What is checked, each by its own figure:

- every byte has an entry of its own (so no text is without tokens);
- every code point (1,112,064 of them, surrogates are none) comes back from its tokens, byte by byte;
- a character spelt in single-byte tokens decodes to itself;
- any sequence of bytes, spelt so, decodes as a tolerant UTF-8 decoder reads it (U+FFFD for each maximal part
  that is no UTF-8, as the WHATWG and Unicode recommend): invalid bytes are replaced, never lost, and do
  no harm to their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.contract.randomness import generator
from corpusmill.pipelines.records.tokenizer_figures import RoundTrip
from corpusmill.pipelines.text.encoders import Encoder, TokenizersEncoder
from corpusmill.tokenizer.evaluation.encoding import Encoders
from corpusmill.tokenizer.evaluation.vocabulary import Vocabulary

_TOGETHER = 64  # code points tried in one text
_INVALID = 1000  # random sequences of bytes
_EXAMPLES = 12


def round_trip(vocabulary: Vocabulary, encoders: Encoders) -> RoundTrip:
    """The figures above. `lossless` says whether all but the last, which is for show, are as they should."""
    codes = _code_points()
    changed = _changed(codes, vocabulary, encoders.use)
    missing = [byte for byte in range(256) if byte not in vocabulary.byte_ids]
    spelt = None if missing else _in_bytes(encoders.reference, vocabulary)
    return RoundTrip(
        bytes_without_token=tuple(f"0x{byte:02x}" for byte in missing),
        code_points=len(codes),
        code_points_changed=len(changed),
        changed_examples=tuple(f"U+{code:04X}" for code in changed[:_EXAMPLES]),
        characters_spelt_in_bytes=None if spelt is None else spelt.characters,
        characters_spelt_wrong=None if spelt is None else spelt.characters_wrong,
        invalid_sequences=None if spelt is None else spelt.invalid,
        invalid_sequences_decoded_otherwise=None if spelt is None else spelt.invalid_otherwise,
        lone_bytes_replaced=None if spelt is None else spelt.lone_replaced,
        lossless=not changed and spelt is not None and not spelt.characters_wrong,
    )


@dataclass(frozen=True)
class _InBytes:
    """How sequences of single-byte tokens are decoded."""

    characters: int
    characters_wrong: int
    invalid: int
    invalid_otherwise: int
    lone_replaced: int


def _code_points() -> list[int]:
    return [*range(0xD800), *range(0xE000, 0x110000)]


def _changed(codes: list[int], vocabulary: Vocabulary, encoder: Encoder) -> list[int]:
    """Code points that their tokens do not spell. A space between keeps neighbours from combining."""
    together = [codes[k : k + _TOGETHER] for k in range(0, len(codes), _TOGETHER)]
    wrong = _inexact([" ".join(map(chr, few)) for few in together], vocabulary, encoder)
    suspects = [code for k in wrong for code in together[k]]
    return [suspects[k] for k in _inexact([chr(code) for code in suspects], vocabulary, encoder)]


def _inexact(texts: list[str], vocabulary: Vocabulary, encoder: Encoder) -> list[int]:
    from corpusmill.tokenizer.kernels.token_figures import spelled_exactly

    array = pa.array(texts, pa.large_string())
    ends, tokens = encoder.encode(array)
    exact = spelled_exactly(*buffers(array), ends, tokens, vocabulary.spelled, vocabulary.spelling)
    return [int(k) for k in np.flatnonzero(~exact)]


def _in_bytes(decoder: TokenizersEncoder, vocabulary: Vocabulary) -> _InBytes:
    """Decode sequences of single-byte tokens: characters, lone bytes, and random bytes."""
    ids = np.array([vocabulary.byte_ids[byte] for byte in range(256)], np.uint32)

    def decoded(content: bytes) -> str:
        return decoder.decode(ids[np.frombuffer(content, np.uint8)])

    # One of every 16 code points: all lengths, all lead bytes, nearly all second bytes.
    codes = [code for code in range(0x21, 0x110000, 16) if not 0xD800 <= code < 0xE000]
    groups = ["a".join(map(chr, codes[k : k + 256])) for k in range(0, len(codes), 256)]
    draw = generator(0, "tokenizer.invalid_bytes")
    sequences = [draw.bytes(int(draw.integers(1, 12))) for _ in range(_INVALID)]
    return _InBytes(
        characters=len(codes),
        characters_wrong=sum(decoded(group.encode()) != group for group in groups),
        invalid=len(sequences),
        invalid_otherwise=sum(
            decoded(content) != content.decode("utf-8", "replace") for content in sequences
        ),
        lone_replaced=sum(decoded(bytes([byte])) == "\ufffd" for byte in range(128, 256)),
    )
