"""The ledger balances or raises, and merging it is associative and commutative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import LedgerError
from corpusmill.pipelines.records.codec import encode
from corpusmill.pipelines.records.ledger import Entry, Ledger


def _entry(
    kept: int, removed: dict[str, int], quarantined: dict[str, int], cut: dict[str, int] | None = None
) -> Entry:
    entry = Entry("stage", "web")
    for n, reason, count in [(k, r, entry.remove) for r, k in removed.items()] + [
        (k, r, entry.quarantine) for r, k in quarantined.items()
    ]:
        entry.arrive(n, 10 * n)
        count(reason, n, 10 * n)
    entry.arrive(kept, 10 * kept)
    entry.keep(kept, 10 * kept, 7 * kept)
    for reason, size in (cut or {}).items():
        entry.arrive(0, size)
        entry.cut_out(reason, size)
    return entry


counts = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 50), max_size=3)
entries = st.builds(_entry, st.integers(0, 50), counts, counts, counts)


@given(entries)
def test_a_counted_entry_balances_and_a_lost_document_does_not(entry: Entry) -> None:
    entry.check("here")
    entry.documents_in += 1
    with pytest.raises(LedgerError, match=r"here, stage stage, source web: \d+ documents came in"):
        entry.check("here")


@given(entries)
def test_a_lost_byte_is_noticed(entry: Entry) -> None:
    entry.bytes_in += 1
    with pytest.raises(LedgerError, match="bytes came in"):
        entry.check("here")
    entry.bytes_in -= 1
    entry.cut_out("a", 1)
    with pytest.raises(LedgerError, match="bytes came in"):
        entry.check("here")


@given(entries)
def test_what_is_lost_is_counted_in_documents_and_bytes(entry: Entry) -> None:
    documents, size = entry.lost
    assert documents == entry.documents_in - entry.documents_kept
    assert size == entry.bytes_in - entry.bytes_kept
    assert ("cut" in encode(entry.record())) == (entry.bytes_cut > 0)


@given(st.lists(entries, min_size=1, max_size=5))
def test_totals_do_not_depend_on_order(parts: list[Entry]) -> None:
    forward = Ledger.total([[part.record()] for part in parts]).record()
    backward = Ledger.total([[part.record()] for part in reversed(parts)]).record()
    assert forward == backward
    assert forward[0].documents_in == sum(part.documents_in for part in parts)


def test_merging_leaves_the_parts_alone() -> None:
    part = _entry(1, {"a": 2}, {})
    held = part.record()
    Ledger.total([[held], [held]])
    assert held == part.record()
