"""An export that is stopped goes on, and nothing half-written looks whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.pipelines.contract.errors import CorpusmillError, UserError
from corpusmill.pipelines.exports.arrow import ArrowFile
from corpusmill.pipelines.exports.document_file import DocumentFile
from corpusmill.pipelines.exports.documents import FileForm, export_documents
from corpusmill.pipelines.exports.jsonl import LinesFile
from corpusmill.pipelines.exports.parquet import FORM, ParquetFile


class StoppedError(Exception):
    pass


def stopping(at: int, made: list[Path], error: Exception) -> FileForm:
    """Parquet whose `at`th file cannot be written; `made` has all that were begun."""

    class File(ParquetFile):
        def write(self, table: pa.Table) -> None:
            super().write(table)
            if len(made) == at:
                raise error

    def make(path: Path, schema: pa.Schema) -> ParquetFile:
        made.append(path)
        return File(path, schema)

    return FileForm("parquet", make)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a unit a file, so that there are many places to stop at."""
    from corpusmill.pipelines.recipe.loader import load_recipe
    from corpusmill.pipelines.run.runner import run_recipe

    folder = tmp_path_factory.mktemp("many")
    for file in range(6):
        lines = [json.dumps({"text": f"file {file} line {n} " * 800, "id": f"{file}-{n}"}) for n in range(5)]
        (folder / f"{file}.jsonl").write_text("\n".join(lines))
    (folder / "r.yaml").write_text(
        "name: many\noutput: run\nengine: {kind: inline}\nsources:\n"
        "  a: {read: {jsonl: {files: '[0-3].jsonl', split_bytes: 65536}}}\n"
        "  b: {read: {jsonl: {files: '[45].jsonl', split_bytes: 65536}}}\n"
    )
    run_recipe(load_recipe(folder / "r.yaml"))
    return folder / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_end_where_they_are_full(many: Path, tmp_path: Path) -> None:
    found = export_documents(many, tmp_path / "out", FORM, file_bytes=1)
    assert found["files"] == 6
    names = set(contents(tmp_path / "out"))
    assert names == {
        "README.md",
        *(f"data/a/train-{n:05d}-of-00004.parquet" for n in range(4)),
        *(f"data/b/train-{n:05d}-of-00002.parquet" for n in range(2)),
    }
    assert export_documents(many, tmp_path / "one", FORM)["files"] == 2


@pytest.mark.parametrize("at", range(1, 7))
def test_what_was_finished_is_not_written_again(many: Path, tmp_path: Path, at: int) -> None:
    export_documents(many, tmp_path / "whole", FORM, file_bytes=1)
    first: list[Path] = []
    with pytest.raises(StoppedError):
        export_documents(many, tmp_path / "out", stopping(at, first, StoppedError()), file_bytes=1)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.unfinished").exists() == (at > 1)
    again: list[Path] = []
    export_documents(many, tmp_path / "out", stopping(0, again, StoppedError()), file_bytes=1)
    assert len(again) == 6 - (at - 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_another_question_starts_anew(many: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        export_documents(many, tmp_path / "out", stopping(4, [], StoppedError()), file_bytes=1)
    made: list[Path] = []
    export_documents(
        many, tmp_path / "out", stopping(0, made, StoppedError()), file_bytes=1, columns=["id", "text"]
    )
    assert len(made) == 6
    export_documents(many, tmp_path / "whole", FORM, file_bytes=1, columns=["id", "text"])
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut", "gone", "parts"])
def test_what_was_damaged_meanwhile_is_written_again(many: Path, tmp_path: Path, damage: str) -> None:
    export_documents(many, tmp_path / "whole", FORM, file_bytes=1)
    with pytest.raises(StoppedError):
        export_documents(many, tmp_path / "out", stopping(5, [], StoppedError()), file_bytes=1)
    work = tmp_path / ".out.unfinished"
    second = work / "data" / "a" / "train-00001.parquet"
    if damage == "cut":
        second.write_bytes(second.read_bytes()[:-7])
    elif damage == "gone":
        second.unlink()
    else:
        (work / "parts.json").write_text('{"key": ')
    made: list[Path] = []
    export_documents(many, tmp_path / "out", stopping(0, made, StoppedError()), file_bytes=1)
    assert len(made) == (6 if damage == "parts" else 5)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_full_disk_leaves_nothing_that_looks_whole(many: Path, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))
    with pytest.raises(OSError, match="No space"):
        export_documents(many, tmp_path / "out", stopping(3, [], full), file_bytes=1)
    assert not (tmp_path / "out").exists()
    export_documents(many, tmp_path / "out", FORM, file_bytes=1)
    assert len(contents(tmp_path / "out")) == 7


def test_two_at_once_do_not_share_a_folder(many: Path, tmp_path: Path) -> None:
    work = tmp_path / ".out.unfinished"
    work.mkdir()
    with (work / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another export is writing it"):
            export_documents(many, tmp_path / "out", FORM)


FORMS: dict[str, type[DocumentFile]] = {"parquet": ParquetFile, "arrow": ArrowFile, "jsonl.zst": LinesFile}


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def cut(path: Path, at: int) -> None:
    path.write_bytes(path.read_bytes()[:at])


def longer(path: Path, _: int) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", [flipped, cut, longer])
@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_what_comes_back_different_is_told(
    many: Path, tmp_path: Path, form: str, damage: Callable[[Path, int], None], share: float
) -> None:
    """Whatever changes between writing a file and reading it again."""

    class Damaged(FORMS[form]):  # type: ignore[misc]
        def finish(self) -> None:
            super().finish()
            damage(self.path, int(share * self.path.stat().st_size))

    with pytest.raises(CorpusmillError, match=r"train-00000\..*: what was written comes back different"):
        export_documents(many, tmp_path / "out", FileForm(form, Damaged))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_a_library_loses_are_told(many: Path, tmp_path: Path, form: str) -> None:
    class Losing(FORMS[form]):  # type: ignore[misc]
        def write(self, table: pa.Table) -> None:
            super().write(table.slice(1))

    with pytest.raises(CorpusmillError, match=r"20 documents were written and 16 are in the file"):
        export_documents(many, tmp_path / "out", FileForm(form, Losing))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_is_told_by_every_form(many: Path, tmp_path: Path, form: str) -> None:
    """The system writes a part of what it is given, then nothing."""
    code = FULL.format(form=form)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, many, tmp_path / "out"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "File too large\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, signal, sys
from pathlib import Path
from corpusmill.pipelines.exports.arrow import ArrowFile
from corpusmill.pipelines.exports.arrow import ArrowFile
from corpusmill.pipelines.exports.document_file import DocumentFile
from corpusmill.pipelines.exports.documents import FileForm, export_documents
from corpusmill.pipelines.exports.jsonl import LinesFile
from corpusmill.pipelines.exports.jsonl import LinesFile
from corpusmill.pipelines.exports.parquet import ParquetFile

forms = {{"parquet": ParquetFile, "arrow": ArrowFile, "jsonl.zst": LinesFile}}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    export_documents(Path(sys.argv[1]), Path(sys.argv[2]), FileForm("{form}", forms["{form}"]))
except OSError as error:
    print(error.strerror)
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from corpusmill.pipelines.exports import documents, unfinished
from corpusmill.pipelines.exports.jsonl import LinesFile
from corpusmill.pipelines.exports.parquet import FORM

place, count = sys.argv[3], 0
old = {"rename": Path.rename, "replace": Path.replace}

def counted(name):
    def call(self, target):
        global count
        count += 1
        if count == int(place):
            os.kill(os.getpid(), signal.SIGKILL)
        return old[name](self, target)
    return call

Path.rename, Path.replace = counted("rename"), counted("replace")
documents.export_documents(Path(sys.argv[1]), Path(sys.argv[2]), FORM, file_bytes=1)
"""


@pytest.mark.parametrize("place", [4, 8, 13])
def test_killed_at_any_rename_the_same_command_ends_with_the_same_bytes(
    many: Path, tmp_path: Path, place: int
) -> None:
    """Six renames note parts, six give files their names, the last is that of the folder."""
    export_documents(many, tmp_path / "whole", FORM, file_bytes=1)
    arguments: list[Any] = [sys.executable, "-c", KILLED, many, tmp_path / "out", str(place)]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    export_documents(many, tmp_path / "out", FORM, file_bytes=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
