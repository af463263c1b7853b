"""Repeated paragraphs and lines: equal to a walk over strings, in any layout of the data."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.kernels.murmur import murmur3_128
from corpusmill.dedup.matching.pieces import Comparing, hashed_pieces, site
from corpusmill.dedup.paragraph import Paragraph
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.text.compiled import compiled
from corpusmill.pipelines.text.kernels.memory import address
from tests.oracles import dedup_pieces as oracle
from tests.oracles.dedup_exchange import documents, edits_of
from tests.pipelines.run.edited import rows_of, run, write_recipe

words = st.sampled_from(
    ["a", "b", "A", "é", "e\u0301", "1", "٣", "，", "-", "水", "日本", "😀", "İ", " ", "\u3000", "\x1c"]
)
breaks = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \t\n", "\n\u3000\n", "\r\n\r\n", "\n\n\n"])
texts = st.lists(st.one_of(words, words, breaks), max_size=12).map("".join)
sites = st.sampled_from([None, "a.example", "b.example"])
corpora = st.lists(st.tuples(texts, st.sampled_from(["web", "code"]), sites), max_size=8)
Normalize = Literal["exact", "ccnet", "fold"]


def url(host: str | None) -> str | None:
    return host and f"https://WWW.{host.upper()}.:443/page"


def as_documents(corpus: list[tuple[str, str, str | None]]) -> tuple[Documents, list[oracle.Document]]:
    docs = documents(
        [text for text, _, _ in corpus],
        [source for _, source, _ in corpus],
        urls=[url(host) for _, _, host in corpus],
    )
    ids = docs.column("id").to_pylist()
    return docs, [
        oracle.Document(name, text, source, host)
        for name, (text, source, host) in zip(ids, corpus, strict=True)
    ]


def spans(found: list[dict[str, Any]], unit_rows: int) -> set[tuple[int, int, int, int | None]]:
    """Edits as the oracles have them."""
    made = set()
    for row in found:
        survivor = row["survivor_unit"]
        keeps = None if survivor is None else survivor * unit_rows + row["survivor_row"]
        made.add((row["unit"] * unit_rows + row["row"], row["start"], row["end"], keeps))
    assert len(made) == len(found)
    return made


@settings(deadline=None, max_examples=100)
@given(
    corpora,
    st.sampled_from(["paragraph", "line"]),
    st.sampled_from(["exact", "ccnet", "fold"]),
    st.sampled_from(["first", "none"]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([[], ["code"], ["web", "code"]]),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)),
)
def test_equals_the_oracle_in_any_layout(
    corpus: list[tuple[str, str, str | None]],
    unit: Any,
    normalize: Normalize,
    keep: Any,
    max_copies: int,
    min_characters: int,
    by_site: bool,
    priority: list[str],
    layout: tuple[int, int, int],
) -> None:
    docs, plain = as_documents(corpus)
    stage = Paragraph(
        unit=unit,
        normalize=normalize,
        keep=keep,
        max_copies=max_copies,
        min_characters=min_characters,
        min_words=0,
        within="site" if by_site else "corpus",
        priority=priority,
    )
    found = edits_of(stage, docs, *layout) if corpus else []
    assert {row["reason"] for row in found} <= {f"repeated_{unit}"}
    assert spans(found, layout[0]) == oracle.repeats(
        plain,
        paragraphs=unit == "paragraph",
        normalize=normalize,
        keep=keep,
        max_copies=max_copies,
        min_characters=min_characters,
        by_site=by_site,
        priority=priority,
    )


@compiled
def _hash(data: Any) -> tuple[Any, Any]:
    return murmur3_128(address(data), len(data))


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "00000000000000000000000000000000"),
        (b"hello", "cbd8a7b341bd9b025b1e906a48ae1d19"),
        (b"The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c7a433ca9c49a9347"),
    ],
)
def test_the_hash_is_murmur3(text: bytes, digest: str) -> None:
    """Published values of MurmurHash3_x64_128 with seed 0."""
    high, low = _hash(np.frombuffer(text, np.uint8))
    assert f"{int(high):016x}{int(low):016x}" == digest


def test_words_are_counted_in_scripts_without_spaces() -> None:
    docs = documents(["one two three, four", "one two three,", "水車小屋", "水車小", "a-b-c-d", "…—…—"])
    kept = hashed_pieces(docs, Comparing("line", "exact", 1, 4)).document.tolist()
    assert kept == [0, 2, 4]


def test_both_halves_of_the_hash_are_compared() -> None:
    """Pieces of one key but other upper halves are other pieces."""
    docs = documents(["a line", "a line", "a line"], ids=["1", "2", "3"])
    stage = Paragraph(preset="dolma")

    class Forged(Paragraph):
        def emit(self, docs: Documents, unit: int, rows: Any) -> Any:
            sent = stage.emit(docs, unit, rows)
            check = sent.rows.column("check").to_numpy() ^ np.array([0, 1, 0], np.uint64)
            at = sent.rows.column_names.index("check")
            return type(sent)(sent.rows.set_column(at, "check", pa.array(check)), sent.side)

    found = edits_of(Forged(preset="dolma"), docs, 9, 9, 1)
    assert [(row["row"], row["survivor_id"]) for row in found] == [(2, "1")]


def test_sources_that_are_not_named_stay() -> None:
    docs = documents(["same line\n"] * 4, ["web", "code", "web", "code"])
    found = edits_of(Paragraph(preset="dolma", sources=["web"]), docs, 9, 9, 2)
    assert len(found) == 1
    assert found[0]["row"] in (0, 2)
    assert found[0]["survivor_row"] in (0, 2)


def test_the_site_of_a_url() -> None:
    assert site("https://user@www.Example.org:8080/a?b") == "example.org"
    assert [site(url) for url in (None, "", "no url", "http://[broken", "mailto:a@b.example")] == [None] * 5
    assert site("http://www.example.org.") == site("ftp://example.org/") == "example.org"


def test_what_is_left_is_written_as_it_was(tmp_path: Path) -> None:
    """Line breaks of either kind, characters of several bytes, empty texts; a document that is emptied."""
    menu = "Startseite • 首页 😀 • Über uns und alle Angebote"
    texts = [
        f"{menu}\r\nOne text about rivers.\r\n",
        f"Another about 水車.\n{menu}\nand more\n",
        menu,
        f"{menu}\n\n{menu}",
        "",
        f"no break at the end\n{menu}",
    ]
    record = run(write_recipe(tmp_path, [texts], "{paragraph: {preset: dolma, min_characters: 20}}"))
    assert [text for _, text in rows_of(record)] == [
        "One text about rivers.\r\n",
        "Another about 水車.\nand more\n",
        f"{menu}\n\n",
        "",
        "no break at the end\n",
    ]
    (ledger,) = record.steps["dedup.paragraph"].ledger.record()
    assert ledger.removed["emptied"][0] == 1
    assert set(ledger.cut) == {"repeated_line"}


def test_one_paragraph_in_a_hundred_thousand_documents() -> None:
    same = "The same paragraph of more than forty characters stands in every document."
    docs = documents([f"{number}\n\n{same}" for number in range(100_000)])
    found = edits_of(Paragraph(), docs, 100_000, 50_000, 3)
    assert len({row["row"] for row in found}) == len(found) == 99_999
    best = min(zip(docs.sizes() * -1, docs.column("id").to_pylist(), strict=True))[1]
    assert {row["survivor_id"] for row in found} == {best}


def test_documents_that_are_nothing_but_one_paragraph(tmp_path: Path) -> None:
    """All but one are emptied, in time that grows with them and not with their square."""
    same = "The same paragraph of more than forty characters is all that there is."
    record = run(write_recipe(tmp_path, [[same] * 10_000], "paragraph"))
    assert [text for _, text in rows_of(record)] == [same]
    (ledger,) = record.steps["dedup.paragraph"].ledger.record()
    assert ledger.removed["emptied"][0] == 9_999


def test_units_and_order_of_the_input_change_nothing(tmp_path: Path) -> None:
    draw = random.Random(7)
    lines = [" ".join(draw.choices(["stone", "wéir", "水車", "race"], k=9)) for _ in range(300)]
    texts = ["\n".join(draw.choices(lines, k=4)) + f"\n{number}" for number in range(1500)]
    stage = "{paragraph: {preset: ccnet, keep: first}}"
    whole = run(write_recipe(tmp_path / "whole", [texts], stage))
    draw.shuffle(texts)
    small = ", split_bytes: 65536"
    parts = run(write_recipe(tmp_path / "parts", [texts], stage, reader=small))
    assert len(parts.view()) > len(whole.view()) == 1
    assert sorted(rows_of(whole)) == sorted(rows_of(parts))
    ledgers = [record.steps["dedup.paragraph"].ledger.record() for record in (whole, parts)]
    assert ledgers[0] == ledgers[1]
    assert ledgers[0][0].cut["repeated_line"] > 30_000
