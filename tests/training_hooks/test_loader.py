from __future__ import annotations

import hashlib
import math
import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from corpusmill.pipelines.contract.errors import DataError, IntegrityError, UserError
from corpusmill.pipelines.records.pointer import Pointer
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.tokenizer.shards import format, reader
from corpusmill.training_hooks.loading.loader import ShardLoader
from corpusmill.training_hooks.loading.unigram import entropy, token_counts
from tests.oracles.training_shards import PAD, Writer


def rows_of(count: int, length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(8, 64, (count, length))


@pytest.fixture
def shards(write: Writer) -> list[Path]:
    return [
        write("0.arrow", rows_of(7, 10, 0)),
        write("1.arrow", rows_of(0, 10, 1)),
        write("2.arrow", rows_of(5, 10, 2)),
    ]


def expected_windows(context: int, ahead: int) -> Counter[tuple[int, ...]]:
    """All windows of `shards`, cut with plain slices."""
    found: Counter[tuple[int, ...]] = Counter()
    for row in [*rows_of(7, 10, 0).tolist(), *rows_of(5, 10, 2).tolist()]:
        for start in range(0, 10, context):
            window = row[start : start + context + ahead]
            found[tuple(window + [PAD] * (context + ahead - len(window)))] += 1
    return found


@pytest.mark.parametrize("context", [1, 3, 4, 5, 10])
@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_an_epoch_is_every_window_once(shards: list[Path], context: int, ahead: int) -> None:
    loader = ShardLoader(shards, batch_size=1, seed=4, context=context, ahead=ahead)
    expected = expected_windows(context, ahead)
    assert loader.windows == expected.total()
    for epoch in range(2):
        numbers = range(epoch * loader.windows, (epoch + 1) * loader.windows)
        assert Counter(tuple(loader.batch(i)[0].tolist()) for i in numbers) == expected


def test_every_token_but_the_first_of_a_row_is_a_target_once(shards: list[Path]) -> None:
    loader = ShardLoader(shards, batch_size=1, seed=4, context=4)
    targets = Counter[int]()
    for i in range(loader.windows):
        targets.update(loader.batch(i)[0, 1:].tolist())
    del targets[PAD]
    assert targets == Counter(np.concatenate([rows_of(7, 10, 0), rows_of(5, 10, 2)])[:, 1:].ravel().tolist())


def test_batches_are_the_stream_cut(shards: list[Path]) -> None:
    """Any batch size reads the same stream, across epochs; any batch can be asked for first."""
    single = ShardLoader(shards, batch_size=1, seed=9, context=4)
    stream = np.concatenate([single.batch(i) for i in range(80)])
    by_seven = ShardLoader(shards, batch_size=7, seed=9, context=4)
    for i in (10, 0, 5, 3):
        assert (by_seven.batch(i) == stream[7 * i : 7 * i + 7]).all()
    assert by_seven.batch(0).dtype == np.int64


@pytest.mark.parametrize(
    ("context", "ahead", "batch", "seed", "digest"),
    [
        (4, 2, 5, 9, "327d92cb077536d287a031b1b8cfd13b1c97d5d6cf8a5871c2fbace3a46e7994"),
        (10, 1, 4, 17, "f5b497122f301ca0ecd8c3aea7a924ec87c01177aec557804f40596e9e4f79bf"),
        (3, 1, 1, 2**40, "de6a6979e1fbd44c5700a7436867d1b33456e062a2edf7914799b8b8c0c9b5fa"),
    ],
)
def test_the_stream_of_shards_without_phases_stays_as_it_was(
    write: Writer, context: int, ahead: int, batch: int, seed: int, digest: str
) -> None:
    """Digests of twelve batches and their sources as the first loader, in plain numpy, gave them."""
    first = rows_of(7, 10, 0)
    first[::3, 7:] = PAD
    paths = [
        write("0.arrow", first),
        write("1.arrow", rows_of(0, 10, 1)),
        write("2.arrow", rows_of(5, 10, 2), sources=["b", "a"]),
    ]
    loader = ShardLoader(paths, batch_size=batch, seed=seed, context=context, ahead=ahead)
    found = hashlib.sha256()
    for i in range(12):
        found.update(loader.batch(i).astype("<i8").tobytes())
        found.update(loader.sequence_sources(i * batch, batch).astype("<i8").tobytes())
    assert found.hexdigest() == digest


def test_stored_order_is_the_order_of_the_shards(shards: list[Path]) -> None:
    loader = ShardLoader(shards, batch_size=12, seed=9, order="stored")
    rows = np.concatenate([rows_of(7, 10, 0), rows_of(5, 10, 2)])
    assert (loader.batch(0)[:, :10] == rows).all()
    assert (loader.batch(1)[:, :10] == rows).all()
    assert loader.stream()["order"] == "stored"


def test_a_copy_reads_on_its_own(shards: list[Path]) -> None:
    loader = ShardLoader(shards, batch_size=5, seed=9, context=4, ahead=2)
    expected = loader.batch(3)
    copied = pickle.loads(pickle.dumps(loader))
    assert (copied.batch(3) == expected).all()
    assert copied.stream() == loader.stream()


def test_only_record_batches_that_samples_fall_in_are_read(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch waits for what it holds, not for all shards; and nothing is verified twice."""
    monkeypatch.setattr(format, "BATCH_BYTES", 40)  # two rows a record batch
    paths = [write(f"{i}.arrow", rows_of(8, 10, i)) for i in range(6)]
    read: list[int] = []
    digest = reader.batch_digest
    monkeypatch.setattr(reader, "batch_digest", lambda batch: (read.append(1), digest(batch))[1])
    loader = ShardLoader(paths, batch_size=3, seed=1)
    assert read == []
    loader.batch(0)
    assert 1 <= len(read) <= 3
    for number in range(32):
        loader.batch(number)
    assert len(read) == 24


def test_epochs_and_seeds_have_their_own_order(shards: list[Path]) -> None:
    loader = ShardLoader(shards, batch_size=12, seed=9, context=10)
    first, second = loader.batch(0), loader.batch(1)
    assert not (first == second).all()
    assert sorted(first.tolist()) == sorted(second.tolist())
    assert not (first == ShardLoader(shards, batch_size=12, seed=8, context=10).batch(0)).all()


def test_source_codes_follow_the_tokens(write: Writer) -> None:
    """Shards may name sources in another order: codes are the loader's."""
    rows = np.full((1, 8), 10)
    rows[:, 6:] = PAD
    paths = [
        write("x.arrow", rows, sources=["zebra", "ant"]),
        write("y.arrow", rows + 0, sources=["ant", "zebra"]),
    ]
    loader = ShardLoader(paths, batch_size=1, seed=0, context=4, ahead=1)
    assert loader.sources == ["ant", "zebra"]
    seen = set()
    for i in range(loader.windows):
        window = loader.samples(i, 1)[0]
        codes = tuple(loader.sequence_sources(i, 1)[0].tolist())
        seen.add((window.shard, window.start, codes))
    assert seen == {
        (0, 0, (1, 1, 1, 0, 0)), (0, 4, (0, 0, -1, -1, -1)),
        (1, 0, (0, 0, 0, 1, 1)), (1, 4, (1, 1, -1, -1, -1)),
    }  # fmt: skip


def test_shards_that_disagree_are_named(write: Writer) -> None:
    good = write("good.arrow", rows_of(3, 10, 0))
    others = {
        "tokenizer": write("tokenizer.arrow", rows_of(3, 10, 0), tokenizer="f" * 64),
        "vocab_size": write("vocab.arrow", rows_of(3, 10, 0), vocab_size=65),
        "pad_id": write("pad.arrow", rows_of(3, 10, 0), pad_id=3),
        "sequence_length": write("length.arrow", rows_of(3, 11, 0)),
    }
    for fact, path in others.items():
        with pytest.raises(IntegrityError, match=rf"{path.name} has {fact}"):
            ShardLoader([good, path], batch_size=1, seed=0)


def test_ids_outside_the_vocabulary_are_refused_by_name(write: Writer) -> None:
    rows = rows_of(3, 10, 0)
    rows[1, 4] = 64
    good, bad = write("good.arrow", rows_of(3, 10, 1)), write("bad.arrow", rows)
    loader = ShardLoader([good, bad], batch_size=6, seed=0)
    with pytest.raises(IntegrityError, match=r"bad\.arrow row 1 holds token id 64"):
        loader.batch(0)
    with pytest.raises(IntegrityError, match=r"bad\.arrow holds token id 64"):
        token_counts(loader.shards)


def test_faults_are_told_apart(write: Writer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one"):
        ShardLoader([], batch_size=1, seed=0)
    with pytest.raises(DataError, match="no rows"):
        ShardLoader([write("empty.arrow", rows_of(0, 10, 0))], batch_size=1, seed=0)
    good = write("good.arrow", rows_of(3, 10, 0))
    with pytest.raises(UserError, match=r"1\.\.10"):
        ShardLoader([good], batch_size=1, seed=0, context=11)
    with pytest.raises(UserError, match="no padding token"):
        ShardLoader([write("nopad.arrow", rows_of(3, 10, 0), pad_id=1)], batch_size=1, seed=0)
    cut = tmp_path / "cut.arrow"
    cut.write_bytes(good.read_bytes()[:-40])
    with pytest.raises(IntegrityError, match=r"cut\.arrow"):
        ShardLoader([good, cut], batch_size=1, seed=0)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"good\.arrow was encoded by tokenizer 0000"):
        ShardLoader([good], batch_size=1, seed=0).require_tokenizer(tmp_path / "tokenizer.json")


def test_a_shard_given_twice_and_an_unknown_order_are_refused(shards: list[Path]) -> None:
    with pytest.raises(UserError, match=f"{shards[0].name} is given 2 times"):
        ShardLoader([*shards, shards[0]], batch_size=2, seed=1)
    with pytest.raises(ValueError, match="order is one of shuffled, stored, not 'x'"):
        ShardLoader(shards, batch_size=2, seed=1, order="x")  # type: ignore[arg-type]


def test_entropy_is_of_all_tokens_but_padding(write: Writer) -> None:
    rows = np.full((4, 8), PAD)
    rows[:, :4] = [10, 10, 11, 12]
    loader = ShardLoader([write("0.arrow", rows), write("1.arrow", rows)], batch_size=1, seed=0)
    counts = token_counts(loader.shards)
    assert {int(i): int(counts[i]) for i in counts.nonzero()[0]} == {10: 16, 11: 8, 12: 8}
    assert entropy(counts) == pytest.approx(1.5 * math.log(2))
    assert entropy(np.zeros(5, np.int64)) is None


def test_shards_that_their_run_no_longer_holds_are_named(
    write: Writer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(tmp_path / "run")
    for fingerprint in ("0" * 64, "1" * 64):
        step = run.step("pack", fingerprint)
        step.data.mkdir(parents=True)
        shutil.copy(write("a.arrow", np.arange(16).reshape(2, 8)), step.data / "shard-00000.arrow")
    run.write_current(Pointer(steps={"pack": "1" * 64}))
    held, earlier = (run.step("pack", digit * 64).data / "shard-00000.arrow" for digit in "10")
    ShardLoader([held], batch_size=1, seed=1)
    ShardLoader([write("a.arrow", np.arange(16).reshape(2, 8))], batch_size=1, seed=1)
    assert caplog.records == []
    ShardLoader([earlier], batch_size=1, seed=1)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(
        f"step pack in {run.step('pack', '0' * 64).path}: an earlier version of its step"
    )
    assert "current.json" in warning
