"""Arrow files and streams, saved data sets, and damage to them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.sources.arrow import Arrow
from corpusmill.pipelines.sources.framing.arrow_messages import BATCH, read_message, stream_messages
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import LABEL, read_all

TABLE = pa.table(
    {
        "id": [str(n) for n in range(40)],
        "text": [f"text {n} é" for n in range(40)],
        "tags": [[f"t{n}", None] for n in range(40)],
        "n": list(range(40)),
    }
)
WORDS = TABLE.append_column("kind", pa.chunked_array([pa.array(["a", "b"] * 20).dictionary_encode()]))


def write(
    path: Path, table: pa.Table, *, stream: bool = False, rows: int = 10, compression: Any = None
) -> Path:
    options = ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
    with (ipc.new_stream if stream else ipc.new_file)(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("table", [TABLE, WORDS], ids=["plain", "dictionary"])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_rows_are_those_of_parquet(
    tmp_path: Path, stream: bool, table: pa.Table, compression: str | None
) -> None:
    path = write(tmp_path / "a.arrow", table, stream=stream, compression=compression)
    pq.write_table(table, tmp_path / "a.parquet")
    wanted = read_all(Parquet(files=["x"]), tmp_path / "a.parquet").rows
    reader = Arrow(files=["x"], split_bytes=2**16)
    object.__setattr__(reader, "split_bytes", 1)  # a split for each batch
    found = read_all(reader, path)
    assert len(found.splits) == 4
    assert found.rows == wanted
    (whole,) = Arrow(files=["x"]).index(path)
    assert len(reader.divide(whole)) == 4
    rows = [
        row
        for part in reader.divide(whole)
        for batch in reader.read(path, "a.arrow", part, LABEL)
        for row in batch.documents.table.to_pylist()
    ]
    assert rows == wanted


def test_feather_is_a_file(tmp_path: Path) -> None:
    feather.write_feather(TABLE, str(tmp_path / "a.feather"))
    assert len(read_all(Arrow(files=["x"]), tmp_path / "a.feather").rows) == 40
    (tmp_path / "b.feather").write_bytes(b"FEA1" + bytes(60) + b"FEA1")
    look = Arrow(files=["x"]).look(tmp_path / "b.feather")
    assert "Feather version 1, which no reader reads" in str(look.fault)


def test_dictionaries_that_are_replaced_in_a_stream(tmp_path: Path) -> None:
    words = [pa.array([f"w{n}", "x"]).dictionary_encode() for n in range(4)]
    schema = pa.schema([("text", pa.string()), ("kind", words[0].type)])
    with ipc.new_stream(tmp_path / "a.arrow", schema) as writer:
        for n, column in enumerate(words):
            writer.write_batch(pa.record_batch([pa.array([f"{n}a", f"{n}b"]), column], schema=schema))
    reader = Arrow(files=["x"])
    object.__setattr__(reader, "split_bytes", 1)
    found = read_all(reader, tmp_path / "a.arrow")
    assert [json.loads(row["meta"])["kind"] for row in found.rows] == [
        word for n in range(4) for word in (f"w{n}", "x")
    ]


def bounds(path: Path, start: int) -> list[tuple[int, int]]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        return [(one.start, one.end) for one in stream_messages(file, start, size) if one.kind == BATCH]


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_file_keeps_the_batches_before(tmp_path: Path, stream: bool) -> None:
    path = write(tmp_path / "a.arrow", TABLE, stream=stream)
    third = bounds(path, 0 if stream else 8)[2]
    path.write_bytes(path.read_bytes()[: third[1] - 3])
    found = read_all(Arrow(files=["x"]), path)
    assert len(found.rows) == 20
    assert len(found.faults) == 1
    assert f"byte {third[0]}" in found.faults[0] or "footer" in found.faults[0]


def test_a_stream_without_its_end_mark_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", TABLE, stream=True)
    path.write_bytes(path.read_bytes()[:-8])
    found = read_all(Arrow(files=["x"]), path)
    assert len(found.rows) == 40
    assert "without its end mark" in found.faults[0]
    path.write_bytes(write(path, TABLE, stream=True).read_bytes() + b"more")
    assert "data after the end mark" in read_all(Arrow(files=["x"]), path).faults[0]


@pytest.mark.parametrize("stream", [False, True])
def test_the_rows_of_a_batch_that_fails_are_quarantined_one_by_one(tmp_path: Path, stream: bool) -> None:
    path = write(tmp_path / "a.arrow", WORDS, stream=stream, compression="zstd")
    start, end = bounds(path, 0 if stream else 8)[1]
    data = bytearray(path.read_bytes())
    for at in range(end - 80, end - 8):
        data[at] ^= 0x5A
    path.write_bytes(data)
    found = read_all(Arrow(files=["x"]), path)
    assert len(found.rows) == 30
    assert found.whys == {"bad_arrow": 10}
    assert found.quarantined[0].position == "a.arrow, batch 1, row 0"
    lost = [one for part in Arrow(files=["x"]).lose(path, "a.arrow", found.splits[0], "died") for one in part]
    assert len(lost) == 40
    assert start < end


def test_bad_utf8_costs_its_row_alone(tmp_path: Path) -> None:
    texts = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    other = pa.array([b"\xfe", b"x", b"y"]).view(pa.string())
    path = write(tmp_path / "a.arrow", pa.table({"text": texts, "other": other}))
    found = read_all(Arrow(files=["x"]), path)
    assert found.texts == ["a", "c"]
    assert found.whys == {"bad_utf8": 1}
    assert json.loads(found.rows[0]["meta"]) == {"other": "\\xfe"}


def test_offsets_that_lie_are_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", pa.table({"text": ["aaaa", "bbbb", "cccc"]}), rows=3)
    data = path.read_bytes()
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 4, 8, 12))
    lying = b"".join(n.to_bytes(4, "little") for n in (0, 2**30, 8, 12))
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, lying))
    assert read_all(Arrow(files=["x"]), path).whys == {"bad_arrow": 3}


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(tmp_path: Path) -> None:
    text = "a" * (2**20)
    path = write(tmp_path / "a.arrow", pa.table({"text": [text] * 80}), rows=80, compression="zstd")
    found = read_all(Arrow(files=["x"]), path)
    assert found.whys == {"bad_arrow": 80}
    assert "unpack to" in found.quarantined[0].detail
    assert len(read_all(Arrow(files=["x"], max_record_bytes=2**27), path).rows) == 80


def test_a_footer_that_leaves_batches_out_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.arrow", TABLE)
    first = bounds(path, 8)[0][0]
    data = path.read_bytes()
    length = int.from_bytes(data[-10:-6], "little")
    footer = bytearray(data[-10 - length :])
    at = footer.find(first.to_bytes(8, "little"))
    count = at - 4
    assert footer[count:at] == (4).to_bytes(4, "little")
    footer[count : count + 4] = (3).to_bytes(4, "little")
    path.write_bytes(data[: -10 - length] + footer)
    found = read_all(Arrow(files=["x"]), path)
    assert "the footer leaves out" in found.faults[0]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 8))
def test_any_bytes_are_told_as_damage(data: bytes, start: int) -> None:
    from corpusmill.pipelines.sources.framing.damage import Damage

    file = io.BytesIO(data)
    try:
        read_message(file, min(start, len(data)), len(data))
    except Damage:
        return


def saved(folder: Path, table: pa.Table, files: int = 2) -> Path:
    """A folder as `save_to_disk` of `datasets` 3 writes it."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{files:05d}.arrow" for n in range(files)]
    rows = table.num_rows // files
    for n, name in enumerate(names):
        write(folder / name, table.slice(n * rows, rows), stream=True)
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "0123456789abcdef",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"citation": "", "features": {}}))
    return folder


def test_a_saved_data_set_is_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "set", TABLE)
    (folder / "cache-0123.arrow").write_bytes(b"of no matter")
    files = Arrow(files=["set"]).expand(folder)
    assert [file.name for file in files] == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    assert [len(read_all(Arrow(files=["x"]), file).rows) for file in files] == [20, 20]


def test_a_saved_dictionary_of_data_sets_needs_a_split(tmp_path: Path) -> None:
    saved(tmp_path / "sets" / "train", TABLE)
    saved(tmp_path / "sets" / "test", TABLE)
    (tmp_path / "sets" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    with pytest.raises(RecipeError, match=r"choose a split with `split: NAME`.*there are: train, test"):
        Arrow(files=["x"]).expand(tmp_path / "sets")
    with pytest.raises(RecipeError, match="no split is called 'dev'; there are: train, test"):
        Arrow(files=["x"], split="dev").expand(tmp_path / "sets")
    files = Arrow(files=["x"], split="test").expand(tmp_path / "sets")
    assert {file.parent.name for file in files} == {"test"}
    assert len(Arrow(files=["x"], split=["test", "train"]).expand(tmp_path / "sets")) == 4


@pytest.mark.parametrize(
    "state, words",
    [
        ({"_data_files": [{"filename": "gone.arrow"}]}, "gone.arrow is missing"),
        ({"_data_files": [{"filename": "../../etc/passwd"}]}, "no file beside it"),
        ({"_data_files": []}, "names no files"),
        (
            {"_data_files": [{"filename": "a"}], "_indices_files": [{"filename": "i.arrow"}]},
            "flatten_indices",
        ),
        ([], "holds no mapping"),
    ],
)
def test_a_state_that_is_not_sound_is_told(tmp_path: Path, state: Any, words: str) -> None:
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(RecipeError, match=words):
        Arrow(files=["x"]).expand(tmp_path)


def test_a_first_look(tmp_path: Path) -> None:
    reader = Arrow(files=["x"])
    assert reader.look(write(tmp_path / "a.arrow", TABLE)).sound
    assert reader.look(write(tmp_path / "b.arrow", TABLE, stream=True)).sound
    assert "no column of text `text`" in str(reader.look(write(tmp_path / "c", TABLE.drop(["text"]))).fault)
    (tmp_path / "d").write_bytes(b"ARROW1\0\0" + b"\xff" * 100)
    assert "its schema cannot be read" in str(reader.look(tmp_path / "d").damage)
    (tmp_path / "e").write_bytes(b'{"text": "x"}\n')
    assert "read it with `read: {jsonl: ...}`" in str(reader.look(tmp_path / "e").fault)
    assert "read it with `read: {arrow: ...}`" in str(Parquet(files=["x"]).look(tmp_path / "a.arrow").fault)


def test_a_packed_file_is_told_with_a_cure_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    path.write_bytes(gzip.compress(b"x" * 100))
    assert "packed as gzip, which the reader arrow does not unpack; unpack it" in str(
        Arrow(files=["x"]).look(path).fault
    )


def test_a_table_without_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    with ipc.new_stream(path, pa.schema([])):
        pass
    assert "it has no columns at all" in str(Arrow(files=["x"]).look(path).fault)
