"""The pieces of a batch of documents as rows of an exchange: where they are, and what they hash to."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_128_intdigest

from corpusmill.dedup.kernels.pieces import Pieces, ascii_forms, find_pieces, hash_pieces
from corpusmill.dedup.matching.normal_forms import normal_forms
from corpusmill.dedup.matching.piece_forms import Normalize, piece_forms
from corpusmill.dedup.matching.urls import host_name
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.text.characters import character_table

PieceUnit = Literal["paragraph", "line"]


class Comparing(NamedTuple):
    """Which pieces of a text are compared, and by what of them."""

    unit: PieceUnit
    normalize: Normalize
    min_characters: int
    min_words: int


class Hashed(NamedTuple):
    """m pieces of the documents of a batch; arrays of length m."""

    document: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    """Where it begins, in bytes of its text, and where it ends with its line breaks."""
    end: npt.NDArray[np.int64]
    nth: npt.NDArray[np.int64]
    """Its number among all pieces of its document, short ones too, and how many these are."""
    of: npt.NDArray[np.int64]
    key: npt.NDArray[np.uint64]
    """The two halves of the hash of its normal form."""
    check: npt.NDArray[np.uint64]

    def only(self, chosen: npt.NDArray[np.bool_]) -> Hashed:
        """Those where `chosen`, bool[m], is true."""
        return Hashed(
            self.document[chosen],
            self.start[chosen],
            self.end[chosen],
            self.nth[chosen],
            self.of[chosen],
            self.key[chosen],
            self.check[chosen],
        )


def hashed_pieces(docs: Documents, comparing: Comparing) -> Hashed:
    """The pieces of these documents that are long enough. Memory: 90 bytes a piece."""
    offsets, data = docs.utf8()
    pieces: Pieces = find_pieces(character_table(), offsets, data, comparing.unit == "paragraph")
    longest = int((pieces.last - pieces.first).max(initial=0))
    forms = piece_forms(comparing.normalize)
    chosen, key, check = hash_pieces(
        data,
        pieces,
        forms,
        ascii_forms(forms),
        normal_forms(True),
        (comparing.min_characters, comparing.min_words),
        np.empty(2 * longest + 16, np.uint8),
    )
    counts = np.bincount(pieces.text, minlength=len(docs))
    document = pieces.text[chosen]
    begins = offsets[document]
    return Hashed(
        document,
        pieces.start[chosen] - begins,
        pieces.end[chosen] - begins,
        pieces.nth[chosen],
        counts[document],
        key,
        check,
    )


def of_sources(docs: Documents, sources: list[str]) -> npt.NDArray[np.bool_]:
    """bool[n]: whether a document is of one of these sources; all are where none is named."""
    if not sources:
        return np.full(len(docs), True)
    column = docs.column("source").dictionary_encode()
    named = np.array([name in sources for name in column.dictionary.to_pylist()] or [False])
    chosen: npt.NDArray[np.bool_] = named[column.indices.to_numpy(zero_copy_only=False)]
    return chosen


def site(url: str | None) -> str | None:
    """The host of a URL in lower case and Unicode, without `www.` and a dot at its end; None where it has
    none."""
    try:
        host = urlsplit(url or "").hostname
    except ValueError:  # brackets that hold no address of IPv6
        return None
    return host_name(host or "", small=True).removeprefix("www.") or None


def site_hashes(docs: Documents) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The two halves, uint64[n] each, of a 128-bit hash of the site of each document; 0 and 0 without one."""
    low, high = np.zeros(len(docs), np.uint64), np.zeros(len(docs), np.uint64)
    for i, url in enumerate(docs.column("url").to_pylist()):
        name = site(url)
        if name is not None:
            digest = xxh3_128_intdigest(name.encode("utf-8", "surrogatepass"))
            low[i], high[i] = digest & (2**64 - 1), digest >> 64
    return low, high


def site_or_id_hashes(docs: Documents) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """`site_hashes`, with the two halves of the document's id for one without a site."""
    low, high = site_hashes(docs)
    ids = np.frombuffer(bytes.fromhex("".join(docs.column("id").to_pylist())), ">u8").astype(np.uint64)
    known = (low | high) != 0
    return np.where(known, low, ids[1::2]), np.where(known, high, ids[::2])


def piece_rows(
    found: Hashed,
    unit: int,
    rows: npt.NDArray[np.uint32],
    within: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]] | None = None,
) -> pa.Table:
    """The rows of an exchange, one a piece: `rows` uint32[n] are the row addresses of the documents.

    `within`: two hashes, uint64[n] each, that documents have in common whose pieces should meet.
    """
    key, check = found.key, found.check
    if within is not None:
        key, check = (half ^ other[found.document] for half, other in zip((key, check), within, strict=True))
    return pa.table(
        {
            "key": key,
            "unit": np.full(len(key), unit, np.uint32),
            "row": rows[found.document].astype(np.uint32),
            "check": check,
            "start": found.start.astype(np.uint64),
            "end": found.end.astype(np.uint64),
        }
    )


def facts(docs: Documents) -> pa.Table:
    """What the order of documents needs to know of each, as a side table."""
    return pa.table(
        {"id": docs.column("id"), "source": docs.column("source"), "bytes": docs.sizes()},
    )
