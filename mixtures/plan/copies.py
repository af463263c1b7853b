"""The copies of documents that one phase takes, from where phases end for each document."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
ViewOf = Callable[[int, Ints], Ints]


def copies_of_phase(
    ends: Ints, phase: int, view_of: ViewOf
) -> tuple[Ints, Ints, Ints, Ints, npt.NDArray[np.bool_], Ints]:
    """The r copies that a phase takes, whole or in part, as columns of r: the document, the epoch, the token
    the copy begins at, the one it ends before (-1: its last), whether a later phase goes on with it, and its
    view, which is that of the phase that it began in.

    `ends` int64[P, 2, n]: copies up to the end of each phase, and tokens of the last of them, -1 for all.
    `view_of`: views of copies of some epochs that begin in a phase.
    """
    n = ends.shape[2]
    before = ends[phase - 1] if phase else np.stack([np.zeros(n, np.int64), np.full(n, -1, np.int64)])
    here, last = ends[phase], ends[-1]
    open_ = before[1] >= 0
    first = before[0] - open_
    counts = np.where((here == before).all(axis=0), 0, here[0] - first)
    index = np.repeat(np.arange(n), counts)
    epochs = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts) + first[index]
    resumed = open_[index] & (epochs == first[index])
    starts = np.where(resumed, before[1][index], 0)
    ending = epochs == here[0][index] - 1
    stops = np.where(ending, here[1][index], -1)
    goes_on = ending & (here[1] >= 0)[index] & (here != last).any(axis=0)[index]
    views = view_of(phase, epochs)
    for earlier in range(phase):  # the copy began in the first phase that takes some of it
        begun = resumed & (ends[earlier][0][index] > epochs)
        resumed &= ~begun
        views = np.where(begun, view_of(earlier, epochs), views)
    return index, epochs, starts, stops, goes_on, views
