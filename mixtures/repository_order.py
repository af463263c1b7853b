"""`repository_order`: files of one repository together, each after those it imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from corpusmill.pipelines.contract.stage import Emitted, Regroup, Seeded

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from corpusmill.pipelines.contract.documents import Documents

_ADDRESS = ("key", "unit", "row")


class RepositoryOrder(Seeded, Regroup):
    """Order the files of each repository by their dependencies, so that packing can chain them.

    DeepSeek-Coder (arXiv 2401.14196, section 2.2): a file comes after the files of its repository that it
    imports, cycles are broken at the smallest in-degree (`repository.order`). Imports are found by light
    regular expressions for Python, C/C++, JavaScript/TypeScript, Java/Kotlin and Go; other files (and
    files without a path) stand in the order of their paths.

    Adds `group` (string: the repository; null where `repo` is null) and `group_rank` (int32, 0, 1, ... in
    that order). Rows are otherwise unchanged, unknown columns included. A repository is that of one
    source. Memory while ordering: the documents of one partition.
    """

    consumes: ClassVar[tuple[str, ...]] = ("text",)
    produces: ClassVar[tuple[str, ...]] = ("group", "group_rank")
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
        table = docs.drop("group", "group_rank").table
        for name in reversed(_ADDRESS):
            table = table.add_column(0, name, pa.array(address[name]))
        return Emitted(table)

    def reduce(self, rows: pa.Table) -> Documents:
        import pyarrow as pa

        from corpusmill.pipelines.contract.documents import Documents

        docs = Documents(rows.drop_columns(list(_ADDRESS)))
        order, groups, ranks = _ordered(docs)
        return Documents(docs.table.take(pa.array(order, pa.int64()))).with_columns(
            {"group": pa.array(groups, pa.string()), "group_rank": pa.array(ranks, pa.int32())}
        )


def _ordered(docs: Documents) -> tuple[list[int], list[str | None], list[int | None]]:
    """The rows in their new order, and the group and rank of each; repositories stand as their keys do."""
    ids, sources, repos, paths = (docs.column(name).to_pylist() for name in ("id", "source", "repo", "path"))
    members: dict[tuple[str, str | None], list[int]] = {}
    for row, (source, repo) in enumerate(zip(sources, repos, strict=True)):
        members.setdefault((source, repo) if repo is not None else (ids[row], None), []).append(row)
    order: list[int] = []
    groups: list[str | None] = []
    ranks: list[int | None] = []
    for (_, repo), its in members.items():
        if repo is None:
            order.extend(its)
            groups.extend([None] * len(its))
            ranks.extend([None] * len(its))
            continue
        its.sort(key=lambda row: (paths[row] or "", ids[row]))
        order.extend(its[place] for place in _places(docs, its, paths))
        groups.extend([repo] * len(its))
        ranks.extend(range(len(its)))
    return order, groups, ranks


def _places(docs: Documents, rows: list[int], paths: list[str | None]) -> list[int]:
    """The dependency order of `rows` (sorted by path) as places in that list."""
    from corpusmill.mixtures.repository.imports import language_of
    from corpusmill.mixtures.repository.order import dependencies_of, dependency_order

    names = [paths[row] or "" for row in rows]
    texts = docs.text
    bodies = [
        (texts[row].as_py() or "") if language_of(name) else "" for row, name in zip(rows, names, strict=True)
    ]
    ranked = [f"{name}\0{place:09d}" for place, name in enumerate(names)]  # distinct where paths repeat
    return dependency_order(ranked, dependencies_of(names, bodies))
