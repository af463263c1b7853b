"""Licences of source files: of their texts, of folders, and the same by every reader."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest
from identify.vendor.licenses import LICENSES

from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner
from corpusmill.pipelines.sources.git import Git
from corpusmill.pipelines.sources.licences.files import evidence, folder_license, is_evidence, spdx
from corpusmill.pipelines.sources.licences.folders import nearest
from corpusmill.pipelines.sources.licences.texts import license_of_text
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.tree import Tree
from corpusmill.pipelines.sources.zip import Zip
from tests.oracles.git_repositories import Repository
from tests.oracles.sources_archives import LABEL, read_all

TEXTS = dict(LICENSES)
MIT, BSD, APACHE, GPL, LGPL = (
    TEXTS[name] for name in ("MIT", "BSD-3-Clause", "Apache-2.0", "GPL-3.0", "LGPL-3.0")
)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_known_text_is_found_as_people_write_it(name: str) -> None:
    text = TEXTS[name]
    assert license_of_text(text) == name
    owner = text.replace("[year]", "1999-2024").replace("[fullname]", "Example Inc")
    assert license_of_text("Some Project\n\nCopyright (c) 2001 Anne Other\n\n" + owner) == name
    narrow = "\r\n".join("\r\n".join(textwrap.wrap(line, 70)) for line in owner.split("\n"))
    assert license_of_text(narrow) == name
    assert license_of_text("".join(f" * {line}\n" for line in owner.split("\n"))) == name


def test_texts_that_say_something_else_are_not_taken_for_what_they_are_like() -> None:
    assert license_of_text("") is None
    assert license_of_text("All rights reserved.") is None
    assert license_of_text("See LICENSE.MIT and LICENSE.APACHE.") is None
    assert license_of_text(MIT + "\nThe Software shall be used for Good, not Evil.\n") is None
    assert license_of_text(MIT + "\nNot for commercial use.\n") is None
    assert license_of_text(MIT[: len(MIT) // 2]) is None
    assert license_of_text(MIT + "\n\n" + BSD) is None
    assert license_of_text(APACHE.split("END OF TERMS")[0]) == "Apache-2.0"


def test_names_that_may_say_a_licence() -> None:
    for name in (
        "LICENSE", "License.txt", "LICENCE.md", "COPYING", "COPYING.LESSER", "LICENSE-MIT", "LICENSE.APACHE",
        "MIT-LICENSE.txt", "UNLICENSE", "license_bsd.txt", "package.json", "pyproject.toml", "Cargo.toml",
    ):  # fmt: skip
        assert is_evidence(name), name
    for name in (
        "license.py", "license_check.go", "LICENSE.html", "licensed.txt", "LICENSE.third-party", "README.md",
        "licenses", "composer.json", "relicense", "LICENSE-" + "x" * 500,
    ):  # fmt: skip
        assert not is_evidence(name), name


def test_manifests() -> None:
    def toml(text: str) -> str | None:
        return evidence("pyproject.toml", text.encode())

    assert toml('[project]\nname = "x"\nlicense = "mit"\n') == "MIT"
    assert toml('[project]\nlicense = { text = "Apache-2.0" }') == "Apache-2.0"
    assert toml("[tool.poetry]\nlicense = 'BSD-3-Clause'") == "BSD-3-Clause"
    assert toml('[package]\nlicense = "MIT/Apache-2.0"') == "MIT OR Apache-2.0"
    assert toml('[tool.other]\nlicense = "MIT"') is None
    assert toml('[project]\nlicense = "Our own terms"') is None
    assert toml('[project]\nlicense = {file = "LICENSE"}') is None
    assert evidence("package.json", b'{"license": "(MIT OR GPL-2.0-only)"}') == "(MIT OR GPL-2.0-only)"
    assert evidence("package.json", b'{"license": {"type": "ISC"}}') == "ISC"
    assert evidence("package.json", b'{"license": "SEE LICENSE IN x"}') is None
    for broken in (b"", b"[", b'{"license": 3}', b"[" * 5000, b"\xff", b'{"license": "' + b"(" * 150 + b'"}'):
        assert evidence("package.json", broken) is None
    assert spdx("gpl-2.0+ with classpath-exception-2.0") == "GPL-2.0+ WITH Classpath-exception-2.0"


def test_what_the_files_of_a_folder_say_together() -> None:
    assert folder_license({}) is None
    assert folder_license({"LICENSE": "MIT"}) == "MIT"
    assert folder_license({"LICENSE": None}) == "NOASSERTION"
    assert folder_license({"package.json": None}) is None
    assert folder_license({"LICENSE": None, "package.json": "ISC"}) == "ISC"
    assert folder_license({"LICENSE-MIT": "MIT", "LICENSE-APACHE": "Apache-2.0"}) == "Apache-2.0 AND MIT"
    both = {"LICENSE-MIT": "MIT", "LICENSE-APACHE": "Apache-2.0", "Cargo.toml": "MIT OR Apache-2.0"}
    assert folder_license(both) == "MIT OR Apache-2.0"
    assert folder_license({"LICENSE": "MIT", "package.json": "ISC"}) == "MIT"
    assert folder_license({"COPYING": "GPL-3.0", "COPYING.LESSER": "LGPL-3.0"}) == "LGPL-3.0"
    assert nearest({"a": "MIT", "": "ISC"}, "a/b/c") == "a"
    assert nearest({"a": "MIT"}, "ab/c") is None


TREE = {
    "top/LICENSE": MIT,
    "top/a.py": "a",
    "top/src/b.py": "b",
    "top/src/tagged.py": "# SPDX-License-Identifier: bsd-2-clause\n",
    "top/vendor/x/COPYING": GPL,
    "top/vendor/x/COPYING.LESSER": LGPL,
    "top/vendor/x/c.py": "c",
    "top/vendor/y/LICENSE.txt": "Ask us.",
    "top/vendor/y/lib/d.py": "d",
    "top/web/package.json": '{"license": "ISC"}',
    "top/web/e.js": "e",
    "top/z.py": "z",
}
EXPECTED = {
    "a.py": "MIT",
    "src/b.py": "MIT",
    "src/tagged.py": "BSD-2-Clause",
    "vendor/x/c.py": "LGPL-3.0",
    "vendor/y/lib/d.py": "NOASSERTION",
    "web/e.js": "ISC",
    "web/package.json": "ISC",
    "vendor/y/LICENSE.txt": "NOASSERTION",
    "z.py": "MIT",
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def read(tmp_path: Path, kind: str, files: dict[str, str], **options: Any) -> dict[str, str | None]:
    """The licence of each file, by the reader `kind`; `files` in this order."""
    if kind == "tree":
        plant(tmp_path / "in", files)
        reader: Any = Tree(files=["x"], **options)
        rows = []
        for path in reader.expand(tmp_path / "in"):
            name = path.relative_to(tmp_path / "in").as_posix()
            (split,) = reader.index(path)
            split = type(split)(**{**vars(split), "context": reader.context(path, name)})
            for batch in reader.read(path, name, split, LABEL):
                rows += batch.documents.table.to_pylist()
    elif kind == "git":
        repo = Repository(tmp_path / "top.git")
        nested: dict[str, Any] = {}
        for name, text in files.items():
            *folders, last = name.split("/")[1:]
            here = nested
            for folder in folders:
                here = here.setdefault(folder, {})
            here[last] = text.encode()
        repo.commit(repo.tree(nested))
        rows = read_all(Git(files=["x"], **options), repo.folder / "HEAD", "top").rows
    else:
        path = tmp_path / f"a.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in files.items():
                    archive.writestr(name, text)
        else:
            with tarfile.open(path, "w:gz") as tar:
                for name, text in files.items():
                    info = tarfile.TarInfo(f"./{name}")
                    info.size = len(text.encode())
                    tar.addfile(info, io.BytesIO(text.encode()))
        rows = read_all((Zip if kind == "zip" else Tar)(files=["x"], **options), path).rows
    return {row["path"]: row["license"] for row in rows}


@pytest.mark.parametrize("kind", ["tree", "git", "zip", "tar"])
def test_the_nearest_folder_that_says_a_licence_holds(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, kind, TREE) == EXPECTED


@pytest.mark.parametrize("kind", ["git", "zip", "tar"])
def test_licences_are_the_same_in_any_order_and_splitting(tmp_path: Path, kind: str) -> None:
    draw = random.Random(9)
    files = dict(TREE)
    for number in range(40):
        files[f"top/{draw.choice(('src', 'vendor/x', 'vendor/y/lib', 'web'))}/{number}.py"] = "x" * 20_000
    whole = read(tmp_path, kind, files)
    names = list(files)
    draw.shuffle(names)
    (tmp_path / "other").mkdir()
    assert read(tmp_path / "other", kind, {name: files[name] for name in names}, split_bytes=2**16) == whole
    assert {whole[path] for path in whole if path.startswith("vendor/x/")} == {"LGPL-3.0"}


@pytest.mark.parametrize("kind", ["tree", "git", "zip", "tar"])
def test_an_option_stands_for_all_and_the_search_can_be_left_out(tmp_path: Path, kind: str) -> None:
    found = read(tmp_path, kind, TREE, license="Apache-2.0")
    assert found == {path: "BSD-2-Clause" if "tagged" in path else "Apache-2.0" for path in EXPECTED}
    again = tmp_path / "again"
    again.mkdir()
    found = read(again, kind, TREE, license_files=False)
    assert found == {path: "BSD-2-Clause" if "tagged" in path else None for path in EXPECTED}


def test_a_folder_above_the_repository_says_nothing(tmp_path: Path) -> None:
    plant(tmp_path, {"LICENSE": MIT, "one/a.py": "a", "b.py": "b", "one/two/c.py": "c"})
    tree = Tree(files=["x"])
    for name, license in {"one/a.py": None, "one/two/c.py": None, "b.py": "MIT"}.items():
        assert tree.context(tmp_path / name, name) == license, name
    assert Tree(files=["x"], repo_depth=0).context(tmp_path / "one/two/c.py", "one/two/c.py") == "MIT"
    (tmp_path / "one/LICENSE").symlink_to(tmp_path / "LICENSE")
    assert tree.context(tmp_path / "one/a.py", "one/a.py") is None


def test_a_changed_licence_file_is_read_again(tmp_path: Path) -> None:
    plant(tmp_path / "in", {"p/LICENSE": MIT, "p/a.py": "a = 1\n"})
    (tmp_path / "r.yaml").write_text(
        "name: r\nengine: {kind: inline}\nsources:\n  code: {read: {tree: in}, domain: code}\n"
    )

    def run() -> tuple[bool, list[str]]:
        runner = Runner(load_recipe(tmp_path / "r.yaml"))
        runner.run()
        folder = runner.states["code"].folder
        assert folder is not None
        indexed = runner.states["code.index"].folder
        assert indexed is not None
        index = json.loads(next(indexed.data.glob("*.json")).read_text())
        return runner.states["code"].reused, [split["context"] for e in index for split in e["splits"]]

    assert run() == (False, ["MIT"])
    assert run() == (True, ["MIT"])
    license = tmp_path / "in/p/LICENSE"
    license.write_text(BSD)
    assert run() == (False, ["BSD-3-Clause"])
    stat = license.stat()
    os.utime(license, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert run() == (True, ["BSD-3-Clause"])  # indexed again, with the same result


def test_names_of_the_known_licences_are_spdx() -> None:
    assert all(spdx(name) == name for name in TEXTS)
    assert len(TEXTS) >= 35
