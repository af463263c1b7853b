"""How much of each source a mixture takes: whole epochs, and a fraction of one by a threshold of bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.mixtures.plan.histogram import BINS, MEASURES


@dataclass(frozen=True)
class Selection:
    """What is taken of one source: `full_epochs` copies of everything, one more of bins below `threshold`.

    tokens, documents and bytes are counted with copies; `epochs` = tokens / available tokens; `share` is
    of the whole mixture. `shortfall` says why tokens are fewer than requested, null where they are not
    (a difference of less than one bin is no shortfall: documents are whole).
    """

    available_tokens: int
    available_documents: int
    available_bytes: int
    requested_share: float
    requested_tokens: int
    full_epochs: int
    threshold: int
    tokens: int
    documents: int
    bytes: int
    share: float
    epochs: float
    shortfall: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def select(
    sums: Mapping[str, npt.NDArray[np.int64]], shares: Mapping[str, float], budget: int, max_epochs: float
) -> dict[str, Selection]:
    """Selections by source. `sums` maps a source to tokens, documents and bytes by bin, int64[3, BINS].

    The threshold is the one whose tokens come nearest to what is wanted, the smaller on a tie.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for source in sorted(shares):
        sum_MB = sums.get(source, np.zeros((len(MEASURES), BINS), np.int64))
        chosen[source] = _select_one(sum_MB, shares[source], budget, max_epochs)
    total = sum(one["tokens"] for one in chosen.values())
    return {
        source: Selection(**one, share=one["tokens"] / total if total else 0.0)
        for source, one in chosen.items()
    }


def _select_one(
    sum_MB: npt.NDArray[np.int64], share: float, budget: int, max_epochs: float
) -> dict[str, Any]:
    available = [int(total) for total in sum_MB.sum(axis=1)]
    requested = round(share * budget)
    most = int(max_epochs * available[0])
    wanted = min(requested, most)
    full, rest = divmod(wanted, available[0]) if available[0] else (0, 0)
    ends_MB = np.concatenate([np.zeros((len(MEASURES), 1), np.int64), np.cumsum(sum_MB, axis=1)], axis=1)
    threshold = int(np.argmin(np.abs(ends_MB[0] - rest)))
    taken = [full * total + int(ends[threshold]) for total, ends in zip(available, ends_MB, strict=True)]
    return {
        **{f"available_{measure}": total for measure, total in zip(MEASURES, available, strict=True)},
        "requested_share": share,
        "requested_tokens": requested,
        "full_epochs": full,
        "threshold": threshold,
        **dict(zip(MEASURES, taken, strict=True)),
        "epochs": taken[0] / available[0] if available[0] else 0.0,
        "shortfall": _shortfall(requested, most, available[0], max_epochs),
    }


def _shortfall(requested: int, most: int, available: int, max_epochs: float) -> str | None:
    if requested <= most:
        return None
    if available == 0:
        return f"the source has no tokens; {requested:,} were requested"
    return (
        f"max_epochs {max_epochs:g} allows {most:,} of the {requested:,} tokens requested "
        f"({requested / available:.2f} epochs of {available:,}); lower its weight or raise max_epochs"
    )
