"""Zip archives: every member is a document or counted, whatever the archive states of itself."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import document_id
from corpusmill.pipelines.recipe.first_records import first_fault
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.zip import Zip
from tests.oracles.sources_archives import Read, read_all


def member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = (3, mode << 16) if mode else (0, 0)
    return info


def pack(*members: tuple[zipfile.ZipInfo | str, bytes], streamed: bool = False) -> bytes:
    """An archive; `streamed` with data descriptors, as written to a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise io.UnsupportedOperation

    out = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for info, content in members:
            archive.writestr(member(info) if isinstance(info, str) else info, content)
    return out.getvalue()


def read(tmp_path: Path, data: bytes, **options: int) -> Read:
    (tmp_path / "a.zip").write_bytes(data)
    return read_all(Zip.model_validate({"files": ["x"], **options}), tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("streamed", [False, True])
def test_every_member_is_a_document_or_counted(tmp_path: Path, streamed: bool) -> None:
    content = pack(
        ("pkg/", b""),
        ("./pkg/a.py", b"a = 1\n"),
        ("pkg/twice.py", b"first"),
        (member("pkg/link.py", stat.S_IFLNK | 0o777), b"/etc/passwd"),
        (member("pkg/pipe.py", stat.S_IFIFO | 0o600), b""),
        (member("pkg/folder", stat.S_IFDIR | 0o700), b""),
        ("/etc/evil.py", b"x"),
        ("pkg/../../evil.py", b"x"),
        ("C:/evil.py", b"x"),
        ("pkg/.git/x.py", b"x"),
        ("pkg/logo.png", b"x"),
        ("pkg/large.py", b"x" * 3000),
        ("pkg/bin.py", b"\0"),
        ("pkg/twice.py", b"last"),
        (member("pkg/später.rs", stat.S_IFREG | 0o644), "ü".encode()),
        streamed=streamed,
    )
    before = sorted(tmp_path.iterdir())
    found = read(tmp_path, content, max_record_bytes=2000)
    assert not found.faults
    assert [(row["repo"], row["path"], row["text"]) for row in found.rows] == [
        ("pkg", "a.py", "a = 1\n"),
        ("pkg", "twice.py", "last"),
        ("pkg", "später.rs", "ü"),
    ]
    assert found.rows[0]["id"] == document_id("pkg/a.py", b"a = 1\n")
    assert found.whys == {
        "link": 1,
        "device": 1,
        "unsafe_path": 3,
        "hidden": 1,
        "not_selected": 1,
        "too_large": 1,
        "duplicate_name": 1,
        "binary": 1,
    }
    assert sorted(tmp_path.iterdir()) == [*before, tmp_path / "a.zip"]


def _lzma_zstd(content: bytes) -> bytes:
    """An archive of one member by LZMA and one by Zstandard, which Python's zipfile does not write."""
    info = member("r/lzma.py")
    info.compress_type = zipfile.ZIP_LZMA
    other = member("r/zstd.py")
    other.compress_type = zipfile.ZIP_STORED
    packed = zstandard.ZstdCompressor().compress(content)
    data = bytearray(pack((info, content), (other, packed)))
    for sign, method, crc, size in ((b"PK\x03\x04", 8, 14, 22), (b"PK\x01\x02", 10, 16, 24)):
        at = data.rfind(sign)
        struct.pack_into("<H", data, at + method, 93)
        struct.pack_into("<L", data, at + crc, zlib.crc32(content))
        struct.pack_into("<L", data, at + size, len(content))
    return bytes(data)


def test_methods_of_compression(tmp_path: Path) -> None:
    content = b"print('packed')\n" * 500
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        info = member("r/a.py")
        info.compress_type = method
        assert read(tmp_path, pack((info, content))).texts == [content.decode()]
    assert read(tmp_path, _lzma_zstd(content)).texts == [content.decode()] * 2
    odd = pack(("r/a.py", content), ("r/b.py", b"b"))
    for number, why in (
        (9, "unsupported_member"),
        (14, "bad_member"),
        (12, "bad_member"),
        (93, "bad_member"),
    ):
        data = bytearray(odd)
        struct.pack_into("<H", data, data.find(b"PK\x01\x02") + 10, number)
        found = read(tmp_path, bytes(data))
        assert (found.texts, dict(found.whys)) == (["b"], {why: 1})


def test_names_in_utf8_marked_or_not_and_in_code_page_437(tmp_path: Path) -> None:
    data = pack(("r/äöü.py", b"1"), ("s/aou.py", b"2"))
    utf8 = "äöü".encode()
    unmarked = bytearray(data)
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        unmarked[unmarked.find(sign) + flags + 1] &= ~8
    assert read(tmp_path, bytes(unmarked)).rows[0]["path"] == "äöü.py"
    old = data.replace(b"aou", "äöü".encode("cp437"))
    assert [row["path"] for row in read(tmp_path, old).rows] == ["äöü.py", "äöü.py"]
    wrong = data.replace(utf8, b"\xff" * len(utf8))
    assert read(tmp_path, wrong).rows[0]["path"] == "\\xff" * 6 + ".py"


def test_what_an_archive_states_of_a_member_is_compared_with_its_content(tmp_path: Path) -> None:
    text = b"x = 12345\n" * 30
    data = pack(("r/a.py", text), ("r/b.py", b"b"))
    entry = data.find(b"PK\x01\x02")

    def changed(at: int, form: str, value: int) -> Read:
        other = bytearray(data)
        struct.pack_into(form, other, at, value)
        return read(tmp_path, bytes(other))

    cases = {
        "differs from its CRC-32": (entry + 16, "<L", 1),
        f"has {len(text)} bytes, not 400": (entry + 24, "<L", 400),
        "has 11 bytes, not 10": (entry + 24, "<L", 10),
        "is cut": (entry + 20, "<L", 5),
        f"no header of a member at byte {entry}": (entry + 42, "<L", entry),
        "another name": (33, "<B", 64),
        "is corrupt": (36, "<B", 7),
    }
    for words, (at, form, value) in cases.items():
        found = changed(at, form, value)
        assert found.texts == ["b"], words
        (lost,) = found.quarantined
        assert (lost.why, lost.position.rsplit(", ", 1)[1]) == ("bad_member", "r/a.py")
        assert words in lost.detail
    secret = changed(entry + 8, "<H", 1)
    assert (secret.texts, dict(secret.whys)) == (["b"], {"encrypted": 1})


def test_members_that_share_their_content_are_read_once(tmp_path: Path) -> None:
    """The bomb without nesting: many entries of the directory, one content (Fifield 2019)."""
    data = pack(("r/a.py", b"a"), ("r/b.py", b"b"))
    first, second = data.find(b"PK\x01\x02"), data.rfind(b"PK\x01\x02")
    other = bytearray(data)
    other[second + 42 : second + 46] = data[first + 42 : first + 46]
    found = read(tmp_path, bytes(other))
    assert found.texts == ["a"]
    assert [(lost.why, lost.detail) for lost in found.quarantined] == [
        ("bad_member", "its content lies in that of another member")
    ]


def test_bombs_are_not_unpacked(tmp_path: Path) -> None:
    zeros = pack(("r/bomb.py", b" " * 4_000_000), ("r/b.py", b"b"))
    found = read(tmp_path, zeros, max_record_bytes=10**7)
    assert (found.texts, dict(found.whys)) == (["b"], {"bomb": 1})
    assert len(read(tmp_path, zeros, max_record_bytes=10**7, max_ratio=1032).texts) == 2
    many = pack(*((f"r/{n}.py", b"x" * 1000) for n in range(9)))
    found = read(tmp_path, many, max_unpacked_bytes=5500)
    assert len(found.rows) == 5
    (fault,) = [split for split in found.splits if split.fault]
    assert fault.end == 9
    assert "the archive unpacks to over 5500 bytes; raise `max_unpacked_bytes`" in str(fault.fault)


def test_zip64_and_bytes_before_the_archive(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open(member("r/a.py"), "w", force_zip64=True) as file:
        file.write(b"a")
    data = out.getvalue()
    at, end = data.find(b"PK\x01\x02"), data.find(b"PK\x05\x06")
    extra = struct.pack("<HHQQQ", 1, 24, 1, 3, 0)
    entry = bytearray(data[at:end]) + extra
    struct.pack_into("<LL", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", entry, 30, len(extra))
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(entry), at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(entry), 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    wide = data[:at] + bytes(entry) + record + locator + last
    assert read(tmp_path, wide).texts == ["a"]
    assert read(tmp_path, b"#!/bin/sh\n" + pack(("r/a.py", b"a"), ("r/b.py", b"b"))).texts == ["a", "b"]


def test_archives_that_were_joined_are_told(tmp_path: Path) -> None:
    one, other = pack(("r/a.py", b"a")), pack(("r/b.py", b"b"))
    found = read(tmp_path, one + other)
    assert found.texts == ["b"]
    assert len(found.faults) == 1
    assert f"byte 0: another archive lies in the {len(one)} bytes before this one" in found.faults[0]
    comment = b"PK\x05\x06" + b"\0" * 18  # an end record of no members in the comment
    hidden = read(tmp_path, one[:-2] + struct.pack("<H", len(comment)) + comment)
    assert (hidden.rows, len(hidden.faults)) == ([], 1)


def test_names_with_backslashes(tmp_path: Path) -> None:
    names = ("r\\d\\a.py", "r\\..\\..\\b.py", "r/c\\d.py")
    for system, paths in ((0, ["d/a.py", "c\\d.py"]), (3, ["r\\d\\a.py", "c\\d.py"])):
        members = []
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = name, system
            members.append((info, b"x"))
        found = read(tmp_path, pack(*members))
        assert [row["path"] for row in found.rows] == paths
        assert found.whys == {"unsafe_path": 1}


def test_directories_that_cannot_be_read_are_one_fault(tmp_path: Path) -> None:
    data = pack(*((f"r/{n}.py", b"x" * n) for n in range(6)))
    end = data.find(b"PK\x05\x06")
    entry = (end - data.find(b"PK\x01\x02")) // 6
    broken = bytearray(data)
    broken[end - 3 * entry] ^= 1
    inside = bytearray(data)
    struct.pack_into("<L", inside, end + 12, 6 * entry - 1)
    struct.pack_into("<L", inside, end + 16, end - 6 * entry)
    more = bytearray(data)
    struct.pack_into("<HH", more, end + 8, 9, 9)
    disks = bytearray(data)
    struct.pack_into("<H", disks, end + 4, 2)
    for bad, rows, words in (
        (data[:-1], 0, "no end record"),
        (data[:-100], 0, "no end record"),
        (b"PK\x03\x04", 0, "no end record"),
        (bytes(broken), 3, "no entry of the central directory begins here"),
        (bytes(more), 6, "the end record counts 9 members, 6 are listed"),
        (bytes(inside)[: end - 1] + bytes(inside)[end:], 5, "ends inside an entry"),
        (bytes(disks), 0, "several disks"),
        (data[end:], 0, "beyond the archive's end record"),
    ):
        found = read(tmp_path, bad)
        assert len(found.rows) == rows, words
        assert len(found.faults) == 1
        assert words in found.faults[0]
    empty = read(tmp_path, pack())
    assert (empty.splits, empty.faults) == ([], [])


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=30),
    split_bytes=st.integers(2**16, 2**18),
    names=st.integers(1, 40),
)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_any_splitting_gives_the_same_members(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], split_bytes: int, names: int
) -> None:
    content = pack(*((f"r/{n % names}.py", b"x" * size) for n, size in enumerate(sizes)))
    found = read(tmp_path_factory.mktemp("z"), content, split_bytes=split_bytes)
    assert not found.faults
    last = {f"{n % names}.py": (n, size) for n, size in enumerate(sizes)}
    assert [(row["path"], len(row["text"])) for row in found.rows] == [
        (name, size) for name, (_, size) in sorted(last.items(), key=lambda one: one[1][0])
    ]
    assert found.whys.get("duplicate_name", 0) == len(sizes) - len(last)
    assert len(found.splits) >= sum(sizes) // (split_bytes + 50_000)


def test_the_first_look(tmp_path: Path) -> None:
    for name, data in {"a.zip": pack(("r/a.py", b"a")), "cut.zip": pack(("r/a.py", b"a"))[:-5]}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "no.zip").write_text("{}")
    zip_ = Zip(files=["x"])
    assert first_fault(zip_, {"a.zip": str(tmp_path / "a.zip")}) is None
    assert "no end record" in str(first_fault(zip_, {"cut.zip": str(tmp_path / "cut.zip")}))
    assert "a zip archive" in str(first_fault(zip_, {"no.zip": str(tmp_path / "no.zip")}))
    words = first_fault(Jsonl(files=["x"]), {"a.zip": str(tmp_path / "a.zip")})
    assert "`read: {zip: ...}`" in str(words)
