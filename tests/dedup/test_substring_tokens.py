"""Repeated runs of tokens: equal to a dictionary of all windows of tokens, in any layout of the data."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from corpusmill.dedup.matching import substrings, token_texts
from corpusmill.dedup.substring import Substring
from corpusmill.pipelines.contract.errors import RecipeError, UserError
from corpusmill.pipelines.text.byte_characters import CHARACTERS, bytes_of, shown
from corpusmill.pipelines.text.encoders import GigatokenEncoder, TokenizersEncoder
from tests.dedup.test_substring import as_documents, corpora
from tests.oracles import dedup_substrings as oracle
from tests.oracles.dedup_exchange import documents, edits_of
from tests.pipelines.run.edited import rows_of, run, write_recipe

MERGES = [
    (b"a", b"b"),
    (b"ab", b"ab"),
    (b"a", b"a"),
    (b" ", b"a"),
    ("é".encode()[:1], "é".encode()[1:]),
    ("水".encode()[:1], "水".encode()[1:2]),
    ("日".encode()[:1], "日".encode()[1:2]),
]


def small_tokenizer(**parts: Any) -> Tokenizer:
    """All bytes and a few merges, two of them of parts of characters; two ids end in the same digits."""
    tokens = [bytes([byte]) for byte in range(256)] + [left + right for left, right in MERGES]
    vocabulary = {shown(token): number for number, token in enumerate(tokens)}
    vocabulary[shown(b"abab")] = 97 + 128 * 8  # `a` is 97
    made = Tokenizer(models.BPE(vocabulary, [(shown(left), shown(right)) for left, right in MERGES]))
    made.pre_tokenizer = parts.get("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False))
    made.decoder = decoders.ByteLevel()
    if "normalizer" in parts:
        made.normalizer = parts["normalizer"]
    return made


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    small_tokenizer().save(str(found))
    return found


def check(
    path: Path,
    corpus: list[tuple[str, str]],
    tokens: int,
    keep: Any,
    layout: tuple[int, int, int],
    bounds: Any,
) -> int:
    """That the stage finds what the oracle finds; returns the number of spans."""
    docs, plain = as_documents(corpus)
    stage = Substring(min_tokens=tokens, tokenizer=path, keep=keep, bounds=bounds, priority=["code"])
    reference = Tokenizer.from_file(str(path))
    ids = [tuple(reference.encode(one.text).ids) for one in plain]
    ends = [np.cumsum([0] + [len(bytes_of(reference.id_to_token(i))) for i in one]).tolist() for one in ids]
    spans, better = oracle.repeats(plain, tokens, keep, ["code"], ids)
    wanted: dict[tuple[int, int, int], tuple[int, int]] = {}
    for place, first, last in spans:
        start, end = ends[place][first], ends[place][last]
        left = (
            (start, end) if bounds == "characters" else oracle.narrowed(plain[place].text, start, end, bounds)
        )
        if left is not None:
            wanted[place, *left] = place, first
    found = edits_of(stage, docs, *layout) if corpus else []
    made = {}
    for row in found:
        keeper = row["survivor_unit"]
        at = row["unit"] * layout[0] + row["row"], row["start"], row["end"]
        made[at] = None if keeper is None else keeper * layout[0] + row["survivor_row"]
    assert len(made) == len(found)
    assert set(made) == set(wanted)
    for span, keeper in made.items():
        assert keeper is None if keep == "none" else keeper in better[wanted[span]]
    return len(made)


@settings(deadline=None, max_examples=150)
@given(
    corpora,
    st.integers(2, 6),
    st.sampled_from(["first", "none"]),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)),
    st.sampled_from(["characters", "words", "lines"]),
    st.sampled_from([1, substrings.FEW]),
)
def test_equals_the_oracle_in_any_layout(
    path: Path,
    corpus: list[tuple[str, str]],
    tokens: int,
    keep: Any,
    layout: tuple[int, int, int],
    bounds: Any,
    few: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(substrings, "FEW", few)
        check(path, corpus, tokens, keep, layout, bounds)


@pytest.mark.parametrize("keep", ["first", "none"])
@pytest.mark.parametrize("tokens", [5, 20])
def test_equals_the_oracle_on_longer_texts(path: Path, keep: str, tokens: int) -> None:
    """Copies of all lengths about the least, near copies, and periods."""
    draw = random.Random(tokens)
    base = "".join(draw.choices(["ab", "a", "é", "水", " a", "x", "\n"], k=2000))
    made = []
    for _ in range(30):
        text = ""
        for _ in range(draw.randint(1, 6)):
            start, size = draw.randrange(len(base)), draw.choice([1, 2, 3]) * tokens
            kind = draw.random()
            if kind < 0.7:
                text += base[start : start + size]
            else:
                text += base[start : start + draw.randint(1, 5)] * draw.randint(1, tokens)
        made.append((text, draw.choice(["web", "code"])))
    for bounds in ("characters", "words"):
        assert check(path, made, tokens, keep, (7, 3, 5), bounds) > 15


def test_one_token_less_than_the_least_stays(path: Path) -> None:
    """The same bytes count as long as they have tokens, and only in the same division."""
    for letters, spans in (
        ("xyzuvwxyz", 1),
        ("xyzuvw", 1),
        ("xyzuv", 0),
        ("ababababxyzuv", 1),
        ("abababxyz", 0),
    ):
        docs = documents([f"1 {letters}?", f"2 {letters}!"])
        found = edits_of(Substring(min_tokens=7, tokenizer=path, bounds="characters"), docs, 2, 2, 1)
        assert len(found) == spans, letters


@pytest.mark.parametrize("encoder", [GigatokenEncoder, TokenizersEncoder])
def test_large_texts_are_encoded_in_parts(path: Path, encoder: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end behind line breaks, and whole characters where there are none; ends are of the whole text."""
    monkeypatch.setattr(token_texts, "PART", 7)
    monkeypatch.setattr(token_texts, "_encoder", encoder)
    texts = ["ab\nabab\nab", "水日水日水日", "", "ababababababab", "short"]
    docs = documents(texts)
    codes, ends = token_texts.Speller(path, path.read_text()).spelt(docs, np.array([True] * 4 + [False]))
    assert ends.to_pylist() == [
        [2, 3, 7, 8, 10],
        [2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18],
        [],
        [4, 6, 7, 8, 12, 14],
        [],
    ]
    assert [len(code) for code in codes.to_pylist()] == [
        5 * len(one) + 2 if one else 0 for one in ends.to_pylist()
    ]


def test_a_unicode_form_is_not_applied(tmp_path: Path) -> None:
    small_tokenizer(normalizer=normalizers.NFC()).save(str(tmp_path / "t.json"))
    text = "e\u0301 xyz"
    stage = Substring(min_tokens=5, tokenizer=tmp_path / "t.json", bounds="characters")
    assert len(edits_of(stage, documents([text + "1", text + "2"]), 2, 2, 1)) == 1


def test_files_that_are_no_byte_level_tokenizer_are_refused(tmp_path: Path) -> None:
    docs, file = documents(["one", "two"]), tmp_path / "tokenizer.json"
    stage = Substring(min_tokens=5, tokenizer=file)
    emit = lambda: stage.emit(docs, 0, np.arange(2, dtype=np.uint32))  # noqa: E731
    with pytest.raises(UserError, match=r"tokenizer.json: No such file.*byte-level BPE"):
        emit()
    for content, words in (
        (b"{", "Expecting property name"),
        (b"\xff\xfe", "no UTF-8 at byte 0"),
        (b"{}", "cannot read it"),
        (b"[1]", "cannot read it"),
    ):
        file.write_bytes(content)
        with pytest.raises(UserError, match=words):
            emit()
    words_only = Tokenizer(models.WordLevel({"one": 0, "unk": 1}, "unk"))
    words_only.save(str(file))
    with pytest.raises(UserError, match="not every text has tokens of its own"):
        emit()
    small_tokenizer(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)).save(str(file))
    with pytest.raises(UserError, match=r"do not spell its text.*a space before the first word"):
        emit()
    definition = json.loads(small_tokenizer().to_str())
    definition["model"]["vocab"][CHARACTERS[0]] = 2**21
    file.write_text(json.dumps(definition))
    with pytest.raises(UserError, match="token id 2,097,152"):
        emit()


@pytest.mark.parametrize(
    "options, words",
    [
        ("min_tokens: 50", "go together"),
        ("tokenizer: t.json", "go together"),
        ("min_tokens: 50, tokenizer: t.json, min_bytes: 200", "not both"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: str, words: str) -> None:
    small_tokenizer().save(str(tmp_path / "t.json"))
    with pytest.raises(RecipeError, match=words):
        run(write_recipe(tmp_path, [["a"]], "{substring: {" + options + "}}"))


def test_a_run_cuts_runs_of_tokens_and_sees_another_tokenizer(tmp_path: Path, path: Path) -> None:
    """The same in one unit and in several; the content of the file counts, not its name."""
    draw = random.Random(11)
    passages = [
        "".join(draw.choices(["水車", "abab ", "wéir ", "😀", "race ", "mill "], k=40)) for _ in range(20)
    ]
    texts = [
        f"{number} {draw.choice(passages)} {draw.random()} {draw.choice(passages)}" for number in range(900)
    ]
    stage = "{substring: {min_tokens: 180, tokenizer: t.json}}"
    records = []
    for name, reader in (("whole", ""), ("parts", ", split_bytes: 65536")):
        recipe = write_recipe(tmp_path / name, [texts], stage, reader=reader)
        recipe.with_name("t.json").write_bytes(path.read_bytes())
        records.append(run(recipe))
        draw.shuffle(texts)
    whole, parts = records
    assert len(parts.view()) > len(whole.view()) == 1
    assert sorted(rows_of(whole)) == sorted(rows_of(parts))
    cut = whole.steps["dedup.substring"].ledger.record()[0].cut["repeated_substring"]
    assert cut > 50_000
    single = Tokenizer(models.BPE({character: byte for byte, character in CHARACTERS.items()}, []))
    single.pre_tokenizer, single.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    single.save(str(tmp_path / "whole" / "t.json"))
    again = run(tmp_path / "whole" / "recipe.yaml").steps["dedup.substring"].ledger.record()[0]
    assert again.cut["repeated_substring"] > cut  # a token a byte: more passages are long enough
