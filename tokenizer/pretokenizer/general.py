"""Pre-tokens through `tokenizers`: for expressions without a kernel, and the reference for those with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer


def general_ends(pre: PreTokenizer, texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the pre-tokens of `texts` (string or large_string, null as empty) end, by regular expression.

    Returns (doc_starts int64[n + 1], ends int64[m]): the pre-tokens of document i are numbers doc_starts[i]
    to doc_starts[i + 1] - 1, and each ends at that byte of the document's UTF-8. 1 to 10 MB/s. Oniguruma
    backtracks without a promise of linear time, and gives up after ten million attempts at one match:
    UserError names the expression and the document then.
    """
    import numpy as np

    splits = pre.splits()
    starts = np.zeros(len(texts) + 1, np.int64)
    ends: list[int] = []
    for number, text in enumerate(texts.to_pylist()):
        if text:
            pieces = _pieces(pre.regexes(), splits, text, number)
            if text.isascii():
                ends.extend(end for _, end in pieces)
            else:
                _add_byte_ends(ends, [piece for piece, _ in pieces])
        starts[number + 1] = len(ends)
    return starts, np.array(ends, np.int64)


def _pieces(regexes: tuple[str, ...], splits: list[Any], text: str, number: int) -> list[tuple[str, int]]:
    """The pieces of `text` with their ends in characters, split after split."""
    pieces = [(text, len(text))]
    for regex, split in zip(regexes, splits, strict=True):
        found: list[tuple[str, int]] = []
        start = 0
        for piece, end in pieces:
            found += [(part, start + stop) for part, (_, stop) in _split(split, piece, regex, number)]
            start = end
        pieces = found
    return pieces


def _split(split: Any, piece: str, regex: str, number: int) -> Any:
    from corpusmill.pipelines.errors import UserError

    try:
        return split.pre_tokenize_str(piece)
    except BaseException as error:
        # How a panic in Rust arrives: a class without a public name, and no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise UserError(
            f"the regular expression {regex!r} fails on document {number} of the batch, in a piece of "
            f"{len(piece)} characters that begins {piece[:40]!r}: {error}; an expression that can match the "
            "same text in many ways takes exponential time: write it with possessive quantifiers (++) or "
            "without nested repetition"
        ) from error


def _add_byte_ends(ends: list[int], pieces: list[str]) -> None:
    end = 0
    for piece in pieces:
        end += len(piece.encode())
        ends.append(end)
