"""`kenlm_perplexity`: ARPA files against their definition and KenLM's own scores, CCNet's form, bad files."""

from __future__ import annotations

import math
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.kenlm_perplexity import MAGIC, KenlmPerplexity, _of_arpa, _of_kenlm
from corpusmill.filters.language import Language
from corpusmill.filters.rules.arpa import read_arpa
from corpusmill.filters.rules.ccnet_form import ccnet_form
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.errors import DataError, UserError
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons
from tests.oracles.filters_language_model import KneserNey

WORDS = ["the", "a", "ring", "finite", "été", "中国", "..", "A"]
LINES = [line.split() for line in (
    "the ring a ring the finite", "a finite ring", "été 中国 the ring", "the ring a ring été", "a a .. the .."
)]  # fmt: skip
MODEL = KneserNey(LINES, 3, 1)
ASKED = (
    st.lists(st.sampled_from([*WORDS, "never", "seen", "\n", "\t", "\r"]), max_size=12).map(" ".join) | TEXTS
)


def written(folder: Path, name: str = "m.arpa", **options: list[tuple[str, ...]]) -> Path:
    path = folder / name
    path.write_text(MODEL.arpa(**options), "utf-8")
    return path


def stage(path: Path, **options: object) -> KenlmPerplexity:
    return KenlmPerplexity(models={"*": path}, **options).prepare(Context())  # type: ignore[arg-type]


def scored(judge: KenlmPerplexity, text: str) -> float | None:
    found: list[float | None] = judge.score(documents([text]))["perplexity"].to_pylist()  # type: ignore[union-attr]
    return found[0]


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("arpa"))


@settings(max_examples=60, deadline=None)
@given(text=ASKED)
def test_scores_are_those_of_the_definition(arpa: Path, text: str) -> None:
    lines = [words for line in text.encode().split(b"\n") if (words := line.split())]
    expected = MODEL.perplexity([[word.decode("utf-8", "replace") for word in line] for line in lines])
    assert scored(stage(arpa), text) == (expected if expected is None else pytest.approx(expected, rel=1e-4))


@settings(max_examples=60, deadline=None)
@given(text=st.lists(st.sampled_from([*WORDS, "never"]), min_size=1, max_size=12).map(" ".join))
def test_scores_are_kenlms(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Also where pruning left n-grams whose last words do not stand in the file."""
    kenlm = pytest.importorskip("kenlm", reason="compares with KenLM, of the kenlm extra")
    folder = tmp_path_factory.mktemp("kenlm")
    for name, without in (("whole", []), ("pruned", [("finite", "</s>"), ("été", "</s>")])):
        path = written(folder, f"{name}.arpa", without=without)
        log = kenlm.Model(str(path)).score(text)
        expected = 10 ** (-log / (len(text.split()) + 1))
        assert scored(stage(path), text) == pytest.approx(expected, rel=2e-4)


def test_kenlm_takes_a_word_with_nul_for_unknown(arpa: Path) -> None:
    """Its module would end it there, and another word, or none, be asked."""
    pytest.importorskip("kenlm", reason="compares with KenLM, of the kenlm extra")
    texts = ["the\0re a ring", "\0", "a \0the", "the a ring"]
    logs, counts = _of_kenlm(arpa)(texts)
    own_logs, own_counts = _of_arpa(arpa)(texts)
    assert counts == own_counts == [4, 2, 3, 4]
    assert logs == pytest.approx(own_logs, rel=1e-4)


def test_words_that_stand_for_marks_are_unknown(arpa: Path) -> None:
    judge = stage(arpa)
    assert scored(judge, "the <s>") == scored(judge, "the </s>") == scored(judge, "the never")


def test_a_missing_unknown_word_has_100_decades(tmp_path: Path) -> None:
    path = written(tmp_path, without=[("<unk>",)])
    value = scored(stage(path), "never")
    assert value is not None
    assert math.log10(value) > 40


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(ASKED | st.none(), max_size=5), cut=st.integers(0, 5))
def test_split_law(arpa: Path, texts: list[str | None], cut: int) -> None:
    check_split_law(stage(arpa), texts, min(cut, len(texts)))


def test_a_model_for_each_language(arpa: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.arpa"
    other.write_text(KneserNey([["the", "ring"]], 2, 1).arpa(), "utf-8")
    judge = KenlmPerplexity(models={"en": arpa, "de": other}).prepare(Context())
    docs = documents(["the ring"] * 4, lang=["en", "de", "fr", None])
    first, second, *rest = judge.score(docs)["perplexity"].to_pylist()  # type: ignore[union-attr]
    assert first == scored(stage(arpa), "the ring")
    assert second == scored(stage(other), "the ring") != first
    assert rest == [None, None]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": {"en": ".", "jp": "."}}, ("models", "write `ja` (Japanese)")),
        ({"models": {"en": "."}, "pieces": {"en": ".", "de": "."}}, ("pieces", "de: there is no such model")),
        ({"models": {"en": "."}, "by_language": {"de": {"at_most": 9}}}, ("by_language", "has no effect")),
    ],
)
def test_languages_that_have_no_effect(options: dict[str, object], said: tuple[str, str]) -> None:
    ((option, wrong),) = KenlmPerplexity.model_validate(options).conflicts([Language()])
    assert option == said[0]
    assert said[1] in wrong
    some = {**options, "models": {"en": ".", "*": "."}}
    assert KenlmPerplexity.model_validate(some).conflicts([Language()]) == []


def test_limits(arpa: Path) -> None:
    value = scored(stage(arpa), "the ring")
    assert value is not None
    assert reasons(stage(arpa, at_most=value), ["the ring"]) == [None]
    assert reasons(stage(arpa, at_most=value * 0.99), ["the ring", ""]) == ["high_perplexity", None]
    assert reasons(stage(arpa, at_least=value * 1.01), ["the ring"]) == ["low_perplexity"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("  The Ring,\nÉté 2024  ", "the ring,ete 0000"),
        ("“Quoted”—yes…", '"quoted" - yes...'),
        ("（中国）１２３。", "(中国)000."),
        ("tab\there\x85", "tabhere"),
        ("", ""),
    ],
)
def test_the_form_of_ccnet(text: str, form: str) -> None:
    assert ccnet_form(text) == form


@given(TEXTS)
def test_the_form_follows_its_steps(text: str) -> None:
    """Step by step, as cc_net takes them, where punctuation is of ASCII already."""
    plain = "".join(c for c in text if c.isascii() or unicodedata.category(c)[0] in "LMN")
    line = unicodedata.normalize("NFD", plain.strip().lower())
    line = "".join(c for c in line if unicodedata.category(c) != "Mn")
    line = re.sub("[\x00-\x1f\x7f-\x9f]", "", re.sub(r"\d", "0", line))
    assert ccnet_form(plain) == line


def test_sentence_pieces(arpa: Path, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text").write_text("\n".join(["the ring a ring the finite one"] * 50), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "sp"), vocab_size=16, minloglevel=9
    )
    cut = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "sp.model"))
    judge = stage(arpa, pieces={"*": tmp_path / "sp.model"}, form="ccnet")
    pieces = " ".join(cut.encode("the ring", out_type=str))
    assert scored(judge, " The\x00 Ríng ") == scored(stage(arpa), pieces)


def test_a_binary_model_needs_kenlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = tmp_path / "m.bin"
    path.write_bytes(MAGIC + b" format version 5\n\0")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(UserError, match=r"pip install corpusmill\[kenlm\], or give the ARPA file"):
        stage(path)


def test_wrong_files_are_told_when_the_recipe_is_checked(
    arpa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    def told(**options: object) -> list[tuple[str, str]]:
        return KenlmPerplexity.model_validate(options).conflicts([])

    assert told(models={"en": arpa, "*": tmp_path / "missing"}) == []
    cut = tmp_path / "cut.arpa"
    cut.write_text(GOOD.rstrip().removesuffix("\\end\\"), "utf-8")
    other = tmp_path / "other.txt"
    other.write_text("no model", "utf-8")
    found = told(models={"en": cut, "de": other, "*": arpa}, pieces={"en": other})
    assert [option for option, _ in found] == ["models.en", "models.de", "pieces.en"]
    assert "the file ends before" in found[0][1]
    assert "does not begin with" in found[1][1]
    assert "no SentencePiece model" in found[2][1]
    binary = tmp_path / "m.bin"
    binary.write_bytes(MAGIC + b" format version 5\n\0")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    ((option, wrong),) = told(models={"en": binary})
    assert (option, "not installed here" in wrong) == ("models.en", True)


GOOD = MODEL.arpa()
BIGRAM = (
    "\\data\\\nngram 1=2\nngram 2=2\n\\1-grams:\n-1 a -1\n-1 </s>\n\\2-grams:\n-1 a </s>\n-1 a a\n\\end\\\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file ends before"),
        ("not a model", r"does not begin with \\data\\"),
        (GOOD.replace("\\end\\", ""), "the file ends before"),
        (GOOD.replace("ngram 2=", "ngram 3="), "out of order"),
        (GOOD.replace("\\2-grams:", "\\9-grams:"), r"2-grams: should stand where '.{2}9-grams:' does"),
        (re.sub(r"-99\t<s>\t\S+", "-99 a b c", GOOD), "'-99 a b c' is no 1-gram: it has 4 fields"),
        (GOOD.replace("-99\t<s>", "nan\t<s>"), "not finite"),
        (GOOD.replace("-99\t<s>", "0.5\t<s>"), "a probability over 1"),
        (re.sub("ngram 1=.*", "ngram 1=99999999999999", GOOD), "more than its .* bytes can hold"),
        (re.sub("ngram 1=.*", "ngram 1=50", GOOD), "it says 50 1-grams and has 10"),
        (re.sub("ngram 1=.*", "ngram 1=4", GOOD), "should stand where .* does; it says 4 1-grams"),
        (re.sub("ngram 3=.*", "ngram 3=4", GOOD), r"end.* should stand where .* does; it says 4 3-grams"),
        ("\\data\\\nngram 1=0\n\\1-grams:\n\\end\\\n", "it has no words"),
        (BIGRAM.replace("a a", "a b"), "a word of an n-gram is not among the single words"),
        (BIGRAM.replace("a a", "a </s>"), "1 of its 2-grams stand there twice"),
        (GOOD.replace("-99\t<s>", "x\t<s>"), "could not convert"),
        (MODEL.arpa(without=[("the", "ring")]), "[12] of its 3-grams have first words"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.arpa").write_text(text, "utf-8")
    with pytest.raises(DataError, match=said):
        read_arpa(tmp_path / "m.arpa", "*")
