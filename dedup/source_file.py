"""Copies of source files: equal but for white space, one kept by licence, place and stars."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from corpusmill.dedup.matching.code_worth import PERMISSIVE
from corpusmill.pipelines.contract.stage import Deduplicate, Emitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents
    from corpusmill.pipelines.contract.stage import Round, WithSides


class SourceFile(Deduplicate):
    """Remove files of repositories whose text equals another's but for white space, keeping one of each
    group.

    Runs of Unicode white space count as one space, and none at the ends. Only documents with `repo` are
    compared and removed. Files that hold nothing else stay.

    Survivor: first by place of its source in `priority` (sources not named come last), then by licence (a
    permissive one, another, unknown), then outside of folders for other people's code (such as `vendor/`,
    `third_party/` and `node_modules/`), then more stars, then more bytes, smaller id, smaller address. Reason
    `same_file`, similarity 1.0. Memory: 120 bytes a document of the partition.
    """

    name: ClassVar[str] = "source_file"
    libraries: ClassVar[tuple[str, ...]] = ("xxhash",)
    consumes: ClassVar[tuple[str, ...]] = ("text", "repo", "path", "license", "meta")
    address_only: ClassVar[bool] = True
    remembers: ClassVar[int | None] = 1

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

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        """One row a file: key is the low half of its text's hash; `high`, `length` and facts travel along."""
        import numpy as np
        import pyarrow as pa
        from xxhash import xxh3_128_intdigest

        from corpusmill.dedup.matching.code_worth import is_vendored, licence_class, stars_of

        permissive = frozenset(name.lower() for name in self.permissive)
        repos, texts = docs.column("repo").to_pylist(), docs.text
        some, digests, lengths = [], [], []
        for at, repo in enumerate(repos):
            text = "" if repo is None else " ".join((texts[at].as_py() or "").split())
            if text:
                encoded = text.encode()
                some.append(at)
                digests.append(xxh3_128_intdigest(encoded))
                lengths.append(len(encoded))
        chosen = docs.table.take(pa.array(some, pa.int64()))
        paths, licences, metas = (chosen.column(name).to_pylist() for name in ("path", "license", "meta"))
        columns = {
            "key": pa.array([digest & (2**64 - 1) for digest in digests], pa.uint64()),
            "unit": pa.array(np.full(len(some), unit, np.uint32)),
            "row": pa.array(rows[some].astype(np.uint32) if some else [], pa.uint32()),
            "high": pa.array([digest >> 64 for digest in digests], pa.uint64()),
            "length": pa.array(lengths, pa.uint64()),
            "id": chosen.column("id"),
            "source": chosen.column("source"),
            "bytes": pa.array(docs.sizes()[some] if some else [], pa.int64()),
            "licence": pa.array([licence_class(one, permissive) for one in licences], pa.int8()),
            "vendored": pa.array([int(is_vendored(path)) for path in paths], pa.int8()),
            "stars": pa.array([stars_of(meta, self.stars_fields) for meta in metas], pa.int64()),
        }
        return Emitted(pa.table(columns))

    def rounds(self) -> Sequence[Round | WithSides]:
        """One round, which learns the best file of each group first where copies are very many."""
        from corpusmill.dedup.matching.equals import keeping_one

        return (keeping_one(self.reduce, ("key", "high", "length"), self._ranks),)

    def reduce(self, rows: pa.Table) -> pa.Table:
        """Every file of a group but its best, as `DUPLICATES`."""
        from corpusmill.dedup.matching.equals import removals_of_equals

        return removals_of_equals(rows, ("key", "high", "length"), self._ranks(rows), "same_file")

    def _ranks(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        from corpusmill.dedup.matching.code_worth import worth_ranks

        return worth_ranks(rows, self.priority)
