"""What exports of shards hold, read by plain code here and by the libraries they are for where these are."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import CorpusmillError, IntegrityError, UserError
from corpusmill.pipelines.exports.find import exports_named
from corpusmill.tokenizer.export import shards as exported
from corpusmill.tokenizer.export.sequences import Sequences
from corpusmill.tokenizer.export.shards import shard_sets
from corpusmill.tokenizer.exports import litdata, mds, token_dataset
from corpusmill.tokenizer.shards.format import Phase
from corpusmill.tokenizer.shards.reader import open_shard
from tests.oracles.concatenated_shards import Ids, made_documents, write_concatenated

FORMATS = ["megatron", "datatrove", "mds", "litdata", "npy", "token_dataset"]
PHASE = Phase(0, None)
PHASES = {"phase": {"number": 0, "name": "main"}}, {"phase": {"number": 1, "name": "end"}}


def equal(found: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """Two shards of each of two phases, and one held out that is called like the others."""
    folder = tmp_path / "step"
    folder.mkdir()
    for number in range(4):
        write_concatenated(
            folder / f"shard-{3 - number:05d}.arrow",
            made_documents(40, number),
            partition=3 - number,
            seed=number,
            **PHASES[number % 2],
        )
    write_concatenated(folder / "shard-00009.arrow", made_documents(9, 9), split="held_out", **PHASES[0])
    return folder


def export(name: str, what: Path, out: Path, **options: str) -> dict[str, Any]:
    found: dict[str, Any] = exports_named(name)["shards"].write(what, out, **options)
    return found


def in_order(documents: Sequence[Ids], found: Sequence[Any]) -> list[Ids]:
    """The documents in the order in which `found` has them; each must be there."""
    left = [tuple(one.tolist()) for one in documents]
    for one in found:
        left.remove(tuple(np.asarray(one).tolist()))
    assert left == []
    return [np.asarray(one) for one in found]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 30), st.integers(0, 99), st.integers(8, 40), st.booleans())
def test_documents_are_put_together(
    tmp_path: Path, count: int, seed: int, length: int, named_alike: bool
) -> None:
    """Each once, whole, however it was cut; copies and records read twice too, which share a name."""
    documents = made_documents(count, seed, longest=3 * length)
    names = [(i // 3, (i % 3) // 2) for i in range(count)]
    documents = [documents[i // 3 * 3] if named_alike else one for i, one in enumerate(documents)]
    path = tmp_path / "s.arrow"
    write_concatenated(path, documents, length=length, seed=seed, names=names if named_alike else None)
    sequences = Sequences(open_shard(path), "documents")
    found = list(sequences)
    in_order(documents, found)
    assert sequences.lengths().tolist() == [len(one) for one in found]
    heads = sequences.pieces.take(sequences.ends[:-1])
    places = list(zip(heads["row"].to_pylist(), heads["start"].to_pylist(), strict=True))
    assert places == sorted(places)
    assert set(heads["offset"].to_pylist()) <= {0}


def test_pieces_that_do_not_join(tmp_path: Path) -> None:
    path = write_concatenated(tmp_path / "s.arrow", made_documents(9, 1))
    shard = open_shard(path)
    table = shard.piece_table()
    later = int(np.flatnonzero(table["offset"].to_numpy() > 0)[0])
    kept = np.delete(np.arange(table.num_rows), later - 1 if table["offset"][later - 1].as_py() else later)
    moved = table["offset"].to_numpy().copy()
    moved[later] += 1
    shard.piece_table = lambda rows=None: table.set_column(  # type: ignore[method-assign]
        table.column_names.index("offset"), "offset", [moved]
    ).take(kept if later in kept else np.arange(table.num_rows))
    with pytest.raises(IntegrityError, match="pieces of a document do not join at its token"):
        Sequences(shard, "documents")


@pytest.mark.parametrize("name", FORMATS)
def test_a_step_is_exported_at_once(step: Path, tmp_path: Path, name: str) -> None:
    """Phases in order, what is held out apart whatever it is called, and both readers agree."""
    found = export(name, step, tmp_path / "out")
    folders = ["train/phase-0", "train/phase-1", "held_out/phase-0"]
    assert list(found["shards"].items()) == list(zip(folders, (2, 2, 1), strict=True))
    assert {Path(file).parent.as_posix() for file in found["files"]} == set(folders)
    padding = sum(open_shard(path).metadata["counts"]["padding"] for path in step.iterdir())
    tokens = sum(open_shard(path).metadata["counts"]["tokens"] for path in step.iterdir())
    assert found["tokens"] == tokens + (0 if name in ("megatron", "datatrove") else padding)
    facts = json.loads((tmp_path / "out" / "corpusmill.json").read_text())
    assert facts["sequences"] == found["of"] == ("documents" if name in FORMATS[:2] else "rows")
    assert facts["sets"]["train/phase-1"]["phase"] == {"number": 1, "name": "end"}
    assert facts["sets"]["train/phase-1"]["shards"] == ["shard-00000.arrow", "shard-00002.arrow"]
    assert facts["sets"]["held_out/phase-0"]["add_eos"] is True
    with pytest.raises(UserError, match="already there"):
        export(name, step, tmp_path / "out")


@pytest.mark.parametrize("name", FORMATS)
def test_what_comes_back_different_is_refused(
    step: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = exported._compare

    def damaged(one: exported.ShardSet, kind: Any, form: exported.ShardFormat, place: Path) -> dict[str, int]:
        path = max(place.iterdir(), key=lambda file: file.stat().st_size)
        data = bytearray(path.read_bytes())
        data[len(data) // 3 if name == "token_dataset" else -1] ^= 1
        path.write_bytes(bytes(data))
        return compare(one, kind, form, place)

    monkeypatch.setattr(exported, "_compare", damaged)
    with pytest.raises(CorpusmillError, match=r"comes back different|cannot be read again"):
        export(name, step, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_more_or_less_than_the_shards_hold_is_refused(
    step: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = exported.ShardSet.sequences
    monkeypatch.setattr(  # while it is written, the shards of a set seem to be all but one
        exported.ShardSet, "sequences", lambda self, *a, **k: list(sequences(self, *a, **k))[:-1]
    )
    compare = exported._compare

    def unpatched(*arguments: Any) -> dict[str, int]:
        monkeypatch.setattr(exported.ShardSet, "sequences", sequences)
        return compare(*arguments)

    monkeypatch.setattr(exported, "_compare", unpatched)
    with pytest.raises(CorpusmillError, match=r"comes back different|cannot be read again"):
        export(name, step, tmp_path / "out")
    form = exported.ShardFormat(lambda *_: [], lambda *_: iter([np.arange(2)]), ("rows",))
    empty = exported.ShardSet("train", PHASE, (), {})
    with pytest.raises(CorpusmillError, match="more rows come back than were written"):
        compare(empty, "rows", form, tmp_path)


def test_shards_of_two_tokenizers_or_lengths(step: Path, tmp_path: Path) -> None:
    write_concatenated(step / "shard-00007.arrow", made_documents(3, 1), length=16, **PHASES[0])
    assert export("megatron", step, tmp_path / "a")["shards"]["train/phase-0"] == 3
    with pytest.raises(UserError, match=r"shard-00007.arrow has rows of 16 tokens"):
        export("mds", step, tmp_path / "b")
    write_concatenated(step / "shard-00008.arrow", made_documents(3, 1), tokenizer="1" * 64)
    with pytest.raises(UserError, match=r"shard-00008.arrow has tokenizer 1111.*export them apart"):
        export("npy", step, tmp_path / "c")
    with pytest.raises(UserError, match="takes --sequences documents, not rows"):
        export("datatrove", step, tmp_path / "d", sequences="rows")


def test_a_shard_that_lies_about_ends_is_not_exported(tmp_path: Path) -> None:
    path = write_concatenated(tmp_path / "s.arrow", made_documents(30, 1), add_eos=False)
    with pytest.raises(IntegrityError, match=r"s.arrow: row \d+: document .* but add_eos is false"):
        export("npy", path, tmp_path / "out")


@pytest.mark.parametrize(("vocabulary", "code"), [(500, 8), (2**17, 4)])
@pytest.mark.parametrize("kind", ["documents", "rows"])
def test_megatron_files(tmp_path: Path, vocabulary: int, code: int, kind: str) -> None:
    documents = made_documents(50, 3, vocabulary=vocabulary)
    path = write_concatenated(tmp_path / "s.arrow", documents, vocab_size=vocabulary)
    export("megatron", path, tmp_path / "out", sequences=kind)
    head = (tmp_path / "out/train/tokens.idx").read_bytes()
    count = 50 if kind == "documents" else open_shard(path).rows
    assert head[:9] == b"MMIDIDX\x00\x00"
    assert struct.unpack_from("<QBQQ", head, 9) == (1, code, count, count + 1)
    lengths = np.frombuffer(head, "<i4", count, 34)
    pointers = np.frombuffer(head, "<i8", count, 34 + 4 * count)
    assert np.frombuffer(head, "<i8", -1, 34 + 12 * count).tolist() == list(range(count + 1))
    data = (tmp_path / "out/train/tokens.bin").read_bytes()
    dtype = "<u2" if code == 8 else "<i4"
    found = [np.frombuffer(data, dtype, n, p) for n, p in zip(lengths, pointers, strict=True)]
    if kind == "documents":
        in_order(documents, found)
    else:
        assert sum(map(len, found)) == sum(map(len, documents))
        assert all(np.array_equal(one, open_shard(path).tokens(r)[: len(one)]) for r, one in enumerate(found))


def test_mds_files(step: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mds, "SIZE_LIMIT", 200)
    export("mds", step, tmp_path / "out", sequences="documents")
    folder = tmp_path / "out/train/phase-0"
    index = json.loads((folder / "index.json").read_text())
    assert len(index["shards"]) > 3
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        assert shard["raw_data"]["hashes"] == {"xxh64": xxhash.xxh64_hexdigest(data)}
        assert shard["column_encodings"] == ["ndarray:uint16"]


def test_an_empty_shard_is_exported(tmp_path: Path) -> None:
    path = write_concatenated(tmp_path / "s.arrow", [])
    for name in FORMATS:
        assert export(name, path, tmp_path / name)["sequences"] == 0


def test_token_dataset_tells_where_tokens_are_from(step: Path, tmp_path: Path) -> None:
    export("token_dataset", step, tmp_path / "out")
    shard = open_shard(step / "shard-00001.arrow")
    table = pq.read_table(tmp_path / "out/train/phase-0/shard-00001.parquet")
    for number, row in enumerate(table.to_pylist()):
        pieces = shard.pieces(number)
        for name in ("length", "document", "source", "epoch", "offset", "fim"):
            assert row[name] == [getattr(piece, name) for piece in pieces]
    front = (tmp_path / "out/README.md").read_text().split("---")[1]
    assert yaml.safe_load(front)["configs"] == [
        {
            "config_name": "phase-0",
            "data_files": [
                {"split": "train", "path": "train/phase-0/*.parquet"},
                {"split": "test", "path": "held_out/phase-0/*.parquet"},
            ],
        },
        {"config_name": "phase-1", "data_files": [{"split": "train", "path": "train/phase-1/*.parquet"}]},
    ]


def test_row_groups_of_a_token_dataset(step: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_dataset, "_BATCH_TOKENS", 64)
    export("token_dataset", step, tmp_path / "out", sequences="documents")
    with pq.ParquetFile(tmp_path / "out/train/phase-0/shard-00001.parquet") as file:
        assert file.num_row_groups > 5


# With the libraries that the formats are for: megatron-core, mosaicml-streaming, litdata and datasets.
foreign = pytest.mark.filterwarnings("ignore")  # warnings of theirs, which are errors otherwise


def wanted(what: Path, folder: str, kind: Any, *, padded: bool) -> list[Any]:
    (one,) = [one for one in shard_sets(what) if one.folder == folder]
    return [np.array(ids) for part in one.sequences(kind, padded=padded) for ids in part]


@foreign
@pytest.mark.parametrize("kind", ["documents", "rows"])
def test_megatron_reads_them(step: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which the import adds a folder
    reader = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is missing")
    export("megatron", step, tmp_path / "out", sequences=kind)
    dataset = reader.IndexedDataset(str(tmp_path / "out/train/phase-1/tokens"))
    assert equal(dataset[:], wanted(step, "train/phase-1", kind, padded=False))
    assert len(dataset.document_indices) == len(dataset) + 1


@foreign
def test_datatrove_reads_them(step: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("datatrove.utils.dataset", reason="datatrove is missing")
    export("datatrove", step, tmp_path / "out")
    dataset = reader.DatatroveFolderDataset(
        str(tmp_path / "out/train/phase-1"), 15, token_size=2, return_positions=True
    )
    found = [dataset[number] for number in range(len(dataset))]
    flat, places = [], []
    for name in ("shard-00000", "shard-00002"):
        documents = list(Sequences(open_shard(step / f"{name}.arrow"), "documents"))
        ids = np.concatenate(documents)
        place = np.concatenate([np.arange(len(one)) for one in documents])
        flat += [ids[at : at + 16] for at in range(0, len(ids) - 15, 16)]
        places += [place[at : at + 16] for at in range(0, len(ids) - 15, 16)]
    assert equal([one["input_ids"].numpy() for one in found], flat)
    for one, place in zip(found, places, strict=True):
        begun = int(np.flatnonzero(np.append(place, 0) == 0)[0])  # datatrove counts from a window's start
        assert one["positions"].tolist() == [*range(begun), *place[begun:].tolist()]


@foreign
@pytest.mark.parametrize("kind", ["documents", "rows"])
def test_streaming_reads_them(step: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streaming = pytest.importorskip("streaming", reason="mosaicml-streaming is missing")
    monkeypatch.setattr(mds, "SIZE_LIMIT", 500)
    export("mds", step, tmp_path / "out", sequences=kind)
    streaming.base.util.clean_stale_shared_memory()
    dataset = streaming.StreamingDataset(
        local=str(tmp_path / "out/train/phase-1"), shuffle=False, batch_size=1, validate_hash="xxh64"
    )
    found = [dataset[number]["tokens"] for number in range(len(dataset))]
    assert equal(found, wanted(step, "train/phase-1", kind, padded=True))


@foreign
def test_litdata_reads_them(step: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("litdata", reason="litdata is missing")
    monkeypatch.setattr(litdata, "CHUNK_BYTES", 200)
    export("litdata", step, tmp_path / "out")
    loader = library.TokensLoader(block_size=8)
    dataset = library.StreamingDataset(str(tmp_path / "out/train/phase-1"), item_loader=loader, shuffle=False)
    assert equal([row.numpy() for row in dataset], wanted(step, "train/phase-1", "rows", padded=True))


@foreign
def test_datasets_reads_them(step: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("datasets", reason="datasets is missing")
    export("token_dataset", step, tmp_path / "out")
    loaded = library.load_dataset(str(tmp_path / "out"), "phase-0", cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    loaded.save_to_disk(str(tmp_path / "disk"))
    again = library.load_from_disk(str(tmp_path / "disk"))
    for split, folder in (("train", "train/phase-0"), ("test", "held_out/phase-0")):
        rows = cast(Any, again[split].with_format("numpy"))["input_ids"][:]
        assert equal(rows, wanted(step, folder, "rows", padded=True))
