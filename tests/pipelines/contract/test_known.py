"""Labels of documents of earlier runs: what they say comes back, and puts these documents first, in order."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.known import (
    Label,
    known_rows,
    label_of,
    labels_from,
    places,
    run_of,
    told,
)

slugs = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
labels = st.builds(
    Label,
    st.integers(0, 99_999),
    st.integers(0, 99_999),
    st.booleans(),
    st.tuples(slugs, slugs).map("/".join),
)


@given(labels, slugs)
def test_a_label_comes_back_and_a_source_is_none(label: Label, source: str) -> None:
    assert label_of(str(label)) == label
    assert told(str(label)) == label.told
    assert run_of(label.told) == label.told.split("/")[0]
    assert label_of(source) is None
    assert (told(source), run_of(source), run_of(None)) == (source, None, None)


@given(st.lists(labels, max_size=8), st.lists(slugs, max_size=6), st.lists(slugs, max_size=4))
def test_earlier_runs_come_first_then_sources_by_priority(
    known: list[Label], sources: list[str], priority: list[str]
) -> None:
    names = [*map(str, known), *sources]
    order = dict(zip(names, places(names, priority).tolist(), strict=True))

    def wanted(name: str) -> tuple[int, ...]:
        label = label_of(name)
        if label is not None:
            return 0, label.run, label.place
        return 1, priority.index(name) if name in priority else len(priority), 0

    for one in names:
        for other in names:
            assert (order[one] < order[other]) == (wanted(one) < wanted(other))


def test_labels_get_the_place_of_their_run_wherever_they_stand() -> None:
    source, other = str(Label(0, 2, True, "jan/web")), str(Label(0, 0, False, "jan/code"))
    facts = pa.array([[{"id": "a", "source": source}], [], [{"id": "b", "source": other}]])
    table = pa.table(
        {
            "key": pa.array([1, 2, 3], pa.uint64()),
            "source": [source, None, other],
            "first": facts,
            "wide": pa.array([[source], [], [other]]),
            "set": pa.array([[1], None, [2, 3]], pa.large_list(pa.uint32())),
        }
    )
    for part in (table, pa.concat_tables([table.slice(0, 1), table.slice(1)]), table.slice(1).slice(0)):
        moved = labels_from(part, 7)
        assert moved.schema.equals(part.schema)
        new = {source: str(Label(7, 2, True, "jan/web")), other: str(Label(7, 0, False, "jan/code"))}
        assert moved.column("source").to_pylist() == [
            new.get(name) for name in part.column("source").to_pylist()
        ]
        inner = [
            [{**fact, "source": new[fact["source"]]} for fact in row]
            for row in part.column("first").to_pylist()
        ]
        assert moved.column("first").to_pylist() == inner
        assert moved.select(["key", "wide", "set"]).equals(part.select(["key", "wide", "set"]))


@pytest.mark.parametrize("column", [None, [True, None, False]])
def test_rows_without_the_column_are_all_of_the_run_itself(column: list[bool | None] | None) -> None:
    rows = pa.table({"key": [1, 2, 3]} | ({} if column is None else {"known": column}))
    assert known_rows(rows).tolist() == ([False] * 3 if column is None else [True, False, False])
