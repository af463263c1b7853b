"""CSV: records as an oracle finds them in any cutting, fields as Python's csv has them, broken lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.csv import Csv
from corpusmill.pipelines.sources.framing.csv_records import CsvRange, index_csv
from corpusmill.pipelines.sources.framing.csv_scan import fields_of
from corpusmill.pipelines.sources.jsonl import Jsonl
from tests.oracles.sources_archives import Read, read_all
from tests.oracles.sources_csv import records

BOM = "\ufeff"
PIECES = st.lists(
    st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", "bc", 'a","b\n', '"x\n', "é"]), max_size=40
)


def found(path: Path, limit: int = 1000, split_bytes: int = 1) -> list[tuple[bytes, bool]]:
    splits = index_csv(path, split_bytes, limit, ",", '"')
    assert [split.start for split in splits[1:]] == [split.end for split in splits[:-1]]
    made = [record for split in splits for record in CsvRange(path, split, limit, ",", '"').records()]
    position = 0
    for record in made:
        assert record.start == position
        position += record.size
    return [(record.data, record.broken is not None) for record in made]


@settings(max_examples=400, deadline=None)
@given(pieces=PIECES, mark=st.booleans(), split_bytes=st.sampled_from([1, 7, 10**6]))
def test_records_are_those_of_the_oracle_in_any_splitting(
    pieces: list[str], mark: bool, split_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = (BOM * mark + "".join(pieces)).encode()
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(data)
    assert found(path, split_bytes=split_bytes) == records(data)


@settings(max_examples=100, deadline=None)
@given(PIECES)
def test_records_over_several_blocks(pieces: list[str]) -> None:
    """Lines come to the scanner in blocks; here every line is one."""
    from corpusmill.pipelines.sources.framing.csv_scan import BROKEN, CsvScanner

    data = "".join(pieces).encode()
    lines = (
        data.splitlines(keepends=True) if b"\r" not in data else [line + b"\n" for line in data.split(b"\n")]
    )
    one, many = (CsvScanner(",", '"', every=True, first=True) for _ in range(2))
    whole = list(one.scan(b"".join(lines)))
    parts, at = [], 0
    for line in lines:
        parts += [(event, at + place) for event, place in many.scan(line)]
        at += len(line)
    assert parts == whole
    assert many.open == one.open
    assert {event for event, _ in parts} <= {"ended", BROKEN}


CELL = st.text(st.sampled_from('ab,"\n é;'), max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"])
)
def test_well_formed_fields_are_those_of_python(rows: list[list[str]], line_end: str) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=line_end).writerows(rows)
    made = records(out.getvalue().encode())
    assert [broken for _, broken in made] == [False] * len(made)
    assert [
        fields_of(data.decode().removesuffix("\n").removesuffix("\r"), ",", '"') for data, _ in made
    ] == list(csv.reader(io.StringIO(out.getvalue(), newline="")))


def read(tmp_path: Path, text: str | bytes, **options: Any) -> Read:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_all(Csv(files=["x"], **options), path)


def test_records_become_documents_as_of_jsonl(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "text": 'said "so"\nand, so', "url": "http://a.example", "n": "3"},
        {"id": "2", "text": "", "url": "http://b.example"},
    ]
    text = (
        f'{BOM}id,text,url,n\r\n1,"said ""so""\nand, so",http://a.example,3\r\n\r\n2,,http://b.example,""\r\n'
    )
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    wanted = read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl")
    made = read(tmp_path, text)
    assert made.rows == wanted.rows
    assert made.whys == {}
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(text.encode(), mtime=0))
    assert read_all(Csv(files=["x"]), packed).rows == wanted.rows
    packed.write_bytes(gzip.compress(text.encode(), mtime=0)[:-9])
    assert len(read_all(Csv(files=["x"]), packed).faults) == 1


def test_what_is_broken_costs_its_line_alone(tmp_path: Path) -> None:
    lines = [
        "text,n",
        "one,1",
        '"never closed,2',
        'two,"2"',
        '"closed" and more,3',
        "too,many,fields",
        "few",
        'three,5" wide',
        "N\0L,4",
        '"last, unclosed',
        "four,4",
    ]
    made = read(tmp_path, "\n".join(lines))
    assert made.texts == ["one", "two", "three", "four"]
    assert made.whys == {"bad_csv": 5, "binary": 1}
    assert {lost.position for lost in made.quarantined} >= {"a.csv, byte 13", "a.csv, byte 37"}
    assert made.rows[2]["meta"] == '{"n": "5\\" wide"}'
    assert read(tmp_path, b"text\nab\n\xff\ncd\n").whys == {"bad_utf8": 1}


def test_tsv_other_quotes_and_names_of_ones_own(tmp_path: Path) -> None:
    made = read(tmp_path, "it's\t1\n'a\tb'\t2\n", delimiter="\t", quote="'", columns=["text", "text"])
    assert made.texts == ["it's", "a\tb"]
    assert made.rows[0]["meta"] == '{"text.2": "1"}'


@pytest.mark.parametrize(
    "options", [{"delimiter": "é"}, {"delimiter": "\n"}, {"delimiter": '"'}, {"quote": ""}]
)
def test_characters_that_cannot_divide_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"delimiter|quote"):
        Csv(files=["x"], **options)


def test_large_records_are_not_held(tmp_path: Path) -> None:
    long = "x" * 3000
    many = "line\n" * 800
    text = f'text,n\na,1\n"{long}",2\nb,3\n"{many}",4\nc,5\n"{many}and no end,6\nd,7\n'
    made = read(tmp_path, text, max_record_bytes=1000)
    assert made.texts == ["a", "b", "c", "and no end", "d"]
    assert made.whys == {"too_large": 2, "bad_csv": 800}
    assert sum(lost.size for lost in made.quarantined if lost.why == "too_large") == 3005 + 4005


def test_an_unclosed_quote_does_not_make_it_slow(tmp_path: Path) -> None:
    """Each of these lines leaves a quote open whichever way it is read: were its end looked for from each,
    the time would grow with their square."""
    text = "text,n\n" + 'a","b\n' * 50_000
    splits = index_csv(_file(tmp_path, text), 2**20, 2**20, ",", '"')
    assert len(splits) <= 2
    assert read(tmp_path, text).whys == {"bad_csv": 50_000}


def _file(folder: Path, text: str) -> Path:
    (folder / "b.csv").write_text(text)
    return folder / "b.csv"


@pytest.mark.parametrize(
    "text, words",
    [
        ("body,n\nx,1\n", "its fields are `body`, `n`, none is called `text`; write `text_field`"),
        ("text\tn\nx\t1\n", 'is one field, `text?n`; write `delimiter: "\\t"`'),
        ('"text,n\n', "the first record, which names the fields, cannot be read"),
        (b"t\xe9xt,n\n", "this reader expects names of fields"),
        ('{"text": "x"}\n', "read it with `read: {jsonl: ...}`"),
        ("sep=;\nid;text\n1;x\n", "`sep=;`, is a mark for spreadsheets; delete it"),
    ],
)
def test_a_first_look_tells_what_is_wrong(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert words in str(Csv(files=["x"]).look(path).fault)


def test_a_first_look_finds_records_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text, sound, empty in (("n,text\n1,x\n", True, False), ("n,text\n", False, True), ("", False, True)):
        path.write_text(text)
        look = Csv(files=["x"]).look(path)
        assert (look.sound, look.empty) == (sound, empty)


@pytest.mark.parametrize("text", ["", "\n", "\r\n\n", BOM, BOM + "\n\n"])
def test_a_blank_file_has_no_records(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, newline="")
    found = read_all(Csv(files=["x"]), path)
    assert (found.rows, found.whys, found.faults) == ([], {}, [])


def test_lines_that_end_in_carriage_returns_alone_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\r1,a\r2,b\r")
    with pytest.raises(
        DataError, match="byte 0: its lines end in carriage returns alone; end them in line f"
    ):
        read_all(Csv(files=["x"]), path)
    assert "carriage returns alone" in str(Csv(files=["x"]).look(path).fault)
    path.write_bytes(b'id,"te\rxt",text\r\n1,a,b\r\n')
    assert read_all(Csv(files=["x"]), path).texts == ["b"]
