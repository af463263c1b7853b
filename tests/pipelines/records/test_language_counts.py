"""Counts by language are sums whatever the order, and a document's language never unbalances the ledger."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.inspection.language_facts import languages_of, render_languages, unjudged
from corpusmill.pipelines.records.codec import decode, encode
from corpusmill.pipelines.records.language_counts import MOST, OTHERS, LanguageCount, add, recorded
from corpusmill.pipelines.records.ledger import Entry, Ledger, LedgerEntry

# A document: its language, and what removes it at which of two stages.
Document = tuple[str | None, tuple[str, str] | None, int]
DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from(["en", "ja", "pl", None]),
        st.sampled_from([None, ("first", "short"), ("second", "short"), ("second", "long")]),
        st.integers(0, 90),
    ),
    max_size=30,
)


def _unit(documents: list[Document]) -> tuple[LedgerEntry, ...]:
    """The ledger of a unit with these documents, counted one by one."""
    ledger = Ledger()
    for language, lost, size in documents:
        for stage in ("first", "second"):
            entry = ledger.entry(stage, "web")
            entry.arrive(1, size)
            if lost is not None and lost[0] == stage:
                entry.remove(lost[1], 1, size)
                if language:
                    add(entry.language(language).removed, lost[1], 1, size)
                break
            entry.keep(1, size, size)
            if language and stage == "second":
                entry.language(language).keep(1, size)
    return ledger.record()


@given(st.lists(DOCUMENTS, min_size=1, max_size=4))
def test_rows_count_each_document_once(units: list[list[Document]]) -> None:
    total = Ledger.total(map(_unit, units)).record()
    everything = [document for unit in units for document in unit]
    rows = languages_of(total).get("web", ())
    known = any(language for language, _, _ in everything)
    assert bool(rows) == known
    expected: dict[str | None, list[int]] = {}
    for language, lost, size in everything if known else []:
        held = expected.setdefault(language, [0, 0, 0, 0])
        held[0] += 1
        held[1] += size
        held[2] += lost is None
        held[3] += size if lost is None else 0
    assert {
        row.language: [row.documents_in, row.bytes_in, row.documents_kept, row.bytes_kept] for row in rows
    } == expected
    for row in rows:
        assert row.documents_in == row.documents_kept + row.documents_removed + row.documents_quarantined
        assert row.bytes_in == row.bytes_kept + row.bytes_removed + row.bytes_quarantined
        assert sum(loss.documents for loss in row.lost) == row.documents_removed
    assert total == tuple(decode(LedgerEntry, encode(entry), "here") for entry in total)


def test_of_more_languages_than_are_told_apart_the_rest_is_added_up() -> None:
    counts = {f"x{n:03d}": LanguageCount((1, 10)) for n in range(MOST + 5)}
    counts["x260"].keep(4, 40)
    counts[OTHERS] = LanguageCount(unjudged=3)
    entries = recorded(counts)
    assert len(entries) == MOST
    assert entries["x260"].kept == (5, 50)
    assert sum(entry.kept[0] for entry in entries.values()) == MOST + 9
    assert entries[OTHERS].unjudged == 3
    again = {code: LanguageCount() for code in entries}
    for code, entry in entries.items():
        again[code].merge(entry)
    assert recorded(again) == entries


def test_what_is_not_judged_is_named_with_its_stage() -> None:
    entry = Entry("gopher", "web", 9, 90, 9, 90, 90)
    for language, documents in (("pl", 2), ("th", 5), ("en", 0)):
        entry.language(language).keep(3, 30)
        entry.language(language).unjudged = documents
    ledger = [entry.record()]
    assert unjudged(languages_of(ledger)["web"]) == {"gopher": [("th", 5), ("pl", 2)]}
    said = "web: not judged by gopher, which has no limits for them: th 5, pl 2"
    assert render_languages(ledger)[-1] == said
    assert render_languages([Entry("gopher", "code", 1, 1, 1, 1, 1).record()]) == []
