"""Exact duplicates: groups by text, survivors by the order, any layout."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.exact import Exact
from corpusmill.pipelines.contract.documents import Documents
from tests.oracles.dedup_exchange import documents, pairs_and_removals, removals


def brute_force(docs: Documents, priority: list[str], whitespace: bool) -> dict[str, tuple[str, float]]:
    rows = docs.table.select(["id", "text", "source"]).to_pylist()
    groups: dict[str, list[tuple[int, int, str]]] = {}
    for row in rows:
        text = " ".join(row["text"].split()) if whitespace else row["text"]
        place = priority.index(row["source"]) if row["source"] in priority else len(priority)
        groups.setdefault(text, []).append((place, -len(row["text"].encode()), row["id"]))
    return {
        id_: (min(group)[2], 1.0)
        for group in groups.values()
        for place, size, id_ in group
        if (place, size, id_) != min(group)
    }


@settings(deadline=None, max_examples=75)
@given(
    st.lists(
        st.tuples(st.text("aé \n\t\u3000", max_size=4), st.sampled_from(["web", "code", "math"])), max_size=25
    ),
    st.lists(st.sampled_from(["web", "code", "math", "absent"]), unique=True),
    st.booleans(),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_equals_brute_force_in_any_layout(
    rows: list[tuple[str, str]], priority: list[str], whitespace: bool, unit: int, batch: int, partitions: int
) -> None:
    docs = documents([text for text, _ in rows], [source for _, source in rows])
    stage = Exact(normalize="whitespace" if whitespace else "none", priority=priority)
    assert removals(stage, docs, unit, batch, partitions) == brute_force(docs, priority, whitespace)


def test_a_sliced_batch_reads_its_own_rows() -> None:
    docs = documents(["a", "b", "a", "b", "c"], ids=["1", "2", "3", "4", "5"])
    assert removals(Exact(), docs.slice(1, 4)) == {"4": ("2", 1.0)}


def test_all_of_the_hash_is_compared() -> None:
    """Rows of one key but another high half or length are other documents."""
    docs = documents(["same", "same", "same", "same"], ids=["1", "2", "3", "4"])
    emitted = Exact().emit(docs, 0, np.arange(4, dtype=np.uint32)).rows
    high = emitted.column("high").to_pylist()
    length = emitted.column("length").to_pylist()
    position = emitted.column_names.index
    forged = emitted.set_column(position("high"), "high", [[high[0], high[1] ^ 1, high[2], high[3]]])
    forged = forged.set_column(position("length"), "length", [[length[0], length[1], 99, length[3]]])
    forged = forged.cast(emitted.schema)
    removed = Exact().reduce(forged)
    assert removed.column("id").to_pylist() == ["4"]
    assert removed.column("survivor_id").to_pylist() == ["1"]


def test_addresses_and_bytes_of_removals() -> None:
    docs = documents(["one", "two", "one", "three", "two"], ids=["a", "b", "c", "d", "e"])
    _, removed = pairs_and_removals(Exact(), docs, 2, 1, 4)
    rows = {r["id"]: r for r in removed.to_pylist()}
    assert set(rows) == {"c", "e"}
    assert (rows["c"]["unit"], rows["c"]["row"], rows["c"]["bytes"]) == (1, 0, 3)
    assert (rows["e"]["survivor_unit"], rows["e"]["survivor_row"], rows["e"]["survivor_id"]) == (0, 1, "b")
    assert rows["c"]["reason"] == "exact_duplicate"


def test_whitespace_and_case() -> None:
    docs = documents(["a b", " a\n b ", "A b", "a\u3000b"], ids=["1", "2", "3", "4"])
    assert removals(Exact(), docs) == {}
    # " a\n b " and "a\u3000b" have 6 and 5 bytes, "a b" has 3: the longest text survives
    assert removals(Exact(normalize="whitespace"), docs) == {"1": ("2", 1.0), "4": ("2", 1.0)}
