"""Rubbish between the records of archives is a fault of its own, and costs no record beside it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import gzip_members, page_records, read_all

PAGES = page_records(60)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rubbish", [b"\x93twenty odd bytes...", b"GARBAGE\n", b"x" * 70_000])
@pytest.mark.parametrize("at", [3, 60])
def test_rubbish_behind_a_whole_record_is_a_fault_of_its_own(
    tmp_path: Path, at: int, rubbish: bytes, packed: bool
) -> None:
    parts = [*PAGES[:at], rubbish, *PAGES[at:]]
    path = tmp_path / ("a.warc.gz" if packed else "a.warc")
    path.write_bytes(gzip_members(parts) if packed else b"".join(parts))
    found = read_all(Warc(files=["x"]), path)
    faults = [split for split in found.splits if split.fault]
    assert len(faults) == 1
    if len(rubbish) > 2**16 and not packed:  # not looked through
        assert len(found.rows) == 59  # the record before may be longer than it says
    else:
        assert len(found.rows) == 60
        assert faults[0].size == len(rubbish)
        assert "no WARC record starts here" in (faults[0].fault or "")


def test_the_rest_of_a_block_is_no_rubbish(tmp_path: Path) -> None:
    broken = PAGES[1].replace(b"Content-Length: ", b"Content-Length: 0\r\nX-Was: ", 1)
    broken = broken.replace(b"\r\n\r\n", b"\r\n\r\n\r\n\r\n", 1)
    for later in (PAGES[2:5], []):
        path = tmp_path / "a.warc"
        path.write_bytes(b"".join([PAGES[0], broken, *later]))
        found = read_all(Warc(files=["x"]), path)
        assert len(found.rows) == 1 + len(later)
        assert [split.fault is None for split in found.splits].count(False) == 1


def _of_pages(path: Path, frames: list[bytes]) -> tuple[list[int], int]:
    """Which of `PAGES` are read of a file of these frames, and the number of faults."""
    path.write_bytes(b"".join(frames))
    found = read_all(Warc(files=["x"]), path)
    whole = path.with_name("whole.warc")
    whole.write_bytes(b"".join(PAGES))
    numbers = {row["id"]: number for number, row in enumerate(read_all(Warc(files=["x"]), whole).rows)}
    return [numbers[row["id"]] for row in found.rows], sum(split.fault is not None for split in found.splits)


@pytest.mark.parametrize("rubbish", [b"\x01garbage\r\nmore", b"\x93twenty odd bytes..."])
@pytest.mark.parametrize("after", [b"no frame", b"\x1f\x8b\x08 no frame", b""])
def test_damage_behind_rubbish_costs_no_record_between(tmp_path: Path, rubbish: bytes, after: bytes) -> None:
    frames = [gzip.compress(PAGES[0]), gzip.compress(rubbish), gzip.compress(PAGES[1]), after]
    assert _of_pages(tmp_path / "a.warc.gz", frames) == ([0, 1], 2 if after else 1)


@pytest.mark.parametrize("rubbish", [b"\x01garbage\r\nmore", b"\x93twenty odd bytes..."])
def test_records_behind_rubbish_and_a_broken_frame_are_read(tmp_path: Path, rubbish: bytes) -> None:
    broken = bytearray(gzip.compress(PAGES[1]))
    broken[-5] ^= 255  # of its checksum
    for number, between in enumerate((bytes(broken), b"no frame")):
        frames = [gzip.compress(PAGES[0]), gzip.compress(rubbish), between, gzip.compress(PAGES[2])]
        read, _ = _of_pages(tmp_path / f"{number}.warc.gz", frames)
        assert read == [0, 2]
