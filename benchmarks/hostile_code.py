"""Source code for `hostile.py`: licences, languages, notebooks and git repositories."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hostile_shapes import Job, folder_of, parts_of, repeated

from corpusmill.pipelines.sources.reader import Label

_PIECE = 200_000  # of a licence file, or a notebook, each of which has a limit


def code() -> Iterator[Job]:
    from corpusmill.pipelines.sources.assembly.language_evidence import language_of
    from corpusmill.pipelines.sources.assembly.notebooks import notebook_text
    from corpusmill.pipelines.sources.assembly.shared_suffixes import RULES
    from corpusmill.pipelines.sources.licences.files import evidence

    texts = {
        "blank lines": repeated("\n"),
        "blanks": repeated(" "),
        "copyright lines": repeated("Copyright (c) 2000 A\n"),
        "marks": repeated("-*- vim: ft= // # @ : ("),
        "one line": repeated("license "),
        "titles": repeated("(the license)\n"),
    }
    for shape, make in texts.items():
        for name in ("LICENSE", "pyproject.toml", "package.json"):
            yield Job(
                f"licence {name}: {shape}",
                parts_of(make, _PIECE),
                _each(partial(evidence, name)),
            )
        # One file of every suffix that languages share, each within what is looked at.
        yield Job(
            f"languages: {shape}",
            parts_of(make, 2**15),
            _each(lambda text: [language_of(f"a{suffix}", text) for suffix in RULES]),
        )
    cell = {
        "cell_type": "code",
        "source": ["x\n"] * 20,
        "outputs": [{"output_type": "stream", "text": ["y\n"] * 20}],
    }
    made = json.dumps(cell)
    notebooks = repeated(made + ",", '{"nbformat": 4, "cells": [', made + "]}")
    yield Job(
        "notebook: cells", parts_of(notebooks, _PIECE), _each(lambda text: notebook_text(text, outputs=True))
    )
    yield Job("git: files", folder_of(_files), _read_repository)
    yield Job("git: folders in folders", folder_of(_nested), _read_repository)
    yield Job("git: folders with licences", folder_of(_licensed), _read_repository)


def _each(work: Callable[[bytes], object]) -> Callable[[list[str]], object]:
    return lambda texts: [work(text.encode()) for text in texts]


def _read_repository(folder: Path) -> None:
    from corpusmill.pipelines.sources.git import Git

    reader = Git(files=["x"])
    for split in reader.index(folder / "HEAD"):
        assert split.fault is None, split.fault
        for _ in reader.read(folder / "HEAD", "r", split, Label("s", "code")):
            pass


class _Objects:
    """Files of a bare repository with loose objects, by name."""

    def __init__(self) -> None:
        self.files: dict[str, str | bytes] = {}

    def add(self, kind: str, content: bytes) -> str:
        data = f"{kind} {len(content)}\0".encode() + content
        oid = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        self.files[f"objects/{oid[:2]}/{oid[2:]}"] = zlib.compress(data, 1)
        return oid

    def tree(self, *entries: tuple[str, str, str]) -> str:
        return self.add(
            "tree", b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, name, oid in entries)
        )

    def repository(self, tree: str) -> dict[str, str | bytes]:
        who = "a <a> 1 +0000"
        commit = self.add("commit", f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n".encode())
        return {**self.files, "HEAD": commit + "\n", "refs/heads/.keep": ""}


def _files(size: int) -> dict[str, str | bytes]:
    objects = _Objects()
    blobs = [objects.add("blob", b"x = %d\n" % number) for number in range(size // 500)]
    return objects.repository(
        objects.tree(*(("100644", f"{number}.py", oid) for number, oid in enumerate(blobs)))
    )


def _nested(size: int) -> dict[str, str | bytes]:
    """As many folders in folders as a path may have, over and over."""
    objects = _Objects()
    tops = []
    for number in range(max(1, size // 500_000)):
        tree = objects.tree(("100644", "a.py", objects.add("blob", b"x = %d\n" % number)))
        for _ in range(min(2000, size // 250)):
            tree = objects.tree(("40000", "d", tree))
        tops.append(tree)
    return objects.repository(
        objects.tree(*(("40000", f"t{number}", oid) for number, oid in enumerate(tops)))
    )


def _licensed(size: int) -> dict[str, str | bytes]:
    objects = _Objects()
    folders = []
    for number in range(size // 1000):
        license = objects.add("blob", b"Licence number %d. All rights reserved.\n" % number)
        code = objects.add("blob", b"x = %d\n" % number)
        folders.append(objects.tree(("100644", "LICENSE", license), ("100644", "a.py", code)))
    return objects.repository(
        objects.tree(*(("40000", f"d{number}", oid) for number, oid in enumerate(folders)))
    )
