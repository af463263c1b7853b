"""Repeated word n-grams of each document.

Every count is over 64-bit hashes, each known by the place of the first one equal to it. n-grams are counted
from the shortest up: a word n-gram can only repeat where both (n-1)-grams inside it repeat, so after bigrams
only those places are looked at. The result is that of counting all of them. Arrays belong to the kernel's
call and are as long as the largest document (up to 62 bytes a token); a document clears as much of the table
as it needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.first_places import first_place, table_size
from corpusmill.pipelines.text.kernels.mixing import mix
from corpusmill.pipelines.text.mixing import GOLDEN
from corpusmill.pipelines.text.views import Words

Chosen = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@compiled
def ngram_characters(
    words: Words, numbers: Counts, tops_of: Chosen, repeated_of: Chosen
) -> tuple[Counts, Counts]:
    """Code points covered by repeated word n-grams of each document: (top, duplicate), both int64[N, n].

    Row k is about k-grams; `tops_of[v, k]` and `repeated_of[v, k]` (bool[V, N]) say which to compute of
    documents whose `numbers` (int64[n]) are v, the others stay 0.
    Top: those of the most frequent n-gram (the earliest among equals), its words joined by spaces, times
    its number of occurrences, be it 1. Duplicate: read left to right, an n-gram seen before counts with all
    its code points (no spaces) and n words are passed over, else one word is. 0 with under n words.
    """
    n_docs, largest = len(words.firsts), tops_of.shape[1] - 1
    tops, duplicates = np.zeros((largest + 1, n_docs), np.int64), np.zeros((largest + 1, n_docs), np.int64)
    room = 0
    depths = np.zeros(len(tops_of), np.int64)
    for v in range(len(tops_of)):
        for k in range(1, largest + 1):
            if tops_of[v, k] or repeated_of[v, k]:
                depths[v] = k
    for i in range(n_docs):
        room = max(room, words.lasts[i] - words.firsts[i])
    ends, grams = np.zeros(room + 1, np.int64), np.empty(room, np.uint64)
    places, firsts = np.empty(room, np.int32), np.empty(room, np.int32)
    counts, passed = np.empty(room, np.int32), np.empty(room, np.bool_)
    repeats = np.empty(room, np.bool_)
    slots = np.empty(table_size(room), np.uint64)
    for i in range(n_docs):
        begin, n_words = words.firsts[i], words.lasts[i] - words.firsts[i]
        top, repeated, deepest = tops_of[numbers[i]], repeated_of[numbers[i]], depths[numbers[i]]
        for p in range(n_words):
            ends[p + 1] = ends[p] + words.characters[begin + p]
            grams[p] = words.hashes[begin + p]
        many = 0  # of `places`, the candidates: where n-grams of one word less occur more than once
        for k in range(1, min(deepest, n_words) + 1):
            if k == 1 and not (top[1] or repeated[1]):
                continue
            if k <= 2:  # bigrams are all counted: single words repeat nearly everywhere
                many = n_words - k + 1
                for p in range(many):
                    places[p] = p
                    if k == 2:
                        grams[p] = mix(grams[p] * GOLDEN + words.hashes[begin + p + 1])
            else:
                many = _longer(places, many, repeats)
                for j in range(many):
                    p = places[j]
                    grams[p] = mix(grams[p] * GOLDEN + words.hashes[begin + p + k - 1])
            best, at = _count(slots, grams, places, many, firsts, counts, repeats)
            if top[k]:
                tops[k, i] = (ends[at + k] - ends[at] + k - 1) * best
            if repeated[k]:
                duplicates[k, i] = _read(places, many, firsts, ends, k, passed)
    return tops, duplicates


@compiled
def _longer(places: Any, many: int, repeats: Any) -> int:
    """Keep the places that repeat and whose next one is there and repeats too; returns how many are left."""
    kept = 0
    for j in range(many - 1):
        p, following = np.uint64(places[j]), np.uint64(places[j + 1])
        places[kept] = places[j]
        kept += (following == p + np.uint64(1)) & repeats[p] & repeats[following]
    return kept


@compiled
def _count(
    slots: Any, grams: Any, places: Any, many: int, firsts: Any, counts: Any, repeats: Any
) -> tuple[int, int]:
    """Fill `firsts` with the place of the first gram equal to that of each place, `counts` by first place,
    and `repeats` by place: whether its gram occurs more than once.

    Returns how often the most frequent gram occurs and its first place, the earliest among equals; 1 and 0
    where none repeats.
    """
    size = table_size(many)
    slots[:size] = 0
    best, at = 1, 0
    for j in range(many):
        p = places[j]
        here = np.uint64(p)
        first = first_place(slots, size - 1, grams, p, grams[here])
        firsts[j] = first
        if first == p:
            counts[here] = 1
            repeats[here] = False
        else:
            there = np.uint64(first)
            count = counts[there] + 1
            counts[there] = count
            repeats[there] = repeats[here] = True
            if count > best or (count == best and first < at):
                best, at = count, first
    return best, at


@compiled
def _read(places: Any, many: int, firsts: Any, ends: Any, k: int, passed: Any) -> int:
    """Code points of the k-grams seen before, read from left to right."""
    characters = free = 0
    for j in range(many):
        p, first = places[j], firsts[j]
        if first == p:
            passed[p] = False
        if p < free:
            continue
        if passed[first]:
            characters += ends[p + k] - ends[p]
            free = p + k
        else:
            passed[first] = True
    return characters
