from __future__ import annotations

import json
import shutil
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from corpusmill.pipelines.contract.documents import Documents, document_id
from corpusmill.pipelines.contract.randomness import draws, is_held_out
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.text.encoders import TokenizersEncoder
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.boundary.combined import TokenTable, token_table
from corpusmill.tokenizer.boundary.document_draws import document_draws
from corpusmill.tokenizer.boundary.options import SplitBoundary
from corpusmill.tokenizer.bpe.artefact import write_tokenizer
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer
from corpusmill.tokenizer.encode import Encode
from corpusmill.tokenizer.kernels.split_boundary_tokens import CONTROL, ORDINARY, splitmix64
from corpusmill.tokenizer.pack import Pack
from corpusmill.tokenizer.shards.reader import open_shard
from corpusmill.tokenizer.shards.statistics import mixture_statistics
from corpusmill.training_hooks.loading.loader import ShardLoader
from tests.oracles import tokenizer_boundary as oracle
from tests.oracles.released_tokenizers import released
from tests.oracles.tokenizer_bpe import SlowBpe
from tests.oracles.tokenizer_fim import split_text
from tests.oracles.tokenizer_texts import as_documents, made_texts

lines = st.lists(
    st.lists(
        st.sampled_from(["if x", "}", ");", ".", "。\n", "\n", ".\n\n", "\r\n", " ", "é"]), max_size=30
    ).map("".join),
    max_size=10,
)


ENDINGS = [".\n", ".\n\n", ");\n", "。\n", "。\n\n", "}\r\n", " {\n", "…\n", ")\n\n\n"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with many combined tokens, one of them the end of a cut character."""
    tokenizer = new_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [*made_texts(300), *(f"a{ending}b{ending}" * 40 for ending in ENDINGS), "“\n”\n‘\n’\n—\n" * 30]
    tokenizer.train_from_iterator(texts, trainer)
    made = tmp_path_factory.mktemp("combined")
    write_tokenizer(made, tokenizer.to_str(), SPECIAL_TOKENS, pa.array(texts, pa.large_string()))
    return made


@pytest.fixture
def context(folder: Path) -> Context:
    return Context(seed=5, artefacts={"tokenizer": folder})


def encoded(context: Context, docs: Documents, rate: float, **options: object) -> pa.Table:
    options = {"fim": {"rate": 0}, "add_eos": False, **options, "split_boundary": {"rate": rate}}
    stage = prepared(context.artefacts["tokenizer"], context.seed, json.dumps(options))
    return stage.edit(docs).documents.table


@lru_cache(maxsize=16)
def prepared(folder: Path, seed: int, options: str) -> Encode:
    """Loading a tokenizer into both encoders takes longer than what most tests encode."""
    return Encode.model_validate_json(options).prepare(Context(seed=seed, artefacts={"tokenizer": folder}))


def tokens_of(table: pa.Table) -> list[list[int]]:
    return table.column("tokens").to_pylist()  # type: ignore[no-any-return]


@lru_cache(maxsize=2)
def slow(path: Path) -> tuple[SlowBpe, dict[int, list[int]]]:
    bpe = SlowBpe(path)
    added = json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
    return bpe, oracle.combined_table(bpe, {token["id"] for token in added})


@lru_cache(maxsize=4)
def reference(path: Path) -> TokenizersEncoder:
    return TokenizersEncoder(json.loads(path.read_text(encoding="utf-8")))


def definition_of(context: Context) -> Path:
    return context.artefact("tokenizer", "tokenizer.json")


def as_dict(table: TokenTable) -> dict[int, list[int]]:
    ids = np.flatnonzero(table.rows >= 0)
    return {
        int(i): table.parts[table.starts[table.rows[i]] : table.starts[table.rows[i] + 1]].tolist()
        for i in ids
    }


def test_the_table_equals_the_slow_one(context: Context) -> None:
    path = definition_of(context)
    definition = json.loads(path.read_text(encoding="utf-8"))
    size = json.loads(context.artefact("tokenizer", "encoder.json").read_text())["vocab_size"]
    table = token_table(documents_only(definition), size, reference(path).encode_symbols)
    assert as_dict(table) == slow(path)[1]
    assert len(as_dict(table)) >= 3
    assert (table.rows[:6] == CONTROL).all()
    assert (table.rows[6:] >= ORDINARY).all()
    bits = np.unpackbits(table.marked, bitorder="little")
    assert (bits[:size] == (table.rows != ORDINARY)).all()
    assert bits[size:].all()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([None, "psm", "spm"]))
def test_documents_equal_the_oracle(
    context: Context, texts: list[str], rate: float, mode: str | None
) -> None:
    docs = as_documents(texts)
    fim = {"rate": 0 if mode is None else 1, "mode": mode or "psm"}
    table = encoded(context, docs, rate, fim=fim)
    bpe, parts = slow(definition_of(context))
    ids = docs.column("id")
    first, second, splitting = (
        draws(ids, context.seed, name).tolist()
        for name in ("fim.first", "fim.second", "encode.split_boundary")
    )
    for i, text in enumerate(texts):
        pieces = [text] if mode is None else split_text(text, first[i], second[i])
        plain = [bpe.encode(piece) for piece in pieces]
        found, combined, changed = oracle.split(
            [t for piece in plain for t in piece], parts, splitting[i], rate
        )
        ends = np.cumsum([0, *map(len, plain)])
        written = [[t for one in found[a:b] for t in one] for a, b in pairwise(ends)]
        expected = written[0]
        if mode is not None:
            prefix, middle, suffix = written
            before, after = (prefix, []) if mode == "psm" else ([], prefix)
            expected = [4, *before, 3, *suffix, 5, *after, *middle]
        assert table.column("tokens")[i].as_py() == expected
        assert table.column("combined")[i].as_py() == combined
        assert table.column("split")[i].as_py() == changed


def test_decoding_is_unchanged_and_only_combined_tokens_change(context: Context) -> None:
    docs = as_documents(made_texts(60, seed=8))
    decoder = reference(definition_of(context))
    plain, parts = tokens_of(encoded(context, docs, 0.0)), slow(definition_of(context))[1]
    for rate in (0.3, 1.0):
        changes = 0
        for text, before, after in zip(
            docs.text.to_pylist(), plain, tokens_of(encoded(context, docs, rate)), strict=True
        ):
            assert decoder.decode(np.array(after, np.uint32)) == text
            at = 0
            for token in before:
                if after[at : at + 1] == [token]:
                    assert rate < 1.0 or token not in parts
                    at += 1
                    continue
                assert after[at : at + len(parts[token])] == parts[token]
                at += len(parts[token])
                changes += 1
            assert at == len(after)
        assert changes > 0


def test_rate_zero_changes_nothing_and_one_leaves_no_combined_token(context: Context) -> None:
    docs = as_documents(made_texts(40, seed=2))
    parts = slow(definition_of(context))[1]
    none, every = (encoded(context, docs, rate) for rate in (0.0, 1.0))
    assert tokens_of(none) == [slow(definition_of(context))[0].encode(text) for text in docs.text.to_pylist()]
    assert none.column("split").to_numpy().sum() == 0
    assert none.column("combined").equals(every.column("combined"))
    assert every.column("split").equals(every.column("combined"))
    assert not {token for tokens in tokens_of(every) for token in tokens} & set(parts)


def test_documents_held_out_are_left_as_they_are(context: Context) -> None:
    docs = as_documents(made_texts(60, seed=4))
    held = is_held_out(docs.column("id"), context.seed, 0.4)
    assert 5 < held.sum() < 55
    plain, split = encoded(context, docs, 0.0), encoded(context, docs, 1.0, held_out=0.4)
    for row, is_held in enumerate(held):
        same = plain.column("tokens")[row] == split.column("tokens")[row]
        assert same == (is_held or plain.column("combined")[row].as_py() == 0)
        assert split.column("split")[row].as_py() == (0 if is_held else plain.column("combined")[row].as_py())


def test_the_realised_proportion_lies_within_binomial_bounds(context: Context) -> None:
    docs = as_documents(made_texts(1500, seed=6))
    for rate in (0.02, 0.1, 0.5, 0.9):
        table = encoded(context, docs, rate, verify_rate=0)
        met, split = (int(table.column(name).to_numpy().sum()) for name in ("combined", "split"))
        assert met > 3000
        assert abs(split - rate * met) < 4.5 * (met * rate * (1 - rate)) ** 0.5


def test_positions_of_one_document_are_drawn_apart(context: Context) -> None:
    """Neither all combined tokens of a document share a fate, nor those at one position of all documents."""
    docs = as_documents([".\n\nA" * 400] * 50)
    docs = docs.with_columns({"id": pa.array([document_id(str(i), b"") for i in range(50)])})
    met, parts = [], slow(definition_of(context))[1]
    for tokens in tokens_of(encoded(context, docs, 0.5)):
        whole = [token in parts for token in tokens]
        met.append(sum(whole))
    assert len(set(met)) > 5
    assert min(met) > 0.3 * 400
    assert max(met) < 0.7 * 400


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines, st.randoms(use_true_random=False))
def test_a_document_is_split_alike_in_any_company(
    context: Context, texts: list[str], random_: object
) -> None:
    docs = as_documents([*texts, *made_texts(3)])
    order = list(range(len(docs)))
    random_.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Documents(docs.table.take(pa.array(order)))
    options = {"fim": {"rate": 0.5}, "verify_rate": 1.0}
    together = tokens_of(encoded(context, docs, 0.5, **options))
    apart = [tokens_of(encoded(context, docs.slice(i, 1), 0.5, **options))[0] for i in range(len(docs))]
    assert together == apart
    assert tokens_of(encoded(context, shuffled, 0.5, **options)) == [together[i] for i in order]


def test_another_seed_splits_other_tokens(context: Context) -> None:
    docs = as_documents(made_texts(30))
    other = Context(seed=context.seed + 1, artefacts=context.artefacts)
    assert tokens_of(encoded(context, docs, 0.5)) != tokens_of(encoded(other, docs, 0.5))


def test_both_encoders_are_split_alike(context: Context) -> None:
    docs = as_documents(made_texts(60, seed=9))
    tables = [encoded(context, docs, 0.5, encoder=encoder) for encoder in ("verified", "tokenizers")]
    assert tables[0].equals(tables[1])


def test_many_splits_need_more_room_than_was_guessed(context: Context) -> None:
    docs = as_documents([".\n\n" * 5000])
    table = encoded(context, docs, 1.0)
    assert table.column("split")[0].as_py() >= 2500
    text = reference(definition_of(context)).decode(np.array(tokens_of(table)[0], np.uint32))
    assert text == ".\n\n" * 5000


def test_deepseeks_own_table(deepseek_folder: Path) -> None:
    path = deepseek_folder / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    table = as_dict(token_table(documents_only(definition), 128815, reference(path).encode_symbols))
    assert len(table) == 801
    spelt = definition["model"]["vocab"]
    assert table[spelt[";Ċ"]] == [spelt[";"], spelt["Ċ"]]
    assert table[spelt["();ĊĊ"]] == [spelt["();"], spelt["ĊĊ"]]
    assert spelt["ĠĊ"] not in table
    for token, parts in table.items():
        ids = np.array([token], np.uint32), np.array(parts, np.uint32)
        assert reference(path).decode(ids[0]) == reference(path).decode(ids[1])


@pytest.mark.parametrize(("name", "count"), [("qwen3", 1977), ("llama3_1", 2050)])
def test_tables_of_other_tokenizers(name: str, count: int) -> None:
    definition = released(name)
    encoder = TokenizersEncoder(definition)
    size = max(token["id"] for token in definition["added_tokens"]) + 1
    table = token_table(documents_only(definition), size, encoder.encode_symbols)
    assert len(as_dict(table)) == count
    assert (table.rows == CONTROL).sum() == size - len(documents_only(definition)["model"]["vocab"])
    for token, parts in as_dict(table).items():
        assert len(parts) >= 2
        one, several = (encoder.decode(np.array(ids, np.uint32)) for ids in ([token], parts))
        assert one == several


def test_vocabularies_of_plain_symbols() -> None:
    """A vocabulary without the byte alphabet, as SentencePiece's: line breaks stand for themselves."""
    symbols = ["<unk>", "\u2581", ".", "\n", "a", ".\n", "\n\n", "\u2581\n", ".\n\n", "b\n"]
    merges = [(".", "\n"), ("\n", "\n"), ("\u2581", "\n"), (".\n", "\n")]
    tokenizer = Tokenizer(models.BPE({s: i for i, s in enumerate(symbols)}, merges, unk_token="<unk>"))
    tokenizer.decoder = decoders.Replace("\u2581", " ")
    tokenizer.add_special_tokens([AddedToken("<unk>", special=True, normalized=False)])
    definition = json.loads(tokenizer.to_str())
    plain = {**documents_only(definition), "model": definition["model"]}
    table = token_table(plain, len(symbols), TokenizersEncoder(definition).encode_symbols)
    assert as_dict(table) == {5: [2, 3], 8: [2, 6]}  # "b\n": b is no symbol by itself, so it stays whole


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 40))
def test_draws_of_tokens_are_splitmix64(seed: int, position: int) -> None:
    assert int(splitmix64(np.uint64(seed), position)) == oracle.splitmix64(seed, position)


def test_splitmix64_gives_the_published_numbers() -> None:
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(splitmix64(np.uint64(0), i)) for i in range(3)] == expected


@settings(deadline=None)
@given(st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex)), st.integers(0, 2**32), st.data())
def test_draws_of_documents_are_those_of_the_spine(ids: list[str], seed: int, data: st.DataObject) -> None:
    column = pa.array(ids, pa.string())
    at = data.draw(st.integers(0, len(ids)))
    expected = draws(ids, seed, "a purpose")
    assert document_draws(column, seed, "a purpose").tolist() == expected.tolist()
    assert document_draws(column[at:], seed, "a purpose").tolist() == expected[at:].tolist()


def test_draws_of_ids_of_other_lengths() -> None:
    ids = ["a", "0" * 32, "b" * 100, ""]
    assert document_draws(pa.array(ids), 3, "p").tolist() == draws(ids, 3, "p").tolist()
    wide = pa.array(["0" * 32], pa.large_string())
    assert document_draws(wide, 3, "p").tolist() == draws(["0" * 32], 3, "p").tolist()


def test_shards_count_splits_and_name_the_models_vocabulary(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "t")
    facts = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    (tmp_path / "t" / "encoder.json").write_text(json.dumps({**facts, "model_vocab_size": 1024}))
    context = Context(seed=5, artefacts={"tokenizer": tmp_path / "t"})
    docs = as_documents(made_texts(30))
    pack = Pack.model_validate({"sequence_length": 64, "split_boundary": {"rate": 0.5}}).prepare(context)
    rows = Encode.model_validate(pack.encode_options()).prepare(context).edit(docs).documents.table
    key, row = np.sort(draws(docs.column("id"), 0, "order")), np.arange(30, dtype=np.uint32)
    for name, values in (("epoch", row.astype(np.int32)), ("row", row), ("unit", row), ("key", key)):
        rows = rows.add_column(0, name, pa.array(values))
    pack.write(rows, 0, tmp_path)
    shard, apart = (open_shard(tmp_path / f"{name}-00000.arrow") for name in ("shard", "heldout"))
    held = rows.column("held_out").to_numpy()
    assert 0 < held.sum() < len(held)
    for one, chosen in ((shard, ~held), (apart, held)):
        one.verify()
        counts = one.metadata["counts"]
        met, split = (int(rows.column(name).to_numpy()[chosen].sum()) for name in ("combined", "split"))
        assert (counts["combined_tokens"], counts["split_tokens"]) == (met, split)
    assert split == 0  # of documents held out
    counts = shard.metadata["counts"]
    met, split = counts["combined_tokens"], counts["split_tokens"]
    assert 0 < split < met
    statistics = mixture_statistics([shard.path])
    assert statistics["combined_tokens"] == met
    assert statistics["split_rate"] == split / met
    assert (shard.metadata["vocab_size"], shard.model_vocab_size) == (facts["vocab_size"], 1024)
    assert shard.metadata["encoder"] == "gigatoken"
    loader = ShardLoader([shard.path], batch_size=2, seed=1)
    assert (loader.vocab_size, loader.model_vocab_size) == (facts["vocab_size"], 1024)


def test_rates_outside_zero_to_one_are_refused() -> None:
    for rate in (-0.1, 1.1):
        with pytest.raises(ValidationError):
            SplitBoundary(rate=rate)
