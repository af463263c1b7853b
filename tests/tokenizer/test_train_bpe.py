from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from corpusmill.pipelines.contract.errors import LedgerError, UserError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.run.operators.fold_map import read_partial, write_partial
from corpusmill.pipelines.text import encoders
from corpusmill.tokenizer.bpe.definition import SPECIAL_TOKENS, new_tokenizer, reserved_spellings
from corpusmill.tokenizer.bpe.train import train
from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer
from corpusmill.tokenizer.train_bpe import TrainBpe
from tests.oracles.tokenizer_counts import by_tokenizers, read_texts, sampled, trained
from tests.oracles.tokenizer_texts import DATA, as_documents, made_texts


def learned(texts: list[str], vocab_size: int, **options: Any) -> dict[str, Any]:
    """The tokenizer.json, parsed, of training on `texts`."""
    array = pa.array(texts, pa.large_string())
    definition: dict[str, Any] = json.loads(train([array], vocab_size=vocab_size, **options).definition)
    return definition


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_artefact_holds_a_whole_tokenizer(tokenizer_folder: Path) -> None:
    names = {path.name for path in tokenizer_folder.iterdir()}
    assert names >= {
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
        "encoder.json",
        "growth.json",
    }
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    assert [tokenizer.token_to_id(spelling) for spelling in SPECIAL_TOKENS.values()] == [0, 1, 2, 3, 4, 5]
    assert tokenizer.get_vocab_size() == 700
    text = "Water 12345 数据\r\n\r\n\tреки 🙂\x00"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    facts = json.loads((tokenizer_folder / "encoder.json").read_text())
    assert (facts["encoder"], facts["mismatches"], facts["fault"]) == ("gigatoken", 0, None)
    assert facts["verification_documents"] == 300
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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_frequency": 7},
        {"max_token_bytes": 6},
        {"pre": PreTokenizer(pattern="llama3")},
        {"pre": PreTokenizer(digits=1, punctuation_line_breaks=False), "min_frequency": 1},
        {"pre": PreTokenizer(pattern=(r"\s+", r"\p{Han}"))},
    ],
    ids=str,
)
def test_the_definition_is_that_of_tokenizers_trainer(options: dict[str, Any]) -> None:
    texts = [
        *made_texts(200),
        "aaaa aaaaaaa aa",
        "abababab cdcdcd",
        "ab" * 700,
        "a" * 1000,
        "\r\n\r\n\t\t  x",
    ]
    assert learned(texts, 1200, **options) == by_tokenizers(texts, 1200, **options)


def test_long_pretokens_are_cut_alike() -> None:
    texts = ["中文" * 50 + " " * 70 + "xyz" * 40, "中文" * 10]
    assert learned(texts, 400, longest_pretoken=16) == by_tokenizers(texts, 400, longest=16)


def test_real_text_gives_the_tokenizer_that_tokenizers_trains() -> None:
    code, weekly = DATA / "code" / "code_packages.jsonl.zst", DATA / "text" / "ruanyf_weekly_zh.jsonl.zst"
    if not (code.exists() and weekly.exists()):
        pytest.skip(f"{code} and {weekly} are not there; set CORPUSMILL_DATA")
    texts = [*read_texts(code, 300_000), *read_texts(weekly, 100_000)]
    assert learned(texts, 4096) == by_tokenizers(texts, 4096)


def test_units_memory_and_files_between_change_nothing(tmp_path: Path) -> None:
    docs = as_documents(made_texts(300))
    trained(tmp_path / "one", [docs], vocab_size=600, count_memory=2**20)
    sample = tmp_path / "one.sample"
    stage = TrainBpe(vocab_size=600).prepare(Context(artefacts={"tokenizer_sample": sample}))
    partials = []
    for start in range(280, -1, -20):
        write_partial(tmp_path / f"{start}.arrow", stage.map(iter([docs.slice(start, 20)])))
        partials.append(read_partial(tmp_path / f"{start}.arrow"))
    while len(partials) > 1:
        partials = [stage.combine(partials[at : at + 3]) for at in range(0, len(partials), 3)]
    (tmp_path / "many").mkdir()
    stage.finish(partials[0], tmp_path / "many")
    assert digests(tmp_path / "one") == digests(tmp_path / "many")


def test_threads_and_hash_seeds_do_not_change_the_tokenizer(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from corpusmill.pipelines.system.kernel_cache import use_kernel_cache\n"
        "use_kernel_cache()\n"
        "from tests.oracles.tokenizer_counts import trained\n"
        "from tests.oracles.tokenizer_texts import as_documents, made_texts\n"
        "from corpusmill.tokenizer.bpe import probes\n"
        "probes.COUNT = 40\n"
        "trained(Path(sys.argv[1]), [as_documents(made_texts(200))], vocab_size=900)\n"
    )
    found = []
    for threads in ("1", "4"):
        root = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "RAYON_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "PYTHONPATH": root,
            "PYTHONHASHSEED": threads,
        }
        folder = tmp_path / threads
        subprocess.run([sys.executable, "-c", program, str(folder)], env=environment, cwd=root, check=True)
        found.append({**digests(folder), **digests(tmp_path / f"{threads}.sample")})
    assert found[0] == found[1]
    assert {"tokenizer.json", "training.json", "growth.json", "sample.json"} <= set(found[0])


def test_a_giant_pre_token_is_cut_while_training_only(tmp_path: Path) -> None:
    giant = "中" * 200_000 + " " * 200_000 + "a" * 200_000
    docs = as_documents([giant, *made_texts(20)])
    facts = trained(tmp_path / "giant", [docs], vocab_size=600, held_out=0)
    assert facts["vocab_size"] == 600
    definition = json.loads((tmp_path / "giant" / "tokenizer.json").read_text())
    assert definition["pre_tokenizer"] == json.loads(new_tokenizer().to_str())["pre_tokenizer"]
    assert max(len(token) for token in definition["model"]["vocab"]) <= 256 * 3


def test_a_small_sample_gives_a_smaller_vocabulary_and_says_so(tmp_path: Path) -> None:
    docs = as_documents(["ab ab ab"])
    facts = trained(tmp_path / "small", [docs], vocab_size=1000, reserved_tokens=2, held_out=0)
    assert facts["vocab_size"] == 6 + 256 + 2 + 2  # "ab" and " ab"
    assert facts["shortfall"].startswith("734 entries fewer")
    assert json.loads((tmp_path / "small" / "training.json").read_text()) == facts
    growth = json.loads((tmp_path / "small" / "growth.json").read_text())
    assert growth == [
        {"vocab_size": 262, "bytes_per_token": 1.0},
        {"vocab_size": 263, "bytes_per_token": 1.6},
        {"vocab_size": 264, "bytes_per_token": 2.666667},
    ]


def test_reserved_tokens_stand_behind_the_merges_and_are_never_produced(tmp_path: Path) -> None:
    docs = as_documents(made_texts(60))
    facts = trained(tmp_path / "r", [docs], vocab_size=500, reserved_tokens=3, pad_vocabulary_to=512)
    definition = json.loads((tmp_path / "r" / "tokenizer.json").read_text())
    spellings = reserved_spellings(3)
    assert [definition["model"]["vocab"][each] for each in spellings] == [497, 498, 499]
    assert [token["content"] for token in definition["added_tokens"]] == [
        *SPECIAL_TOKENS.values(),
        *spellings,
    ]
    assert (facts["vocab_size"], facts["model_vocab_size"], facts["shortfall"]) == (500, 512, None)
    released = Tokenizer.from_file(str(tmp_path / "r" / "tokenizer.json"))
    assert released.encode(spellings[1]).ids == [498]
    _, tokens = encoders.TokenizersEncoder(definition).encode(pa.array(spellings, pa.large_string()))
    assert tokens.max() < 497


def test_growth_is_the_compression_of_every_smaller_training(tmp_path: Path) -> None:
    texts = made_texts(120)
    whole = train([pa.array(texts)], vocab_size=700)
    growth = {row["vocab_size"]: row["bytes_per_token"] for row in whole.growth()}
    assert len(growth) > 150
    assert (min(growth), max(growth)) == (262, 700)
    sizes = sorted(growth)
    for size in (sizes[3], sizes[60], 700):
        tokenizer = Tokenizer.from_str(train([pa.array(texts)], vocab_size=size).definition)
        tokens = sum(len(tokenizer.encode(text).ids) for text in texts)
        assert growth[size] == pytest.approx(sum(len(text.encode()) for text in texts) / tokens, abs=1e-6)


def test_only_the_most_frequent_pretokens_are_kept_and_the_rest_counted(tmp_path: Path) -> None:
    texts = ["water wine wine beer beer beer " + " ".join(map("".join, product("abcdefgh", repeat=4)))]
    docs = as_documents(texts)
    everything = trained(tmp_path / "all", [docs], vocab_size=400, held_out=0)
    facts = trained(tmp_path / "few", [docs], vocab_size=400, held_out=0, max_pretokens=1024)
    assert everything["dropped_pretokens"] == everything["dropped_occurrences"] == 0
    assert facts["pretokens"] == 1024
    assert facts["dropped_pretokens"] == everything["pretokens"] - 1024 > 0
    assert facts["pretoken_occurrences"] + facts["dropped_occurrences"] == everything["pretoken_occurrences"]


def test_nothing_to_train_on_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no documents to train"):
        trained(tmp_path / "none", [as_documents([])])
    with pytest.raises(UserError, match="no pre-tokens"):
        train([pa.array([""])], vocab_size=300)


def test_other_documents_than_the_sample_chose_are_an_error(tmp_path: Path) -> None:
    docs = as_documents(made_texts(20))
    sampled(tmp_path / "s", [docs])
    stage = TrainBpe().prepare(Context(artefacts={"tokenizer_sample": tmp_path / "s"}))
    with pytest.raises(LedgerError, match="differ from those the tokenizer's sample chose"):
        stage.finish(stage.map(iter([docs.slice(0, 19)])), tmp_path)
    with pytest.raises(RuntimeError, match="call prepare first"):
        TrainBpe().map(iter([docs]))


def test_a_disagreeing_encoder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = encoders.GigatokenEncoder.encode

    def wrong(self: encoders.GigatokenEncoder, texts: pa.Array) -> tuple[encoders.Offsets, encoders.Tokens]:
        offsets, tokens = honest(self, texts)
        tokens = tokens.copy()
        tokens[offsets[2]] += 1
        return offsets, tokens

    monkeypatch.setattr(encoders.GigatokenEncoder, "encode", wrong)
    facts = trained(tmp_path / "wrong", [as_documents(made_texts(20))], vocab_size=400)
    assert facts["encoder"]["encoder"] == "tokenizers"
    assert facts["encoder"]["mismatches"] == 1


def test_a_pre_tokenizer_is_named_or_spelt_out() -> None:
    named = TrainBpe(pre_tokenizer="o200k")
    assert named.pre_tokenizer == PreTokenizer(pattern="o200k")
    assert TrainBpe(**named.model_dump(mode="json")) == named
    assert TrainBpe(pre_tokenizer={"pattern": [" "]}).pre_tokenizer == PreTokenizer(pattern=(" ",))


@pytest.mark.parametrize(
    "options",
    [
        {"vocab_size": 261},
        {"vocab_size": 300, "reserved_tokens": 39},
        {"vocab_size": 300, "pad_vocabulary_to": 299},
        {"min_frequency": 0},
        {"pre_tokenizer": "gpt5"},
        {"pre_tokenizer": {"pattern": "gpt2", "punctuation_line_breaks": False}},
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainBpe(**options)
