"""The Gopher and FineWeb rules: oracles, datatrove on the same words, examples, laws."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.pipelines.contract.stage import Filter
from corpusmill.pipelines.text import characters as ch
from tests.oracles import filters_gopher as oracle
from tests.oracles import text_words
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons

Rows = Callable[[str, int], list[dict[str, Any]]]
STAGES = [GopherQuality(), GopherRepetition(), FinewebQuality()]


def score_of(stage: Filter, text: str) -> dict[str, float | int | None]:
    columns = stage.score(documents([text]))
    values = {name: pa.array(column)[0].as_py() for name, column in columns.items()}
    assert values.pop("limits") is None
    return values


REPEATED = st.lists(st.sampled_from(["a", "b", "ab", "c.", "中", "\n", "\n\n"]), max_size=120).map(" ".join)


@given(TEXTS)
def test_quality_oracle(text: str) -> None:
    stage = GopherQuality(by_language={})
    assert score_of(stage, text) == oracle.gopher_quality(text, stage.stop_words)


@given(TEXTS | REPEATED)
def test_repetition_oracle(text: str) -> None:
    stage = GopherRepetition(
        max_top_ngrams={1: 0.5, 2: 0.2, 4: 0.1},
        max_duplicate_ngrams={1: 0.9, 3: 0.5, 5: 0.1, 9: 0.1},
        by_language={},
    )
    assert score_of(stage, text) == oracle.gopher_repetition(text, (1, 2, 4), (1, 3, 5, 9))


@given(TEXTS | REPEATED)
def test_default_ngrams_oracle(text: str) -> None:
    stage = GopherRepetition(by_language={})
    assert score_of(stage, text) == oracle.gopher_repetition(text, (2, 3, 4), (5, 6, 7, 8, 9, 10))


@given(TEXTS, st.integers(0, 40))
def test_fineweb_oracle(text: str, short: int) -> None:
    assert score_of(FinewebQuality(short_line=short, by_language={}), text) == oracle.fineweb_quality(
        text, short
    )


def test_long_documents_grow_the_tables() -> None:
    words = [f"w{random.Random(7).randrange(900)}" for _ in range(3)] * 4_000
    varied = random.Random(8)
    words += [f"w{varied.randrange(900)}" for _ in range(30_000)]
    lines = [" ".join(words[k : k + 7]) for k in range(0, len(words), 7)]
    text = "\n".join(lines + lines[:50])
    short = "a b a b a b"
    stage = GopherRepetition(by_language={})
    got = stage.score(documents([short, text, short]))
    expected = [oracle.gopher_repetition(t, (2, 3, 4), (5, 6, 7, 8, 9, 10)) for t in (short, short)]
    for name, column in got.items():
        if name != "limits":
            assert column[0].as_py() == column[2].as_py() == expected[0][name]
    # The quadratic part of the oracle is kept off the long text.
    tokens = text_words.split_words(text)
    assert got["top_2_gram"][1].as_py() == oracle.top_ngram(tokens, 2) / len(text)
    assert got["duplicate_5_gram"][1].as_py() == oracle.duplicate_ngrams(tokens, 5) / len(text)
    assert got["duplicate_10_gram"][1].as_py() == oracle.duplicate_ngrams(tokens, 10) / len(text)


def test_documents_of_every_size_share_one_table() -> None:
    many = [*range(70), *range(69, 0, -5), 300, 3]
    lines = [[f"a{k}, b{k // 2} c{k}." for k in range(n)] for n in many]
    texts = ["\n".join(each + each[: len(each) // 3]) for each in lines]
    stage = GopherRepetition(
        max_top_ngrams={1: 0.5, 2: 0.2}, max_duplicate_ngrams={1: 0.9, 3: 0.5, 5: 0.1}, by_language={}
    )
    for filter_, expect in (
        (stage, lambda text: oracle.gopher_repetition(text, (1, 2), (1, 3, 5))),
        (FinewebQuality(), lambda text: oracle.fineweb_quality(text, 30)),
    ):
        got = filter_.score(documents(texts))
        for number, text in enumerate(texts):
            for name, value in expect(text).items():
                assert pa.array(got[name])[number].as_py() == value, (name, number)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@settings(max_examples=40)
@given(texts=st.lists(TEXTS | st.none(), max_size=8), cut=st.integers(0, 8))
def test_split_law(stage: Filter, texts: list[str | None], cut: int) -> None:
    check_split_law(stage, texts, min(cut, len(texts)))


GOOD = (
    "The quick brown fox was to jump over a lazy dog of the house, and it did so with joy that day. "
    "Nobody could have known what the animals would do next; some people think they were playing games. "
    "In later years, children told each other different stories about this event, adding details every time."
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("", "gopher_short_doc"),
        ("word " * 49, "gopher_short_doc"),
        (", " * 200, "gopher_short_doc"),
        ("the of a " * 33_400, "gopher_long_doc"),
        ("to be " * 60, "gopher_below_avg_threshold"),
        ("incomprehensibilities " * 60, "gopher_above_avg_threshold"),
        (GOOD + "# " * 40, "gopher_too_many_hashes"),
        (GOOD + "... " * 40, "gopher_too_many_ellipsis"),
        ("\n".join("- the word of honour" for _ in range(30)), "gopher_too_many_bullets"),
        (
            "\n".join(f"the word of honour is told {k} ..." if k % 2 else GOOD for k in range(9)),
            "gopher_too_many_end_ellipsis",
        ),
        (GOOD + " 1234" * 60, "gopher_below_alpha_threshold"),
        ("nothing stops here " * 40, "gopher_few_stop_words"),
        ("中文文本" * 100, "gopher_few_stop_words"),  # judged as Chinese, by its script
        ("x" * 10_000_000, "gopher_short_doc"),
        ("\0" * 1000, "gopher_short_doc"),
        (GOOD.replace(". ", ".\r\n"), None),
    ],
)
def test_quality_reasons(text: str, reason: str | None) -> None:
    assert reasons(GopherQuality(), [text]) == [reason]


def test_each_quality_rule_can_be_off_and_zero_is_a_limit() -> None:
    assert reasons(GopherQuality(min_words=None, min_stop_words=None), ["", "word word"]) == [None, None]
    assert reasons(GopherQuality(min_words=0, max_words=0), [GOOD]) == ["gopher_long_doc"]
    assert reasons(GopherQuality(max_symbols_per_word=0.0), [GOOD + " #"]) == ["gopher_too_many_hashes"]


def test_limits_by_language() -> None:
    chinese = (
        "我们在这里说的是一个很长的故事，" * 3
        + "他就住在山的那一边，每天早上都要走很远的路去学校。他的朋友也不少，大家都喜欢和他一起玩。"
    )
    texts, languages = [chinese, chinese, GOOD], ["zh", None, "en"]
    assert reasons(GopherQuality(), texts, lang=languages) == [None, None, None]
    foreign = ["fr", "pl", None]
    assert reasons(GopherQuality(), texts, lang=foreign) == ["gopher_below_avg_threshold", None, None]
    assert reasons(GopherQuality(by_language={}), texts, lang=languages)[0] == "gopher_below_avg_threshold"
    strict = GopherQuality.model_validate({"by_language": {"en": {"min_words": 500}}})
    assert reasons(strict, [GOOD, GOOD], lang=["en", "de"]) == ["gopher_short_doc", None]
    lines = "\n".join(f"第{k}行写着一些不同的文字。" for k in range(30))
    assert reasons(FinewebQuality(), [lines, lines], lang=["zh", "en"]) == [None, "short_line_ratio"]
    repeated = "".join(f"甲乙丙丁戊己庚{chr(0x4E00 + 7 * k)}{chr(0x5000 + 11 * k)}" for k in range(40))
    assert reasons(GopherRepetition(), [repeated, repeated], lang=["zh", "en"]) != [None, None]


def test_entries_by_language_take_what_they_leave_out_from_the_stage() -> None:
    stage = GopherQuality.model_validate({"min_words": 3, "by_language": {"zh": {"min_stop_words": 1}}})
    assert (stage.by_language["zh"].min_words, stage.by_language["zh"].min_stop_words) == (3, 1)
    for kind in (GopherQuality, GopherRepetition, FinewebQuality):
        changed = kind.model_validate({"by_language": {"de": {}, "zh": {}}})
        for again in (changed, kind()):
            assert kind.model_validate_json(again.model_dump_json()) == again
        assert kind.model_json_schema()["additionalProperties"] is False
    assert GopherQuality(min_words=3).by_language["zh"].min_words == 75


def test_a_stop_word_must_be_one_token() -> None:
    with pytest.raises(ValueError, match="'well-known' is 3 tokens"):
        GopherQuality(stop_words=("well-known",)).score(documents([GOOD]))
    with pytest.raises(ValidationError):
        GopherQuality.model_validate({"min_word": 3})
    with pytest.raises(ValidationError):
        GopherQuality.model_validate({"by_language": {"zh": {"min_word": 3}}})


PARAGRAPH = "This is one paragraph of some length that says the same thing."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("", "empty"),
        (" ", None),
        ("\n\n".join([PARAGRAPH] * 3), "dup_para_frac"),
        (
            "\n\n".join(["a b c", "d e f", "g h i", "j k l", PARAGRAPH * 5, PARAGRAPH * 5]),
            "dup_para_char_frac",
        ),
        ("\n".join(["x", "x", "x", GOOD]), "dup_line_frac"),
        ("\n".join([GOOD[:90], GOOD[90:130], GOOD[130:200], GOOD[200:], GOOD[200:]]), "dup_line_char_frac"),
        ("one two " * 20, "top_2_gram"),
        (
            f"{PARAGRAPH} Others doubt every word. {GOOD[:200]} {PARAGRAPH} Others doubt every word.",
            "duplicated_5_n_grams",
        ),
        ("\n" + GOOD + "\n", "dup_line_frac"),  # the empty pieces at both ends count, as in the reference
    ],
)
def test_repetition_reasons(text: str, reason: str | None) -> None:
    assert reasons(GopherRepetition(), [text]) == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, None),
        ("", "empty"),
        (" \n\t\n", "empty"),
        ("\n".join(f"{GOOD} {k}" for k in range(9)), "line_punct_ratio"),
        ("\n".join(f"Line number {k}." for k in range(9)), "short_line_ratio"),
        ("\n".join([GOOD, GOOD]), "char_dup_ratio"),
        (GOOD + "\n" * 40, "list_ratio"),
        ("\r\n".join([GOOD, GOOD[::-1] + "."]), None),  # both lines end in their full stop
        (f"{GOOD}\rno mark\rnor here\r\nnor here", "line_punct_ratio"),
        ("我们都在这里等着你们回来一起吃饭，然后一起去看那场大家都说很好看的电影。", None),
    ],
)
def test_fineweb_reasons(text: str, reason: str | None) -> None:
    if text.count("\r"):
        assert reasons(FinewebQuality(min_terminated_lines=0.6), [text]) == [reason]
    else:
        assert reasons(FinewebQuality(), [text]) == [reason]


def test_judging_needs_only_the_scores_as_stored() -> None:
    docs = documents([GOOD, "", "one two " * 20], ["zh", None, "en"])
    for stage in STAGES:
        outcome = stage.apply(docs)
        table = outcome.documents.table
        stored = {
            name.removeprefix(f"{stage.name}."): table.column(name).combine_chunks()
            for name in table.column_names
            if name.startswith(f"{stage.name}.")
        }
        assert stage.judge(stored).equals(outcome.reasons)


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Filter, Any]]:
    """datatrove's filters, reading the words of our oracle, and the stages that should agree with them."""
    filters = pytest.importorskip(
        "datatrove.pipeline.filters", reason="the peer, datatrove, is not installed"
    )
    for module in ("gopher_quality_filter", "gopher_repetition_filter", "fineweb_quality_filter"):
        monkeypatch.setattr(
            f"datatrove.pipeline.filters.{module}.split_into_words",
            lambda text, _: text_words.split_words(text),
        )
    return [
        (GopherQuality(by_language={}), filters.GopherQualityFilter()),
        (GopherRepetition(by_language={}), filters.GopherRepetitionFilter()),
        (FinewebQuality(by_language={}), filters.FineWebQualityFilter()),
    ]


def test_equal_to_datatrove_on_the_same_words(peers: list[tuple[Filter, Any]], rows: Rows) -> None:
    from datatrove.data import Document

    texts = [GOOD, "the of " * 60, "\n".join([GOOD] * 2), PARAGRAPH]
    for name, most in (
        ("text/cc_c4_redpajama_samples", 80),
        ("text/tldr_pages_multilang", 120),
        ("text/wikitext2_valid_test", 6),
        ("text/ruanyf_weekly_zh", 4),
        ("code/code_packages", 30),
    ):
        texts += [row["text"] for row in rows(name, most) if row["text"].split()]
    for stage, peer in peers:
        expected = []
        for text in texts:
            verdict = peer.filter(Document(text=text, id=""))
            expected.append(None if verdict is True else verdict[1].replace("gopher_enough_", "gopher_few_"))
        assert reasons(stage, texts) == expected
        assert len(set(expected)) > 3


def test_agreement_with_datatrove_on_its_own_words(rows: Rows) -> None:
    """Share of real documents without Chinese on which the decision, and the reason, are datatrove's."""
    pytest.importorskip("spacy", reason="spaCy, by which datatrove splits words, is not installed")
    filters = pytest.importorskip(
        "datatrove.pipeline.filters", reason="the peer, datatrove, is not installed"
    )
    from datatrove.data import Document

    texts = [row["text"] for row in rows("text/cc_c4_redpajama_samples", 165)]
    texts += [row["text"] for row in rows("text/wikitext2_valid_test", 30)]
    for stage, peer in (
        (GopherQuality(), filters.GopherQualityFilter()),
        (GopherRepetition(), filters.GopherRepetitionFilter()),
        (FinewebQuality(), filters.FineWebQualityFilter()),
    ):
        verdicts = [peer.filter(Document(text=text, id="")) for text in texts]
        expected = [None if v is True else v[1].replace("gopher_enough_", "gopher_few_") for v in verdicts]
        ours = reasons(stage, texts)
        decisions = np.mean([(a is None) == (b is None) for a, b in zip(ours, expected, strict=True)])
        same = np.mean([a == b for a, b in zip(ours, expected, strict=True)])
        assert decisions >= 0.98, stage.name
        assert same >= 0.97, stage.name


def test_sets_of_characters_are_datatroves() -> None:
    text = pytest.importorskip("datatrove.utils.text", reason="the peer, datatrove, is not installed")
    table = ch.character_table()
    assert {chr(c) for c in np.flatnonzero(table & ch.TERMINAL)} == text.TERMINAL_PUNCTUATION
    assert {chr(c) for c in np.flatnonzero(table & ch.SYMBOL)} == text.PUNCTUATION_SET
