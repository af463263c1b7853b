"""Forks and copies of whole repositories: near-duplicates with the repository as the unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.dedup.matching.code_worth import PERMISSIVE
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, Round

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents


class Repository(Exchange):
    """Remove repositories whose files together have a Jaccard index of at least `threshold` with a better
    one's.

    DeepSeek-Coder (arXiv 2401.14196, section 2.3) joins the files of a repository into one sample, and keeps
    or removes it as a whole, so that what is left of a repository is complete. Here a repository is the set
    of the shingles of all its files: runs of `width` words, folded as by `minhash`. `bands` x `rows` hashes
    of the set are minimised, and repositories that agree on all rows of a band are measured on their whole
    sets. From the best to the worst, one is removed if and only if a better one that it was measured against
    is kept. Only documents with `repo` take part; a repository is that of one source, known by 64 bits of
    hash.

    Better: earlier source in `priority` (others after, equal), then by licence (a permissive one for most of
    the bytes, another, unknown), more stars, more bytes, smaller id of its first file. The survivor that is
    named is the file of smallest id of the better repository. Reason `same_repository`, the index as
    similarity.

    In a band of more than `max_bucket` repositories each is measured against the best `max_bucket` alone.
    Memory: the shingles of the files of a partition (4 bytes each), those of its pairs, and, in one
    partition, all pairs measured as alike (about 2 KB each): at most `bands` times `max_bucket` a
    repository, in practice few.
    """

    name: ClassVar[str] = "repository"
    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "xxhash")
    consumes: ClassVar[tuple[str, ...]] = ("text", "repo", "license", "meta")
    address_only: ClassVar[bool] = True

    width: int = Field(5, ge=1, le=1000, description="Words of a shingle.")
    bands: int = Field(20, ge=1, le=256, description="Bands; one that agrees makes a candidate.")
    rows: int = Field(6, ge=1, le=64, description="Hashes of a band.")
    threshold: float = Field(0.8, gt=0, le=1, description="Least Jaccard index of duplicates.")
    max_bucket: int = Field(
        128, ge=1, le=10_000, description="Repositories of a band that each one is measured against, at most."
    )
    permissive: list[str] = Field(
        list(PERMISSIVE), description="SPDX identifiers of licences that are preferred, any case."
    )
    stars_fields: list[str] = Field(
        ["stars", "stargazers_count", "star_count", "max_stars_count"],
        description="Fields of `meta` that may hold a repository's stars; the first that does counts.",
    )
    priority: list[str] = Field(
        [], description="Sources, the one most worth keeping first; others come after these."
    )
    seed: int = Field(
        1, ge=0, lt=2**63, description="Seed of the hash functions, apart from the recipe's seed."
    )

    def warm(self) -> None:
        """Compile the kernels on nothing."""
        import numpy as np

        from corpusmill.pipelines.contract.documents import unwritable

        self._sets(unwritable(np.zeros(1, np.int64)), unwritable(np.zeros(0, np.uint8)))
        self._bands_of(np.ones(1, np.uint32))

    def _sets(
        self, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """Shingle sets of N texts: ends int64[N + 1] and shingles."""
        from corpusmill.dedup.kernels.signatures import multipliers, sketch
        from corpusmill.dedup.matching.normal_forms import normal_forms

        one = multipliers(1, self.seed)
        ends, shingles, _, _ = sketch(
            offsets, data, normal_forms(True), False, True, self.width, True, one, 1
        )
        return ends, shingles

    def _bands_of(self, shingles: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
        """Keys of the bands of a set, uint64[B]."""
        import numpy as np

        from corpusmill.dedup.kernels.signatures import band_keys, minima, multipliers

        least, keys = np.empty(self.bands * self.rows, np.uint32), np.empty(self.bands, np.uint64)
        minima(shingles, len(shingles), multipliers(self.bands * self.rows, self.seed), least)
        band_keys(least, self.bands, keys)
        return keys

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a file with its shingles, keyed by its repository."""
        from xxhash import xxh3_64_intdigest

        from corpusmill.dedup.matching.code_worth import licence_class, stars_of
        from corpusmill.dedup.matching.repositories import FILE, table_of

        permissive = frozenset(name.lower() for name in self.permissive)
        known = docs.table.select(["id", "source", "repo", "license", "meta"]).to_pylist()
        sizes = docs.sizes().tolist()
        ends, shingles = self._sets(*docs.utf8())
        files = [
            {
                "key": xxh3_64_intdigest(f"{one['source']}\0{one['repo']}".encode()),
                "kind": FILE,
                "unit": unit,
                "row": row,
                "id": one["id"],
                "source": one["source"],
                "bytes": size,
                "licence": licence_class(one["license"], permissive),
                "stars": stars_of(one["meta"], self.stars_fields),
                "shingles": shingles[ends[at] : ends[at + 1]].astype("<u4").tobytes(),
            }
            for at, (one, row, size) in enumerate(zip(known, rows.tolist(), sizes, strict=True))
            if one["repo"] is not None
        ]
        return Emitted(table_of(files))

    def rounds(self) -> Sequence[Round]:
        return (self.band, self.pair, self.fetch, self.measure, self.decide, self.remove)

    def band(self, rows: pa.Table) -> pa.Table:
        """Round 1, by repository: a row for each of its bands."""
        from corpusmill.dedup.matching.repositories import banded

        return banded(rows, self._bands_of)

    def pair(self, rows: pa.Table) -> pa.Table:
        """Round 2, by band: repositories that share one are asked for their shingles."""
        from corpusmill.dedup.matching.repositories import paired

        return paired(rows, self.priority, self.max_bucket)

    def fetch(self, rows: pa.Table) -> pa.Table:
        """Round 3, by repository: its shingles to the pairs that ask for them."""
        from corpusmill.dedup.matching.repositories import fetched

        return fetched(rows)

    def measure(self, rows: pa.Table) -> pa.Table:
        """Round 4, by pair: the Jaccard index."""
        from corpusmill.dedup.matching.repositories import measured

        return measured(rows, self.threshold)

    def decide(self, rows: pa.Table) -> pa.Table:
        """Round 5, all pairs: which repositories are removed."""
        from corpusmill.dedup.matching.repositories import decided

        return decided(rows, self.priority)

    def remove(self, rows: pa.Table) -> Found:
        """Round 6, by repository: its files."""
        from corpusmill.dedup.matching.repositories import removed_files

        return Found(removals=removed_files(rows, "same_repository"))
