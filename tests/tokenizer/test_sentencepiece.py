from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from corpusmill.pipelines.contract.errors import LedgerError, UserError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.text.tokenizer_json import documents_only
from corpusmill.tokenizer.bpe.artefact import read_vocabulary
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS
from corpusmill.tokenizer.bpe.probes import probe_texts
from corpusmill.tokenizer.encode import Encode
from corpusmill.tokenizer.evaluation.open_tokenizer import open_tokenizer
from corpusmill.tokenizer.export.exported import export_tokenizer
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.load_tokenizer import LoadTokenizer
from corpusmill.tokenizer.pieces.definition import definition_of_model
from corpusmill.tokenizer.pieces.model_file import read_model
from corpusmill.tokenizer.pieces.training import beginnings, train_model, training_items
from corpusmill.tokenizer.train_sentencepiece import TrainSentencepiece
from tests.oracles.tokenizer_counts import sampled
from tests.oracles.tokenizer_texts import as_documents, made_texts

sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")

ODD = [
    "",
    " ",
    "  a  b   ",
    "\r\na\r\n\r\n",
    "\t\tx\t",
    "a\x00b",
    "\n\n\n",
    "\u3000中文 \u00a0",
    "e\u0301🙂\u200d",
    "<0x41><unk><s>",
    " " * 500 + "x",
]


def trained(folder: Path, texts: list[str], seed: int = 3, **options: Any) -> dict[str, Any]:
    docs = as_documents(texts)
    sample = folder.with_name(f"{folder.name}.sample")
    sampled(sample, [docs], seed)
    stage = TrainSentencepiece(**{"vocab_size": 900, **options})
    stage = stage.prepare(Context(seed=seed, artefacts={"tokenizer_sample": sample}))
    folder.mkdir()
    return stage.finish(stage.combine([stage.map(iter([docs]))]), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "tokenizer"
    trained(path, [*made_texts(300), "tab\tbed ▁ and ▅\r\n" * 30])
    return path


@pytest.fixture(scope="module")
def library(folder: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.fixture(scope="module")
def documents(folder: Path) -> Tokenizer:
    definition = json.loads((folder / "tokenizer.json").read_text())
    return Tokenizer.from_str(json.dumps(documents_only(definition)))


def model_of(texts: list[str], **options: Any) -> bytes:
    """A model trained by the library itself, with its own defaults but for `options`."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=made,
        **{
            "model_type": "bpe",
            "vocab_size": 400,
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "add_dummy_prefix": False,
            "remove_extra_whitespaces": False,
            "hard_vocab_limit": False,
            "num_threads": 1,
            "minloglevel": 2,
            **options,
        },
    )
    return made.getvalue()


def test_the_artefact_holds_a_whole_tokenizer(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "training.json"} < names
    vocabulary = read_vocabulary(folder / "encoder.json")
    assert vocabulary.specials == {role: i for i, role in enumerate(SPECIAL_TOKENS)}
    assert vocabulary.size <= 900
    facts = json.loads((folder / "training.json").read_text())
    assert facts["trainer"] == "sentencepiece"
    assert facts["documents"] == facts["sources"]["made"]["documents"] > 280
    assert facts["encoder"]["mismatches"] == 0
    assert facts["options"]["split_digits"] is True


def test_ids_are_sentencepieces_own(library: Any, documents: Tokenizer) -> None:
    texts = [*ODD, *made_texts(90, seed=8), *probe_texts(["<unk>", "<s>"], count=150)]
    texts = [text for text in texts if "▁" not in text]
    assert len(texts) > 200
    for text in texts:
        assert documents.encode(text).ids == library.encode(text)


@settings(deadline=None, max_examples=100)
@given(st.text(st.sampled_from("ab ▁\t\n\r\x00中é<0x41>_🙂1"), max_size=40))
def test_every_text_comes_back(documents: Tokenizer, library: Any, text: str) -> None:
    ids = documents.encode(text).ids
    assert documents.decode(ids, skip_special_tokens=False) == text
    assert (ids == library.encode(text)) or "▁" in text
    assert not set(ids) & set(range(7))  # neither a special token nor the unknown one


def test_a_literal_u2581_becomes_bytes(documents: Tokenizer, library: Any) -> None:
    assert documents.encode("▁").tokens == ["<0xE2>", "<0x96>", "<0x81>"]
    assert documents.decode(documents.encode("a▁ b").ids, skip_special_tokens=False) == "a▁ b"
    assert library.decode(library.encode("a▁ b")) == "a  b"  # what is avoided here


def test_encode_uses_the_artefact(folder: Path) -> None:
    stage = Encode(add_bos=True, fim=Fim(rate=0)).prepare(Context(seed=1, artefacts={"tokenizer": folder}))
    texts = [*ODD, "▁ ", "<｜end▁of▁sentence｜>"]
    outcome = stage.edit(as_documents(texts))
    rows = outcome.documents.column("tokens").to_pylist()
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text, row in zip(texts, rows, strict=True):
        assert (row[0], row[-1]) == (0, 1)
        assert not set(row[1:-1]) & set(range(7))
        assert whole.decode(row[1:-1], skip_special_tokens=False) == text
    assert outcome.faults.null_count == len(texts)


def test_processes_and_threads_do_not_change_a_byte(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.tokenizer.test_sentencepiece import trained\n"
        "from tests.oracles.tokenizer_texts import made_texts\n"
        "from corpusmill.tokenizer.bpe import probes\n"
        "probes.COUNT = 40\n"
        "trained(Path(sys.argv[1]), made_texts(60))\n"
    )
    root, digests = str(Path(__file__).parents[2]), []
    for hash_seed in ("1", "2"):
        out = tmp_path / hash_seed
        environment = {
            **os.environ,
            "PYTHONPATH": root,
            "PYTHONHASHSEED": hash_seed,
            "OMP_NUM_THREADS": hash_seed,
        }
        subprocess.run([sys.executable, "-c", program, str(out)], env=environment, cwd=root, check=True)
        digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()})
    assert digests[0] == digests[1]


def test_the_order_of_documents_does_not_matter(tmp_path: Path) -> None:
    docs = as_documents(made_texts(120))
    sampled(tmp_path / "sample", [docs])
    context = Context(seed=3, artefacts={"tokenizer_sample": tmp_path / "sample"})
    stage = TrainSentencepiece(vocab_size=500).prepare(context)
    models: list[bytes] = []
    for order in ([(0, 50), (50, 70)], [(50, 70), (0, 50)], [(0, 120)]):
        folder = tmp_path / str(len(models))
        folder.mkdir()
        parts = [stage.map(iter([docs.slice(start, size)])) for start, size in order]
        stage.finish(stage.combine(parts), folder)
        models.append((folder / "tokenizer.model").read_bytes())
    assert models[0] == models[1] == models[2]


def test_documents_missing_from_the_sample_stop_training(tmp_path: Path) -> None:
    docs = as_documents(made_texts(60))
    sampled(tmp_path / "sample", [docs])
    context = Context(seed=3, artefacts={"tokenizer_sample": tmp_path / "sample"})
    stage = TrainSentencepiece(vocab_size=400).prepare(context)
    with pytest.raises(LedgerError, match="but the sample chose"):
        stage.finish(stage.map(iter([docs.slice(0, 59)])), tmp_path)
    with pytest.raises(RuntimeError, match="call prepare first"):
        TrainSentencepiece().map(iter([docs]))


def test_too_many_characters_for_the_vocabulary(tmp_path: Path) -> None:
    texts = ["".join(chr(c) for c in range(0x4E00, 0x5200))] * 3
    with pytest.raises(UserError, match="raise vocab_size or lower character_coverage"):
        trained(tmp_path / "many", texts, vocab_size=300, character_coverage=1.0)


def test_a_small_sample_gives_a_smaller_vocabulary_and_says_so(tmp_path: Path) -> None:
    facts = trained(tmp_path / "small", ["ab ab ab"] * 3, vocab_size=2000)
    assert facts["vocab_size"] < 300
    assert (
        facts["shortfall"] == f"{2000 - facts['vocab_size']} entries fewer: the sample has no further pairs"
    )
    with pytest.raises(UserError, match="every chosen document is empty"):
        train_model(
            pa.array(["\0", "▁"], pa.large_string()),
            vocab_size=300,
            special_tokens=SPECIAL_TOKENS,
            character_coverage=1.0,
            split_digits=True,
            longest_piece=16,
            longest_item=100,
        )


def test_options(tmp_path: Path) -> None:
    text = ["1999 1999 abcdefghijklmnop abcdefghijklmnop\n"] * 200
    trained(tmp_path / "a", text, split_digits=False, max_piece_length=4, pad_vocabulary_to=2048)
    model = read_model((tmp_path / "a" / "tokenizer.model").read_bytes())
    normal = [piece.text for piece in model.pieces if piece.kind == "normal"]
    assert "1999" in normal
    assert max(map(len, normal)) == 4
    assert read_vocabulary(tmp_path / "a" / "encoder.json").model_size == 2048
    for wrong in ({"vocab_size": 100}, {"character_coverage": 0.5}, {"vocabulary": 1}):
        with pytest.raises(ValidationError):
            TrainSentencepiece(**wrong)


def test_training_items_are_lines_with_the_breaks_before_them() -> None:
    texts = pa.array(["a\n\n  b\r\nc\n", "x\0y▁z▅w", None, "123456789"], pa.large_string())
    items = ["a", "\n\n  b", "\r\nc", "x", "y", "z", "w", "1234", "5678", "9"]
    short = list(training_items(texts, 4))
    assert short == ["a", "\n\n  ", "b", *items[2:]]
    assert list(training_items(texts, 100)) == [*items[:7], "123456789"]


def test_beginnings_cut_at_the_bytes_given() -> None:
    texts = pa.array(["中文字", "ab", None, "xyz"], pa.large_string())
    cut = beginnings(texts, pa.array([3, 9, 0, 2]).to_numpy())
    assert cut.to_pylist() == ["中", "ab", "", "xy"]


def test_the_file_reader_reads_what_the_library_reads(folder: Path, library: Any) -> None:
    model = read_model((folder / "tokenizer.model").read_bytes())
    assert len(model.pieces) == library.get_piece_size()
    for number, piece in enumerate(model.pieces):
        assert piece.text == library.id_to_piece(number)
        assert piece.score == library.get_score(number)
        assert (piece.kind == "control") == library.is_control(number)
        assert (piece.kind == "byte") == library.is_byte(number)
        assert (piece.kind == "unknown") == library.is_unknown(number)
    assert model.ids == {
        "unk": library.unk_id(),
        "bos": library.bos_id(),
        "eos": library.eos_id(),
        "pad": library.pad_id(),
    }
    assert (model.algorithm, model.byte_fallback, model.normalizer) == ("bpe", True, "identity")
    assert (model.rewrites, model.dummy_prefix, model.squeezes, model.escapes) == (False, False, False, True)


@pytest.mark.parametrize("cut", [1, 2, 10, 500, -1])
def test_a_model_cut_short_is_refused(folder: Path, cut: int) -> None:
    content = (folder / "tokenizer.model").read_bytes()
    with pytest.raises(UserError):
        definition_of_model(read_model(content[:cut]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "unigram"}, "only BPE models"),
        ({"add_dummy_prefix": True}, "puts a space before each text"),
        ({"remove_extra_whitespaces": True}, "removes spaces"),
        ({"normalization_rule_name": "nmt_nfkc"}, "replaces characters"),
        ({"byte_fallback": False}, "no byte fallback"),
        ({"user_defined_symbols": ["<tag>"]}, "1 user_defined pieces"),
    ],
)
def test_models_that_change_text_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = tmp_path / "other.model"
    path.write_bytes(model_of(made_texts(60), **options))
    with pytest.raises(UserError, match=f"other.model: .*{message}"):
        LoadTokenizer(path=path).run({}, tmp_path)


def test_a_model_of_ones_own_loads_and_goes_out_again(tmp_path: Path) -> None:
    options = {"split_by_whitespace": False, "split_digits": False, "allow_whitespace_only_pieces": True}
    content = model_of(made_texts(100), pad_id=3, **options)
    (tmp_path / "in.model").write_bytes(content)
    out = tmp_path / "tokenizer"
    out.mkdir()
    facts = LoadTokenizer(path=tmp_path / "in.model").run({}, out)
    assert (facts["format"], facts["special_tokens"]) == (
        "sentencepiece",
        {"bos": "<s>", "eos": "</s>", "pad": "<pad>"},
    )
    library = sentencepiece.SentencePieceProcessor(model_proto=content)
    whole = Tokenizer.from_file(str(out / "tokenizer.json"))
    for text in [*made_texts(50, seed=7), "  a  b ", "\r\n\t"]:
        assert whole.encode(text).ids == library.encode(text)
    export_tokenizer(out, "sentencepiece", tmp_path / "exported")
    assert (tmp_path / "exported" / "tokenizer.model").read_bytes() == content


def test_added_tokens_end_the_likeness_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "in.model").write_bytes(model_of(made_texts(60)))
    out = tmp_path / "tokenizer"
    out.mkdir()
    stage = LoadTokenizer(path=tmp_path / "in.model", special_tokens={"fim_hole": "<hole>"}, add_missing=True)
    stage.run({}, out)
    assert not (out / "tokenizer.model").exists()
    with pytest.raises(UserError, match="only a tokenizer trained or loaded"):
        export_tokenizer(out, "sentencepiece", tmp_path / "exported")


@pytest.mark.usefixtures("whole_checks")
@pytest.mark.parametrize("format_", ["sentencepiece", "huggingface", "gguf"])
def test_exports_are_verified(folder: Path, tmp_path: Path, format_: str) -> None:
    if format_ == "huggingface":
        pytest.importorskip("transformers", reason="transformers is not installed")
    facts = export_tokenizer(folder, format_, tmp_path)
    assert facts["verified"]["tokens"] > 100_000
    if format_ == "gguf":
        written = json.loads((tmp_path / "gguf_metadata.json").read_text())
        assert written["tokenizer.ggml.model"]["value"] == "llama"
        assert written["tokenizer.ggml.token_type"]["value"][:8] == [3, 3, 3, 3, 3, 3, 2, 6]


def test_a_model_is_inspected_as_the_tokenizer_made_from_it(folder: Path, tmp_path: Path) -> None:
    model, made = open_tokenizer(folder / "tokenizer.model"), open_tokenizer(folder / "tokenizer.json")
    assert model.definition == made.definition
    with pytest.raises(UserError, match="has no pattern"):
        open_tokenizer(folder / "tokenizer.model", "gpt2")
    (tmp_path / "cut.model").write_bytes((folder / "tokenizer.model").read_bytes()[:-3])
    with pytest.raises(UserError, match=r"cut\.model"):
        open_tokenizer(tmp_path / "cut.model")


def test_transformers_reads_the_artefact_beside_the_model(folder: Path) -> None:
    """tokenizer.model stands beside tokenizer.json and must not be taken instead."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    loaded = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in [*ODD, "▁ x", *made_texts(20, seed=4)]:
        ids = loaded(text)["input_ids"]
        assert ids == reference.encode(text).ids
        assert loaded.decode(ids) == text


def test_tiktoken_has_no_place_for_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="falls back to bytes"):
        export_tokenizer(folder, "tiktoken", tmp_path)
