"""`repository_order`: files of one repository together, each after those it imports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from corpusmill.pipelines.contract.stage import Emitted, Regroup, Seeded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents

_ADDRESS = ("key", "unit", "row")
_COUNTS = ("repository_order.parsed", "repository_order.scanned")


class RepositoryOrder(Seeded, Regroup):
    """Order the files of each repository by their dependencies, so that packing can chain them.

    After DeepSeek-Coder (arXiv 2401.14196, section 2.2): a file comes after the files of its repository that
    it imports. Files that import each other in a circle stand together, in the order that loses the fewest
    imports (`repository.order`, `repository.cycles`). Imports of Python, C and C++, JavaScript and
    TypeScript, Java, Kotlin, Go and Rust are found outside of comments and strings, and read by tree-sitter
    grammars, but Kotlin's by an expression (`repository.language`); `go.mod`, `Cargo.toml`, `package.json`
    and `tsconfig.json` say what they mean where they are there. Other files, and files without a path, stand
    in the order of their paths.

    Adds `group` (string: the repository; null where `repo` is null), `group_rank` (int32, 0, 1, ... in that
    order), `group_bytes` (int64: bytes of the repository's texts that come before, by which a large one is
    divided over shards), and `repository_order.parsed` and `.scanned` (int32: import statements that a
    grammar read, and that a plain expression did, being too long or malformed; null of other languages). Rows
    are otherwise unchanged, unknown columns included. A repository is that of one source. Memory: the
    documents of one partition.
    """

    libraries: ClassVar[tuple[str, ...]] = (
        "tree-sitter",
        *("tree-sitter-cpp", "tree-sitter-go", "tree-sitter-java", "tree-sitter-javascript"),
        *("tree-sitter-python", "tree-sitter-rust", "tree-sitter-typescript"),
    )
    consumes: ClassVar[tuple[str, ...]] = ("text",)
    produces: ClassVar[tuple[str, ...]] = ("group", "group_rank", "group_bytes", *_COUNTS)
    address_only: ClassVar[bool] = True

    def emit(self, docs: Documents, unit: int, rows: npt.NDArray[np.uint32]) -> Emitted:
        import numpy as np
        import pyarrow as pa

        from corpusmill.pipelines.contract.randomness import draws

        ids, sources, repos = (docs.column(name).to_pylist() for name in ("id", "source", "repo"))
        # The id's draw spreads documents without a repository over the partitions.
        names = [
            i if repo is None else f"{source}\0{repo}"
            for i, source, repo in zip(ids, sources, repos, strict=True)
        ]
        address = {
            "key": draws(names, self.known_seed(), "repository_order"),
            "unit": np.full(len(docs), unit, np.uint32),
            "row": np.asarray(rows, np.uint32),
        }
        table = docs.drop(*self.produces).table
        for name in reversed(_ADDRESS):
            table = table.add_column(0, name, pa.array(address[name]))
        return Emitted(table)

    def reduce(self, rows: pa.Table) -> Documents:
        import pyarrow as pa

        from corpusmill.pipelines.contract.documents import Documents

        docs = Documents(rows.drop_columns(list(_ADDRESS)))
        ordered = _ordered(docs)
        ranked = [row.rank for row in ordered]
        moved = Documents(docs.table.take(pa.array([row.row for row in ordered], pa.int64())))
        return moved.with_columns(
            {
                "group": pa.array([row.group for row in ordered], pa.string()),
                "group_rank": pa.array(ranked, pa.int32()),
                "group_bytes": _bytes_before(moved.sizes(), ranked),
                _COUNTS[0]: pa.array([row.parsed for row in ordered], pa.int32()),
                _COUNTS[1]: pa.array([row.scanned for row in ordered], pa.int32()),
            }
        )


def _bytes_before(sizes: npt.NDArray[np.int64], ranks: list[int | None]) -> pa.Array:
    """Bytes of the documents of its repository before each one, int64[n]; null without a repository.

    `ranks`: 0, 1, ... of each repository, whose documents follow one another."""
    import numpy as np
    import pyarrow as pa

    before = np.cumsum(sizes) - sizes
    alone = np.array([rank is None for rank in ranks], np.bool_)
    first = np.array([rank in (0, None) for rank in ranks], np.bool_)
    starts = np.maximum.accumulate(np.where(first, before, 0)) if len(before) else before
    return pa.array(before - starts, mask=alone)


class _Row(NamedTuple):
    """Where a document stands: `row` among those given, and its new columns."""

    row: int
    group: str | None = None
    rank: int | None = None
    parsed: int | None = None
    scanned: int | None = None


def _ordered(docs: Documents) -> list[_Row]:
    """The rows in their new order; repositories stand as their keys do."""
    ids, sources, repos, paths = (docs.column(name).to_pylist() for name in ("id", "source", "repo", "path"))
    members: dict[tuple[str, str | None], list[int]] = {}
    for row, (source, repo) in enumerate(zip(sources, repos, strict=True)):
        members.setdefault((source, repo) if repo is not None else (ids[row], None), []).append(row)
    ordered: list[_Row] = []
    for (_, repo), its in members.items():
        if repo is None:
            ordered.extend(_Row(row) for row in its)
            continue
        its.sort(key=lambda row: (paths[row] or "", ids[row]))
        ordered.extend(_of_repository(docs, repo, its, [paths[row] or "" for row in its]))
    return ordered


def _of_repository(docs: Documents, repo: str, rows: list[int], paths: list[str]) -> Iterator[_Row]:
    """`rows`, sorted by their `paths`, in the order of their dependencies."""
    from corpusmill.mixtures.repository.dependencies import asks_for, dependencies_of
    from corpusmill.mixtures.repository.order import dependency_order

    texts = docs.text
    bodies = [
        (texts[row].as_py() or "") if asks_for(path) else "" for row, path in zip(rows, paths, strict=True)
    ]
    found = dependencies_of(paths, bodies)
    for rank, place in enumerate(dependency_order(len(paths), found.levels)):
        yield _Row(rows[place], repo, rank, found.parsed[place], found.scanned[place])
