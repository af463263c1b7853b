"""Readers of files, folders and tar archives."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import document_id
from corpusmill.pipelines.sources.assembly.code_languages import CODE_LANGUAGES, WHOLE_NAMES, code_language
from corpusmill.pipelines.sources.framing import tar_members
from corpusmill.pipelines.sources.html import Html
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.text import Text
from corpusmill.pipelines.sources.tree import Tree
from tests.oracles.sources_archives import Read, read_all


def _plant(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def _read_folder(reader: Reader, root: Path) -> Read:
    whole = Read([])
    for path in reader.expand(root):
        found = read_all(reader, path, path.relative_to(root).as_posix())
        whole.rows += found.rows
        whole.removed += found.removed
        whole.quarantined += found.quarantined
    return whole


def test_tree(tmp_path: Path) -> None:
    files = {
        "lib/src/a.py": b"# SPDX-License-Identifier: GPL-2.0-only WITH x-note -->\nprint()\n",
        "lib/src/B.RS": b"fn main() {}",
        "lib/Makefile": b"all:\n",
        "lib/image.png": b"\x89PNG",
        "lib/.git/config.py": b"no",
        "lib/empty.py": b"",
        "lib/bom.py": b"\xef\xbb\xbfx = 1",
        "lib/latin.c": b"// caf\xe9",
        "lib/nul.c": b"a\0b",
        "lib/large.c": b"x" * 5000,
        "top.go": b"package main",
    }
    _plant(tmp_path, files)
    (tmp_path / "lib" / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "lib" / "out").symlink_to("/etc")
    found = _read_folder(Tree(files=["x"], license="MIT", max_record_bytes=1000), tmp_path)
    assert [(row["repo"], row["path"], row["license"]) for row in found.rows] == [
        ("lib", "Makefile", "MIT"),
        ("lib", "bom.py", "MIT"),
        ("lib", "empty.py", "MIT"),
        ("lib", "src/B.RS", "MIT"),
        ("lib", "src/a.py", "GPL-2.0-only WITH x-note"),
        (None, "top.go", "MIT"),
    ]
    assert found.texts[1] == "x = 1"
    assert found.rows[1]["id"] == document_id("lib/bom.py", files["lib/bom.py"])
    assert [json.loads(row["meta"])["code_language"] for row in found.rows] == [
        "makefile",
        "python",
        "python",
        "rust",
        "python",
        "go",
    ]
    assert found.whys == {"too_large": 1, "bad_utf8": 1, "binary": 1}
    assert next(iter(found.removed)).size == 5000


def test_tree_choices(tmp_path: Path) -> None:
    _plant(tmp_path, {"r/a.py": b"1", "r/b.pyi": b"2", "r/BUILD": b"3", "r/c.test.py": b"4", "r/noext": b"5"})

    def paths(**options: object) -> list[str]:
        reader = Tree(files=["x"], **options)  # type: ignore[arg-type]
        return [path.name for path in reader.expand(tmp_path)]

    assert paths() == ["a.py", "b.pyi", "c.test.py"]
    assert paths(include=[".PY", "build"]) == ["BUILD", "a.py", "c.test.py"]
    assert paths(exclude=[".py"]) == ["b.pyi"]
    assert Tree(files=["x"]).expand(tmp_path / "r/a.py") == [tmp_path / "r/a.py"]
    assert Tree(files=["x"]).expand(tmp_path / "r/noext") == []
    found = read_all(Tree(files=["x"], repo_depth=0), tmp_path / "r/a.py", "r/a.py")
    assert (found.rows[0]["repo"], found.rows[0]["path"]) == (None, "r/a.py")


def test_text_and_html_folders(tmp_path: Path) -> None:
    _plant(
        tmp_path,
        {
            "b/one.txt": "Grüße".encode(),
            "b/two.md.gz": gzip.compress(b"two"),
            "a.txt.zst": zstandard.ZstdCompressor().compress(b"zst"),
            "bad.txt": b"\xff",
            "nul.txt": b"\0",
            "page.html": b"<p>\xff",
            ".hidden.txt": b"no",
            "x.bin": b"no",
        },
    )
    text = _read_folder(Text(files=["x"]), tmp_path)
    assert [(row["path"], row["text"]) for row in text.rows] == [
        ("a.txt.zst", "zst"),
        ("b/one.txt", "Grüße"),
        ("b/two.md.gz", "two"),
    ]
    assert text.whys == {"bad_utf8": 1, "binary": 1}
    (page,) = _read_folder(Html(files=["x"]), tmp_path).rows
    assert (page["raw"], page["content_type"], page["text"], page["path"]) == (
        b"<p>\xff",
        "text/html",
        None,
        "page.html",
    )
    assert page["id"] == document_id("page.html", b"<p>\xff")
    assert read_all(Text(files=["x"], max_record_bytes=2), tmp_path / "b/one.txt").whys == {"too_large": 1}
    assert read_all(Html(files=["x"], max_record_bytes=2), tmp_path / "page.html").whys == {"too_large": 1}


def _tar(members: list[tuple[tarfile.TarInfo, bytes]], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return info, content


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst"])
def test_tar(tmp_path: Path, form: int, suffix: str) -> None:
    deep = "/".join(["folder-of-a-long-name"] * 6)
    long = f"pkg/{deep}/m.py"
    members = [
        _member("pkg", kind=tarfile.DIRTYPE),
        _member("./pkg/a.py", b"a = 1\n"),
        _member(long, b"long"),
        _member("pkg/link.py", kind=tarfile.SYMTYPE),
        _member("pkg/hard.py", kind=tarfile.LNKTYPE),
        _member("pkg/pipe", kind=tarfile.FIFOTYPE),
        _member("/etc/evil.py", b"x"),
        _member("pkg/../../evil.py", b"x"),
        _member("C:\\evil.py", b"x"),
        _member("pkg\\..\\..\\evil.py", b"x"),
        _member("pkg/.git/x.py", b"x"),
        _member("pkg/logo.png", b"x"),
        _member("pkg/large.py", b"x" * 3000),
        _member("pkg/bin.py", b"\0"),
        _member("pkg/odd.py", kind=b"V"),
        _member("pkg/last.rs", "ü".encode()),
    ]
    content = _tar(members, form)
    stored = {".tar": bytes, ".tar.gz": gzip.compress, ".tar.zst": zstandard.ZstdCompressor().compress}[
        suffix
    ]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(stored(content))
    before = sorted(tmp_path.iterdir())
    found = read_all(Tar(files=["x"], max_record_bytes=2000), path)
    assert not found.faults
    assert [(row["repo"], row["path"], row["text"]) for row in found.rows] == [
        ("pkg", "a.py", "a = 1\n"),
        ("pkg", f"{deep}/m.py", "long"),
        ("pkg", "last.rs", "ü"),
    ]
    assert found.rows[0]["id"] == document_id("pkg/a.py", b"a = 1\n")
    assert found.whys == {
        "link": 2,
        "device": 1,
        "unsafe_path": 4,
        "hidden": 1,
        "not_selected": 1,
        "too_large": 1,
        "binary": 1,
        "unsupported_member": 1,
    }
    assert sorted(tmp_path.iterdir()) == before


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=30),
    split_bytes=st.integers(2**16, 2**18),
    packed=st.booleans(),
)
def test_any_splitting_of_an_archive_gives_the_same_members(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], split_bytes: int, packed: bool
) -> None:
    members = [_member(f"r/{i}.py", b"x" * size) for i, size in enumerate(sizes)]
    content = _tar(members, tarfile.PAX_FORMAT)
    path = tmp_path_factory.mktemp("t") / ("a.tar.gz" if packed else "a.tar")
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    found = read_all(Tar(files=["x"], split_bytes=split_bytes), path)
    assert not found.faults
    assert [(row["path"], len(row["text"])) for row in found.rows] == [
        (f"{i}.py", size) for i, size in enumerate(sizes)
    ]
    assert len(found.splits) >= sum(sizes) // (split_bytes + 50_000)


def test_a_tar_cut_between_members_or_joined_is_a_fault(tmp_path: Path) -> None:
    members = [_member(f"r/{i}.py", b"x" * 600) for i in range(10)]
    content = _tar(members, tarfile.USTAR_FORMAT)
    path = tmp_path / "a.tar"
    for blocks in range(1, 31):
        path.write_bytes(content[: blocks * 512])
        found = read_all(Tar(files=["x"]), path)
        assert len(found.faults) == 1
        assert len(found.rows) == blocks // 3
    path.write_bytes(content + content)
    found = read_all(Tar(files=["x"]), path)
    assert "end mark" in found.faults[0]
    assert len(found.rows) == 10
    changed = bytearray(content)
    changed[512 * 6 + 3] ^= 1
    path.write_bytes(changed)
    found = read_all(Tar(files=["x"]), path)
    assert "byte 3072: no sound tar header" in found.faults[0]
    assert len(found.rows) == 2


def test_languages_by_suffix() -> None:
    assert code_language("a/b/Main.JAVA") == "java"
    assert code_language("Dockerfile") == "dockerfile"
    assert code_language("x/.py") is None
    assert code_language("x.unknown") is None
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in CODE_LANGUAGES)
    assert all(name == name.lower() for name in WHOLE_NAMES)


def test_a_tar_that_unpacks_to_too_much_ends_where_it_does(tmp_path: Path) -> None:
    members = [_member(f"r/{i}.py", b"x" * 600) for i in range(10)]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(_tar(members, tarfile.USTAR_FORMAT)))
    found = read_all(Tar(files=["x"], max_unpacked_bytes=5000), path)
    assert len(found.rows) == 3  # a member takes 1,536 bytes
    assert "byte 4608: the archive unpacks to over 5000 bytes; raise `max_unpacked_bytes`" in found.faults[0]
    assert not read_all(Tar(files=["x"]), path).faults
    plain = tmp_path / "a.tar"
    plain.write_bytes(_tar(members, tarfile.USTAR_FORMAT))
    assert not read_all(Tar(files=["x"], max_unpacked_bytes=5000), plain).faults


def test_a_tar_of_zeros_is_not_unpacked_beyond_its_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_members, "RATIO_FLOOR", 2**16)
    info, _ = _member("r/zeros.py")
    info.size = 2**40
    head = _tar([_member("r/a.py", b"a")], tarfile.USTAR_FORMAT)[:1024]
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(head + info.tobuf() + bytes(10**6)))
    (tmp_path / "ends.tar.gz").write_bytes(gzip.compress(head + bytes(10**6)))
    for name, position in (("a.tar.gz", 1024), ("ends.tar.gz", 1024)):
        found = read_all(Tar(files=["x"], max_ratio=50), tmp_path / name)
        assert found.texts == ["a"]
        assert f"byte {position}: the archive unpacks to over 65536 bytes" in found.faults[0]


def test_extended_headers_without_end_are_one_fault(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = b"x", 2**20
    notes = info.tobuf() + b"20 comment=" + b"y" * 8 + b"\n" + bytes(2**20 - 20)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(notes * 20, 1))
    found = read_all(Tar(files=["x"]), tmp_path / "a.tar.gz")
    assert found.rows == []
    assert "extended headers of over 16777216 bytes" in found.faults[0]
