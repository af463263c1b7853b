"""The digest of an export: batches leave no trace in it, and any changed value does."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import SCHEMA
from corpusmill.pipelines.exports.content_digest import ContentDigest

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            field.name: st.none() | st.text(max_size=3) if field.nullable else st.text(max_size=3)
            for field in SCHEMA
        }
    ),
    min_size=1,
    max_size=6,
)


WITH_SCORES = pa.schema(
    [
        *SCHEMA,
        pa.field("scores", pa.struct({"n": pa.float64(), "spans": pa.list_(pa.int32()), "yes": pa.bool_()})),
    ]
)
SCORES = st.none() | st.fixed_dictionaries(
    {
        "n": st.none() | st.floats(allow_nan=False, width=32),
        "spans": st.none() | st.lists(st.integers(0, 9), max_size=3),
        "yes": st.none() | st.booleans(),
    }
)


def documents(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def digest_of(*parts: pa.Table) -> bytes:
    digest = ContentDigest()
    for part in parts:
        digest.add(part)
    return digest.value()


@given(rows=ROWS, cut=st.integers(0, 6))
def test_batches_leave_no_trace(rows: list[dict[str, Any]], cut: int) -> None:
    whole = documents(rows)
    assert digest_of(whole.slice(0, cut), whole.slice(cut, len(rows))) == digest_of(whole)
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    assert digest_of(chunked) == digest_of(whole)


@given(rows=ROWS, data=st.data())
def test_any_changed_value_changes_it(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(SCHEMA.names))
    was = rows[at][name]
    other = None if was == "" and SCHEMA.field(name).nullable else (was or "") + "x"
    changed = [dict(row) for row in rows]
    changed[at][name] = other
    assert digest_of(documents(changed)) != digest_of(documents(rows))


@given(
    scores=st.lists(SCORES, min_size=1, max_size=6),
    cut=st.integers(0, 6),
    at=st.integers(0, 5),
    other=SCORES,
)
def test_scores_count_and_their_batches_do_not(
    scores: list[dict[str, Any] | None], cut: int, at: int, other: dict[str, Any] | None
) -> None:
    def table(values: list[dict[str, Any] | None]) -> pa.Table:
        rows = [{**dict.fromkeys(SCHEMA.names, "a"), "scores": one} for one in values]
        return pa.Table.from_pylist(rows, WITH_SCORES)

    whole = table(scores)
    assert digest_of(whole.slice(0, cut), whole.slice(cut)) == digest_of(whole)
    at %= len(scores)
    changed = table([*scores[:at], other, *scores[at + 1 :]])
    same = [one == two for one, two in zip(changed.to_pylist(), whole.to_pylist(), strict=True)]
    assert (digest_of(changed) == digest_of(whole)) == all(same)


def test_a_value_that_moves_to_the_next_row_changes_it() -> None:
    def with_texts(*texts: str) -> pa.Table:
        return documents([{**dict.fromkeys(SCHEMA.names, "a"), "text": text} for text in texts])

    assert digest_of(with_texts("ab", "c")) != digest_of(with_texts("a", "bc"))


def test_bytes_are_compared_whatever_their_pieces() -> None:
    one, other = ContentDigest(), ContentDigest()
    one.add_bytes(b"abc")
    other.add_bytes(b"a")
    other.add_bytes(b"bc")
    assert one.value() == other.value()
    other.add_bytes(b"d")
    assert one.value() != other.value()
