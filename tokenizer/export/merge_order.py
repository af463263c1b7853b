"""When a list of merges and a list of ranks are the same tokenizer, and how each becomes the other.

`tokenizers` knows BPE as a list of merges: of all neighbours that stand in the list, the pair that stands
first is joined, the leftmost if it occurs more than once. tiktoken and SentencePiece know it as a rank for
each token: of all neighbours that joined are a token, those whose token has the lowest rank are joined, the
leftmost first. Ranks allow more: neighbours `x`, `y` that joined are the token `t` are joined even where `t`
was learned from another pair.

Theorem. Let every token `t` of more than one symbol, cut into symbols and joined by tokens of lower rank
only, end in exactly two parts `u`, `v`. Then the list of those pairs, in the order of rank, gives the same
tokens as the ranks, on every text.

Proof. The list joins in stages: a pair made of `t` comes after `t`, so when a pair of rank r is joined, no
pair of a lower rank is left. Say both have agreed so far and neighbours `x`, `y` appear that joined are `t`
but are not its parts. Whatever was joined so far within their span was joined as if the span stood alone: a
join across its edges has not happened, or `x` and `y` would not be there; and a run of equal symbols is
paired from its left end, where a shift against the lone span would have made a join across an edge. The
lone span passes through its parts `u`, `v` and is `t` from the stage of `t` on. Before that stage, it would
have to become `u`, `v` from `x`, `y`, two symbols from two others: impossible. After it, it is one symbol,
not two. So no such neighbours appear: the pairs on offer are the same at every step, in the same order.

It follows that further merges whose result is a token are never applied and may be left out or added, and
that a token found by looking up a whole pre-token (tiktoken; `ignore_merges`) is the one its merges give.
The condition holds for what BPE training gives (seen to hold for GPT-2, DeepSeek-V3, Qwen3, cl100k_base and
o200k_base; not for Llama 3, 678 of whose tokens only whole pre-tokens reach) and is checked token by token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.tokenizer.export.rank_parts import parts_by_rank


def merges_of_ranks(ranks: Mapping[str, int]) -> list[tuple[str, str]]:
    """The merges of a rank table, in the order of rank; a token is a string of symbols of one character.

    Raises UserError naming a token that lower ranks do not bring to two parts, both tokens.
    """
    merges: list[tuple[str, str]] = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = parts_by_rank(token, ranks, rank)
        if len(parts) != 2 or not all(part in ranks for part in parts):
            raise UserError(
                f"no merges lead to the token {token!r} (rank {rank}): lower ranks stop at {parts}; ranks "
                "and merges are not the same tokenizer here"
            )
        merges.append((parts[0], parts[1]))
    return merges


def check_merges_are_ranks(ranks: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
    """Raise UserError unless `merges`, in their order, and `ranks` give the same tokens on every text."""
    order: dict[tuple[str, str], int] = {}
    for position, pair in enumerate(merges):
        order.setdefault(pair, position)
        if pair[0] + pair[1] not in ranks:
            raise UserError(f"the merge {pair} makes {pair[0] + pair[1]!r}, which is no token with a rank")
    last = -1
    for pair in merges_of_ranks(ranks):
        position = order.get(pair, -1)
        if position < 0:
            raise UserError(
                f"ids, read as ranks, join {pair}, which is not among the merges: ids and merges disagree"
            )
        if position < last:
            raise UserError(
                f"the merge {pair} stands elsewhere in the list than the id of its result among the ids, so "
                "ids cannot serve as ranks"
            )
        last = position
