"""Documents that the mixture cuts: so many tokens of the beginning of each, framed or not.

A mixture ends each source's part of an epoch at a token, so the last document it draws is cut (column
`cut_to` of `mixtures.draw`). What is kept is the beginning of the document, without its eos token, for it
does not end there. One that is framed for filling in stays framed where it can: first its suffix is
shortened, from its end; when none of it is left, eos and the end of the middle go. So what is framed is a
beginning of the text. Where taking off the middle is not enough, the frame is taken off and the text's first
tokens are left.

A document that one phase ends in is taken up by the next (columns `cut_from` and `goes_on`): it is cut
between two tokens, as rows cut documents, and keeps its frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.text.token_bytes import token_lengths

Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Frame:
    """How documents are framed: ids of `fim_hole` and `fim_end` (None where the tokenizer has none), and
    whether documents begin with bos and end with eos. Both orders, PSM and SPM, are cut alike."""

    hole: int | None
    end: int | None
    bos: bool
    eos: bool


@dataclass(frozen=True)
class Cut:
    """Documents after cutting: where their tokens are (`values[start_d[d]:start_d[d] + length_d[d]]`),
    whether they are framed, and their other counts, int64[n] by name. Of a document that is cut, `bytes` are
    those its tokens spell, where tokens of the vocabulary have a length of their own; what no token tells is
    in proportion to its tokens.

    `cuts`: the documents cut, as `{"document", "epoch", "source", "tokens", "of"}`, and "from" where an
    earlier phase has the tokens before; `cut_d`: which they are; `from_d`: the tokens before, int64[n].
    """

    start_d: Ints
    length_d: Ints
    values: Tokens
    framed_d: npt.NDArray[np.bool_]
    counts: dict[str, Ints]
    cuts: list[dict[str, Any]]
    cut_d: Ints
    from_d: Ints


def cut_documents(
    docs: Documents, start_d: Ints, length_d: Ints, values: Tokens, frame: Frame, definition: Path
) -> Cut:
    """Cut what `cut_to` asks for; documents without the column are whole.

    `definition`: tokenizer.json, read where a document is cut. Copies `values` once where a framed one is.
    Raises IntegrityError for a cut beyond a document.
    """
    n = len(docs)
    names = docs.table.column_names
    framed_d = np.asarray(docs.column("fim").to_pylist(), np.bool_) if n else np.zeros(0, np.bool_)
    counts = {
        name: docs.column(name).to_numpy().astype(np.int64) if n and name in names else np.zeros(n, np.int64)
        for name in ("bytes", "combined", "split")
    }
    to_d = docs.column("cut_to").to_numpy() if n and "cut_to" in names else np.full(n, -1, np.int64)
    cuts: list[dict[str, Any]] = []
    from_d = docs.column("cut_from").to_numpy() if n and "cut_from" in names else np.zeros(n, np.int64)
    goes_on_d = np.zeros(n, np.bool_)
    if n and "goes_on" in names:
        goes_on_d = docs.column("goes_on").to_numpy(zero_copy_only=False)
    cut_d = np.flatnonzero((to_d >= 0) | (from_d > 0))
    spelled_V = token_lengths(definition) if len(cut_d) else None
    start_d, length_d = start_d.copy(), length_d.copy()
    made: list[Tokens] = []
    at = len(values)
    for d in cut_d.tolist():
        first, to, of = int(from_d[d]), int(to_d[d]), int(length_d[d])
        in_parts = first > 0 or bool(goes_on_d[d])
        to = of if to < 0 else to
        row = docs.slice(d, 1)
        about = {name: row.column(name)[0].as_py() for name in ("id", "epoch", "source")}
        if to > of or (to == of and not in_parts):
            raise IntegrityError(f"document {about['id']} has {of} tokens and is to be cut to {to}")
        tokens = values[start_d[d] : start_d[d] + of]
        if in_parts:  # cut as at the end of a row: another phase has the rest
            start_d[d] += first
            tokens = tokens[first:]
        elif framed_d[d]:
            tokens, framed_d[d] = cut_framed(tokens, to, frame)
            made.append(tokens)
            start_d[d], at = at, at + to
        length_d[d] = to - first
        for lengths_by_place in counts.values():
            lengths_by_place[d] = lengths_by_place[d] * to // of - lengths_by_place[d] * first // of
        if spelled_V is not None:
            counts["bytes"][d] = spelled_V[tokens[: to - first]].sum()
        document = {"document": about["id"], "epoch": about["epoch"], "source": about["source"]}
        cuts.append({**document, "tokens": to - first, "of": of, **({"from": first} if first else {})})
    if made:
        values = np.concatenate([values, *made])
    return Cut(start_d, length_d, values, framed_d, counts, cuts, cut_d, from_d)


def cut_framed(tokens: Tokens, to: int, frame: Frame) -> tuple[Tokens, bool]:
    """`to` tokens of a framed document, fewer than it has, and whether they are still framed.

    Where middle and suffix have hardly a token, no beginning of the text may have `to` tokens once the frame
    is off; then eos makes up for one, and the document is cut as it stands where that is not enough.
    """
    bos, eos = int(frame.bos), int(frame.eos)
    found = [np.flatnonzero(tokens == role) for role in (frame.hole, frame.end)]
    if any(len(places) != 1 for places in found):
        raise IntegrityError("a document framed for filling in has not one fim_hole and one fim_end")
    hole, end = int(found[0][0]), int(found[1][0])
    suffix = tokens[hole + 1 : end]
    away = len(tokens) - to
    if away <= len(suffix):
        return np.concatenate([tokens[: end - away], tokens[end:]]), True
    rest = np.concatenate([tokens[: hole + 1], tokens[end:]])  # all but the suffix
    if to >= hole + 2:  # fim_end stays
        return rest[:to], True
    text = np.concatenate([tokens[bos + 1 : hole], tokens[end + 1 : len(tokens) - eos], suffix])
    plain = np.concatenate([tokens[:bos], text, tokens[len(tokens) - eos :]])
    return (plain if to <= len(plain) else tokens)[:to], False
