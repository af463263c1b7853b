"""Names of languages in options are checked against what the model can give."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from corpusmill.filters.fineweb_quality import FinewebQuality
from corpusmill.filters.gopher_quality import GopherQuality
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.filters.language import Language, _model
from corpusmill.filters.rules.language_codes import code_meant, codes
from corpusmill.pipelines.contract.stage import Stage


def test_the_codes_are_those_of_the_model() -> None:
    labels, _ = _model().predict("a", k=1_000, threshold=-1.0)
    assert codes() == {label.removeprefix("__label__") for label in labels}


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("jp", "ja"), ("JA", "ja"), ("jpn", "ja"), ("zh-cn", "zh"), ("zh_Hant", "zh"), ("cn", "zh"),
        ("english", "en"), ("Englsh", "en"), ("eng", "en"), ("en-US", "en"), ("deu", "de"), ("ger", "de"),
        ("cz", "cs"), ("nb", "no"), ("pt_BR", "pt"), (" fr ", "fr"), ("iw", "he"), ("qq", None),
        ("xyz", None), ("", None), ("nonsense", None),
    ],
)  # fmt: skip
def test_what_is_meant(written: str, code: str | None) -> None:
    assert code_meant(written) == code


def test_keep_names_every_wrong_code_with_its_cure() -> None:
    with pytest.raises(ValidationError) as caught:
        Language(keep=["en", "jp", "qq", "zh-cn"])
    message = str(caught.value)
    assert "`jp` is no code of the model; write `ja` (Japanese)" in message
    assert "write `zh` (Chinese)" in message
    assert "`qq` is no code of the model; write ISO 639-1" in message
    assert "`en`" not in message
    assert Language(keep=["en", "ceb", "yue"]).keep == ["en", "ceb", "yue"]


@pytest.mark.parametrize("kind", [FinewebQuality, GopherQuality, GopherRepetition])
def test_limits_of_a_language_that_no_document_can_have(kind: type[Stage]) -> None:
    stage = kind.model_validate({"by_language": {"eng": {}, "zh": {}}})
    assert stage.conflicts([]) == []  # the input's own codes may be of three letters
    assert stage.conflicts([Language()]) == [
        ("by_language", "`eng` is no code of the model; write `en` (English)")
    ]
    assert kind().conflicts([Language()]) == []
