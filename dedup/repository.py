"""Forks and copies of whole repositories: near-duplicates with the repository as the unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.dedup.matching.code_worth import PERMISSIVE
from corpusmill.pipelines.contract.stage import Emitted, Exchange, Found, Round
from corpusmill.pipelines.contract.windows import learned_first

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

    In a band of more than `max_bucket` repositories each is measured against the best `max_bucket` of those
    that are unlike one another, as by `minhash`. Of repositories of one set the best alone is measured, and
    the others share its fate.

    Six rounds (`matching.repository_sets`, `matching.repositories`). Memory: a partition of rows, of many
    files or copies of one repository, and of a band that many share, some at a time; the shingles of a
    repository, 4 bytes each, twice; the sets of all that share a band and are no copies; and, in one
    partition, all pairs measured as alike, about 0.9 KB each, one a copy and at most `bands` times
    `max_bucket` of another repository, in practice few.
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

        from corpusmill.dedup.kernels.unions import unions
        from corpusmill.pipelines.contract.documents import unwritable

        self._sets(unwritable(np.zeros(1, np.int64)), unwritable(np.zeros(0, np.uint8)))
        self._bands_of()(np.ones(1, np.uint32))
        unions(np.zeros(1, np.int64), np.zeros(0, np.uint32))

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

    def _bands_of(self) -> Callable[[npt.NDArray[np.uint32]], npt.NDArray[np.uint64]]:
        """What gives the keys of the bands of a set, uint64[B]."""
        import numpy as np

        from corpusmill.dedup.kernels.signatures import band_keys, minima, multipliers

        a_H = multipliers(self.bands * self.rows, self.seed)

        def keys_of(shingles: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
            least, keys = np.empty(len(a_H), np.uint32), np.empty(self.bands, np.uint64)
            minima(shingles, len(shingles), a_H, least)
            band_keys(least, self.bands, keys)
            return keys

        return keys_of

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a file with its shingles, keyed by its repository."""
        import numpy as np
        import pyarrow as pa
        from xxhash import xxh3_64_intdigest

        from corpusmill.dedup.matching.code_worth import licence_class, stars_of
        from corpusmill.dedup.matching.repositories import FILES

        chosen = docs.column("repo").is_valid().to_numpy(zero_copy_only=False)
        docs, rows = docs.keep(chosen), rows[chosen]
        permissive = frozenset(name.lower() for name in self.permissive)
        source, repo, licence, meta = (
            docs.column(name).to_pylist() for name in ("source", "repo", "license", "meta")
        )
        keys = [xxh3_64_intdigest(f"{a}\0{b}".encode()) for a, b in zip(source, repo, strict=True)]
        ends, shingles = self._sets(*docs.utf8())
        columns = {
            "key": pa.array(keys, pa.uint64()),
            "unit": np.full(len(docs), unit, np.uint32),
            "row": rows.astype(np.uint32),
            "id": docs.column("id"),
            "source": docs.column("source"),
            "bytes": docs.sizes(),
            "licence": pa.array([licence_class(one, permissive) for one in licence], pa.int8()),
            "stars": pa.array([stars_of(one, self.stars_fields) for one in meta], pa.int64()),
            "shingles": pa.LargeListArray.from_arrays(pa.array(ends), pa.array(shingles)),
        }
        return Emitted(pa.table([columns[name] for name in FILES.names], schema=FILES))

    def rounds(self) -> Sequence[Round]:
        """By repository: its set; by band and set: which share one; by repository: sets to bands; by band:
        the Jaccard index; all pairs: which are removed; by repository: its files."""
        from corpusmill.dedup.matching import repositories as on
        from corpusmill.dedup.matching import repository_sets as sets

        def gathered(known: pa.Table, rows: pa.Table) -> pa.Table:
            return sets.repositories(known, rows, self._bands_of())

        def company(known: pa.Table | None, rows: pa.Table) -> pa.Table:
            return on.learn_company(known, rows, self.priority)

        def meeting(known: pa.Table, rows: pa.Table) -> pa.Table:
            return on.in_company(known, rows, self.threshold, self.max_bucket)

        def removed(known: pa.Table, rows: pa.Table) -> Found:
            return Found(removals=on.removed_files(known, rows, "same_repository"))

        return (
            learned_first(sets.learn_repositories, gathered),
            learned_first(company, meeting),
            on.brought,
            lambda rows: on.measured(rows, self.threshold, self.priority, self.max_bucket),
            lambda rows: on.decided(rows, self.priority),
            learned_first(on.learn_verdicts, removed),
        )
