"""Every figure of a tokenizer against slow restatements and known answers; bad files are refused clearly."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from corpusmill.pipelines.contract.documents import buffers
from corpusmill.pipelines.records.tokenizer_figures import Grouping, TraceCount
from corpusmill.pipelines.text.byte_characters import CHARACTERS
from corpusmill.tokenizer.evaluation.composition import composition, script_of
from corpusmill.tokenizer.evaluation.encoding import Encoders, Speller, fitting_encoder
from corpusmill.tokenizer.evaluation.evaluate import compared, evaluate
from corpusmill.tokenizer.evaluation.open_tokenizer import Opened
from corpusmill.tokenizer.evaluation.round_trip import round_trip
from corpusmill.tokenizer.evaluation.splitting import digit_grouping, white_space
from corpusmill.tokenizer.evaluation.strata import MOST, OTHERS, Strata, Texts, strata_of
from corpusmill.tokenizer.evaluation.suspicious import trace_of
from corpusmill.tokenizer.evaluation.word_classes import word_classes
from corpusmill.tokenizer.kernels.token_figures import spelled_exactly, word_figures
from tests.oracles.tokenizer_evaluation import touching, trained, word_spans
from tests.oracles.tokenizer_texts import as_documents, made_texts

# Characters of every class a word can hold or end at.
ODD = "aZé'\u2019_0٣ \n.,-中の語ナ한ไทยກက\u0301\u0e31\u20e3🙂\u200d'’"


@pytest.fixture(scope="module")
def made() -> Opened:
    """A small tokenizer, trained on made texts by `tokenizers`."""
    return Opened("made", Path("made.json"), trained(made_texts(200), 700))


@pytest.fixture(scope="module")
def encoders(made: Opened) -> Encoders:
    return fitting_encoder(made, pa.array(made_texts(20), pa.large_string()))


@given(st.lists(st.text(st.sampled_from(ODD), max_size=30), min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=100)
def test_words_and_the_tokens_touching_them(texts: list[str], data: st.DataObject) -> None:
    """Tokens may start and end anywhere, also inside of characters."""
    pieces = []
    for text in texts:
        content = text.encode()
        inner = range(1, len(content))
        cuts = sorted(data.draw(st.sets(st.sampled_from(inner)))) if len(content) > 1 else []
        pieces.append([content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if b > a])
    flat = [piece for held in pieces for piece in held]
    spelled = np.concatenate([[0], np.cumsum([len(piece) for piece in flat])]).astype(np.int64)
    spelling = np.frombuffer(b"".join(flat), np.uint8)
    ends = np.concatenate([[0], np.cumsum([len(held) for held in pieces])]).astype(np.int64)
    tokens = np.arange(len(flat), dtype=np.uint32)
    offsets, content_bytes = buffers(pa.array(["skipped", *texts], pa.large_string()).slice(1))
    exact = spelled_exactly(offsets, content_bytes, ends, tokens, spelled, spelling)
    assert exact.all()
    found = word_figures(offsets, content_bytes, ends, tokens, spelled, exact, word_classes())
    for text, held, row in zip(texts, pieces, np.transpose(found).tolist(), strict=True):
        each = touching(text, held)
        assert row == [len(text), len(word_spans(text)), sum(each), sum(n > 1 for n in each)]


def test_tokens_that_do_not_spell_the_text() -> None:
    spelled, spelling = np.array([0, 1, 2, 4]), np.frombuffer(b"abcd", np.uint8)
    texts = pa.array(["ab", "ab", "abc", "cd", "", "abcd", "a"], pa.large_string())
    tokens = [[0, 1], [1, 0], [0, 1], [2], [], [0, 1, 2], [0, 1]]
    ends = np.concatenate([[0], np.cumsum([len(t) for t in tokens])]).astype(np.int64)
    flat = np.array([t for held in tokens for t in held], np.uint32)
    exact = spelled_exactly(*buffers(texts), ends, flat, spelled, spelling)
    assert exact.tolist() == [True, False, False, True, True, True, False]


def test_definition_of_words() -> None:
    def words(text: str) -> list[str]:
        return [text[a:b] for a, b in word_spans(text)]

    assert words("don't x_1 3.14 well-known 'quoted'") == [
        "don't",
        "x_1",
        "3",
        "14",
        "well",
        "known",
        "quoted",
    ]
    assert words("我们用Python写カタカナとひら") == [*"我们用", "Python", "写", "カタカナ", *"とひら"]


def test_figures_of_groups(made: Opened) -> None:
    """By hand: encode each text with `tokenizers`, spell each token, count."""
    texts = made_texts(60, seed=4)
    strata = [("web", "en", None) if i % 3 else ("code", "und", "python") for i in range(60)]
    batches = [
        Texts(pa.array(texts[a:b], pa.large_string()), strata[a:b]) for a, b in ((0, 7), (7, 40), (40, 60))
    ]
    found = evaluate([made], batches, rare=5)["made"]
    groups = {group.group: group for group in found.groups}
    assert set(groups) == {
        "*",
        "web",
        "code",
        "web/en",
        "*/en",
        "code/und",
        "*/und",
        "code/python",
        "*/python",
    }
    assert [group.by for group in found.groups][:2] == ["all", "source"]
    tokenizer = Tokenizer.from_str(json.dumps(made.definition))
    vocabulary = made.vocabulary
    counts: Counter[int] = Counter()
    for name, chosen in (("*", {"web", "code"}), ("web", {"web"}), ("*/python", {"code"})):
        mine = [t for t, s in zip(texts, strata, strict=True) if s[0] in chosen]
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in mine]
        each = [
            n
            for text, held in zip(mine, ids, strict=True)
            for n in touching(text, [vocabulary.spellings[i] or b"" for i in held])
        ]
        tokens, size = sum(map(len, ids)), sum(len(text.encode()) for text in mine)
        group = groups[name]
        assert (group.documents, group.tokens, group.bytes) == (len(mine), tokens, size)
        assert group.bytes_per_token == pytest.approx(size / tokens)
        assert group.characters_per_token == pytest.approx(sum(map(len, mine)) / tokens)
        assert group.words_per_token == pytest.approx(len(each) / tokens)
        assert group.fertility == pytest.approx(sum(each) / len(each))
        assert group.continued_words == pytest.approx(sum(n > 1 for n in each) / len(each))
        assert group.altered_documents == 0
        if name == "*":
            counts.update(i for held in ids for i in held)
    entries = [i for i, s in enumerate(vocabulary.spellings) if s is not None and len(s) > 1]
    assert found.usage.entries == len(entries) == len(made.definition["model"]["merges"])
    assert found.usage.unused == sum(counts[i] == 0 for i in entries)
    assert found.usage.under_trained == sum(0 < counts[i] < 5 for i in entries)


def test_weights_of_a_sample(made: Opened) -> None:
    """A stratum of which a tenth was measured counts ten times; ratios to a reference likewise."""
    prose, code = "time water light system " * 20, "def f(x):\n    return x\n" * 10
    batch = Texts(
        pa.array([prose, code], pa.large_string()), [("web", "en", None), ("code", "und", "python")]
    )
    weights = {("web", "en", None): 10.0, ("code", "und", "python"): 1.0}
    other = Opened("other", Path("other.json"), trained(made_texts(50), 300))
    plain = {g.group: g for g in evaluate([made], [batch])["made"].groups}
    both = evaluate([made, other], [batch], weights=weights)
    weighted = {group.group: group for group in compared(both, "made")}
    tokens = {name: plain[name].tokens for name in ("web", "code")}
    expected = (10 * len(prose) + len(code)) / (10 * tokens["web"] + tokens["code"])
    assert weighted["*"].bytes_per_token == pytest.approx(expected)
    assert weighted["web"].bytes_per_token == pytest.approx(plain["web"].bytes_per_token)
    assert both["made"].growth.groups["*"][-1] == pytest.approx(expected, rel=1e-5)
    theirs = {group.group: group.bytes_per_token for group in both["other"].groups}
    assert weighted["*"].against == {"other": pytest.approx(expected / theirs["*"])}


def test_strata_beyond_the_most_are_counted_together() -> None:
    strata = Strata()
    numbers, sources = strata.numbers([(f"s{i}", "und", None) for i in range(MOST + 20)])
    assert len(set(numbers.tolist())) == MOST + 1
    assert set(numbers[MOST:].tolist()) == {MOST}
    assert len(set(sources.tolist())) == MOST + 1
    assert OTHERS in {name for name, by, _ in strata.groups() if by == "source"}


def test_strata_of_documents() -> None:
    docs = as_documents(
        ["a"] * 4,
        lang=["en", None, "zh", None],
        path=[None, "x/y.rs", "a.md", "b.unknown"],
        meta=["{}", "{}", '{"code_language":"Python","source":"theirs"}', '{"source":7}'],
    )
    expected = [("en", None), ("und", "rust"), ("zh", "python"), ("und", None)]
    assert strata_of(docs) == [("made", *rest) for rest in expected]
    assert [source for source, _, _ in strata_of(docs, row_sources=True)] == [
        "made",
        "made",
        "theirs",
        "made",
    ]


@pytest.mark.usefixtures("whole_checks")
def test_round_trip_of_a_sound_tokenizer(made: Opened, encoders: Encoders) -> None:
    found = round_trip(made.vocabulary, encoders)
    assert found.lossless
    assert (found.code_points, found.code_points_changed) == (0x110000 - 0x800, 0)
    assert (found.bytes_without_token, found.characters_spelt_wrong) == ((), 0)
    assert (found.invalid_sequences, found.invalid_sequences_decoded_otherwise) == (1000, 0)
    assert found.lone_bytes_replaced == 128


def test_round_trip_shows_normalisation_and_missing_bytes(
    made: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes = [*range(0xD800), *range(0xE000, 0x30000)]  # no other changes in NFC
    monkeypatch.setattr("corpusmill.tokenizer.evaluation.round_trip._code_points", lambda: planes)
    changed = json.loads(json.dumps(made.definition))
    changed["normalizer"] = {"type": "NFC"}
    opened = Opened("nfc", Path("x"), changed)
    found = round_trip(opened.vocabulary, fitting_encoder(opened, pa.array([], pa.large_string())))
    assert not found.lossless
    assert "U+0340" in found.changed_examples
    # A hangul syllable is its own NFC; only what normalises to something else is told.
    assert 1000 < found.code_points_changed < 1300
    lacking = json.loads(json.dumps(made.definition))
    character = CHARACTERS[0xC3]
    model = lacking["model"]
    model["merges"] = [m for m in model["merges"] if character not in "".join(m)]
    model["vocab"] = {e: i for e, i in model["vocab"].items() if character not in e}
    opened = Opened("lacking", Path("x"), lacking)
    found = round_trip(opened.vocabulary, fitting_encoder(opened, pa.array([], pa.large_string())))
    assert found.bytes_without_token == ("0xc3",)
    assert not found.lossless
    assert "U+00C0" in found.changed_examples


def test_digits_and_white_space(made: Opened, encoders: Encoders) -> None:
    speller = Speller(encoders.use, made.vocabulary)
    digits = digit_grouping(speller)
    assert digits.largest_group <= 3
    assert set(digits.lengths) == {str(n) for n in range(1, 13)}
    assert digits.lengths["1"] == Grouping("1", 1.0)
    assert "".join(digits.examples["1,000,000"]) == "1,000,000"
    spaces = white_space(speller)
    # The made code is indented by four and eight: one entry, and the space that no `b` ever followed.
    assert (spaces.indentation["4 spaces"], spaces.indentation["8 spaces"]) == (2, 2)
    assert spaces.indentation["3 tabs"] == 3
    assert (spaces.runs["1"], spaces.runs["2"]) == (1, 1)
    assert spaces.line_ends["CRLF"] > spaces.line_ends["LF"]
    assert spaces.trailing["line break"] == 1


def test_digits_that_do_not_align() -> None:
    texts = ["2024 1999 2024 1999 1812 1812 " * 20]
    opened = Opened("gpt2", Path("x"), trained(texts, 300, "gpt2"))
    encoder = fitting_encoder(opened, pa.array(texts, pa.large_string()))
    digits = digit_grouping(Speller(encoder.use, opened.vocabulary))
    assert not digits.consistent
    assert digits.largest_group == 4


@pytest.mark.parametrize(
    "entry, trace",
    [
        (" someone@example.com", "e-mail"),
        ("@gmail", "e-mail"),
        ("https://www", "url"),
        ("www.example", "url"),
        ("github.io/", "url"),
        (" 192.168.0.1", "ip address"),
        ("555-123-4567", "phone number"),
        ("(020) 7946 0958", "phone number"),
        ("20240131", "digit run"),
        ("deadbeef00112233", "key"),
        ("ghp_a1B2c3", "key"),
        ("aG9xZ8fK2mP0qR7t", "key"),
        (" internationalization", None),
        ("getElementsByTagName", None),
        ("2024", None),
        ("v1.2.3.", None),
        ("self.com", "url"),
        ("defaceddefaced", None),
        ("://", None),
        ("................", None),
        ("sha256sum_of_files", None),
    ],
)
def test_traces_of_persons_and_secrets(entry: str, trace: str | None) -> None:
    assert trace_of(entry) == trace


def test_suspicious_entries(made: Opened) -> None:
    """Put in by hand: what the pre-tokenizer never lets be, half a character, a long repeat, a trace."""
    definition = json.loads(json.dumps(made.definition))
    alphabet = CHARACTERS
    vocab, merges = definition["model"]["vocab"], definition["model"]["merges"]

    def add(content: bytes) -> int:
        spelt = [alphabet[byte] for byte in content]
        for end in range(2, len(spelt) + 1):
            entry = "".join(spelt[:end])
            if entry not in vocab:
                vocab[entry] = len(vocab)
                merges.append(["".join(spelt[: end - 1]), spelt[end - 1]])
        return int(vocab["".join(spelt)])

    digits, half, repeat, mail = add(b"1234"), add("中".encode()[:2]), add(b"~" * 16), add(b"@gmail")
    opened = Opened("strange", Path("x"), definition)
    found = evaluate([opened], [])["strange"]
    strange = found.suspicious
    assert digits in [entry.id for entry in strange.unreachable.examples]
    assert script_of(opened.vocabulary.spellings[half] or b"") == "partial UTF-8"
    partial = [s for s in opened.vocabulary.spellings if s is not None and script_of(s) == "partial UTF-8"]
    assert strange.partial_utf8.count == sum(len(spelling) > 1 for spelling in partial)
    assert repeat in [entry.id for entry in strange.long_repeats.examples]
    assert [entry.id for entry in strange.trace_examples["e-mail"]] == [mail]
    assert strange.traces == TraceCount(1, {"e-mail": 1})
    assert (found.groups, found.usage, found.growth) == (None, None, None)


def test_composition(made: Opened) -> None:
    found = composition(made.vocabulary)
    assert found.entries == 256 + found.merges
    assert sum(found.scripts.values()) == sum(found.lengths.values()) == found.entries
    assert found.longest[0].bytes == max(map(int, found.lengths))
    assert found.line_break_combinations == sum(
        s is not None and s.endswith(b"\n") and s.strip() != b"" for s in made.vocabulary.spellings
    )
    scripts = {" time": "latin", "时间": "han", "ひら": "hiragana", "12": "digits", "!!": "punctuation"}
    scripts |= {"  ": "white space", "aя": "mixed", "한국": "hangul", "\x00": "control"}
    assert {text: script_of(text.encode()) for text in scripts} == scripts
    assert script_of(b"\xe4\xb8") == "partial UTF-8"
