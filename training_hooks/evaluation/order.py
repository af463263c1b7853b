"""Whether neighbouring tokens know of one another, or their order was lost.

The plug-in estimate of mutual information between neighbours is far too high on few tokens, but by about as
much when the tokens of each window are shuffled. So the measure is the joint entropy of pairs after shuffling
every window, less that before: what order, and not which words a window holds, tells about a later token. In
nats; about 0 for tokens without order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def order_information(windows: Sequence[I64], generator: np.random.Generator, distance: int = 1) -> float:
    """The measure over windows of ids, for pairs of tokens `distance` apart; 0 without any."""
    shuffled = [generator.permutation(window) for window in windows]
    return _joint_entropy(_pairs(shuffled, distance)) - _joint_entropy(_pairs(windows, distance))


def word_order_information(
    windows: Sequence[I64], starts_word_V: Flags, ends_space_V: Flags, generator: np.random.Generator
) -> tuple[float, int]:
    """The measure for pairs (last token of a word, first token of the next word of the line), whose second
    tokens alone are shuffled among the pairs of a window; and the number of pairs.

    `starts_word_V`: tokens that begin with one space before something else; `ends_space_V`: tokens that end
    in white space, after which nothing is a new word of the line.
    """
    ends, starts, others = [], [], []
    for window in windows:
        at = 1 + np.flatnonzero(starts_word_V[window[1:]] & ~ends_space_V[window[:-1]])
        ends.append(window[at - 1])
        starts.append(window[at])
        others.append(generator.permutation(window[at]))
    if not ends:
        return 0.0, 0
    end_N, start_N, other_N = (np.concatenate(parts) for parts in (ends, starts, others))
    return _joint_entropy(end_N << 32 | other_N) - _joint_entropy(end_N << 32 | start_N), len(end_N)


def _pairs(windows: Sequence[I64], distance: int) -> I64:
    """Pairs of ids below 2**31 as single numbers."""
    parts = [window[:-distance] << 32 | window[distance:] for window in windows if len(window) > distance]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _joint_entropy(pairs_N: I64) -> float:
    """Entropy in nats, 0 without any."""
    if not len(pairs_N):
        return 0.0
    share = np.unique(pairs_N, return_counts=True)[1] / len(pairs_N)
    return float(-(share * np.log(share)).sum())
