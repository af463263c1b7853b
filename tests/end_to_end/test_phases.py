"""Phases of a mixture whole: configs/phases.yaml through packing, exports, the loader and a trainer."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from corpusmill.tokenizer.shards.reader import Shard, open_shard
from corpusmill.training_hooks.loading.torch_dataset import ShardDataset
from tests.end_to_end.conftest import CONFIGS
from tests.warm import Warm

LENGTHS = {"main": 1024, "anneal": 1024, "long_32k": 32768, "long_128k": 131072}
TOKENS = {"main": 720_000, "anneal": 120_000, "long_32k": 180_000, "long_128k": 180_000}
SETTINGS = (
    "tokenizer.train.vocab_size=1024",
    "mixture.tokens=1200K",
    "pack.fim.rate=0.6",  # so that documents are framed several times
    "train.steps=2",
    "train.batch_size=4",
)


@pytest.fixture(scope="module")
def run(sample: Path, training: Warm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the shipped recipe on a small sample; not to be changed."""
    out = tmp_path_factory.mktemp("phases") / "run"
    settings = [flag for setting in SETTINGS for flag in ("--set", setting)]
    done = training.call(
        "run", CONFIGS / "phases.yaml", "--out", out, *settings, env={"CORPUSMILL_SAMPLE": str(sample)}
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def shards(run: Path) -> list[Path]:
    return sorted(run.glob("steps/pack/*/data/shard-*.arrow"))


def by_phase(shards: list[Path]) -> dict[str, list[Shard]]:
    found: dict[str, list[Shard]] = {}
    for shard in map(open_shard, shards):
        found.setdefault(str(shard.phase.name), []).append(shard)
    return found


def test_each_phase_has_its_tokens_rows_and_shares(shards: list[Path]) -> None:
    phases = by_phase(shards)
    assert list(phases) == list(LENGTHS)
    shares = {}
    for name, found in phases.items():
        assert {shard.tokens(0).size for shard in found} == {LENGTHS[name]}
        by_source: Counter[str] = Counter()
        for shard in found:
            by_source.update(shard.metadata["counts"]["tokens_by_source"])
        assert by_source.total() == TOKENS[name]
        shares[name] = {source: tokens / by_source.total() for source, tokens in by_source.items()}
    assert shares["main"] == pytest.approx({"web": 0.3, "prose": 0.3, "code": 0.3, "math": 0.1}, abs=1e-5)
    assert shares["anneal"] == pytest.approx({"web": 0.1, "prose": 0.2, "code": 0.5, "math": 0.2}, abs=1e-5)


def test_long_phases_hold_long_documents_and_cut_none_that_fits(shards: list[Path]) -> None:
    long_share = {}
    for name, found in by_phase(shards).items():
        lengths: Counter[tuple[str, int]] = Counter()
        rows: Counter[tuple[str, int]] = Counter()
        for shard in found:
            for row in range(len(shard)):
                for piece in shard.pieces(row):
                    lengths[piece.document, piece.epoch] += piece.length
                    rows[piece.document, piece.epoch] += 1
        long = sum(length for length in lengths.values() if length > 4096)
        long_share[name] = long / lengths.total()
        assert [key for key, length in lengths.items() if rows[key] > 1 and length <= LENGTHS[name]] == []
    assert long_share["long_32k"] > long_share["main"] + 0.1
    assert long_share["long_128k"] > long_share["main"] + 0.1


def test_each_copy_is_framed_anew_and_says_the_same(run: Path, shards: list[Path]) -> None:
    """Of documents that come whole several times: other places to split, one text."""
    definition = json.loads((next(run.glob("steps/tokenizer/*/data/tokenizer.json"))).read_text())
    characters = {token: name for name, token in definition["model"]["vocab"].items()}
    copies: dict[str, dict[int, list[int]]] = {}
    for found in by_phase(shards).values():
        special = found[0].metadata["special_tokens"]
        for shard in found:
            for row in range(len(shard)):
                tokens = shard.tokens(row).tolist()
                for piece in shard.pieces(row):
                    own = tokens[piece.start : piece.start + piece.length]
                    begins = piece.offset == 0 and own[-1] == special["eos"]
                    if piece.fim and begins:
                        copies.setdefault(piece.document, {})[piece.epoch] = own
    framed = {document: own for document, own in copies.items() if len(own) > 1}
    assert len(framed) >= 5

    def text(tokens: list[int]) -> str:
        """Prefix, middle and suffix, in the vocabulary's characters for bytes."""
        begin, hole, end = (tokens.index(special[f"fim_{part}"]) for part in ("begin", "hole", "end"))
        parts = tokens[begin + 1 : hole] + tokens[end + 1 : -1] + tokens[hole + 1 : end]
        return "".join(characters[token] for token in parts)

    different = 0
    for own in framed.values():
        assert len({text(tokens) for tokens in own.values()}) == 1
        different += len({tuple(tokens) for tokens in own.values()}) > 1
    assert different >= len(framed) - 1


def test_the_loader_gives_every_row_once_in_the_order_of_phases(shards: list[Path]) -> None:
    every_row = [shard.tokens(row) for shard in map(open_shard, shards) for row in range(len(shard))]
    expected = Counter(tokens.astype(np.int64).tobytes() for tokens in every_row)
    dataset = ShardDataset(shards, batch_size=2, seed=17, epochs=1, extras=("cu_seqlens",))
    found, order = Counter[bytes](), []
    for batch in dataset:
        inputs, labels = batch["input_ids"].numpy(), batch["labels"].numpy()
        if not order or order[-1] != inputs.shape[1]:
            order.append(inputs.shape[1])
        assert batch["cu_seqlens"][-1] == inputs.size
        for row, following in zip(inputs, labels, strict=True):
            if (following != -100).any():
                found[row.tobytes()] += 1
    assert order == [1024, 32768, 131072]
    assert found == expected
    windows = ShardDataset(shards, batch_size=8, seed=17, epochs=1, context=256)
    labels_seen = sum(int((batch["labels"] != -100).sum()) for batch in windows)
    assert labels_seen == sum(TOKENS.values()) - len(every_row)


def test_exports_keep_phases_apart_and_lose_no_token(run: Path, training: Warm, tmp_path: Path) -> None:
    for form, *more in (("npy",), ("token_dataset", "--sequences", "documents")):
        done = training.call("export", run, tmp_path / form, "--to", form, *more)
        assert done.returncode == 0, done.stderr
    for number, (name, length) in enumerate(LENGTHS.items()):
        matrices = [np.load(path) for path in (tmp_path / f"npy/train/phase-{number}").glob("*.npy")]
        assert {matrix.shape[1] for matrix in matrices} == {length}
        files = (tmp_path / f"token_dataset/train/phase-{number}").glob("*.parquet")
        tokens = sum(len(ids) for path in files for ids in pq.read_table(path)["input_ids"].to_pylist())
        assert tokens == TOKENS[name]
