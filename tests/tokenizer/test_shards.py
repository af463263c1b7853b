from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import IntegrityError
from corpusmill.pipelines.contract.given_tables import PIECE
from corpusmill.tokenizer.shards.format import BATCH_BYTES, Phase, write_shard
from corpusmill.tokenizer.shards.framing import Framing, framing_fault
from corpusmill.tokenizer.shards.reader import Shard, open_shard
from corpusmill.tokenizer.shards.statistics import mixture_statistics


def made_shard(
    path: Path,
    rows: int = 40,
    length: int = 8,
    vocabulary: int = 500,
    name: int = 0,
    **changed: object,
) -> Shard:
    """A shard whose row r holds r % length + 1 tokens of one document of source r % 2, every fifth FIM.
    `changed` metadata replaces what it would have; None leaves a key out."""
    dtype = np.dtype(np.uint16 if vocabulary <= 2**16 else np.uint32)
    filled = np.arange(rows) % length + 1
    tokens_RL = np.random.default_rng(name).integers(3, vocabulary, (rows, length), dtype)
    tokens_RL[np.arange(length) >= filled[:, None]] = 2
    pieces = [
        {
            "start": 0,
            "length": int(size),
            "source": r % 2,
            "fim": r % 5 == 0,
            "offset": 0,
            "epoch": 0,
            "document": (name * 10_000 + r).to_bytes(16, "big"),
        }
        for r, size in enumerate(filled)
    ]
    by_source = [int(filled[k::2].sum()) for k in (0, 1)]
    counts = {
        "rows": rows,
        "tokens": int(filled.sum()),
        "padding": int(tokens_RL.size - filled.sum()),
        "documents": rows,
        "empty_documents": 0,
        "fim_documents": -(-rows // 5),
        "pieces": rows,
        "tokens_by_source": dict(zip("ab", by_source, strict=True)),
        "documents_by_source": {"a": -(-rows // 2), "b": rows // 2},
    }
    metadata = {
        "vocab_size": vocabulary,
        "pad_id": 2,
        "sources": ["a", "b"],
        "counts": counts,
        "tokenizer": "x",
        "bos_id": 0,
        "eos_id": 1,
        "phase": {"number": 0, "name": None},
        "add_bos": False,
        "add_eos": False,
        **changed,
    }
    metadata = {key: value for key, value in metadata.items() if value is not None}
    write_shard(path, tokens_RL, pa.array(pieces, PIECE), np.arange(rows + 1, dtype=np.int32), metadata)
    return open_shard(path)


def test_rows_are_found_in_every_batch(tmp_path: Path) -> None:
    length = BATCH_BYTES // 16  # eight rows a batch
    shard = made_shard(tmp_path / "s.arrow", rows=19, length=length)
    assert shard.metadata["rows_per_batch"] == 8
    shard.verify()
    with pa.memory_map(str(shard.path)) as source:
        flat = pa.ipc.open_file(source).read_all().column("tokens").combine_chunks().flatten().to_numpy()
    for row in (0, 7, 8, 15, 16, 18):
        assert (shard.tokens(row) == flat[row * length : (row + 1) * length]).all()
        assert shard.pieces(row)[0].document == f"{row:032x}"
        assert shard.pieces(row)[0].source == "ab"[row % 2]
    batch = shard.batch([18, 0, 8, 8])
    assert (batch == np.stack([shard.tokens(row) for row in (18, 0, 8, 8)])).all()
    assert not shard.tokens(3).flags.owndata
    assert not shard.tokens(3).flags.writeable
    with pytest.raises(IndexError):
        shard.tokens(24)


@pytest.mark.parametrize("vocabulary", [2**16, 2**16 + 1])
def test_the_width_follows_the_vocabulary(tmp_path: Path, vocabulary: int) -> None:
    shard = made_shard(tmp_path / "s.arrow", vocabulary=vocabulary)
    assert shard.tokens(0).dtype == (np.uint16 if vocabulary == 2**16 else np.uint32)
    shard.verify()


def test_a_shard_cut_anywhere_does_not_open(tmp_path: Path) -> None:
    whole = made_shard(tmp_path / "s.arrow").path.read_bytes()
    cut = tmp_path / "cut.arrow"
    for offset in [0, 1, 7, 8, *np.linspace(9, len(whole) - 1, 60).astype(int).tolist()]:
        cut.write_bytes(whole[:offset])
        with pytest.raises(IntegrityError, match=r"cut\.arrow"):
            open_shard(cut)


def test_other_arrow_files_are_no_shards(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "t.arrow", pa.schema([("x", pa.int32())])) as writer:
        writer.write_table(pa.table({"x": pa.array([1], pa.int32())}))
    with pytest.raises(IntegrityError, match="not a token shard"):
        open_shard(tmp_path / "t.arrow")


def test_verify_finds_a_changed_token(tmp_path: Path) -> None:
    shard = made_shard(tmp_path / "s.arrow")
    data = bytearray(shard.path.read_bytes())
    at = data.find(shard.tokens(0).tobytes() + shard.tokens(1).tobytes())
    data[at] ^= 1
    shard.path.write_bytes(bytes(data))
    damaged = open_shard(shard.path)
    reads = (damaged.verify, lambda: damaged.tokens(0), lambda: damaged.batch([1]), lambda: damaged.pieces(0),
             damaged.row_lengths)  # fmt: skip
    for read in reads:
        with pytest.raises(IntegrityError, match=r"s\.arrow: rows 0 to \d+ are not those it was"):
            read()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"pad_id": 3}, "padding that is not"),
        ({"vocab_size": 100}, "beyond the vocabulary"),
        ({"counts": {"tokens": 1}}, "the count of tokens"),
        ({"counts": {"tokens_by_source": {"a": 1, "b": 2}}}, "tokens by source"),
        ({"counts": {"documents": 39}}, "the count of documents"),
    ],
)
def test_verify_finds_metadata_that_lies(tmp_path: Path, change: dict[str, object], found: str) -> None:
    shard = made_shard(tmp_path / "s.arrow")
    for key, value in change.items():
        old = shard.metadata[key]
        shard.metadata[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    with pytest.raises(IntegrityError, match=found):
        shard.verify()


def test_format_2_is_read_as_well(tmp_path: Path) -> None:
    absent = dict.fromkeys(("phase", "add_bos", "add_eos"))
    old = made_shard(tmp_path / "old.arrow", format="corpusmill-shard-2", **absent)
    assert (old.phase, old.framing) == (Phase(0, None), None)
    old.verify()
    new = made_shard(tmp_path / "new.arrow", phase={"number": 2, "name": "annealing"}, add_eos=True)
    assert (new.phase, new.framing) == (Phase(2, "annealing"), Framing(0, 1, add_bos=False, add_eos=True))
    with pytest.raises(IntegrityError, match="its metadata lack add_bos, phase"):
        made_shard(tmp_path / "bad.arrow", phase=None, add_bos=None)
    with pytest.raises(IntegrityError, match="not a token shard of format corpusmill-shard-3 or"):
        made_shard(tmp_path / "later.arrow", format="corpusmill-shard-4")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"add_eos": True}, f"row 0: document {0:032x} ends with token .*, but add_eos is true and eos is 1"),
        (
            {"add_bos": True},
            f"row 0: document {0:032x} begins with token .*, but add_bos is true and bos is 0",
        ),
    ],
)
def test_verify_finds_documents_without_their_ends(
    tmp_path: Path, change: dict[str, object], found: str
) -> None:
    shard = made_shard(tmp_path / "s.arrow", **change)
    with pytest.raises(IntegrityError, match=found):
        shard.verify()


def test_framing_looks_where_documents_begin_and_end(tmp_path: Path) -> None:
    """Ends within rows alone, none of a document that was cut; and what no token should be is found too."""
    shard = made_shard(tmp_path / "s.arrow")
    ends = {int(shard.tokens(row)[row % 8]) for row in range(shard.rows) if row % 8 != 7}
    for token in ends:  # each is the end of a document at least
        shard.framing = Framing(0, token, add_bos=False, add_eos=False)
        assert "add_eos is false" in str(framing_fault(shard, shard.rows))
    cuts = [{"document": f"{row:032x}", "epoch": 0} for row in range(1, 8)]
    shard.metadata["cut"] = cuts
    shard.framing = Framing(0, int(shard.tokens(0)[0]), add_bos=False, add_eos=True)
    assert framing_fault(shard, 8) is None
    assert str(framing_fault(shard, 9)).startswith("row 8")


def test_verify_finds_pieces_with_gaps(tmp_path: Path) -> None:
    shard = made_shard(tmp_path / "s.arrow")
    table = shard.piece_table()
    start = table.column("start").to_numpy().copy()
    start[5] += 1
    moved = table.set_column(table.column_names.index("start"), "start", pa.array(start))
    shard.piece_table = lambda: moved  # type: ignore[method-assign]
    with pytest.raises(IntegrityError, match="gaps or overlaps"):
        shard.verify()


def test_statistics_of_several_shards(tmp_path: Path) -> None:
    paths = [made_shard(tmp_path / f"{k}.arrow", rows=rows, name=k).path for k, rows in enumerate((40, 3, 0))]
    facts = mixture_statistics(paths)
    lengths = [r % 8 + 1 for rows in (40, 3) for r in range(rows)]
    assert facts["rows"] == facts["documents"] == facts["pieces"] == 43
    assert facts["tokens"] == sum(lengths)
    assert facts["padding_share"] == pytest.approx(1 - sum(lengths) / (43 * 8))
    assert facts["fim_rate"] == pytest.approx(9 / 43)
    assert facts["pieces_per_row"] == 1.0
    assert facts["document_lengths"] == {
        str(n): sum(n <= size < 2 * n for size in lengths) for n in (1, 2, 4, 8)
    }
    shares = [source["share"] for source in facts["sources"].values()]
    assert sum(shares) == pytest.approx(1)
    assert facts["sources"]["b"]["documents"] == 21
    nothing = mixture_statistics([])
    assert (nothing["tokens"], nothing["padding_share"], nothing["sources"]) == (0, None, {})
