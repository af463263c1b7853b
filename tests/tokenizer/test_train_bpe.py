from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer

from corpusmill.pipelines.errors import UserError
from corpusmill.pipelines.randomness import draws
from corpusmill.pipelines.stage import Context
from corpusmill.tokenizer.bpe import encoders
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer
from corpusmill.tokenizer.train_bpe import TrainBpe
from tests.oracles.tokenizer_texts import as_documents, made_texts


def trained(folder: Path, texts: list[str], **options: int) -> dict[str, object]:
    folder.mkdir()
    stage = TrainBpe(**{"vocab_size": 400, "sample_bytes": 2**20, **options}).prepare(Context(seed=3))
    return stage.finish(stage.map(iter([as_documents(texts)])), folder)


def test_the_artefact_holds_a_whole_tokenizer(tokenizer_folder: Path) -> None:
    names = {path.name for path in tokenizer_folder.iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json", "training.json", "encoder.json"}
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    assert [tokenizer.token_to_id(spelling) for spelling in SPECIAL_TOKENS.values()] == [0, 1, 2, 3, 4, 5]
    assert tokenizer.get_vocab_size() == 700
    text = "Water 12345 数据\r\n\r\n\tреки 🙂\x00"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    facts = json.loads((tokenizer_folder / "encoder.json").read_text())
    assert (facts["encoder"], facts["mismatches"], facts["fault"]) == ("gigatoken", 0, None)
    assert facts["documents"] > 300
    config = json.loads((tokenizer_folder / "tokenizer_config.json").read_text())
    assert config["eos_token"] == SPECIAL_TOKENS["eos"]


def test_every_byte_is_in_the_vocabulary(tokenizer_folder: Path) -> None:
    encoder = encoders.TokenizersEncoder(json.loads((tokenizer_folder / "tokenizer.json").read_text()))
    odd = "".join(chr(c) for c in (*range(256), 0x7FF, 0xFFFF, 0x10FFFF, *range(0x4E00, 0x4E40)))
    _, tokens = encoder.encode(pa.array([odd], pa.large_string()))
    assert encoder.decode(tokens) == odd


def test_the_pre_tokenizer_is_deepseeks(deepseek_json: Path) -> None:
    released, ours = json.loads(deepseek_json.read_text()), json.loads(new_tokenizer().to_str())
    for part in ("pre_tokenizer", "normalizer", "decoder", "post_processor"):
        assert ours[part] == released[part]


def test_punctuation_joins_line_breaks_and_digits_group_by_three() -> None:
    split = new_tokenizer().pre_tokenizer
    assert [word for word, _ in split.pre_tokenize_str("a.\n\n12345")] == ["a", ".ĊĊ", "123", "45"]


texts_strategy = st.lists(st.text("aé中🙂 \n", max_size=30), min_size=1, max_size=25)


@settings(deadline=None, max_examples=120)
@given(texts_strategy, st.integers(1024, 1400), st.randoms(use_true_random=False))
def test_samples_combine_in_any_order(texts: list[str], budget: int, random_: object) -> None:
    texts = [text * 9 for text in texts]
    stage = TrainBpe(sample_bytes=budget, max_document_bytes=256).prepare(Context(seed=1))
    docs = as_documents(texts)
    whole = stage.map(iter([docs]))
    order = list(range(len(texts)))
    random_.shuffle(order)  # type: ignore[attr-defined]
    parts = [stage.map(iter([docs.slice(row, 1)])) for row in order]
    while len(parts) > 1:
        at = random_.randrange(len(parts) - 1)  # type: ignore[attr-defined]
        parts[at : at + 2] = [stage.combine(parts[at : at + 2])]
    assert parts[0].equals(whole)


def test_the_sample_is_the_smallest_draws_within_the_budget() -> None:
    texts = made_texts(400, seed=2)
    docs = as_documents(texts)
    stage = TrainBpe(sample_bytes=30_000, max_document_bytes=300).prepare(Context(seed=9))
    kept = stage.map(iter([docs.slice(i, 7) for i in range(0, 400, 7)]))
    ids = docs.column("id").to_pylist()
    expected, used = [], 0
    for _, name, text in sorted(zip(draws(ids, 9, "train_bpe").tolist(), ids, texts, strict=True)):
        if used >= 30_000:
            break
        cut = text.encode()[:300].decode(errors="ignore")
        used += len(cut.encode())
        expected.append((name, cut))
    assert list(zip(kept.column("id").to_pylist(), kept.column("text").to_pylist(), strict=True)) == expected
    assert 100 < len(expected) < 400


def test_many_batches_keep_memory_at_the_budget_and_change_nothing() -> None:
    text = "water " * 40_000
    stage = TrainBpe(sample_bytes=2**20, max_document_bytes=2**20).prepare(Context(seed=9))
    docs = as_documents([text + str(i) for i in range(60)])
    one, many = stage.map(iter([docs])), stage.map(iter([docs.slice(i, 1) for i in range(60)]))
    assert one.equals(many)
    assert one.num_rows == 2**20 // 240_002 + 1


@pytest.mark.timeout(120)
def test_threads_do_not_change_the_tokenizer(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from corpusmill.pipelines.stage import Context\n"
        "from corpusmill.tokenizer.train_bpe import TrainBpe\n"
        "from tests.oracles.tokenizer_texts import as_documents, made_texts\n"
        "stage = TrainBpe(vocab_size=900, sample_bytes=2**20).prepare(Context(seed=3))\n"
        "stage.finish(stage.map(iter([as_documents(made_texts(600))])), Path(sys.argv[1]))\n"
    )
    digests = []
    for threads in ("1", "4"):
        folder = tmp_path / threads
        folder.mkdir()
        root = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "RAYON_NUM_THREADS": threads,
            "PYTHONPATH": root,
            "PYTHONHASHSEED": threads,
        }
        subprocess.run([sys.executable, "-c", program, str(folder)], env=environment, cwd=root, check=True)
        digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()})
    assert digests[0] == digests[1]


def test_a_giant_pre_token_is_cut_while_training_only(tmp_path: Path) -> None:
    giant = "中" * 200_000 + " " * 200_000 + "a" * 200_000
    facts = trained(tmp_path / "giant", [giant, *made_texts(20)], vocab_size=600, max_document_bytes=2**20)
    assert facts["vocab_size"] == 600
    definition = json.loads((tmp_path / "giant" / "tokenizer.json").read_text())
    assert definition["pre_tokenizer"] == json.loads(new_tokenizer().to_str())["pre_tokenizer"]
    assert max(len(token) for token in definition["model"]["vocab"]) <= 256 * 3


def test_a_small_sample_gives_a_smaller_vocabulary_and_says_so(tmp_path: Path) -> None:
    facts = trained(tmp_path / "small", ["ab ab ab"], vocab_size=1000)
    assert facts["vocab_size"] == 6 + 256 + 2  # "ab" and " ab"
    assert str(facts["shortfall"]).startswith("736 entries fewer")
    assert json.loads((tmp_path / "small" / "training.json").read_text()) == facts


def test_no_documents_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no documents to train"):
        trained(tmp_path / "none", [])


def test_a_disagreeing_encoder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = encoders.GigatokenEncoder.encode

    def wrong(self: encoders.GigatokenEncoder, texts: pa.Array) -> tuple[encoders.Offsets, encoders.Tokens]:
        offsets, tokens = honest(self, texts)
        tokens = tokens.copy()
        tokens[offsets[2]] += 1
        return offsets, tokens

    monkeypatch.setattr(encoders.GigatokenEncoder, "encode", wrong)
    facts = trained(tmp_path / "wrong", made_texts(20))
    assert facts["encoder"]["encoder"] == "tokenizers"  # type: ignore[index]
    assert facts["encoder"]["mismatches"] == 1  # type: ignore[index]


@pytest.mark.parametrize(
    "options", [{"vocab_size": 261}, {"sample_bytes": 2048, "max_document_bytes": 4096}, {"min_frequency": 0}]
)
def test_options_out_of_bounds_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TrainBpe(**options)
