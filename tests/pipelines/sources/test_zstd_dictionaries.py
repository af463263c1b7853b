"""Dictionaries of zstd frames: carried by the file, named by an option, or missing."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.recipe.first_records import first_fault
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.run.runner import run_recipe
from corpusmill.pipelines.sources.framing import zstd_dictionaries
from corpusmill.pipelines.sources.framing.zstd_dictionaries import decoded_dictionary
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import page_records, read_all

PAGES = page_records(40, 2000)
URLS = [f"http://example.org/{i}" for i in range(40)]


@cache
def trained(number: int) -> zstandard.ZstdCompressionDict:
    """A dictionary of its own number, trained on pages like those of the tests."""
    samples = [page[i : i + 300] for page in page_records(60, 900 + number) for i in range(0, len(page), 300)]
    return zstandard.train_dictionary(4096, samples, dict_id=40_000 + number)


def frames(parts: list[bytes], number: int | None = 0, **options: bool) -> list[bytes]:
    """One frame a part, each with its dictionary's number unless `options` say otherwise."""
    loaded = None if number is None else trained(number)
    packer = zstandard.ZstdCompressor(dict_data=loaded, write_checksum=True, **options)
    return [packer.compress(part) for part in parts]


def skippable(data: bytes, magic: int = 0x5D) -> bytes:
    return bytes([magic]) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def carried(number: int = 0, *, packed: bool = False) -> bytes:
    data = trained(number).as_bytes()
    return skippable(zstandard.ZstdCompressor(write_checksum=True).compress(data) if packed else data)


def written(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def urls(path: Path, **options: object) -> list[str]:
    found = read_all(Warc.model_validate({"files": ["x"], **options}), path)
    assert not found.faults
    return [row["url"] for row in found.rows]


@settings(deadline=None, max_examples=15)
@given(
    packed=st.booleans(),
    extensions=st.booleans(),
    split_bytes=st.integers(2**16, 2**17),
    cuts=st.integers(1, 3),
    numbered=st.booleans(),
)
def test_a_file_with_its_dictionary_is_read_from_any_split(
    tmp_path_factory: pytest.TempPathFactory,
    packed: bool,
    extensions: bool,
    split_bytes: int,
    cuts: int,
    numbered: bool,
) -> None:
    """A record may take several frames, and other skippable frames may stand between them."""
    pages = page_records(40, 9000)
    parts = [page[len(page) * i // cuts : len(page) * (i + 1) // cuts] for page in pages for i in range(cuts)]
    stored = frames(parts, write_dict_id=numbered)
    if extensions:
        stored = [frame + skippable(b"\x28\xb5\x2f\xfd", 0x50) for frame in stored]
    path = written(tmp_path_factory.mktemp("z") / "a.warc.zst", carried(packed=packed), *stored)
    reader = Warc(files=["x"], split_bytes=split_bytes)
    found = read_all(reader, path)
    assert not found.faults
    assert [row["url"] for row in found.rows] == URLS
    assert len(found.splits) > 2
    assert first_fault(reader, {"a": str(path)}) is None


def test_another_file_carries_the_dictionary(tmp_path: Path) -> None:
    path = written(tmp_path / "a.warc.zst", *frames(PAGES))
    plain = written(tmp_path / "b.warc.zst", *frames(PAGES, None))
    held = written(tmp_path / "d", trained(0).as_bytes())
    packed = written(tmp_path / "d.zst", zstandard.ZstdCompressor().compress(trained(0).as_bytes()))
    assert urls(path, dictionary=held) == urls(path, dictionary=packed) == URLS
    assert urls(plain, dictionary=held) == URLS
    own = written(tmp_path / "c.warc.zst", carried(1), *frames(PAGES, 1))
    assert urls(own, dictionary=held) == URLS


def test_a_missing_dictionary_is_told_with_its_number_and_the_cure(tmp_path: Path) -> None:
    path = written(tmp_path / "a.warc.zst", *frames(PAGES))
    found = read_all(Warc(files=["x"]), path)
    assert not found.rows
    assert found.faults == [
        "byte 0: its zstd frames need dictionary number 40000, and the file does not begin with one (frame "
        "at byte 0); dictionaries in files of their own are not supported but by the option `dictionary` of "
        "the reader `warc`; name the file there, or recompress the file without a dictionary"
    ]
    for reader in (Warc(files=["x"]), Jsonl(files=["x"])):
        fault = first_fault(reader, {"a": str(path)})
        assert fault is not None
        assert "need dictionary number 40000" in fault
    other = written(tmp_path / "d", trained(1).as_bytes())
    (fault,) = read_all(Warc(files=["x"], dictionary=other), path).faults
    assert "need dictionary number 40000, and there is only number 40001" in fault


def test_one_frame_of_another_dictionary_costs_its_records_alone(tmp_path: Path) -> None:
    stored = frames(PAGES)
    stored[7] = frames(PAGES, 1)[7]
    found = read_all(Warc(files=["x"]), written(tmp_path / "a.warc.zst", carried(), *stored))
    assert [row["url"] for row in found.rows] == URLS[:7] + URLS[8:]
    assert len(found.faults) == 1


def test_joined_files(tmp_path: Path) -> None:
    """Files of one dictionary can be joined as they are; those of two cannot, which is a fault."""
    half = written(tmp_path / "a.warc.zst", carried(), *frames(PAGES[:20]), carried(), *frames(PAGES[20:]))
    assert urls(half, split_bytes=2**16) == URLS
    first = [carried(), *frames(PAGES[:20])]
    found = read_all(
        Warc(files=["x"]), written(tmp_path / "b.warc.zst", *first, carried(1), *frames(PAGES[20:], 1))
    )
    assert [row["url"] for row in found.rows] == URLS[:20]
    where = sum(map(len, first))
    assert found.faults == [
        f"byte {where}: a second zstd dictionary begins at byte {where}, so files of two dictionaries were "
        "joined; cut the file there, or recompress it"
    ]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (skippable(b"no dictionary"), "it begins with b'no d'"),
        (carried()[:500], "the file ends inside it"),
        (carried()[:6], "the file ends inside it"),
        (skippable(b"\x37\xa4\x30\xec" + bytes(40)), "cannot be read"),
        (skippable(zstandard.compress(trained(0).as_bytes())[:-90]), "it cannot be decompressed"),
        (skippable(zstandard.compress(bytes(zstandard.WINDOWLOG_MAX * 2**23))), "it has more than 64 MiB"),
        (b"\x5d\x2a\x4d\x18\xff\xff\xff\xff", "it has 4294967295 bytes, more than 64 MiB"),
    ],
    ids=["text", "cut", "cut head", "zeros", "packed and cut", "bomb", "long"],
)
def test_a_broken_dictionary_is_one_fault(head: bytes, words: str, tmp_path: Path) -> None:
    last = [] if words == "the file ends inside it" else frames(PAGES)
    found = read_all(Warc(files=["x"]), written(tmp_path / "a.warc.zst", head, *last))
    assert not found.rows
    (fault,) = found.faults
    assert fault.startswith("byte 0: the zstd dictionary at the file's beginning cannot be read: ")
    assert words in fault


def test_a_bomb_without_its_size_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd_dictionaries, "DICTIONARY_LIMIT", 2**20)
    packer = zstandard.ZstdCompressor(write_content_size=False)
    with pytest.raises(ValueError, match="cannot be decompressed"):
        decoded_dictionary(packer.compress(bytes(2**21)))


def test_harm_to_a_file_with_a_dictionary_makes_no_record_up(tmp_path: Path) -> None:
    whole = b"".join([carried(packed=True), *frames(PAGES)])
    path = written(tmp_path / "a.warc.zst", whole)
    expected = {row["id"] for row in read_all(Warc(files=["x"]), path).rows}
    rng = random.Random(3)
    for _ in range(40):
        harmed = bytearray(whole)
        harmed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        found = read_all(Warc(files=["x"]), written(path, bytes(harmed)))
        ids = [row["id"] for row in found.rows]
        assert set(ids) <= expected
        assert len(set(ids)) == len(ids)
        assert found.faults or len(ids) == len(expected)


def test_a_file_that_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.warc.zst", *frames(PAGES))
    text = written(tmp_path / "words.txt", b"harbour")
    reader = Warc(files=["x"], dictionary=text)
    with pytest.raises(DataError, match=r"words.txt: no zstd dictionary: .* correct the option"):
        reader.index(path)
    fault = first_fault(reader, {"a": str(path)})
    assert fault is not None
    assert "no zstd dictionary" in fault


RECIPE = """\
name: archive
output: out
engine: {kind: inline}
sources:
  web:
    read: {warc: {files: a.warc.zst, dictionary: named/d}}
    steps: [extract]
"""


def test_the_option_is_a_path_beside_the_recipe_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    written(tmp_path / "a.warc.zst", *frames(PAGES))
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(InvalidRecipeError, match=r"read.warc.dictionary: there is no file .*named/d"):
        load_recipe(tmp_path / "r.yaml", inputs=True)
    written(tmp_path / "named" / "d", trained(0).as_bytes())
    run = run_recipe(load_recipe(tmp_path / "r.yaml"))
    key = run.manifest("web").key.stages[0]
    assert key.options["dictionary"] == "d"
    assert len(key.files["d"]) == 64
    (read, *_) = run.manifest("web").ledger
    assert (read.documents_in, read.quarantined) == (40, {})
