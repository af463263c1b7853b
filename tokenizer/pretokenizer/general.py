"""Pre-tokens through `tokenizers`: for expressions without a kernel, and the reference for those with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.system.process import without_collecting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer


def general_ends(pre: PreTokenizer, texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the pre-tokens of `texts` (string or large_string, null as empty) end, by regular expression.

    Returns (doc_starts int64[n + 1], ends int64[m]): the pre-tokens of document i are numbers doc_starts[i]
    to doc_starts[i + 1] - 1, and each ends at that byte of the document's UTF-8. 1 to 30 MB/s. Oniguruma
    backtracks without a promise of linear time, and gives up after ten million attempts at one match:
    UserError names the expression and the document then.
    """
    import numpy as np

    regexes, splits = pre.regexes(), pre.splits()
    starts = np.zeros(len(texts) + 1, np.int64)
    ends = [np.zeros(0, np.int64)]
    with without_collecting():  # `tokenizers` gives a tuple for each piece
        for number, text in enumerate(texts.to_pylist()):
            found = [end for _, (_, end) in _pieces(regexes, splits, text, number)] if text else []
            ends.append(np.array(found, np.int64))
            starts[number + 1] = starts[number] + len(found)
    return starts, np.concatenate(ends)


def _pieces(
    regexes: tuple[str, ...], splits: list[Any], text: str, number: int
) -> list[tuple[str, tuple[int, int]]]:
    """The pieces of `text`, each with where it begins and ends in bytes, split after split."""
    from tokenizers import PreTokenizedString

    cut = PreTokenizedString(text)
    for at, split in enumerate(splits):
        try:
            split.pre_tokenize(cut)
        except BaseException as error:
            if not _is_panic(error):
                raise
            piece = _failing(split, [piece for piece, _ in _pieces(regexes[:at], splits[:at], text, number)])
            raise UserError(
                f"the regular expression {regexes[at]!r} fails on document {number} of the batch, in a piece "
                f"of {len(piece)} characters that begins {piece[:40]!r}: {error}; an expression that can "
                "match the same text in many ways takes exponential time: write it with possessive "
                "quantifiers (++) or without nested repetition"
            ) from error
    # Bytes: for ends in characters `tokenizers` fills a hash table with every byte of the text.
    return [(piece, span) for piece, span, _ in cut.get_splits("original", "byte")]


def _failing(split: Any, pieces: list[str]) -> str:
    """The first of `pieces` on which `split` panics."""
    for piece in pieces[:-1]:
        try:
            split.pre_tokenize_str(piece)
        except BaseException as error:
            if not _is_panic(error):
                raise
            return piece
    return pieces[-1]


def _is_panic(error: BaseException) -> bool:
    """Whether this is how a panic in Rust arrives: a class without a public name, and no Exception."""
    return type(error).__name__ == "PanicException"
