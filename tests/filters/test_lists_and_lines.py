"""Addresses, words and lines: lists given as files, and lines that are no prose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.filters.bad_words import BadWords
from corpusmill.filters.refined_lines import RefinedLines
from corpusmill.filters.url_rules import UrlRules
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import UserError
from tests.oracles.filters_documents import TEXTS, check_split_law, documents


def with_urls(urls: list[str | None]) -> Documents:
    import pyarrow as pa

    docs = documents(["text"] * len(urls))
    return docs.with_columns({"url": pa.array(urls, pa.string())})


def lists(folder: Path, **entries: str) -> dict[str, Path]:
    for name, content in entries.items():
        (folder / name).write_text(content, "utf-8")
    return {name: folder / name for name in entries}


def test_url_rules(tmp_path: Path) -> None:
    files = lists(
        tmp_path,
        domains="# blocked\nbad.example\n\nSPAM.example.\n",
        urls="https://www.news.example/one/\n",
        hard="casino\n",
        soft="win\nbonus\nfree\n",
    )
    stage = UrlRules(
        domains=(files["domains"],),
        urls=(files["urls"],),
        hard_words=files["hard"],
        soft_words=files["soft"],
    )
    cases = {
        "http://bad.example/": "blocked_domain",
        "https://a.b.bad.example:8080/x": "blocked_domain",
        "https://notbad.example/": None,
        "HTTPS://Spam.Example/a": "blocked_domain",
        "http://news.example/one?a=b#c": "blocked_url",
        "http://news.example/one/two": None,
        "http://x.example/best-casino-list": "hard_word",
        "http://x.example/casinos": None,
        "http://x.example/free": None,
        "http://x.example/free/free": None,
        "http://x.example/Free-BONUS": "soft_words",
        "http://[broken": None,
        "": None,
    }
    assert stage.apply(with_urls([*cases, None])).reasons.to_pylist() == [*cases.values(), None]
    assert stage.external_files() == tuple(files.values())
    hosts = stage.apply(with_urls(["http://A.example:80/b", None])).documents.column("url_rules.host")
    assert hosts.to_pylist() == ["a.example", None]
    check_split_law(stage, ["a", None, "b"], 1)


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8 at byte 0"):
        UrlRules(hard_words=tmp_path / "latin").apply(with_urls(["http://a.example"]))
    (tmp_path / "empty").write_text("# nothing\n", "utf-8")
    with pytest.raises(UserError, match="has no entry"):
        UrlRules(domains=(tmp_path / "empty",)).apply(with_urls(["http://a.example"]))


@pytest.mark.parametrize(
    "entry", ["http://bad.example/", "0.0.0.0 bad.example", "bad.example:80", "a.*.example"]
)
def test_a_domain_that_would_block_nothing_is_an_error(tmp_path: Path, entry: str) -> None:
    files = lists(tmp_path, domains=f"good.example\n{entry}\n")
    with pytest.raises(UserError, match=r"domains: `.*` is no domain; write one a line"):
        UrlRules(domains=(files["domains"],)).prepare(Context())


def test_a_star_before_a_domain_is_left_out(tmp_path: Path) -> None:
    files = lists(tmp_path, domains="*.bad.example\n.worse.example\nbücher.example\n")
    stage = UrlRules(domains=(files["domains"],)).prepare(Context())
    urls = [
        "http://a.bad.example",
        "http://x.worse.example/",
        "http://www.bücher.example/",
        "http://b.example",
    ]
    assert stage.apply(with_urls([*urls])).reasons.to_pylist() == [*["blocked_domain"] * 3, None]


def test_bad_words_with_a_letter_whose_lower_case_is_longer(tmp_path: Path) -> None:
    stage = BadWords(lists=lists(tmp_path, tr="İğrenç\n", el="ΟΔΟΣ\n")).prepare(Context(seed=1))
    docs = documents(["bu İğrenç şey", "η οδός, η οδος"], lang=["tr", "el"])
    assert stage.apply(docs).documents.column("bad_words.word").to_pylist() == ["İğrenç", "οδος"]


def bad_words(folder: Path, **options: float) -> BadWords:
    files = lists(folder, en="darn\nheck no\nc++x\n", ja="だめ\n")
    stage = BadWords(lists=files, **options)  # type: ignore[arg-type]
    return stage.prepare(Context(seed=1))


def test_bad_words_by_language(tmp_path: Path) -> None:
    stage = bad_words(tmp_path)
    texts = [
        "Well, DARN it.",
        "darning socks",
        "oh Heck\nno!",
        "use c++x.",
        "それはだめです",
        "darn",
        "darn",
        None,
    ]
    languages = ["en", "en", "en", "en", "ja", "ja", None, "en"]
    outcome = stage.apply(documents(texts, lang=languages))
    words = outcome.documents.column("bad_words.word").to_pylist()
    assert words == ["DARN", None, "Heck\nno", "c++x", "だめ", None, None, None]
    assert outcome.reasons.to_pylist() == [None if word is None else "bad_words" for word in words]
    check_split_law(stage, texts, 3)


def test_a_seeded_share_of_documents_with_bad_words_stays(tmp_path: Path) -> None:
    docs = documents(["darn"] * 2_000, lang=["en"] * 2_000)
    kept = bad_words(tmp_path, keep_share=0.25).apply(docs).reasons.null_count
    assert 400 < kept < 600
    assert bad_words(tmp_path, keep_share=1.0).apply(docs).reasons.null_count == 2_000
    with pytest.raises(ValidationError, match="`jp` is no code of the model; write `ja`"):
        BadWords(lists={"jp": tmp_path / "ja"})
    with pytest.raises(RuntimeError, match="call prepare first"):
        BadWords(lists={"en": tmp_path / "en"}).apply(docs)


PROSE = "The library of the town is open on Sundays, and the new rooms are quiet enough to read in them.\n"


def refined(text: str, **options: object) -> tuple[str, str | None, list[str]]:
    outcome = RefinedLines.model_validate(options).apply(documents([text]))
    spans = outcome.documents.column("refined_lines.spans")[0].as_py()
    kept = outcome.documents.text[0].as_py()
    data = text.encode()
    if outcome.reasons[0].as_py() is None:  # what is cut and what stays is the text
        for span in reversed(spans):
            data = data[: span["start"]] + data[span["stop"] :]
        assert data.decode() == kept
    return kept, outcome.reasons[0].as_py(), [span["rule"] for span in spans]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("LATEST NEWS FROM THE town", "capitals"),
        ("12.03. 2020 - 17", "number"),
        ("Menu", "one_word"),
        ("1,234 likes", "counter"),
        ("12 k followers!", "counter"),
        ("Sign in to your account", "phrase"),
        ("All about the rooms: Read more...", "phrase"),
        ("3 items in cart now", "phrase"),
        ("She will sign in tomorrow", None),
        ("a short line", None),
        ("3 likes were given to the library", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_refined_lines(line: str, rule: str | None, end: str) -> None:
    text = (PROSE * 9).replace("\n", end) + line + end + PROSE
    kept, reason, rules = refined(text)
    assert (reason, rules) == (None, [] if rule is None else [rule])
    assert kept == (text if rule is None else (PROSE * 9).replace("\n", end) + PROSE)


def test_texts_with_too_many_such_lines_go_as_they_came() -> None:
    text = "Menu\nHome\nSign in\n" + PROSE
    assert refined(text)[:2] == (text, "too_many_cut_lines")
    assert refined(text, max_cut_words=None)[:2] == (PROSE, None)
    assert refined("Menu\n" * 3, max_cut_words=1.0)[1] == "nothing_left"
    assert refined("")[:2] == ("", None)
    japanese = documents(["メニュー\n"], lang=["ja"])
    assert RefinedLines().apply(japanese).documents.text.to_pylist() == ["メニュー\n"]


@settings(max_examples=30)
@given(texts=st.lists(TEXTS | st.none(), max_size=6), cut=st.integers(0, 6))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(RefinedLines(max_cut_words=None), texts, min(cut, len(texts)))  # type: ignore[arg-type]


@settings(max_examples=60)
@given(TEXTS)
def test_spans_and_what_stays_are_the_text(text: str) -> None:
    refined(text, max_cut_words=None, languages=None)
