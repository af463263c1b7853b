"""Clusters of removal lists: counted right, sampled or not, and the largest found in any case."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.storage import clusters
from corpusmill.pipelines.storage.clusters import clusters_of
from corpusmill.pipelines.storage.removed import removed_table, write_removed
from corpusmill.pipelines.storage.run_folder import StepFolder


def identity(number: int) -> str:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def folder_with(path: Path, survivors: list[tuple[int, str] | None]) -> StepFolder:
    """A step that removed a document for each survivor (None: without one), of a source; two files."""
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(survivors):
        row = {"unit": 0, "row": number, "id": identity(-1 - number), "stage": "s", "kind": "removed"}
        row |= {"reason": "r", "bytes": number + 1, "source": one[1] if one else "a"}
        rows.append(row | ({"survivor_id": identity(one[0]), "survivor_source": "a"} if one else {}))
    half = len(rows) // 2
    names = ["00000.removed.arrow", "00001.removed.arrow"]
    for name, part in zip(names, (rows[:half], rows[half:]), strict=True):
        write_removed(path / name, [removed_table(part[:3]), removed_table(part[3:])])
    files = [SimpleNamespace(name=name) for name in names]
    fake = SimpleNamespace(
        need_manifest=lambda: SimpleNamespace(rows=len(rows)),
        units=SimpleNamespace(files=lambda suffix: iter(files)),
        file=lambda name: path / name,
    )
    return cast("StepFolder", fake)


survivor = st.none() | st.tuples(st.integers(0, 12), st.sampled_from("abc"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(survivor, max_size=60), st.none() | st.sampled_from("abc"), st.integers(1, 4))
def test_every_cluster_is_counted(
    tmp_path: Path, survivors: list[tuple[int, str] | None], source: str | None, largest: int
) -> None:
    found = clusters_of(folder_with(tmp_path, survivors), largest, source)
    mine = [(n, one) for n, one in enumerate(survivors) if one and source in (None, one[1])]
    sizes = Counter(identity(one[0]) for _, one in mine)
    assert found.removed == len(mine)
    assert found.clusters == len(sizes) == sum(bar.clusters for bar in found.sizes)
    assert found.largest_cluster == max(sizes.values(), default=-1) + 1
    order = sorted(sizes, key=lambda one: (-sizes[one], one))
    assert len(found.largest) == min(largest, len(sizes))
    for one in found.largest:
        assert one.documents == sizes[one.survivor_id] >= sizes[order[len(found.largest) - 1]]
        members = [n for n, (of, _) in mine if identity(of) == one.survivor_id]
        assert one.bytes == sum(n + 1 for n in members)
        assert one.sources == {
            name: (
                sum(survivors[n] is not None and survivors[n][1] == name for n in members),  # type: ignore[index]
                sum(n + 1 for n in members if survivors[n][1] == name),  # type: ignore[index]
            )
            for name in sorted({survivors[n][1] for n in members})  # type: ignore[index]
        }
        assert one.examples == tuple(sorted(identity(-1 - n) for n in members)[:3])


def test_the_largest_are_found_where_only_some_clusters_are_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "SAMPLED_ROWS", 500)
    monkeypatch.setattr(clusters, "HEAVY", 64)
    small = [(n, "a") for n in range(1000) for _ in range(2)]
    large = [(10_000 + n, "a") for n in range(2) for _ in range(300 - 50 * n)]
    mixed: list[tuple[int, str] | None] = [*small, *large]
    random.Random(0).shuffle(mixed)
    found = clusters_of(folder_with(tmp_path, mixed), 2)
    assert [one.documents for one in found.largest] == [300, 250]
    assert found.largest_cluster == 301
    assert 0.15 < found.sampling_rate < 0.25
    assert abs(found.clusters - 1002) < 250
