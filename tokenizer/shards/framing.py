"""Whether documents in a shard begin with bos and end with eos, as its metadata says that they do.

A tokenizer, or a library that encodes for it, may put these tokens itself, and stop doing so from one version
to the next: trainings then run for weeks without them (marin 5034, 5149). So the policy stands in the
metadata of every shard, and what is in the rows is compared with it: by `pack` for every document it writes,
and here for the rows of a shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

if TYPE_CHECKING:
    from corpusmill.tokenizer.shards.reader import Shard

Tokens = npt.NDArray[np.unsignedinteger[Any]]


class Wrong(NamedTuple):
    """A token that contradicts the policy: number `number` of the first tokens, or else of the last ones."""

    begins: bool
    number: int


@dataclass(frozen=True)
class Framing:
    """Ids of the tokens that may stand around documents (None: there is none), and whether they do."""

    bos_id: int | None
    eos_id: int | None
    add_bos: bool
    add_eos: bool

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self:
        """What a shard's metadata say."""
        ids = (metadata.get("bos_id"), metadata.get("eos_id"))
        return cls(*ids, bool(metadata["add_bos"]), bool(metadata["add_eos"]))

    def wrong(self, first_n: Tokens, last_m: Tokens) -> tuple[Wrong, str] | None:
        """Which of these first and last tokens of documents is not as the policy says, and how, or None."""
        for begins, tokens, control, asked in (
            (True, first_n, self.bos_id, self.add_bos),
            (False, last_m, self.eos_id, self.add_eos),
        ):
            if control is None or (not asked and self.bos_id == self.eos_id):
                continue  # where both are one token, an empty document is that token, whichever is asked for
            wrong = np.flatnonzero((tokens == control) != asked)
            if len(wrong):
                verb, role = ("begins", "bos") if begins else ("ends", "eos")
                text = f"{verb} with token {tokens[wrong[0]]}, but add_{role} is {str(asked).lower()} and "
                return Wrong(begins, int(wrong[0])), f"{text}{role} is {control}"
        return None


def framing_fault(shard: Shard, rows: int) -> str | None:
    """A document of the first `rows` rows that contradicts the shard's `add_bos` and `add_eos`, or None, as
    of a shard that does not say.

    A document begins where a piece has offset 0. It ends where its piece is followed by another or by
    padding: packing cuts a document nowhere but at the end of a row. Documents that are `cut` have no end.
    Reads the pieces of the rows, and as many tokens as those are.
    """
    if shard.framing is None:
        return None
    table = shard.piece_table(rows)
    table = table.filter(pc.greater(table.column("length"), 0))
    row, start, length, offset = (
        table.column(name).to_numpy() for name in ("row", "start", "length", "offset")
    )
    whole = np.ones(len(row), np.bool_)
    cut = {(bytes.fromhex(one["document"]), one["epoch"]) for one in shard.metadata.get("cut", ())}
    if cut:
        names = zip(table.column("document").to_pylist(), table.column("epoch").to_pylist(), strict=True)
        whole = np.array([name not in cut for name in names], np.bool_)
    begins = np.flatnonzero(offset == 0)
    ends = np.flatnonzero((start + length < shard.sequence_length) & whole)
    firsts = shard.tokens_at(row[begins], start[begins])
    lasts = shard.tokens_at(row[ends], (start + length - 1)[ends])
    said = shard.framing.wrong(firsts, lasts)
    if said is None:
        return None
    piece = int((begins if said[0].begins else ends)[said[0].number])
    return f"row {row[piece]}: document {table.column('document')[piece].as_py().hex()} {said[1]}"
