"""Questions that are looked for with words or numbers changed: arrays of their anchors and words.

See `kernels/near_questions.Questions` for what the arrays hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.kernels.hash_set import hash_set
from corpusmill.dedup.kernels.near_questions import LONGEST, Questions

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

ARRAYS = ("anchors", "starts", "posting", "offset", "plain", "word", "plain_ends", "every", "word_ends")
KEPT = 0.25  # share of a question's anchors that must be its own, or it is mostly what many items share


class Asked(NamedTuple):
    """A question: its item's number, all its words, places of the plain ones, and its anchors with theirs."""

    item: int
    words: Sequence[int]
    plain: Sequence[int]
    anchors: Sequence[int]
    offsets: Sequence[int]


def question_arrays(asked: Iterable[Asked], max_items: int) -> tuple[dict[str, npt.NDArray[np.generic]], int]:
    """`ARRAYS` and `near_items` of the questions, in their order; and how many are not looked for.

    A question of the same words as one before it is left out, and so is one of whose anchors three quarters
    are in more than `max_items` items. Of very long ones the first `LONGEST` plain words are looked for.
    """
    distinct: list[Asked] = []
    seen: set[tuple[int, ...]] = set()
    for one in asked:
        words = tuple(one.words)
        if one.anchors and words not in seen:
            seen.add(words)
            distinct.append(one)
    items: dict[int, set[int]] = {}
    for one in distinct:
        for anchor in one.anchors:
            items.setdefault(anchor, set()).add(one.item)
    common = {anchor for anchor, where in items.items() if len(where) > max_items}
    kept: list[Asked] = []
    postings: dict[int, list[tuple[int, int]]] = {}
    for one in distinct:
        own = [
            (anchor, offset)
            for anchor, offset in zip(one.anchors, one.offsets, strict=True)
            if anchor not in common and offset < LONGEST
        ]
        if not own or len(own) < KEPT * len(one.anchors):
            continue
        for anchor, offset in own:
            postings.setdefault(anchor, []).append((len(kept), offset))
        kept.append(one)
    anchors = np.array(sorted(postings), np.uint64)
    rows = [row for anchor in anchors.tolist() for row in postings[anchor]]
    plain = [one.plain[:LONGEST] for one in kept]
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "anchors": anchors,
        "starts": _ends([len(postings[anchor]) for anchor in anchors.tolist()]),
        "posting": np.array([question for question, _ in rows], np.int64),
        "offset": np.array([offset for _, offset in rows], np.int64),
        "plain": np.array(
            [one.words[w] for one, some in zip(kept, plain, strict=True) for w in some], np.uint64
        ),
        "word": np.array([w for some in plain for w in some], np.int64),
        "plain_ends": _ends([len(some) for some in plain]),
        "every": np.array([word for one in kept for word in one.words], np.uint64),
        "word_ends": _ends([len(one.words) for one in kept]),
        "near_items": np.array([one.item for one in kept], np.int64),
    }
    return arrays, len(distinct) - len(kept)


def _ends(sizes: list[int]) -> Integers:
    return np.append(0, np.cumsum(sizes)).astype(np.int64)


def fit_together(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bool:
    """Whether lengths and ends of these arrays agree."""
    ends = (("starts", "posting"), ("starts", "offset"), ("plain_ends", "plain"), ("plain_ends", "word"))
    return (
        all(int(arrays[end][-1]) == len(arrays[held]) for end, held in (*ends, ("word_ends", "every")))
        and len(arrays["starts"]) == len(arrays["anchors"]) + 1
        and len(arrays["plain_ends"]) == len(arrays["word_ends"]) == len(arrays["near_items"]) + 1
    )


def questions_of(length: int, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Questions:
    """The arrays as kernels read them. `length`: words of an anchor."""
    posting, sizes = _whole(arrays["posting"]), np.diff(_whole(arrays["plain_ends"]))
    return Questions(
        length=length,
        anchors=hash_set(np.asarray(arrays["anchors"], np.uint64)),
        starts=_whole(arrays["starts"]),
        posting=posting,
        offset=_whole(arrays["offset"]),
        plain=np.asarray(arrays["plain"], np.uint64),
        word=_whole(arrays["word"]),
        plain_ends=_whole(arrays["plain_ends"]),
        every=np.asarray(arrays["every"], np.uint64),
        word_ends=_whole(arrays["word_ends"]),
        anchor_counts=_whole(np.bincount(posting, minlength=len(sizes))),
        longest=int(sizes.max(initial=1)),
    )


def _whole(array: npt.NDArray[np.generic]) -> Integers:
    return np.asarray(array, np.int64)
