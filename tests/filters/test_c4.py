"""The C4 rules: oracle, datatrove on the same sentences, examples, laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.c4 import C4
from tests.oracles import filters_c4 as oracle
from tests.oracles.filters_documents import TEXTS, check_split_law, documents

Rows = Callable[[str, int], list[dict[str, Any]]]

LINES = st.lists(
    st.sampled_from(
        ["One two three.", "Four five", "six!", "It is. It was.", "...", "[1]", "[edit]", "[١]",
         "[x]", "[", "Lorem ipsum.",
         "JavaScript", "Use cookies.", "{", '"', "'", " ", " ", "\n", "\n", "\r\n", "\x85",
         "中国人 说 好。", "?", "x" * 1001]
    ),
    max_size=30,
).map("".join)  # fmt: skip


def apply(stage: C4, *texts: str | None) -> list[tuple[str | None, str | None]]:
    outcome = stage.apply(documents(texts))
    assert outcome.faults.null_count == len(texts)
    return list(zip(outcome.reasons.to_pylist(), outcome.documents.text.to_pylist(), strict=True))


@given(LINES | TEXTS, st.booleans(), st.integers(0, 3))
def test_oracle(text: str, terminal: bool, least: int) -> None:
    assert apply(C4(terminal=terminal, min_sentences=least, languages=None), text) == [
        oracle.c4(text, terminal, least)
    ]


@settings(max_examples=40)
@given(texts=st.lists(LINES | TEXTS | st.none(), max_size=8), cut=st.integers(0, 8))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(C4(min_sentences=1), texts, min(cut, len(texts)))


PROSE = (
    "We met him in the morning. He was tall!\nNobody spoke? It rained all day long.\nThen came the end of it."
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (PROSE, (None, PROSE)),
        (f"Menu\n {PROSE}\nTwo words.\n", (None, PROSE)),
        (PROSE.replace("end", "end[12] [edit]"), (None, PROSE.replace("end", "end "))),
        (f"{PROSE}\nPlease enable Javascript in your browser.", (None, PROSE)),
        (f"{PROSE}\nWe use cookies to know you.", (None, PROSE)),
        (f"{PROSE}\nAnd then he said ...", (None, PROSE)),
        (f"{PROSE}\nfunction f() {{", (None, PROSE)),
        (f"{PROSE}\nfunction f() {{ return 1 }}.", ("curly_bracket", None)),
        (f"{PROSE}\nLorem Ipsum dolor sit amet.", ("lorem_ipsum", None)),
        ("We met him. He was tall.", ("too_few_sentences", None)),
        ("", ("too_few_sentences", None)),
        (None, ("too_few_sentences", None)),
        ("x" * 10_000_000, ("too_few_sentences", None)),
    ],
)
def test_examples(text: str | None, answer: tuple[str | None, str | None]) -> None:
    reason, edited = answer
    assert apply(C4(), text) == [(reason, text if reason else edited)]


def test_rules_can_be_off() -> None:
    off = C4(
        terminal=False, citations=False, min_sentences=None, min_words_per_line=None, max_word_length=None,
        lorem_ipsum=False, javascript=False, curly_bracket=False, policy=False,
    )  # fmt: skip
    text = "Lorem ipsum {\nJavascript [1]\nuse cookies\n" + "x" * 2000
    assert apply(off, text, "") == [(None, text), (None, "")]


def test_counts_are_written() -> None:
    table = C4().apply(documents([f"Menu\n{PROSE}"])).documents.table
    assert [table.column(f"c4.{name}").to_pylist() for name in ("sentences", "lines", "dropped_lines")] == [
        [5],
        [4],
        [1],
    ]


def test_equal_to_datatrove_on_the_same_sentences(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    filters = pytest.importorskip(
        "datatrove.pipeline.filters", reason="the peer, datatrove, is not installed"
    )
    from datatrove.data import Document

    monkeypatch.setattr(
        "datatrove.pipeline.filters.c4_filters.split_into_sentences",
        lambda line, _: [""] * oracle.count_sentences(line),
    )
    texts = [
        row["text"] for row in rows("text/cc_c4_redpajama_samples", 80) + rows("code/code_packages", 100)
    ]
    texts += [row["text"] for row in rows("text/wikitext2_valid_test", 6) + rows("text/ruanyf_weekly_zh", 4)]
    for terminal in (True, False):
        peer = filters.C4QualityFilter(filter_no_terminal_punct=terminal)
        expected = []
        for text in texts:
            document = Document(text=text, id="")
            verdict = peer.filter(document)
            expected.append((None, document.text) if verdict is True else (verdict[1], text))
        assert apply(C4(terminal=terminal, languages=None), *texts) == expected
        assert len({reason for reason, _ in expected}) >= 3


JAPANESE = "町の図書館は来月から日曜日にも開きます。「静かに読める部屋が増えます。」と係の人は話しています。"


def test_other_languages_stay_unless_they_are_named() -> None:
    texts = [f"{JAPANESE}\n{{ メニュー }}", "Ein Satz ohne Ende\n", JAPANESE, "Too short."]
    languages = ["ja", "de", None, "en"]
    outcome = C4().apply(documents(texts, lang=languages))
    assert outcome.reasons.to_pylist() == [None, None, None, "too_few_sentences"]
    assert outcome.documents.text.to_pylist() == texts
    assert outcome.documents.column("c4.lines").to_pylist() == [None, None, None, 1]


def test_marks_of_every_script_end_lines_of_other_languages() -> None:
    lines = [JAPANESE, "メニュー", "雨の日には地図を見ます！", "「本を読みます。」", "左", "यह एक पुस्तकालय है।"]
    text = "\n".join(lines)
    stage = C4(languages=("ja",), min_sentences=1)
    kept = stage.apply(documents([text], lang=["ja"])).documents.text[0].as_py()
    assert kept.split("\n") == [lines[0], lines[2], lines[3], lines[5]]
    # By the rules for English none of these lines ends a sentence.
    english = C4(languages=None, min_sentences=0).apply(documents([text], lang=["en"]))
    assert english.documents.text[0].as_py() == ""
