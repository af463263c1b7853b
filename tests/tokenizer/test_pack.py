from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.randomness import is_held_out
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.records.mixture_plan import FILE, write_plan
from corpusmill.tokenizer.encode import Encode
from corpusmill.tokenizer.fim.options import Fim
from corpusmill.tokenizer.pack import Pack
from corpusmill.tokenizer.packing.rows import pack_rows
from corpusmill.tokenizer.shards.reader import Shard, open_shard
from tests.made_records import made_plan
from tests.oracles.tokenizer_packing import documents_of
from tests.oracles.tokenizer_texts import as_documents, made_texts

PAD = 2


def drawn(
    lengths: Sequence[int],
    groups: Sequence[str | None] | None = None,
    ranks: Sequence[int | None] | None = None,
    epochs: Sequence[int] | None = None,
    sources: Sequence[str] | None = None,
    held_out: Sequence[bool] | None = None,
) -> pa.Table:
    """Rows as a mixture draws them: document i holds tokens 10, 11, ...; grouped ones share a key."""
    n = len(lengths)
    groups = groups or [None] * n
    epochs = epochs or [0] * n
    keys = [hash_of(f"{g or i}:{e}") for i, (g, e) in enumerate(zip(groups, epochs, strict=True))]
    tokens = [[10 + (i * 7 + k) % 600 for k in range(size)] for i, size in enumerate(lengths)]
    table = pa.table(
        {
            "key": pa.array(keys, pa.uint64()),
            "unit": pa.array([0] * n, pa.uint32()),
            "row": pa.array(range(n), pa.uint32()),
            "epoch": pa.array(epochs, pa.int32()),
            "id": [f"{i:032x}" for i in range(n)],
            "source": pa.array(sources or ["a"] * n, pa.string()),
            "group": pa.array(groups, pa.string()),
            "group_rank": pa.array(ranks or [None] * n, pa.int32()),
            "fim": pa.array([i % 3 == 0 for i in range(n)], pa.bool_()),
            "held_out": pa.array(held_out or [False] * n, pa.bool_()),
            "bytes": pa.array([3 * size for size in lengths], pa.int64()),
            "tokens": pa.array(tokens, pa.large_list(pa.uint16())),
        }
    )
    return table.sort_by([("key", "ascending"), ("unit", "ascending"), ("row", "ascending")])


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def packed(context: Context, table: pa.Table, folder: Path, partition: int = 0, **options: Any) -> Shard:
    stage = Pack(**{"sequence_length": 16, "add_eos": False, **options}).prepare(context)
    counts = stage.write(table, partition, folder)
    shard = open_shard(folder / f"shard-{partition:05d}.arrow")
    apart = counts.pop("held_out", None)
    assert shard.metadata["counts"] == counts
    assert shard.metadata["split"] == "train"
    shard.verify()
    if apart is not None:
        other = open_shard(folder / f"heldout-{partition:05d}.arrow")
        assert other.metadata["counts"] == apart
        assert other.metadata["split"] == "held_out"
        other.verify()
    return shard


def tokens_of(table: pa.Table) -> dict[tuple[str, int], list[int]]:
    rows = zip(*(table.column(name).to_pylist() for name in ("id", "epoch", "tokens")), strict=True)
    return {(name, epoch): tokens for name, epoch, tokens in rows if tokens}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 70), st.sampled_from([None, "r", "s"])), max_size=25),
    st.sampled_from(["best_fit", "greedy", "concat"]),
    st.integers(1, 3),
)
def test_every_token_of_every_document_is_in_the_shards(
    context: Context, tmp_path: Path, rows: list[tuple[int, str | None]], method: str, parts: int
) -> None:
    table = drawn([r[0] for r in rows], [r[1] for r in rows], list(range(len(rows))))
    partition = [key * parts >> 64 for key in table.column("key").to_pylist()]
    shards = [
        packed(
            context,
            table.filter(pa.array([p == part for p in partition], pa.bool_())),
            tmp_path,
            part,
            method=method,
        )
        for part in range(parts)
    ]
    assert documents_of(shards) == tokens_of(table)
    assert sum(shard.metadata["counts"]["documents"] for shard in shards) == len(rows)


def test_padding_is_little_and_at_the_end(context: Context, tmp_path: Path) -> None:
    shard = packed(context, drawn([3, 9, 16, 5, 40, 13, 16]), tmp_path)
    assert shard.metadata["counts"]["rows"] == 7  # 102 tokens need 7 rows of 16
    assert shard.metadata["counts"]["padding"] == 7 * 16 - 102
    for row in range(shard.rows):
        used = sum(piece.length for piece in shard.pieces(row))
        assert (shard.tokens(row)[used:] == PAD).all()
        assert PAD not in shard.tokens(row)[:used]


def test_only_documents_longer_than_a_row_are_cut(context: Context, tmp_path: Path) -> None:
    lengths = np.random.default_rng(2).integers(1, 17, 300).tolist()
    shard = packed(context, drawn(lengths), tmp_path)
    assert shard.metadata["counts"]["pieces"] == 300
    long = packed(context, drawn([33, 16, 17]), tmp_path, 1)
    pieces = [p for row in range(long.rows) for p in long.pieces(row)]
    assert sorted(p.length for p in pieces) == [1, 1, 16, 16, 16, 16]


def test_concat_pads_only_the_last_row(context: Context, tmp_path: Path) -> None:
    shard = packed(context, drawn([5] * 30), tmp_path, method="concat")
    assert shard.metadata["counts"]["padding"] == 10 * 16 - 150
    order = [p.document for row in sorted_rows(shard) for p in row if p.offset == 0]
    assert order == drawn([5] * 30).column("id").to_pylist()


def sorted_rows(shard: Shard) -> Iterator[list[Any]]:
    """Rows in the order they had before they were shuffled, told by which continues which document."""
    rows = [shard.pieces(row) for row in range(shard.rows)]
    place = {name: i for i, name in enumerate(drawn([5] * 30).column("id").to_pylist())}
    yield from sorted(rows, key=lambda pieces: (place[pieces[0].document], pieces[0].offset))


def test_files_of_a_group_are_chained_in_order(context: Context, tmp_path: Path) -> None:
    groups = ["g", None, "g", "h", "g", None, "h", "g"]
    ranks = [2, None, 0, 1, 3, None, 0, 1]
    shard = packed(context, drawn([3] * 8, groups, ranks), tmp_path)
    rows = [[int(p.document, 16) for p in shard.pieces(row)] for row in range(shard.rows)]
    text = " ".join(" ".join(map(str, row)) for row in rows)
    assert "2 7 0 4" in text
    assert "6 3" in text


def test_a_long_group_runs_over_rows(context: Context, tmp_path: Path) -> None:
    shard = packed(context, drawn([10] * 5, ["g"] * 5, [4, 3, 2, 1, 0]), tmp_path)
    counts = shard.metadata["counts"]
    assert (counts["rows"], counts["padding"]) == (4, 14)
    rows = sorted([[int(p.document, 16) for p in shard.pieces(row)] for row in range(4)], reverse=True)
    assert rows == [[4, 3], [3, 2, 1], [1, 0], [0]]


def test_same_group_name_in_two_sources_and_epochs_is_not_chained(context: Context, tmp_path: Path) -> None:
    table = drawn([8] * 4, ["g"] * 4, [0] * 4, [0, 0, 1, 1], ["a", "b", "a", "b"])
    shard = packed(context, table, tmp_path, sequence_length=12)
    assert shard.metadata["counts"]["rows"] == 4
    assert shard.metadata["counts"]["pieces"] == 4
    assert {(p.source, p.epoch) for row in range(4) for p in shard.pieces(row)} == {
        (s, e) for s in "ab" for e in (0, 1)
    }


def test_copies_of_a_document_are_told_apart(context: Context, tmp_path: Path) -> None:
    table = drawn([20, 20], epochs=[0, 1]).set_column(4, "id", pa.array(["0" * 32] * 2))
    shard = packed(context, table, tmp_path)
    assert documents_of([shard]).keys() == {("0" * 32, 0), ("0" * 32, 1)}


def test_rows_are_shuffled_by_the_seed_and_the_partition() -> None:
    n = 200
    values = np.arange(n * 8, dtype=np.uint16)
    start, length = np.arange(n) * 8, np.full(n, 8)
    chains = np.arange(n + 1)
    orders = [
        pack_rows(start, length, chains, values, 8, 0, seed, partition).tokens[:, 0].tolist()
        for seed, partition in [(1, 0), (1, 0), (2, 0), (1, 1)]
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]
    assert sorted(orders[0]) == list(range(0, n * 8, 8)) != orders[0]


def test_writing_twice_gives_the_same_bytes(context: Context, tmp_path: Path) -> None:
    table = drawn(np.random.default_rng(3).integers(0, 60, 200).tolist())
    digests = []
    for name in "ab":
        (tmp_path / name).mkdir()
        packed(context, table, tmp_path / name)
        digests.append((tmp_path / name / "shard-00000.arrow").read_bytes())
    assert digests[0] == digests[1]


def test_an_empty_partition_is_a_shard_of_no_rows(context: Context, tmp_path: Path) -> None:
    for number, table in enumerate([drawn([]), pa.table({})]):
        shard = packed(context, table, tmp_path, number)
        assert shard.rows == 0
        assert shard.metadata["counts"]["documents"] == 0
        assert shard.batch([]).shape == (0, 16)


def test_metadata_says_what_a_reader_needs(context: Context, tmp_path: Path) -> None:
    (tmp_path / "mixture").mkdir()
    write_plan(tmp_path / "mixture" / FILE, made_plan(b={}, a={}, unused={}))
    context = Context(seed=9, artefacts={**context.artefacts, "mixture": tmp_path / "mixture"})
    shard = packed(context, drawn([20, 3], sources=["a", "b"]), tmp_path, 7)
    expected = {
        "format": "corpusmill-shard-3",
        "sequence_length": 16,
        "vocab_size": 700,
        "rows": shard.rows,
        "bos_id": 0,
        "eos_id": 1,
        "pad_id": 2,
        "seed": 9,
        "partition": 7,
        "method": "best_fit",
        "phase": {"number": 0, "name": None},
        "add_bos": False,
        "add_eos": False,
        "sources": ["a", "b", "unused"],
    }
    assert expected.items() <= shard.metadata.items()
    digest = hashlib.sha256(context.artefact("tokenizer", "tokenizer.json").read_bytes()).hexdigest()
    assert shard.metadata["tokenizer"] == digest
    assert shard.metadata["counts"]["tokens_by_source"] == {"a": 20, "b": 3, "unused": 0}


def test_a_shard_holds_one_phase(context: Context, tmp_path: Path) -> None:
    table = drawn([20, 3])
    of = [table.append_column("phase", pa.array(numbers, pa.int16())) for numbers in ([1, 1], [1, 2])]
    assert packed(context, of[0], tmp_path).phase.number == 1
    with pytest.raises(IntegrityError, match=r"partition 0 holds documents of the phases \[1, 2\]"):
        packed(context, of[1], tmp_path)


def test_documents_without_their_ends_are_not_packed(context: Context, tmp_path: Path) -> None:
    """What was encoded is not what the options say: the shard would lie about every document of it."""
    with pytest.raises(IntegrityError, match=r"ends with token \d+, but add_eos is true and eos is 1"):
        packed(context, drawn([20, 3]), tmp_path, add_eos=True)
    with pytest.raises(IntegrityError, match=r"begins with token 10, but add_bos is true and bos is 0"):
        packed(context, drawn([20]), tmp_path, add_bos=True)
    ended = drawn([20])
    tokens = [[*ended.column("tokens")[0].as_py(), 1]]
    ended = ended.set_column(
        ended.column_names.index("tokens"), "tokens", pa.array(tokens, pa.large_list(pa.uint16()))
    )
    packed(context, ended, tmp_path, add_eos=True)
    with pytest.raises(IntegrityError, match="add_eos is false"):
        packed(context, ended, tmp_path)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.sampled_from("ab")), max_size=20))
def test_held_out_documents_lie_in_shards_of_their_own(
    context: Context, tmp_path: Path, rows: list[tuple[int, bool, str]]
) -> None:
    """Every token that came in is in one of the two, and nothing is in both."""
    table = drawn([r[0] for r in rows], held_out=[r[1] for r in rows], sources=[r[2] for r in rows])
    table = table.set_column(
        table.column_names.index("fim"), "fim", pa.array([False] * len(rows), pa.bool_())
    )
    shard = packed(context, table, tmp_path)
    apart = open_shard(tmp_path / "heldout-00000.arrow")
    for found, side in ((shard, False), (apart, True)):
        mine = table.filter(pa.array([h == side for h in table.column("held_out").to_pylist()], pa.bool_()))
        assert documents_of([found]) == tokens_of(mine)
        counts = found.metadata["counts"]
        assert counts["documents"] == mine.num_rows
        assert sum(counts["bytes_by_source"].values()) == sum(mine.column("bytes").to_pylist())
        assert counts["bytes_by_source"].get("a", 0) == 3 * counts["tokens_by_source"].get("a", 0)


def test_nothing_is_packed_apart_unless_asked_for(context: Context, tmp_path: Path) -> None:
    shard = packed(context, drawn([5, 9]), tmp_path, held_out=0.0)
    assert [path.name for path in tmp_path.glob("*.arrow")] == [shard.path.name]
    held = drawn([5, 9], held_out=[True, False])
    with pytest.raises(IntegrityError, match="held out is framed"):
        packed(context, held.set_column(8, "fim", pa.array([True, True])), tmp_path, 1)


def test_tokens_of_the_wrong_width_are_refused(context: Context, tmp_path: Path) -> None:
    table = drawn([3])
    wide = table.set_column(
        table.column_names.index("tokens"), "tokens", table.column("tokens").cast(pa.large_list(pa.uint32()))
    )
    with pytest.raises(IntegrityError, match="tokens are uint32"):
        packed(context, wide, tmp_path)


def test_encode_options_reach_encode(context: Context) -> None:
    pack = Pack(fim=Fim(rate=0.5, mode="spm"), add_bos=True, verify_rate=0.0, held_out=0.25)
    encode = Encode(**pack.encode_options())
    assert (encode.fim, encode.add_bos, encode.verify_rate) == (pack.fim, True, 0.0)
    assert encode.held_out == 0.25
    assert pack.mixture_options() == {"held_out": 0.25, "shard_tokens": pack.shard_tokens}
    table = encode.prepare(context).edit(as_documents(made_texts(5))).documents.table
    assert all(tokens[0] == 0 for tokens in table.column("tokens").to_pylist())


def test_documents_held_out_are_never_framed_or_split(context: Context) -> None:
    docs = as_documents(made_texts(200))
    table = Encode(fim=Fim(rate=1.0), held_out=0.3).prepare(context).edit(docs).documents.table
    held = is_held_out(table.column("id"), context.seed, 0.3)
    assert 30 < held.sum() < 90
    assert table.column("fim").to_pylist() == (~held).tolist()
    plain_options = {"fim": {"rate": 0.0}, "split_boundary": {"rate": 0.0}}
    plain = Encode.model_validate(plain_options).prepare(context).edit(docs).documents.table
    tokens, expected = (each.column("tokens").to_pylist() for each in (table, plain))
    assert [tokens[k] for k in np.flatnonzero(held)] == [expected[k] for k in np.flatnonzero(held)]
