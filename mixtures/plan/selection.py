"""How much of each source a mixture takes: whole epochs, and a part of one more, exact to the token.

What the sources are asked for adds up to the budget (`divided`).

Documents of a source have an order of their own: that of `(draw, id, unit, row)`, where the draw is random
and the address only tells equal documents apart. A part of an epoch is the documents at the beginning of that
order, and the one they end in is cut: its beginning is taken, as many tokens as are still wanted.

This takes two passes. Sums by bins of draws (`histogram`) say in which bin a source's part ends and how many
tokens of that bin are wanted (`Want`); the documents of these bins alone, one bin a source, then say in which
document it ends (`SourcePlan`).

A copy takes a view of its document by its epoch (`contract.encoded_views`), so an epoch may have other tokens
than the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.mixtures.plan.histogram import MEASURES
from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.records.mixture_plan import LastDocument, SourcePlan

# Documents of the bins that the parts end in.
EDGE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("draw", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("unit", pa.uint32(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
ORDER = ("draw", "id", "unit", "row")


@dataclass(frozen=True)
class Want:
    """What is wanted of one source, tokens, documents and bytes in the order of MEASURES.

    `full_epochs` copies of everything (`whole` together), one more of the bins below `threshold` (which hold
    `before`), and `tokens` of bin `threshold`, fewer than it holds. `most`: tokens that `max_epochs` allows.
    `view`: that of the epoch which is taken in part, and `of` the tokens of that epoch.
    """

    available: tuple[int, ...]
    requested_share: float
    requested_tokens: int
    most: int
    full_epochs: int
    whole: tuple[int, ...]
    threshold: int
    before: tuple[int, ...]
    tokens: int
    view: int
    of: int


def wants(
    sums: Sequence[Mapping[str, npt.NDArray[np.int64]]],
    shares: Mapping[str, float],
    budget: int,
    max_epochs: float,
    views: Sequence[int] = (0,),
) -> dict[str, Want]:
    """What is wanted of each source. `sums`: by view a mapping of source to tokens, documents and bytes by
    bin, int64[3, BINS]; one without sums has nothing. `views`: the view of each epoch, the last one also that
    of later ones."""
    none = np.zeros((len(MEASURES), 1), np.int64)
    asked = divided(budget, shares)
    return {
        source: _want(
            [of_view.get(source, none) for of_view in sums], shares[source], asked[source], max_epochs, views
        )
        for source in sorted(shares)
    }


def divided(budget: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`budget` tokens by source, which add up to it: each source's share rounded down, and one more for those
    that lose most by it, of equal ones for the first by name (the method of largest remainders)."""
    total = sum(map(Fraction, shares.values()))
    exact = {source: budget * Fraction(share) / total for source, share in shares.items() if share > 0}
    found = {source: int(exact.get(source, 0)) for source in shares}
    left = budget - sum(found.values()) if exact else 0
    for source in sorted(exact, key=lambda source: (found[source] - exact[source], source))[:left]:
        found[source] += 1
    return found


def _want(
    sums: Sequence[npt.NDArray[np.int64]],
    share: float,
    requested: int,
    max_epochs: float,
    views: Sequence[int],
) -> Want:
    available = tuple(int(total) for total in sums[0].sum(axis=1))
    tokens_V = [int(sum_MB[0].sum()) for sum_MB in sums]

    def view_of(epoch: int) -> int:
        return views[min(epoch, len(views) - 1)]

    whole_epochs = int(max_epochs)
    last = tokens_V[view_of(whole_epochs)]
    most = sum(tokens_V[view_of(epoch)] for epoch in range(whole_epochs))
    most += int(max_epochs * last) - whole_epochs * last
    full, rest = 0, min(requested, most) if available[0] else 0
    while rest and rest >= tokens_V[view_of(full)]:
        rest -= tokens_V[view_of(full)]
        full += 1
    view = view_of(full)
    sum_MB = sums[view]
    ends_MB = np.concatenate([np.zeros((len(MEASURES), 1), np.int64), np.cumsum(sum_MB, axis=1)], axis=1)
    # The last edge of a bin that is not beyond what is wanted; rest 0 takes no bin, not even empty ones.
    threshold = int(np.searchsorted(ends_MB[0], rest, side="right")) - 1 if rest else 0
    before = tuple(int(end) for end in ends_MB[:, threshold])
    whole = (sum(tokens_V[view_of(epoch)] for epoch in range(full)), *(full * one for one in available[1:]))
    return Want(
        available=available,
        requested_share=share,
        requested_tokens=requested,
        most=most,
        full_epochs=full,
        whole=whole,
        threshold=threshold,
        before=before,
        tokens=rest - before[0],
        view=view,
        of=tokens_V[view],
    )


def select(
    wanted: Mapping[str, Want],
    edge: pa.Table,
    held_documents: Mapping[str, int],
    max_epochs: float,
    budget: int,
) -> dict[str, SourcePlan]:
    """Plans by source. `edge`: EDGE rows, in any order; `held_documents`: documents held out by source.

    Raises IntegrityError where the rows are not those that the sums were made from.
    """
    ordered = edge.sort_by([("source", "ascending"), *((name, "ascending") for name in ORDER)])
    sources = np.asarray(ordered.column("source").to_pylist(), object)
    # What the bounds of the source's rows say: the last document, and tokens, documents and bytes taken.
    ends: dict[str, tuple[LastDocument | None, tuple[int, ...]]] = {}
    for source, want in wanted.items():
        at, end = (int(np.searchsorted(sources, source, side=side)) for side in ("left", "right"))
        last, edge_taken = _last(source, want, ordered.slice(at, end - at))
        taken = tuple(sum(parts) for parts in zip(want.whole, want.before, edge_taken, strict=True))
        if taken[0] != min(want.requested_tokens, want.most):
            raise IntegrityError(
                f"the mixture takes {taken[0]} tokens of {source}, not what is wanted: {want}"
            )
        ends[source] = last, taken
    drawn = sum(taken[0] for _, taken in ends.values())
    return {
        source: _plan(
            wanted[source],
            last,
            taken,
            drawn,
            _shortfall(wanted[source], held_documents.get(source, 0), max_epochs, budget),
        )
        for source, (last, taken) in ends.items()
    }


def _plan(
    want: Want,
    last: LastDocument | None,
    taken: tuple[int, ...],
    drawn: int,
    shortfall: tuple[str | None, str | None],
) -> SourcePlan:
    """The plan of one source, of which `taken` (in the order of MEASURES) is drawn, of `drawn` tokens in
    all; `shortfall`: cause and words."""
    available = want.available
    return SourcePlan(
        available_tokens=available[0],
        available_documents=available[1],
        available_bytes=available[2],
        requested_share=want.requested_share,
        requested_tokens=want.requested_tokens,
        full_epochs=want.full_epochs,
        threshold=want.threshold,
        last=last,
        tokens=taken[0],
        documents=taken[1],
        bytes=taken[2],
        share=taken[0] / drawn if drawn else None,
        epochs=_epochs(want, taken[0]) if available[0] else None,
        cause=shortfall[0],
        shortfall=shortfall[1],
    )


def _epochs(want: Want, taken: int) -> float:
    """Epochs that so many tokens are: whole ones, and the part of one more."""
    rest = taken - want.whole[0]
    return float(want.full_epochs + (Fraction(rest, want.of) if rest else 0))


def _last(source: str, want: Want, rows: pa.Table) -> tuple[LastDocument | None, tuple[int, int, int]]:
    """The document a source's part of an epoch ends in, and what is taken of its bin, that one included."""
    if want.tokens == 0:
        return None, (0, 0, 0)
    tokens = rows.column("tokens").to_numpy()
    ends = np.cumsum(tokens)
    whole = int(np.searchsorted(ends, want.tokens, side="right"))
    if whole == len(ends):
        raise IntegrityError(f"the documents of {source} are fewer than the sums they were planned by")
    left = want.tokens - (int(ends[whole - 1]) if whole else 0)
    (row,) = rows.slice(whole, 1).to_pylist()
    last = LastDocument(f"{row['draw']:016x}", row["id"], row["unit"], row["row"], left, row["tokens"])
    size = int(rows.column("bytes").to_numpy()[:whole].sum()) + part_of(row["bytes"], left, row["tokens"])
    return last, (want.tokens, whole + (left > 0), size)


def part_of(whole: int, tokens: int, of: int) -> int:
    """The part of a document's `whole` bytes that is taken with `tokens` of its `of` tokens, rounded down."""
    return whole * tokens // of if of else 0


def _shortfall(
    want: Want, held_out_documents: int, max_epochs: float, budget: int
) -> tuple[str | None, str | None]:
    """Cause and words of a share that is missed."""
    requested, (available, documents, _) = want.requested_tokens, want.available
    if requested == 0 and want.requested_share > 0:
        return "rounding", (
            f"its share, {want.requested_share:.3g} of {budget:,} tokens, is less than one token, which "
            "another source has, so none is drawn; raise its weight or `tokens`"
        )
    if requested <= want.most:
        return None, None
    asked = f"{requested:,} tokens asked, {want.most:,} drawn"
    if available:
        return "max_epochs", (
            f"{asked}: max_epochs {max_epochs:g} allows no more of the {available:,} tokens there are "
            f"({requested / available:.2f} epochs are asked); lower its weight or raise max_epochs"
        )
    if held_out_documents and not documents:
        there = (
            "its only document is"
            if held_out_documents == 1
            else f"all its {held_out_documents:,} documents are"
        )
        return "held_out", f"{asked}: {there} held out; lower its weight, or `held_out` under `pack`"
    if documents:
        return (
            "empty",
            f"{asked}: the {documents:,} documents of the source have no tokens; set its weight to 0",
        )
    return "empty", f"{asked}: the source has no tokens, nothing is left of it; set its weight to 0"
