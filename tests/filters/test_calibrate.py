"""Limits by language: which hold, that no language is removed by English ones, and how they are chosen."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpusmill.filters.calibration.choose import common_words
from corpusmill.filters.calibration.corpus import Part
from corpusmill.filters.commands.calibrate import calibrate
from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.filters.rules.limit_files import FOLDER
from corpusmill.filters.rules.limits import LimitsByLanguage
from corpusmill.pipelines.contract.errors import UserError
from tests.oracles.filters_documents import documents, reasons

STAGES: list[LimitsByLanguage] = [GopherQuality(), GopherRepetition(), FinewebQuality()]
JUDGED = {"zh", "ja", "ko", "th", "ar", "hi", "ru", "de", "fr", "es"}

# Sentences of our own, in several languages; a text is many of them in another order.
SENTENCES = {
    "ja": ["町の図書館は来月から日曜日にも開くことになりました。",
           "新しい本の多くは子どものために選ばれています。",
           "係の人は、静かに読める部屋を増やしたいと話しています。",
           "雨の日にはここで古い地図を見ることもできます。"],
    "ko": ["마을 도서관은 다음 달부터 일요일에도 문을 엽니다.",
           "새로 들어온 책 가운데 많은 것이 아이들을 위한 책입니다.",
           "사서는 조용히 읽을 수 있는 방을 더 만들고 싶다고 말했습니다.",
           "비가 오는 날에는 이 곳에서 옛 지도를 볼 수 있습니다."],
    "ru": ["Городская библиотека с будущего месяца будет открыта и по воскресеньям.",
           "Многие из новых книг выбраны для детей и их родителей.",
           "Библиотекарь говорит, что хочет устроить ещё одну тихую комнату для чтения.",
           "В дождливые дни здесь можно посмотреть на старые карты города."],
    "de": ["Die Bücherei der Stadt öffnet vom nächsten Monat an auch am Sonntag.",
           "Viele der neuen Bücher sind für Kinder und ihre Eltern ausgesucht.",
           "Die Leiterin möchte noch einen ruhigen Raum zum Lesen einrichten.",
           "An Regentagen kann man sich hier auf dem Tisch alte Karten ansehen."],
    "pl": ["Biblioteka miejska od przyszłego miesiąca będzie otwarta także w niedzielę.",
           "Wiele nowych książek wybrano dla dzieci i ich rodziców.",
           "Kierowniczka chce urządzić jeszcze jeden cichy pokój do czytania.",
           "W deszczowe dni można tu obejrzeć stare mapy okolicy."],
}  # fmt: skip


def texts_of(language: str, many: int, lines: int = 14) -> list[str]:
    rng = random.Random(7)
    return [
        "\n".join(
            f"{n + k}: {rng.choice(SENTENCES[language])} {rng.choice(SENTENCES[language])}"
            for k in range(lines)
        )
        for n in range(many)
    ]


def english(many: int) -> list[str]:
    return [
        f"The library of the town, which has been open for {n} years, will have new rooms for children and "
        "their parents to read in. The people that work there say with pride that more books are to come."
        for n in range(1, many + 1)
    ]


@pytest.mark.parametrize("language", ["ja", "ko", "ru", "de", "pl"])
def test_good_texts_of_other_languages_pass_gopher_quality(language: str) -> None:
    texts = texts_of(language, 5, lines=20)
    stage = GopherQuality()
    assert reasons(stage, texts, lang=[language] * 5) == [None] * 5
    # By English limits all go, which is what the limits by language are for.
    assert None not in reasons(GopherQuality(by_language={}), texts, lang=[language] * 5)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_language_without_limits_is_kept_not_judged(stage: LimitsByLanguage) -> None:
    bad = ["la la la la\n" * 400, "x"]
    assert reasons(stage, bad, lang=["it", "fi"]) == [None, None]
    outcome = stage.apply(documents(bad, lang=["it", "en"]))
    assert outcome.documents.column(f"{stage.name}.limits").to_pylist() == ["none", None]
    everywhere = type(stage).model_validate({"languages": None})
    assert None not in reasons(everywhere, bad[:1], lang=["it"])
    own = type(stage).model_validate({"languages": ["en", "it"]})
    assert reasons(own, bad[:1], lang=["it"]) == reasons(everywhere, bad[:1], lang=["it"])


def test_codes_in_other_forms_and_scripts_where_there_is_no_code() -> None:
    japanese, korean = texts_of("ja", 1)[0], texts_of("ko", 1)[0]
    texts = [japanese, japanese, japanese, korean, english(1)[0], english(1)[0], "ελληνικά " * 90, "1 2 3"]
    given = ["jpn", "ja-JP", None, None, "eng", None, None, None]
    outcome = GopherQuality().apply(documents(texts, lang=given))
    limits = outcome.documents.column("gopher_quality.limits").to_pylist()
    assert limits == ["ja", "ja", "ja", "ko", None, None, "none", None]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_shipped_files_state_the_origin_of_every_entry(stage: LimitsByLanguage) -> None:
    entries: dict[str, Any] = yaml.safe_load((FOLDER / f"{stage.name}.yaml").read_text("utf-8"))
    assert set(entries) == JUDGED == set(dict(stage)["by_language"])
    for code, entry in entries.items():
        assert set(entry) == {"origin", "limits"}
        if code != "zh":
            assert {"corpora", "bytes", "quantile", "kept", "kept_by_own_limits"} <= set(entry["origin"])
            assert entry["origin"]["kept"] >= max(0.85, entry["origin"]["kept_by_own_limits"])


def corpus(folder: Path, name: str, texts: list[str], **fields: str) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text, **fields}) + "\n" for text in texts), "utf-8")
    return path


def test_calibrated_limits_keep_the_corpus_and_are_never_stricter(tmp_path: Path) -> None:
    files = [
        corpus(tmp_path, "town", texts_of("ja", 300), lang="ja"),
        corpus(tmp_path, "few", ["x"], lang="fi"),
    ]
    (tmp_path / "same").mkdir()
    (tmp_path / "same/en.txt").write_text("The library opens on Sunday.", "utf-8")
    (tmp_path / "same/ja.txt").write_text("図書館は日曜日に開きます。", "utf-8")
    found = calibrate("gopher_quality", files, parallel=tmp_path / "same")
    assert found.pop("_too_few") == {"fi": 0}
    entry = found["ja"]
    assert entry["origin"]["corpora"] == {"town": 300}
    assert entry["origin"]["kept_by_own_limits"] == 0
    assert entry["origin"]["kept"] >= 0.95
    scale = entry["origin"]["for_one_in_english"]["tokens"]
    limits = GopherQuality.model_validate({"by_language": {"ja": entry["limits"]}}).by_language["ja"]
    assert limits.min_words == int(float(f"{50 * scale:.2g}"))
    assert "の" in limits.stop_words
    assert limits.min_mean_word_length is not None
    assert limits.min_mean_word_length < 3
    assert limits.max_mean_word_length == 10
    for name in ("gopher_repetition", "fineweb_quality"):
        again = calibrate(name, files[:1])
        assert again == calibrate(name, files[:1])
        assert again["ja"]["origin"]["kept"] >= 0.95
    halves = calibrate("gopher_quality", files[:1], quantile=0.3)["ja"]
    assert (
        halves["origin"]["kept"]
        <= calibrate("gopher_quality", files[:1], quantile=0.0)["ja"]["origin"]["kept"]
    )


def test_what_calibrate_refuses(tmp_path: Path) -> None:
    nameless = corpus(tmp_path, "nameless", texts_of("de", 120))
    with pytest.raises(UserError, match="has no field `lang`; say which language they are of: --lang CODE"):
        calibrate("gopher_quality", [nameless])
    assert set(calibrate("gopher_quality", [nameless], language="de")) == {"de"}
    with pytest.raises(UserError, match=r"no language has 500 documents \(de 120\)"):
        calibrate("gopher_quality", [nameless], language="de", least=500)
    with pytest.raises(UserError, match="has no limits by language"):
        calibrate("math_score", [nameless], language="de")
    with pytest.raises(UserError, match=r"give files of JSON Lines"):
        calibrate("gopher_quality", [tmp_path / "none.txt"])
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": \n', "utf-8")
    with pytest.raises(
        UserError, match=r"1 of its documents cannot be read, the first at broken\.jsonl.*bad_json"
    ):
        calibrate("gopher_quality", [tmp_path / "broken.jsonl"], language="de")
    with pytest.raises(UserError, match=r"--lang: `klingon` is no code of the model"):
        calibrate("gopher_quality", [nameless], language="klingon")
    with pytest.raises(UserError, match=r"--lang: `german` is no code of the model; write `de`"):
        calibrate("gopher_quality", [nameless], language="german")
    with pytest.raises(UserError, match=r"holds no text en\.txt"):
        calibrate("gopher_quality", [nameless], language="de", parallel=tmp_path)


def test_stop_words_end_in_a_letter() -> None:
    """Arabic keeps a full stop with the word before it, so that many texts share `كتاب.`."""
    texts = [f"كان الناس {n} في المدينة. ثم ذهب الناس في الصباح الى المدينة." for n in range(200)]
    words = common_words([Part("town", "ar", documents(texts))], 16)
    assert "في" in words
    assert [word for word in words if not word[-1].isalpha()] == []


def test_own_limits_that_leave_no_document_of_a_language_are_refused() -> None:
    """German needs 48 words by the shipped limits; a `max_words` of 5 for all would remove all of it."""
    [(option, wrong)] = GopherQuality(min_words=1, max_words=5).conflicts([])
    assert option == "max_words"
    assert "is 5, under the least of some languages (" in wrong
    assert "de 4" in wrong
    assert GopherQuality(min_words=1, max_words=5, by_language={}).conflicts([]) == []
    assert GopherQuality().conflicts([]) == []
