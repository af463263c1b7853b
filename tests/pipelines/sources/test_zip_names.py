"""Names of zip members in encodings that nothing marks: guessed where sure, by an option, never merged."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from corpusmill.pipelines.sources.zip import Zip
from tests.oracles.sources_archives import Read, read_all


def archive(*names: bytes | str, system: int = 0) -> bytes:
    """An archive with members of these names; those of bytes are not marked as UTF-8."""
    out = io.BytesIO()
    stand_in = {f"{number:04d}{'x' * (len(raw) - 4)}": raw for number, raw in enumerate(names)}
    with zipfile.ZipFile(out, "w") as made:
        for number, (ascii_name, raw) in enumerate(stand_in.items()):
            info = zipfile.ZipInfo(ascii_name if isinstance(raw, bytes) else raw)
            info.create_system = system
            made.writestr(info, f"x = {number}\n")
    data = out.getvalue()
    for ascii_name, raw in stand_in.items():
        if isinstance(raw, bytes):
            data = data.replace(ascii_name.encode(), raw)
    return data


def read(tmp_path: Path, names: Sequence[bytes | str], **options: str | int) -> Read:
    (tmp_path / "a.zip").write_bytes(archive(*names))
    return read_all(Zip.model_validate({"files": ["x"], **options}), tmp_path / "a.zip")


def paths(found: Read) -> list[str]:
    return ["/".join(part for part in (row["repo"], row["path"]) if part) for row in found.rows]


@pytest.mark.parametrize(
    ("names", "encoding", "option"),
    [
        (["ソース/表.py", "資料/テスト.py"], "cp932", None),
        (["資料/表計算.py", "ひらがな.py"], "cp932", None),
        (["café/naïve.py", "Müller-süß.py"], "cp437", None),
        (["资料/测试数据.py"], "gb18030", "gb18030"),
        (["資料/測試.py"], "big5", "big5"),
        (["자료/시험.py"], "cp949", "cp949"),
        (["Архив/тест.py"], "cp866", "cp866"),
    ],
)
def test_names_are_those_that_were_written(
    tmp_path: Path, names: list[str], encoding: str, option: str | None
) -> None:
    raw = [name.encode(encoding) for name in names]
    options: dict[str, str | int] = {} if option is None else {"names_in": option}
    for split_bytes in (2**16, 2**20):
        found = read(tmp_path, ["marked-ü.py", *raw, "plain.py"], split_bytes=split_bytes, **options)
        assert paths(found) == ["marked-ü.py", *names, "plain.py"]
        assert not found.removed


def test_without_kana_nothing_is_guessed(tmp_path: Path) -> None:
    raw = "資料/漢字.py".encode("cp932")
    assert paths(read(tmp_path, [raw])) == [raw.decode("cp437")]
    assert paths(read(tmp_path, [raw], names_in="shift_jis")) == ["資料/漢字.py"]
    mixed = [raw, "かな.py".encode("cp932"), "café.py".encode("cp437")]
    assert paths(read(tmp_path, mixed)) == [one.decode("cp437") for one in mixed]


def test_names_that_decode_alike_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, ["café.py".encode("cp437"), "café.py", "./café.py"])
    assert paths(found) == ["café.py"]
    assert [(one.why, "café.py" in one.position) for one in found.removed] == [("duplicate_name", True)] * 2
    odd = read(tmp_path, [b"a\xff\xff\xff.py", "a\\xff\\xff\\xff.py"], names_in="ascii")
    assert len(paths(odd)) + len(odd.removed) == 2


def test_an_encoding_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="no encoding is called 'shiftjs'"):
        Zip.model_validate({"files": ["x"], "names_in": "shiftjs"})
    with pytest.raises(ValidationError, match="no encoding is called 'hex'"):
        Zip.model_validate({"files": ["x"], "names_in": "hex"})
