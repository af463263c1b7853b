"""Tokenizers in every form and texts of every kind; bad files are refused, with the cause and the cure."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer, models

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.inspection.rendering import render_inspection
from corpusmill.pipelines.records.codec import encode_told
from corpusmill.tokenizer.commands.inspect_tokenizer import inspect_tokenizer
from corpusmill.tokenizer.evaluation.encoding import fitting_encoder
from corpusmill.tokenizer.evaluation.evaluate import evaluate
from corpusmill.tokenizer.evaluation.open_tokenizer import Opened, open_tokenizer
from corpusmill.tokenizer.evaluation.read_files import read_texts
from corpusmill.tokenizer.evaluation.vocabulary import vocabulary_of
from tests.oracles.released_tokenizers import first_ranks
from tests.oracles.tokenizer_evaluation import trained
from tests.oracles.tokenizer_texts import as_documents, made_texts


@pytest.fixture(scope="module")
def made() -> Opened:
    """A small tokenizer, trained on made texts by `tokenizers`."""
    return Opened("made", Path("made.json"), trained(made_texts(200), 700))


def _ranks(definition: dict[str, Any]) -> str:
    spellings = vocabulary_of(definition, "x").spellings
    held = [spelling for spelling in spellings if spelling is not None]
    return "".join(f"{base64.b64encode(s).decode()} {rank}\n" for rank, s in enumerate(held))


def test_forms_of_tokenizers(made: Opened, tmp_path: Path) -> None:
    """Folder, file, compressed file, rank file and merges give the same tokens."""
    (tmp_path / "folder").mkdir()
    text = json.dumps(made.definition)
    (tmp_path / "folder" / "tokenizer.json").write_text(text, encoding="utf-8")
    packed = tmp_path / "other.tokenizer.json.zst"
    packed.write_bytes(zstandard.compress(text.encode()))
    (tmp_path / "own.tiktoken").write_text(_ranks(made.definition), encoding="ascii")
    lines = [" ".join(merge) for merge in made.definition["model"]["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(lines) + "\n", encoding="utf-8")
    opened = [
        open_tokenizer(tmp_path / "folder"),
        open_tokenizer(packed),
        open_tokenizer(tmp_path / "own.tiktoken", "deepseek_v3"),
        open_tokenizer(tmp_path / "own.tiktoken", name="deepseek_v3"),
    ]
    assert [each.name for each in opened] == ["folder", "other", "own", "deepseek_v3"]
    texts = pa.array(made_texts(20, seed=8), pa.large_string())
    merged = open_tokenizer(tmp_path / "merges.txt", "deepseek_v3")
    expected = fitting_encoder(made, texts).use.encode(texts)
    for each in (*opened[:3], merged):
        ends, tokens = fitting_encoder(each, texts).use.encode(texts)
        assert np.array_equal(ends, expected[0])
        ours = [made.vocabulary.spellings[t] for t in expected[1].tolist()]
        assert [each.vocabulary.spellings[t] for t in tokens.tolist()] == ours


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("tokenizer.json", "", "is empty"),
        ("tokenizer.json", "no json", "not a tokenizer.json"),
        ("tokenizer.json", "[1]", "a JSON list"),
        ("tokenizer.json", "[" * 100_000, "not a tokenizer.json"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {}, "merges": ["a b"]}}', "out of vocabulary"),
        (
            "tokenizer.json",
            '{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [{}]}',
            "json",
        ),
        ("tokenizer.json", "{}", "no model"),
        ("x.tiktoken", "YQ== 0", "does not say how text is split"),
        ("cl100k.tiktoken", "YQ==", "line 1"),
        ("cl100k.tiktoken", "YQ== 0\n*** 1", "line 2"),
        ("cl100k.tiktoken", "YQ== 0\nYg== 0", "the same rank"),
        ("cl100k.tiktoken", "YQ== 0\nYg== 1", "lacks 254 of the 256 bytes"),
        ("merges.txt", "a b\nab zz", "line 2"),
        ("tokenizer.json.zst", "not zstd", "cannot be read"),
        ("tokenizer.json", "\udcff", "not text in UTF-8"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=words) as raised:
        _ = open_tokenizer(path).vocabulary
    assert str(path) in str(raised.value) or "tokenizer:" in str(raised.value)


def test_tokenizers_that_cannot_be_judged(made: Opened, tmp_path: Path) -> None:
    unigram = json.loads(Tokenizer(models.Unigram([("a", 0.0)])).to_str())
    with pytest.raises(UserError, match="a Unigram tokenizer cannot be evaluated"):
        vocabulary_of(unigram, "u")
    without = json.loads(json.dumps(made.definition))
    without["model"]["merges"] = []
    with pytest.raises(UserError, match="no merges"):
        vocabulary_of(without, "w")
    plain = json.loads(json.dumps(made.definition))
    plain["decoder"] = None
    with pytest.raises(UserError, match="neither byte-level nor with byte fallback"):
        vocabulary_of(plain, "p")
    strange = json.loads(json.dumps(made.definition))
    strange["model"]["vocab"]["中"] = 9999
    with pytest.raises(UserError, match="stands for no byte"):
        vocabulary_of(strange, "s")
    with pytest.raises(UserError, match="does not exist"):
        open_tokenizer(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"no tokenizer\.json in this folder"):
        open_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(made.definition), encoding="utf-8")
    with pytest.raises(UserError, match="leave `pattern` out"):
        open_tokenizer(tmp_path, "gpt2")
    (tmp_path / "a.tiktoken").write_text(_ranks(made.definition), encoding="ascii")
    with pytest.raises(UserError, match="no pattern 'gpt9'"):
        open_tokenizer(tmp_path / "a.tiktoken", "gpt9")
    with pytest.raises(UserError, match="two tokenizers are called 'made'"):
        evaluate([made, made], [])


def test_files_of_every_kind(tmp_path: Path) -> None:
    rows = [{"text": "one", "source": "theirs"}, {"text": "two", "lang": "en"}, {"none": 1}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    docs = as_documents(["three", None], source=["web", "web"])
    pq.write_table(docs.table, tmp_path / "b.parquet")
    (tmp_path / "c.py").write_text("import os\n", encoding="utf-8")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.txt").write_text("four", encoding="utf-8")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    lost: Counter[str] = Counter()
    names = ["a.jsonl", "b.parquet", "c.py", "more", "bad.txt"]
    batches = list(read_texts([tmp_path / name for name in names], lost))
    found = [
        (text, stratum)
        for batch in batches
        for text, stratum in zip(batch.text.to_pylist(), batch.strata, strict=True)
    ]
    assert found == [
        ("one", ("theirs", "und", None)),
        ("two", ("a", "en", None)),
        ("three", ("web", "und", None)),
        ("import os\n", ("c", "und", "python")),
        ("four", ("more", "und", "text")),
    ]
    assert lost == {"no_text": 2, "bad_utf8": 1}
    with pytest.raises(UserError, match="does not exist"):
        list(read_texts([tmp_path / "absent.txt"], lost))


def test_the_command_end_to_end(made: Opened, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(made.definition), encoding="utf-8")
    (tmp_path / "merges.txt").write_text(
        "\n".join(" ".join(merge) for merge in made.definition["model"]["merges"]), encoding="utf-8"
    )
    rows = [{"text": text, "lang": "en"} for text in made_texts(20)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = [tmp_path / "texts.jsonl"]
    found = inspect_tokenizer(tmp_path, files, {"gpt2": tmp_path / "merges.txt"})
    assert list(found.tokenizers) == [tmp_path.name, "gpt2"]
    assert set(found.groups[0].against or {}) == {"gpt2"}
    assert json.loads(json.dumps(encode_told(found)))["groups"][0]["against"]
    shown = render_inspection(found)
    for words in ("bytes per token", "gpt2", "1234567 is cut", "entries by script", "by vocabulary size"):
        assert words in shown
    assert "\x1b" not in shown
    assert "growth" not in render_inspection(inspect_tokenizer(tmp_path))
    (tmp_path / "none.jsonl").write_text('{"no": 1}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"none\.jsonl: no document to measure on \(1 no_text\)"):
        inspect_tokenizer(tmp_path, [tmp_path / "none.jsonl"])


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_rank_files_of_openai(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tokens as tiktoken's, by the first ranks, on made texts and on odd ones."""
    tiktoken = pytest.importorskip("tiktoken")
    openai_public = pytest.importorskip("tiktoken_ext.openai_public")
    content = first_ranks(f"{name}.tiktoken.zst", 20_000)
    path = tmp_path / f"{name}.tiktoken.zst"
    path.write_bytes(zstandard.compress(content))
    ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in content.splitlines())}
    # Its own definition, with the ranks at hand for those it would fetch.
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks)
    given = openai_public.ENCODING_CONSTRUCTORS[name]()
    theirs = tiktoken.Encoding(name, pat_str=given["pat_str"], mergeable_ranks=ranks, special_tokens={})
    texts = [*made_texts(30), "  x\n\n  ", "a\n   ", "It's 12345 o'CLOCK\u017f", "\u3000中\r\n\t"]
    fast = fitting_encoder(open_tokenizer(path), pa.array(texts, pa.large_string()))
    assert fast.name == "gigatoken"
    for text in texts:
        tokens = fast.use.encode(pa.array([text], pa.large_string()))[1]
        assert tokens.tolist() == theirs.encode_ordinary(text)
