"""Language identification: offline, deterministic, right on real texts."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.filters.language import Language
from tests.oracles.filters_documents import TEXTS, check_split_law, documents

Rows = Callable[[str, int], list[dict[str, Any]]]

ENGLISH = "The committee met on Tuesday and decided that the new road should be built before winter."
GERMAN = "Der Ausschuss traf sich am Dienstag und beschloss, die neue Straße vor dem Winter zu bauen."
FRENCH = "Le comité s'est réuni mardi et a décidé que la nouvelle route serait construite avant l'hiver."
CHINESE = "委员会星期二开会，决定在冬天到来之前修好这条新的公路。"


def identify(stage: Language, *texts: str | None) -> tuple[list[str | None], list[str | None]]:
    outcome = stage.apply(documents(texts, lang=["xx"] * len(texts)))
    assert outcome.documents.column("lang").equals(outcome.documents.column("language.code"))
    assert outcome.documents.table.schema.field("lang").type == "string"
    return outcome.documents.column("lang").to_pylist(), outcome.reasons.to_pylist()


def test_languages_and_reasons() -> None:
    texts = (
        ENGLISH,
        GERMAN,
        FRENCH,
        CHINESE,
        "",
        None,
        "12 + 3 ---",
        ENGLISH.upper(),
        ENGLISH.replace(" ", "\n"),
    )
    codes, why = identify(Language(keep=["en", "zh"]), *texts)
    assert codes == ["en", "de", "fr", "zh", None, None, None, "en", "en"]
    assert why == [None, "other_language", "other_language", None, *["too_little_text"] * 3, None, None]
    assert identify(Language(), *texts)[1] == [None] * 4 + ["too_little_text"] * 3 + [None] * 2
    mixed = "ok bonjour hallo hola ciao"
    assert identify(Language(), mixed)[1] == ["uncertain_language"]
    assert identify(Language(at_least=None), mixed)[1] == [None]


LICENCE = (
    "Copyright (c) 2020 The authors of the guide\n\n"
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this guide, to deal in "
    "it without restriction, including the rights to use, copy, modify and publish it.\n\n"
    "The above notice shall be included in all copies. THE GUIDE IS PROVIDED WITHOUT WARRANTY OF ANY KIND, "
    "and the authors are not liable for any claim.\n\n"
)
JAPANESE = (
    "この案内では、図書館の使い方を説明します。本を借りるには、窓口でカードを見せてください。\n"
    "返すときは、入口の横にある箱に入れることもできます。休みの日は月曜日です。\n"
)


def test_the_whole_text_is_sampled() -> None:
    filler = "".join(f"{ENGLISH} ({n})\n" for n in range(40))
    german = "".join(f"{GERMAN} ({n})\n" for n in range(400))
    assert identify(Language(), filler + german)[0] == ["de"]
    assert identify(Language(), CHINESE * 100_000)[0] == ["zh"]
    assert identify(Language(sample_bytes=64), ENGLISH + CHINESE * 1_000)[0] == ["zh"]


def test_japanese_behind_english_headers_and_between_commands() -> None:
    commands = "$ library --list --all\nlibrary: error: unknown option --all\n"
    for text in (
        LICENCE + JAPANESE,
        LICENCE.replace("\n", "\r\n") + JAPANESE,
        "\n".join(f"# {line}" for line in LICENCE.splitlines()) + "\n" + JAPANESE,
        (JAPANESE + commands) * 3,
        LICENCE + "<p class='first'>" + JAPANESE + "</p> https://example.org/a/long/address/of/a/page",
        f"{ENGLISH}\n{JAPANESE}",
    ):
        assert identify(Language(), text)[0] == ["ja"], text
    assert identify(Language(), LICENCE)[0] == ["en"]
    assert identify(Language(), LICENCE + GERMAN * 2)[0] == ["de"]
    # A quotation makes no Japanese text of an English one.
    assert identify(Language(), f"{ENGLISH} {ENGLISH}\n「図書館」\n{ENGLISH}")[0] == ["en"]


def test_thresholds_by_language_and_their_codes() -> None:
    mixed = "ok bonjour hallo hola ciao"
    (code,), _ = identify(Language(), mixed)
    assert identify(Language(at_least_by_language={str(code): 0.0}), mixed)[1] == [None]
    assert identify(Language(at_least_by_language={str(code): None}), mixed)[1] == [None]
    assert identify(Language(at_least_by_language={"en": 1.0}), GERMAN)[1] == [None]
    for wrong, right in (("jp", "ja"), ("english", "en"), ("cn", "zh")):
        with pytest.raises(ValidationError, match=f"`{wrong}` is no code of the model; write `{right}`"):
            Language(at_least_by_language={wrong: 0.5})


def test_scripts_and_paragraphs() -> None:
    texts = [f"{ENGLISH}\r\n\r\n{JAPANESE}1 2 3", GERMAN, "", None]
    outcome = Language(paragraphs=True).apply(documents(texts)).documents
    assert outcome.column("language.script").to_pylist()[1:] == ["Latn", None, None]
    assert outcome.column("language.script_share").to_pylist()[1:] == [1.0, None, None]
    assert outcome.column("language.paragraphs").to_pylist() == [["en", "ja", "ja", None], ["de"], [], []]
    share = outcome.column("language.paragraph_share").to_pylist()
    assert share[1:] == [1.0, None, None]
    assert 0.3 < share[0] < 0.7


@settings(max_examples=30)
@given(texts=st.lists(TEXTS | st.none(), max_size=5), cut=st.integers(0, 5))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(Language(keep=["en"]), texts, min(cut, len(texts)))


def test_options() -> None:
    for wrong in ({"keep": []}, {"at_least": 1.5}, {"sample_bytes": 0}, {"languages": ["en"]}):
        with pytest.raises(ValidationError):
            Language.model_validate(wrong)


PROBE = """
import sys
seen = []
def audit(event, args):
    if event.startswith("socket.") and event != "socket.__new__":
        seen.append(event)
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append(str(args))
sys.dont_write_bytecode = True
import pyarrow as pa
from corpusmill.filters.language import Language
from corpusmill.pipelines.contract.documents import SCHEMA, Documents
from corpusmill.pipelines.contract.stage import Context
Language().warm()  # kernels are compiled, and kept on disk, once
sys.addaudithook(audit)
Language().prepare(Context())
row = {"id": "0" * 32, "text": "Let x be in the set of n.", "source": "s", "domain": "web", "meta": "{}"}
Language().apply(Documents(pa.Table.from_pylist([row], schema=SCHEMA)))
assert not seen, seen
"""


def test_neither_network_nor_disk_is_written_to() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", PROBE], check=True)


def test_real_texts(rows: Rows) -> None:
    by_language: dict[str, list[str]] = defaultdict(list)
    for row in rows("text/tldr_pages_multilang", 12_308):
        language = str(row["meta"]["lang"]).partition("_")[0]
        if len(by_language[language]) < 150:
            by_language[language].append(row["text"])
    by_language["zh"] += [row["text"] for row in rows("text/ruanyf_weekly_zh", 50)]
    by_language["en"] += [row["text"] for row in rows("text/wikitext2_valid_test", 50)]
    assert {"en", "zh", "de", "fr", "ar", "ja"} <= set(by_language)
    for language, texts in by_language.items():
        codes = identify(Language(), *texts)[0]
        assert codes.count(language) / len(codes) >= 0.98, language
