from __future__ import annotations

import io
import json
import shutil
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UserError
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.text import encoders
from corpusmill.tokenizer.bpe import first_documents
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
from corpusmill.tokenizer.encode import Encode
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from tests.oracles.released_tokenizers import shortened
from tests.oracles.tokenizer_bpe import SlowBpe
from tests.oracles.tokenizer_fim import split_text, unframe
from tests.oracles.tokenizer_texts import DATA, as_documents, made_texts

BOS, EOS, PAD, HOLE, BEGIN, END = range(6)
scripts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=8)  # all of them
odd_texts = st.lists(st.text(st.sampled_from("ab Z9\n\t.中é🙂\u0301"), max_size=40), max_size=12)


def encoded(context: Context, docs: Documents, **options: object) -> pa.Table:
    outcome = prepared(context.artefacts["tokenizer"], context.seed, json.dumps(options)).edit(docs)
    assert outcome.reasons.null_count == len(docs)
    return outcome.documents.table


@lru_cache(maxsize=16)
def prepared(folder: Path, seed: int, options: str) -> Encode:
    """Loading a tokenizer into both encoders takes longer than what most tests encode."""
    return Encode.model_validate_json(options).prepare(Context(seed=seed, artefacts={"tokenizer": folder}))


def slow(context: Context) -> SlowBpe:
    return _slow(context.artefact("tokenizer", "tokenizer.json"))


@lru_cache(maxsize=2)
def _slow(path: Path) -> SlowBpe:
    return SlowBpe(path)


@lru_cache(maxsize=2)
def reference(path: Path) -> encoders.TokenizersEncoder:
    return encoders.TokenizersEncoder(json.loads(path.read_text(encoding="utf-8")))


def decode(context: Context, tokens: list[int]) -> str:
    path = context.artefact("tokenizer", "tokenizer.json")
    return reference(path).decode(np.array(tokens, np.uint32))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_texts)
def test_plain_documents_equal_the_slow_encoder(context: Context, texts: list[str]) -> None:
    table = encoded(context, as_documents(texts), fim={"rate": 0}, split_boundary={"rate": 0})
    oracle = slow(context)
    assert table.column("tokens").to_pylist() == [[*oracle.encode(text), EOS] for text in texts]
    assert table.column("bytes").to_pylist() == [len(text.encode()) for text in texts]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_texts, st.integers(0, 12), st.sampled_from([0.0, 0.5, 1.0]))
def test_batches_may_be_split_anywhere(context: Context, texts: list[str], at: int, rate: float) -> None:
    docs = as_documents(texts)
    at = min(at, len(docs))
    options = {"fim": {"rate": rate}, "verify_rate": 1.0}
    whole = encoded(context, docs, **options)
    parts = [docs.slice(0, at), docs.slice(at, len(docs) - at)]
    assert pa.concat_tables([encoded(context, part, **options) for part in parts]).equals(whole)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_texts | scripts, st.sampled_from(["psm", "spm"]), st.sampled_from(["characters", "lines"]))
def test_framed_documents_equal_the_oracle_and_unframe(
    context: Context, texts: list[str], mode: str, split: str
) -> None:
    docs = as_documents(texts)
    fim = {"rate": 1, "mode": mode, "split": split}
    table = encoded(context, docs, fim=fim, split_boundary={"rate": 0}, add_bos=True, add_eos=True)
    oracle = slow(context)
    ids = docs.column("id")
    first, second = (draws(ids, context.seed, name).tolist() for name in ("fim.first", "fim.second"))
    specials = {"fim_begin": BEGIN, "fim_hole": HOLE, "fim_end": END}
    rows = zip(texts, table.column("tokens").to_pylist(), first, second, strict=True)
    for text, tokens, one, two in rows:
        prefix, middle, suffix = (oracle.encode(part) for part in split_text(text, one, two, split))
        before, after = (prefix, []) if mode == "psm" else ([], prefix)
        assert tokens == [BOS, BEGIN, *before, HOLE, *suffix, END, *after, *middle, EOS]
        assert unframe(tokens[1:-1], specials, mode, lambda ids: decode(context, list(ids))) == text


def test_columns_rows_and_order(context: Context) -> None:
    texts = made_texts(9)
    docs = as_documents(texts, repo=["r"] * 9, path=[f"p{i}" for i in range(9)], lang=["en"] * 9)
    docs = docs.with_columns({"group": pa.array(["r"] * 9), "group_rank": pa.array(range(9), pa.int32())})
    table = encoded(context, docs)
    strings = ["id", "source", "domain", "lang", "path", "repo", "group"]
    counted = ["combined", "split", "bytes"]
    assert table.column_names == [
        *strings,
        "group_rank",
        "group_bytes",
        "fim",
        "held_out",
        *counted,
        "tokens",
    ]
    assert table.column("id").to_pylist() == docs.column("id").to_pylist()
    assert table.column("group_rank").to_pylist() == list(range(9))
    assert table.schema.field("tokens").type == pa.large_list(pa.uint16())
    plain = encoded(context, as_documents(texts))
    assert plain.column("group").null_count == 9
    assert plain.schema == table.schema


def test_spelt_control_tokens_are_ordinary_text(context: Context) -> None:
    texts = ["".join(SPECIAL_TOKENS.values()), f"a {SPECIAL_TOKENS['eos']} b", SPECIAL_TOKENS["fim_hole"] * 3]
    for encoder in ("verified", "tokenizers"):
        table = encoded(context, as_documents(texts), fim={"rate": 0}, add_eos=False, encoder=encoder)
        for text, tokens in zip(texts, table.column("tokens").to_pylist(), strict=True):
            assert min(tokens) > 5
            assert decode(context, tokens) == text


def test_both_encoders_give_the_same_bytes(context: Context) -> None:
    docs = as_documents([*made_texts(60, seed=4), "", " \n" * 50, "é" * 500])
    options = {"fim": {"rate": 0.5}, "verify_rate": 1.0}
    fast, reference = (encoded(context, docs, **options, encoder=e) for e in ("verified", "tokenizers"))
    assert fast.equals(reference)


def test_fim_rate_seed_and_domains(context: Context) -> None:
    docs = as_documents(["ab"] * 4000, domain=["code", "web"] * 2000)
    framed = encoded(context, docs, fim={"rate": 0.1}).column("fim").to_numpy()
    assert 300 < framed.sum() < 500
    again = (
        encoded(Context(seed=6, artefacts=context.artefacts), docs, fim={"rate": 0.1})
        .column("fim")
        .to_numpy()
    )
    assert (again != framed).any()
    code = encoded(context, docs, fim={"rate": 0.1, "domains": ["code"]}).column("fim").to_numpy()
    assert code[1::2].sum() == 0
    assert (code[::2] == framed[::2]).all()


def test_null_text_is_quarantined_and_empty_text_kept(context: Context) -> None:
    outcome = Encode(fim=Fim(rate=0)).prepare(context).edit(as_documents(["a", None, ""]))
    assert outcome.faults.to_pylist() == [None, "no_text", None]
    assert [len(t) for t in outcome.documents.table.column("tokens").to_pylist()] == [2, 1, 1]


def test_no_documents(context: Context) -> None:
    assert encoded(context, as_documents([])).num_rows == 0


def test_a_disagreement_on_the_way_stops_the_run(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = encoders.GigatokenEncoder.encode

    def wrong(self: encoders.GigatokenEncoder, texts: pa.Array) -> tuple[encoders.Offsets, encoders.Tokens]:
        offsets, tokens = honest(self, texts)
        tokens = tokens.copy()
        tokens[-1] ^= 1
        return offsets, tokens

    monkeypatch.setattr(encoders.GigatokenEncoder, "encode", wrong)
    docs = as_documents(made_texts(3))
    with pytest.raises(CorpusmillError, match="set `encoder: tokenizers`"):
        encoded(context, docs, verify_rate=1.0)
    encoded(context, docs, verify_rate=1.0, encoder="tokenizers")


@pytest.mark.parametrize("token", [EOS, 2**20])
def test_an_encoder_that_gives_what_no_text_may_stops_the_run(
    context: Context, monkeypatch: pytest.MonkeyPatch, token: int
) -> None:
    honest = encoders.GigatokenEncoder.encode

    def wrong(self: encoders.GigatokenEncoder, texts: pa.Array) -> tuple[encoders.Offsets, encoders.Tokens]:
        offsets, tokens = honest(self, texts)
        tokens = tokens.copy()
        tokens[len(tokens) // 2] = token
        return offsets, tokens

    monkeypatch.setattr(encoders.GigatokenEncoder, "encode", wrong)
    # Not among the first documents of its source, which would be found before.
    monkeypatch.setattr(first_documents.FirstDocuments, "check", lambda *_: None)
    with pytest.raises(CorpusmillError, match="which no text may"):
        encoded(context, as_documents(made_texts(3)), verify_rate=0, split_boundary={"rate": 0})


def test_a_padded_vocabulary_decides_the_width_and_is_never_produced(
    context: Context, tmp_path: Path
) -> None:
    shutil.copytree(context.artefacts["tokenizer"], tmp_path / "t")
    facts = json.loads((tmp_path / "t" / "encoder.json").read_text())
    (tmp_path / "t" / "encoder.json").write_text(json.dumps({**facts, "model_vocab_size": 2**16 + 1}))
    padded = Context(seed=5, artefacts={"tokenizer": tmp_path / "t"})
    docs = as_documents(made_texts(20))
    wide, narrow = encoded(padded, docs).column("tokens"), encoded(context, docs).column("tokens")
    assert wide.type == pa.large_list(pa.uint32())
    assert wide.to_pylist() == narrow.to_pylist()
    assert max(token for tokens in wide.to_pylist() for token in tokens) < facts["vocab_size"]


def test_a_replaced_tokenizer_is_noticed(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(context.artefacts["tokenizer"], folder)
    (folder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="is not the tokenizer that"):
        Encode().prepare(Context(artefacts={"tokenizer": folder}))


def test_large_vocabularies_take_uint32(deepseek_json: Path, tmp_path: Path) -> None:
    """DeepSeek's first merges, and its added tokens under ids that uint16 has not."""
    short = shortened(json.loads(deepseek_json.read_text()), 3000)
    for token in short["added_tokens"]:
        token["id"] += 100_000
        short["model"]["vocab"][token["content"]] = token["id"]
    (tmp_path / "in.json").write_text(json.dumps(short))
    LoadTokenizer(path=tmp_path / "in.json").run({}, tmp_path)
    ids = {token["content"]: token["id"] for token in short["added_tokens"]}
    context = Context(seed=5, artefacts={"tokenizer": tmp_path})
    texts = [*made_texts(30), "".join(SPECIAL_TOKENS.values())]
    table = encoded(context, as_documents(texts), fim={"rate": 1}, verify_rate=1.0)
    assert table.schema.field("tokens").type == pa.large_list(pa.uint32())
    specials = {f"fim_{role}": ids[f"<｜fim▁{role}｜>"] for role in ("hole", "begin", "end")}
    assert min(specials.values()) > 2**16
    for text, tokens in zip(texts, table.column("tokens").to_pylist(), strict=True):
        assert tokens[-1] == ids["<｜end▁of▁sentence｜>"] > 2**16
        assert unframe(tokens[:-1], specials, "psm", lambda ids: decode(context, list(ids))) == text


@pytest.mark.parametrize(
    ("file", "count"),
    [("text/tldr_pages_multilang", 300), ("text/ruanyf_weekly_zh", 12), ("math/latex_books", 8)],
)
def test_real_documents_encode_alike_and_decode(context: Context, file: str, count: int) -> None:
    path = DATA / f"{file}.jsonl.zst"
    if not path.exists():
        pytest.skip(f"{path} is not there; set CORPUSMILL_DATA")
    with path.open("rb") as source:
        lines = io.TextIOWrapper(
            zstandard.ZstdDecompressor().stream_reader(source), encoding="utf-8", newline="\n"
        )
        texts = [json.loads(line)["text"] for line in islice(lines, count)]
    docs = as_documents(texts)
    options = {"fim": {"rate": 0}, "add_eos": False, "split_boundary": {"rate": 0.3}}
    fast, reference_ = (encoded(context, docs, **options, encoder=e) for e in ("verified", "tokenizers"))
    assert fast.equals(reference_)
    for text, tokens in zip(texts, fast.column("tokens").to_pylist(), strict=True):
        assert decode(context, tokens) == text


def test_a_tokenizer_without_fim_tokens(context: Context, tmp_path: Path) -> None:
    shutil.copytree(context.artefacts["tokenizer"], tmp_path / "t")
    facts = json.loads((tmp_path / "t" / "encoder.json").read_text())
    del facts["special_tokens"]["fim_hole"]
    (tmp_path / "t" / "encoder.json").write_text(json.dumps(facts))
    lacking = Context(seed=5, artefacts={"tokenizer": tmp_path / "t"})
    with pytest.raises(UserError, match="no token for fim_hole; name them under"):
        Encode(fim=Fim(rate=0.1)).prepare(lacking)
    many = encoded(lacking, as_documents(["abcdef"] * 200))  # not asked for, so none is framed
    assert many.column("fim").to_pylist() == [False] * 200
    assert any(encoded(context, as_documents(["abcdef"] * 200)).column("fim").to_pylist())
