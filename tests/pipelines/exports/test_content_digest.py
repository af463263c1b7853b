"""The digest of an export: batches leave no trace in it, and any changed value does."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import SCHEMA, Documents
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


def documents(rows: list[dict[str, Any]]) -> Documents:
    return Documents(pa.Table.from_pylist(rows, SCHEMA))


def digest_of(*parts: Documents) -> bytes:
    digest = ContentDigest()
    for part in parts:
        digest.add(part)
    return digest.value()


@given(rows=ROWS, cut=st.integers(0, 6))
def test_batches_leave_no_trace(rows: list[dict[str, Any]], cut: int) -> None:
    whole = documents(rows)
    assert digest_of(whole.slice(0, cut), whole.slice(cut, len(rows))) == digest_of(whole)
    chunked = Documents(pa.concat_tables([whole.table.slice(0, cut), whole.table.slice(cut)]))
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


def test_a_value_that_moves_to_the_next_row_changes_it() -> None:
    def with_texts(*texts: str) -> Documents:
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
