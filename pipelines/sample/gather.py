"""Which files and docstrings become which rows, capped so that no package dominates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from corpusmill.pipelines.sample.docstrings import Docstring, docstrings
from corpusmill.pipelines.sample.installed import File, Package, mix
from corpusmill.pipelines.sample.markup import math_as_tex
from corpusmill.pipelines.sample.pages import PageSource

Row = dict[str, Any]

LANGUAGES = {
    "py": "python", "pyi": "python", "pyx": "cython", "pxd": "cython", "pxi": "cython", "c": "c", "h": "c",
    "cc": "cpp", "cpp": "cpp", "hpp": "cpp", "cu": "cuda", "cuh": "cuda", "js": "javascript",
    "mjs": "javascript", "ts": "typescript", "css": "css", "sh": "shell", "bat": "batch", "ps1": "powershell",
    "cmake": "cmake", "proto": "protobuf", "f": "fortran", "f90": "fortran", "rs": "rust", "go": "go",
    "java": "java", "sql": "sql", "toml": "toml", "yaml": "yaml", "yml": "yaml", "ini": "ini", "cfg": "ini",
    "html": "html", "jl": "julia", "lua": "lua", "pl": "perl", "r": "r", "tcl": "tcl", "m4": "m4",
    "in": "template",
}  # fmt: skip
_PROSE_NAMES = re.compile(
    r"(^|/)(readme|changelog|changes|history|contributing|notice|authors|news)[^/]*$", re.I
)
_PROSE_ENDS = (".rst", ".md")
_VENDORED = re.compile(r"(^|/)(_?vendor(ed)?|extern|_distutils|thirdparty|third_party)/")
_LARGEST_FILE = 150_000
_SMALLEST_FILE = 200
_PACKAGE_SHARE = 0.12  # of a budget, at most, from one package
_PYTHON_SHARE = 0.6  # of the code
_SHORTEST_PROSE = 600
_SHORTEST_PAGE = 500
_MATH = (":math:", ".. math::")


def code_rows(packages: list[Package], budget: int) -> list[Row]:
    """Source files in several languages: rows with text, path, repo, license, lang and commit (version).

    Files are taken in turn from every package, vendored copies first: they are the near-duplicates that
    real crawls of code are full of. `budget` is in bytes of text.
    """
    python = {p.name: _code_files(p, python=True) for p in packages}
    other = {p.name: _code_files(p, python=False) for p in packages}
    by_name = {p.name: p for p in packages}
    rows: list[Row] = []
    others = budget - int(budget * _PYTHON_SHARE)
    spent = 0
    for pool, share in ((other, others), (python, budget)):
        for name, file in _in_turn(pool, budget):
            if spent >= share:
                break
            text = file.read_text()
            if text is None or not text.strip():
                continue
            spent += len(text.encode())
            package = by_name[name]
            rows.append(
                {
                    "id": f"{name}/{file.path}",
                    "text": text,
                    "path": file.path,
                    "repo": name,
                    "license": package.license,
                    "commit": package.version,
                    "language": LANGUAGES[file.path.rpartition(".")[2].lower()],
                }
            )
    return sorted(rows, key=lambda row: str(row["id"]))


def _code_files(package: Package, *, python: bool) -> list[File]:
    found = [
        file
        for file in package.files
        if (language := LANGUAGES.get(file.path.rpartition(".")[2].lower())) is not None
        and (language == "python") == python
        and _SMALLEST_FILE <= file.size <= _LARGEST_FILE
        and ".dist-info/" not in file.path
    ]
    return sorted(found, key=lambda f: (_VENDORED.search(f.path) is None, mix(f"{package.name}/{f.path}")))


def _in_turn(pools: Mapping[str, list[File]], budget: int) -> Iterator[tuple[str, File]]:
    """One file of every package in turn, each package up to its share of `budget` bytes."""
    taken = dict.fromkeys(pools, 0)
    longest = max((len(files) for files in pools.values()), default=0)
    for index in range(longest):
        for name, files in pools.items():
            if index < len(files) and taken[name] + files[index].size <= budget * _PACKAGE_SHARE:
                taken[name] += files[index].size
                yield name, files[index]


def prose_rows(packages: list[Package], budget: int) -> list[Row]:
    """Package descriptions, README and documentation files, and a few licence texts, as prose."""
    rows: list[Row] = []
    licences = 0
    spent = 0
    for package in sorted(packages, key=lambda p: mix(p.name)):
        own = 0
        texts = [("METADATA", package.description)] if len(package.description) >= _SHORTEST_PROSE else []
        for file in package.files:
            lower = file.path.lower()
            is_licence = "license" in lower.rpartition("/")[2] or "copying" in lower.rpartition("/")[2]
            wanted = lower.endswith(_PROSE_ENDS) or (_PROSE_NAMES.search(lower) and lower.endswith(".txt"))
            if is_licence and licences >= 8:
                continue
            if (
                (wanted or is_licence)
                and _SHORTEST_PROSE <= file.size <= _LARGEST_FILE
                and not lower.endswith(".py")
            ):
                text = file.read_text()
                if text:
                    texts.append((file.path, text))
                    licences += is_licence
        for path, text in texts:
            if own + len(text) > budget * _PACKAGE_SHARE or spent >= budget:
                break
            own += len(text)
            spent += len(text.encode())
            rows.append(_prose_row(package, path, text))
    return sorted(rows, key=lambda row: str(row["id"]))


def _prose_row(package: Package, path: str, text: str) -> Row:
    return {
        "id": f"{package.name}/{path}",
        "text": text,
        "path": path,
        "repo": package.name,
        "license": package.license,
        "commit": package.version,
    }


def documentation(packages: list[Package], budget: int) -> tuple[list[PageSource], list[Row], list[Row]]:
    """Docstrings of all packages as (web pages, mathematics rows, prose rows).

    `budget` is in bytes of docstrings over all packages; each package gives at most its share. A docstring
    with formulas becomes a mathematics row, one in three of them a part of a page as well; one long
    docstring in six becomes prose; the others are the pages.
    """
    pages: list[PageSource] = []
    mathematics: list[Row] = []
    prose: list[Row] = []
    for package in packages:
        left = int(budget * _PACKAGE_SHARE)
        modules: list[tuple[str, list[Docstring]]] = []
        sources = [f for f in package.files if f.path.endswith((".py", ".pyi")) and not _is_test(f.path)]
        for file in sorted(sources, key=lambda f: mix(f"{package.name}/{f.path}")):
            if left <= 0:
                break
            source = file.read_text() if file.size <= 20 * _LARGEST_FILE else None
            if source is None or '"""' not in source:
                continue
            kept: list[Docstring] = []
            for doc in docstrings(source):
                left -= len(doc.text)
                name = f"{file.path}:{doc.name or 'module'}"
                if any(mark in doc.text for mark in _MATH):
                    title = doc.name or _module_name(file.path)
                    row = _prose_row(package, name, f"{title}\n\n{math_as_tex(doc.text)}")
                    mathematics.append(row)
                    if mix(str(row["id"])) % 3:
                        continue
                if len(doc.text) >= 2 * _SHORTEST_PROSE and mix(name) % 6 == 0:
                    prose.append(_prose_row(package, name, doc.text))
                    continue
                kept.append(doc)
            if sum(len(doc.text) for doc in kept) >= _SHORTEST_PAGE:
                modules.append((_module_name(file.path), kept))
        names = sorted({name for name, _ in modules})
        for name, kept in modules:
            at = names.index(name)
            near = tuple(n for n in names[max(0, at - 12) : at + 13] if n != name)
            pages.append(PageSource(package.name, package.version, package.license, name, tuple(kept), near))
    return sorted(pages, key=lambda page: page.uri), _unique(mathematics), _unique(prose)


def _unique(rows: list[Row]) -> list[Row]:
    """Rows by id, numbered where two objects of a file share a name."""
    seen: dict[str, int] = {}
    for row in rows:
        count = seen[row["id"]] = seen.get(row["id"], 0) + 1
        if count > 1:
            row["id"] = f"{row['id']}#{count}"
    return sorted(rows, key=lambda row: str(row["id"]))


def _is_test(path: str) -> bool:
    return re.search(r"(^|/)(tests?|testing|_vendor)/|(^|/)test_|_test\.py$", path) is not None


def _module_name(path: str) -> str:
    return path.rpartition(".")[0].replace("/", ".").removesuffix(".__init__")
