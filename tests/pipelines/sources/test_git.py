"""Git repositories: a commit's files, loose and packed, and everything that is not read counted."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.contract.documents import document_id
from corpusmill.pipelines.contract.errors import DataError, UserError
from corpusmill.pipelines.recipe.first_records import first_fault
from corpusmill.pipelines.recipe.listing import list_files
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.sources.framing import git_objects
from corpusmill.pipelines.sources.framing.git_repository import git_folders, resolve
from corpusmill.pipelines.sources.git import Git
from corpusmill.pipelines.storage.run_folder import StepFolder
from tests.oracles.git_repositories import FOLDER, LINK, PROGRAM, SUBMODULE, Repository, Tree
from tests.oracles.sources_archives import LABEL, Read, read_all

NONE = "0" * 39 + "1"
FILES: Tree = {
    "Makefile": b"all:\n",
    "src": {"main.c": b"int main;\n", "deep": {"er": {"x.py": b"x = 1\n"}}},
    "src.py": b"y = 2\n",
    "run.py": (PROGRAM, b"z = 3\n"),
}


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "proj.git")


def read(repo: Repository, **options: Any) -> Read:
    return read_all(Git.model_validate({"files": ["x"], **options}), repo.folder / "HEAD", "proj")


def paths(found: Read) -> list[str]:
    return [row["path"] for row in found.rows]


@pytest.mark.parametrize("packed", [False, True])
def test_the_files_of_a_commit(repo: Repository, packed: bool) -> None:
    oid = repo.commit(repo.tree(FILES))
    if packed:
        repo.pack()
    found = read(repo)
    assert paths(found) == ["Makefile", "run.py", "src.py", "src/deep/er/x.py", "src/main.c"]
    assert found.texts == ["all:\n", "z = 3\n", "y = 2\n", "x = 1\n", "int main;\n"]
    assert {row["repo"] for row in found.rows} == {"proj"}
    assert json.loads(found.rows[3]["meta"]) == {"code_language": "python", "commit": oid}
    assert found.rows[3]["id"] == document_id("proj/src/deep/er/x.py", b"x = 1\n")
    assert not found.whys
    assert [split.context for split in found.splits] == [oid]


def test_everything_that_is_not_read_is_counted(repo: Repository) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    lost = repo.add("blob", b"lost")
    (repo.folder / "objects" / lost[:2] / lost[2:]).unlink()
    wrong = repo.add("blob", b"wrong")
    (repo.folder / "objects" / wrong[:2] / wrong[2:]).write_bytes(zlib.compress(b"blob 5\0WRONG"))
    long = repo.add("blob", b"short")
    (repo.folder / "objects" / long[:2] / long[2:]).write_bytes(zlib.compress(b"blob 5\0" + bytes(10**6)))
    some = repo.add("blob", b"x = 1\n")
    tree = repo.raw_tree(
        [
            (0o100644, b"ok.py", some),
            (LINK, b"link.py", some),
            (SUBMODULE, b"module.py", NONE),
            (0o100644, b"large.py", repo.add("blob", b"x" * 3000)),
            (0o100644, b"model.py", repo.add("blob", pointer)),
            (0o100644, b".hidden.py", some),
            (0o100644, b"logo.png", some),
            (0o100644, b"..", some),
            (0o100644, b"a/b.py", some),
            (0o100644, b"", some),
            (0o100644, b"..\\..\\b.py", some),
            (FOLDER, b"..", repo.tree({"b.py": b"no"})),
            (FOLDER, b"gone", NONE),
            (FOLDER, b"file", some),
            (FOLDER, b"n" * 5000, repo.tree({"b.py": b"no"})),
            (0o100644, b"lost.py", lost),
            (0o100644, b"wrong.py", wrong),
            (0o100644, b"long.py", long),
            (0o100644, b"tree.py", repo.tree({"b.py": b"no"})),
            (0o100644, b"bin.py", repo.add("blob", b"\0")),
            (0o100644, b"caf\xe9.py", some),
        ]
    )
    repo.commit(tree)
    found = read(repo, max_record_bytes=2000)
    assert paths(found) == ["ok.py", "caf\\xe9.py"]
    assert found.whys == {
        "link": 1,
        "submodule": 1,
        "too_large": 1,
        "lfs_pointer": 1,
        "hidden": 1,
        "not_selected": 1,
        "unsafe_path": 6,
        "missing_object": 1,
        "bad_object": 5,
        "binary": 1,
    }
    details = {lost.position.rsplit(", ", 1)[1]: lost.detail for lost in found.quarantined}
    assert "it is not in the repository" in details["gone"]
    assert "it is a blob, no tree" in details["file"]
    assert f"object {wrong}: its content has the id" in details["wrong.py"]
    assert "does not have the 5 bytes that its head states" in details["long.py"]


def test_revisions(repo: Repository) -> None:
    first = repo.commit(repo.tree({"a.py": b"1"}))
    second = repo.commit(repo.tree({"a.py": b"2"}), "feature/x")
    third = repo.commit(repo.tree({"a.py": b"3"}), "other")
    repo.tag("v2", repo.tag("v1", first), "tag")
    (repo.folder / "packed-refs").write_text(f"# pack-refs with: peeled\n{third} refs/tags/packed\n")
    for revision, oid in {
        "HEAD": first,
        "main": first,
        "feature/x": second,
        "refs/heads/other": third,
        "heads/other": third,
        "v2": first,
        "packed": third,
        second: second,
    }.items():
        assert resolve(repo.folder, revision) == oid, revision
    assert read(repo, revision="feature/x").texts == ["2"]
    tree = repo.tree({"a.py": b"4"})
    for revision, words in {
        "gone": "no revision 'gone'; there are feature/x, main, other, packed, v1, v2, and commits",
        "../../../etc/passwd": "no revision",
        tree: "is a tree, no commit",
        NONE: "it is not in the repository",
    }.items():
        found = read(repo, revision=revision)
        assert words in found.faults[0]
        fault = first_fault(Git(files=["x"], revision=revision), {"proj": str(repo.folder / "HEAD")})
        assert words in str(fault)
    (repo.folder / "HEAD").write_text("ref: refs/heads/loop\n")
    (repo.folder / "refs/heads/loop").write_text("ref: HEAD\n")
    assert "no revision 'HEAD'" in read(repo).faults[0]


@pytest.mark.parametrize("by_id", [False, True])
def test_deltas_of_deltas(repo: Repository, by_id: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)
    lines = [f"line {draw.random()}\n" for _ in range(60)]
    # What is changed is long enough to be compressed with a code of its own.
    changed = "".join(f"changed = {draw.random()}\n" for _ in range(30))
    versions = ["".join([*lines[:n], changed, *lines[n + 1 :]]) for n in range(40)]
    oid = repo.commit(repo.tree({f"v{n:02}.py": text.encode() for n, text in enumerate(versions)}))
    blobs = [key for key, (kind, _) in repo.objects.items() if kind == "blob"]
    repo.pack(dict(itertools.pairwise(blobs)), by_id)
    whole = read(repo)
    assert whole.texts == versions
    monkeypatch.setattr(git_objects, "_LONGEST_CHAIN", 20)
    monkeypatch.setattr(git_objects, "_USUAL_CHAIN", 0)
    monkeypatch.setattr(git_objects, "_CACHE_BYTES", 0)
    found = read(repo)
    assert found.texts == versions[19:]
    assert found.whys == {"bad_object": 19}
    assert "over 20 deltas lead to it" in found.quarantined[0].detail
    assert resolve(repo.folder, "main") == oid


def test_damaged_packs_cost_what_lies_in_them(repo: Repository) -> None:
    repo.commit(repo.tree({f"{n}.py": (f"x = {n}\n" * 40).encode() for n in range(30)}))
    pack = repo.pack()
    sound = pack.read_bytes()
    texts = set(read(repo).texts)
    draw = random.Random(7)
    for _ in range(60):
        data = bytearray(sound)
        data[draw.randrange(12, len(data) - 20)] ^= 1 << draw.randrange(8)
        pack.write_bytes(data)
        found = read(repo)
        assert set(found.texts) <= texts
        assert len(found.rows) + len(found.quarantined) == 30 or found.faults
    pack.write_bytes(sound[: len(sound) // 2])
    found = read(repo)
    assert set(found.texts) <= texts
    assert len(found.rows) + len(found.quarantined) == 30 or found.faults


def test_objects_that_unpack_to_too_much_are_not_held(repo: Repository) -> None:
    tree = repo.tree({"a.py": b" " * 5_000_000, "b.py": b"b"})
    repo.commit(tree)
    repo.pack()
    found = read(repo)
    assert (found.texts, dict(found.whys)) == (["b"], {"too_large": 1})
    assert found.removed[0].size == 5_000_000


def test_trees_that_hold_each_other_end_at_max_files(repo: Repository) -> None:
    tree = repo.raw_tree([(0o100644, b"%d.py" % n, repo.add("blob", b"x")) for n in range(10)])
    for _ in range(30):
        tree = repo.raw_tree([(FOLDER, b"d%d" % n, tree) for n in range(10)])
    repo.commit(tree)
    found = read(repo, max_files=1000)
    assert len(found.rows) == 1000
    assert "the tree has over 1000 files; raise `max_files`" in found.faults[0]
    flat = repo.raw_tree([(0o100644, b"%d.py" % n, repo.add("blob", b"x")) for n in range(10)])
    repo.commit(flat, "flat")
    assert not read(repo, revision="flat", max_files=10).faults


@pytest.mark.parametrize("split_bytes", [2**16, 2**17])
def test_any_splitting_gives_the_same_files(repo: Repository, split_bytes: int) -> None:
    draw = random.Random(3)
    folders: dict[str, Any] = {
        f"d{d}": {f"{n}.py": b"x" * draw.randrange(30_000) for n in range(9)} for d in range(6)
    }
    folders["d0"]["inner"] = {"deeper": {f"{n}.py": b"y" * draw.randrange(30_000) for n in range(9)}}
    repo.commit(repo.tree(folders))
    repo.pack()
    whole, found = read(repo), read(repo, split_bytes=split_bytes)
    assert found.rows == whole.rows
    assert len(found.splits) > len(whole.splits) == 1
    again = Read([])
    for split in reversed(found.splits):  # each by itself
        (batch,) = Git(files=["x"]).read(repo.folder / "HEAD", "proj", split, LABEL)
        again.rows = batch.documents.table.to_pylist() + again.rows
    assert again.rows == whole.rows


def test_repositories_in_folders(tmp_path: Path) -> None:
    for name in ("org/a.git", "org/b/.git", "c"):
        made = Repository(tmp_path / "repos" / name)
        made.commit(made.tree({"a.py": b"1"}))
    (tmp_path / "repos/link").symlink_to(tmp_path / "repos/c")
    Repository(tmp_path / "repos/org/b/vendor/inner.git")
    git = Git(files=["repos", "repos/c"])
    assert git_folders(tmp_path / "repos") == [
        tmp_path / "repos" / name for name in ("c", "org/a.git", "org/b/.git")
    ]
    assert list(list_files("s", Git(files=["repos"]), tmp_path)) == ["c", "org/a", "org/b"]
    assert list(list_files("s", Git(files=["repos/org/*"]), tmp_path)) == ["a", "b"]
    assert list(list_files("s", Git(files=["repos/org/b"]), tmp_path)) == ["b"]
    assert list(list_files("s", Git(files=["repos/org/a.git"]), tmp_path)) == ["a"]
    stored = [file for file in (tmp_path / "repos/c/objects").rglob("*") if file.is_file()]
    assert git.stored_bytes(tmp_path / "repos/c/HEAD") == sum(file.stat().st_size for file in stored) > 0
    (tmp_path / "repos/again").symlink_to(tmp_path / "repos/c")
    assert list(list_files("s", Git(files=["repos/*"]), tmp_path)) == ["c", "org/a", "org/b"]
    (tmp_path / "repos/work").mkdir()
    (tmp_path / "repos/work/.git").write_text("gitdir: /etc\n")
    with pytest.raises(DataError, match=r"its \.git is a file that leads elsewhere"):
        git_folders(tmp_path / "repos")


def test_other_formats_are_told(repo: Repository) -> None:
    repo.commit(repo.tree(FILES))
    (repo.folder / "config").write_text("[core]\n\tbare = true\n[extensions]\n\tobjectFormat = sha256\n")
    assert "objectFormat = sha256 is not read" in read(repo).faults[0]
    (repo.folder / "config").write_text(
        "[extensions]\n\tobjectformat = sha1\n[include]\n\tpath = /etc/passwd\n"
    )
    assert not read(repo).faults


def test_a_run_follows_the_commit_and_not_how_it_is_packed(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "proj")
    repo.commit(repo.tree(FILES))
    (tmp_path / "r.yaml").write_text(
        "name: r\nengine: {kind: inline}\nsources:\n  code:\n    read: {git: proj}\n    domain: code\n"
    )

    def run() -> tuple[dict[str, bool], int]:
        result = Runner(load_recipe(tmp_path / "r.yaml"))
        result.run()
        written = result.states["code"].folder
        assert written is not None
        rows = written.need_manifest().rows
        return {name: state.reused for name, state in result.states.items()}, rows

    assert run() == ({"code.index": False, "code": False}, 5)
    assert run() == ({"code.index": True, "code": True}, 5)
    objects = dict(repo.objects)
    repo.pack()
    assert run() == ({"code.index": True, "code": True}, 5)
    head = (repo.folder / "HEAD").read_bytes()
    shutil.copy(repo.folder / "HEAD", tmp_path / "other")
    (repo.folder / "HEAD").unlink()
    (repo.folder / "HEAD").write_bytes(head)  # another time: indexed again, with the same result
    assert run()[0] == {"code.index": False, "code": True}
    repo.objects = objects
    repo.commit(repo.tree({**FILES, "new.py": b"n"}))
    assert run() == ({"code.index": False, "code": False}, 6)


def test_a_damaged_index_of_a_pack_is_told(repo: Repository) -> None:
    repo.commit(repo.tree({f"{n}.py": f"x = {n}\n".encode() for n in range(30)}))
    index = repo.pack().with_suffix(".idx")
    sound = index.read_bytes()
    texts = set(read(repo).texts)
    draw = random.Random(8)
    for _ in range(60):
        data = bytearray(sound)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        index.write_bytes(data)
        found = read(repo)
        assert set(found.texts) <= texts
        assert len(found.rows) + len(found.quarantined) == 30 or found.faults
    for size in (0, 4, 500, len(sound) - 300):
        index.write_bytes(sound[:size])
        found = read(repo)
        assert set(found.texts) <= texts
        assert len(found.rows) + len(found.quarantined) == 30 or found.faults
    index.write_bytes(sound)
    index.with_suffix(".pack").unlink()
    assert "it is not in the repository" in read(repo).faults[0]


def test_a_delta_of_itself_is_told(repo: Repository) -> None:
    first, second = b"x = 1\n" * 40, b"x = 1\n" * 41
    repo.commit(repo.tree({"a.py": first, "b.py": second}))
    ids = {content: oid for oid, (_, content) in repo.objects.items()}
    pack = repo.pack({ids[second]: ids[first]}, by_id=True)
    data = pack.read_bytes()
    base = bytes.fromhex(ids[first])
    pack.write_bytes(data.replace(base, bytes.fromhex(ids[second]), 1))
    found = read(repo)
    assert found.texts == [first.decode()]
    assert "it is a delta of itself" in found.quarantined[0].detail


def test_a_stopped_index_of_repositories_that_are_packed_anew_has_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "all" / f"p{number}" for number in range(6)]
    for number, folder in enumerate(folders):
        repo = Repository(folder)
        repo.commit(repo.tree({"a.py": b"%d" % number}))
    (tmp_path / "r.yaml").write_text(
        "name: r\nengine: {kind: inline}\nsources:\n  g: {read: {git: {files: all, split_bytes: 65536}}}\n"
    )

    def stop(*given: object) -> None:
        raise UserError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(StepFolder, "complete", stop)
        with pytest.raises(UserError, match="stopped"):
            Runner(load_recipe(tmp_path / "r.yaml")).run()
    for folder in folders:  # as much as a unit takes: each is one of its own now
        (next(folder.rglob("HEAD")).parent / "objects" / "aa").mkdir(exist_ok=True)
        (next(folder.rglob("HEAD")).parent / "objects" / "aa" / "left").write_bytes(bytes(600_000))
    result = Runner(load_recipe(tmp_path / "r.yaml")).run()
    assert result.manifest("g").rows == 6
