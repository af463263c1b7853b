"""A plugin: documents that are numbers, and MinHash as it is but for their shingle sets and band keys, which
are drawn. So a run has as many signatures as asked for without as many texts.

Document n is another one with a change (n % 10 == 3), another's copy (n % 20 == 7), or unlike all others.
Which other is drawn among all. A change leaves 15 of 16 shingles (n % 20 == 3: a Jaccard index of 0.88) or 12
(0.6), and each band agrees with the chance that index to the power of `rows` gives. The one that others
repeat has a byte more than they have, and is the better one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.minhash import Minhash
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.sources.reader import Batch, Label, Reader, Split
from corpusmill.pipelines.text.mixing import GOLDEN, mixed

if TYPE_CHECKING:
    Numbers = npt.NDArray[np.uint64]

SHINGLES = 16
AT_ONCE = 65_536  # documents of a batch
DIGITS = 12


def change_of(number: Numbers) -> Numbers:
    """How many shingles of document `number` are its own, uint64[n]; all of one that repeats no other."""
    change = np.full(len(number), SHINGLES, np.uint64)
    change[number % np.uint64(20) == 3] = 1
    change[number % np.uint64(20) == 13] = 4
    change[number % np.uint64(20) == 7] = 0
    return change


def repeated(number: Numbers) -> Numbers:
    """The document that each of these repeats, which repeats none: itself, if so."""
    before = mixed(number + GOLDEN) % np.maximum(number, np.uint64(1)) // np.uint64(20) * np.uint64(20)
    return np.where(change_of(number) < SHINGLES, before, number)


def drawn(number: Numbers, bands: int, rows: int) -> tuple[npt.NDArray[np.uint32], Numbers]:
    """Shingle sets uint32[n, SHINGLES], not sorted, and band keys uint64[n, bands]."""
    base, change = repeated(number), change_of(number)
    place = np.arange(SHINGLES, dtype=np.uint64)
    own = place < np.where(change < SHINGLES, change, 0)[:, None]
    word = np.where(own, number[:, None] | np.uint64(2**63), base[:, None])
    shingles = (mixed(word * np.uint64(SHINGLES) + place) >> np.uint64(32)).astype(np.uint32)
    index = (SHINGLES - change) / (SHINGLES + change)
    chance = np.where(change < SHINGLES, index.astype(np.float64) ** rows, 1.0)
    band = np.arange(bands, dtype=np.uint64)
    draw = mixed(mixed(number * GOLDEN)[:, None] + band) >> np.uint64(11)
    differs = draw.astype(np.float64) * 2.0**-53 >= chance[:, None]
    word = np.where(differs, number[:, None] | np.uint64(2**63), base[:, None])
    return shingles, mixed(mixed(word + GOLDEN) + band)


def removed_of(count: int, bands: int, rows: int) -> int:
    """How many of the documents 0 to `count` - 1 repeat another one, with a band that tells."""
    found = 0
    for first in range(0, count, AT_ONCE):
        number = np.arange(first, min(count, first + AT_ONCE), dtype=np.uint64)
        change = change_of(number)
        near = number[change == 1]
        same = drawn(near, bands, rows)[1] == drawn(repeated(near), bands, rows)[1]
        found += int((change == 0).sum()) + int(same.any(axis=1).sum())
    return found


class Numbered(Reader):
    """Reads files of two numbers, the first document's and how many there are; a file is a unit of work."""

    def index(self, path: Path) -> list[Split]:
        """One split, of as many bytes as a unit may have."""
        return [Split(0, path.stat().st_size, self.split_bytes)]

    def read(self, path: Path, name: str, split: Split, label: Label) -> Iterator[Batch]:
        """Documents whose text is a letter and their number."""
        start, count = map(int, path.read_text().split())
        for first in range(start, start + count, AT_ONCE):
            number = np.arange(first, min(start + count, first + AT_ONCE), dtype=np.uint64)
            yield Batch(documents(number, label.source, label.domain))


def documents(number: Numbers, source: str, domain: str) -> Documents:
    """Documents of these numbers."""
    n = len(number)
    digits = np.char.zfill(number.astype("U"), DIGITS).astype(f"S{DIGITS}").view(np.uint8).reshape(n, DIGITS)
    texts = np.full((n, DIGITS + 1), ord("."), np.uint8)
    texts[:, :DIGITS] = digits
    length = np.where(change_of(number) < SHINGLES, DIGITS, DIGITS + 1)
    ends = np.append(0, np.cumsum(length))
    data = texts[np.arange(DIGITS + 1) < length[:, None]]
    halves = np.stack([mixed(number + GOLDEN), mixed(number * GOLDEN)], axis=1).astype(">u8")
    nibbles = halves.view(np.uint8).reshape(n, 16)
    hexes = np.stack([nibbles >> 4, nibbles & 15], axis=2).reshape(n, 32)
    letters = np.frombuffer(b"0123456789abcdef", np.uint8)[hexes]
    ids = pa.py_buffer(np.ascontiguousarray(letters))
    columns = {
        "id": pa.StringArray.from_buffers(n, pa.py_buffer(np.arange(n + 1, dtype=np.int32) * 32), ids),
        "text": pa.LargeStringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(data)),
        "source": pa.repeat(source, n),
        "domain": pa.repeat(domain, n),
        "meta": pa.repeat("{}", n),
    }
    return Documents(
        pa.table([columns.get(field.name, pa.nulls(n, field.type)) for field in SCHEMA], schema=SCHEMA)
    )


class Signatures(Minhash):
    """`minhash` of documents that `Numbered` gives."""

    name: ClassVar[str] = "signatures"

    def warm(self) -> None:
        """Compile the kernels on some documents that repeat one another."""
        from corpusmill.dedup.matching.candidates import bring, candidates

        docs = documents(np.arange(400, dtype=np.uint64), "", "")
        emitted = self.emit(docs, 0, np.arange(len(docs), dtype=np.uint32))
        shared = candidates(emitted.rows.sort_by("key").combine_chunks(), self.rules())
        shared = shared.sort_by([("unit", "ascending"), ("row", "ascending")]).combine_chunks()
        assert emitted.side is not None
        side = emitted.side.take(pa.array(np.unique(shared.column("row").to_numpy()))).combine_chunks()
        self.reduce(bring(shared, side).sort_by("key").combine_chunks())

    def sketch(
        self, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], Numbers, Numbers]:
        """What `Minhash.sketch` gives, drawn for the numbers that the texts are."""
        s = self.settings()
        digits = data[offsets[:-1, None] + np.arange(DIGITS)].astype(np.uint64) - np.uint64(ord("0"))
        number = digits @ (np.uint64(10) ** np.arange(DIGITS - 1, -1, -1, dtype=np.uint64))
        shingles, keys = drawn(number, s.bands, s.rows)
        shingles.sort(axis=1)
        same = np.where(change_of(number) == 0, repeated(number), number)
        ends = np.arange(len(number) + 1, dtype=np.int64) * SHINGLES
        return ends, shingles.reshape(-1), keys, mixed(same * GOLDEN)
