from __future__ import annotations

import re
from posixpath import commonprefix

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.repository.imports import Import, imports_of, language_of
from corpusmill.mixtures.repository.path_ends import PathEnds
from corpusmill.mixtures.repository.resolve import Files


def written(text: str, language: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.target, one.names) for one in imports_of(text, language)]


def test_python_imports() -> None:
    text = (
        "import os, a.b as ab  # note\nfrom . import x\nfrom ..p.q import (\n    y,  # why\n    z as w,\n)\n"
        "    from late import *\nimporting = 1\nfrom_ = 2\ncimport c.d\nfrom e import f; g()\n"
    )
    assert written(text, "python") == [
        *[("os", ()), ("a.b", ()), (".", ("x",)), ("..p.q", ("y", "z")), ("late", ("*",))],
        *[("c.d", ()), ("e", ("f",))],
    ]


def test_c_includes() -> None:
    text = '#include <stdio.h>\n  #  include "a/b.h" // x\n#import "c.h"\n// include "no.h"\n'
    assert [target for target, _ in written(text, "c")] == ["stdio.h", "a/b.h", "c.h"]


def test_javascript_imports() -> None:
    text = (
        "import a, {b} from './a';\nimport './b.css'\nexport * from \"../c\";\nconst d = require('./d')\n"
        "const e = await import('./e.js');\nimport type {F} from './f'\n"
    )
    assert [t for t, _ in written(text, "javascript")] == ["./a", "./b.css", "../c", "./d", "./e.js", "./f"]


def test_java_imports() -> None:
    text = "package p;\nimport a.b.C;\nimport static a.b.D.e;\nimport a.f.*;\n"
    assert [target for target, _ in written(text, "java")] == ["a.b.C", "a.b.D.e", "a.f.*"]


def test_go_imports() -> None:
    text = 'import "fmt"\nimport (\n\t"os"\n\tx "example.org/m/p"\n)\nimport y "example.org/m/q"\n'
    assert [t for t, _ in written(text, "go")] == ["fmt", "os", "example.org/m/p", "example.org/m/q"]


@pytest.mark.parametrize(
    ("statement", "language"),
    [
        ("import 'a';\n", "javascript"),
        ("from 'a ", "javascript"),
        ("import a.b;\n", "java"),
        ('#include "a"\n', "c"),
    ],
)
def test_repeated_imports_are_all_there_and_one_object(statement: str, language: str) -> None:
    found = imports_of(statement * 1000 + "'", language)
    assert len(found) == (500 if statement == "from 'a " else 1000)
    assert len({id(one) for one in found}) <= 2


def test_languages_by_suffix() -> None:
    assert [language_of(p) for p in ("a/b.PY", "x.hpp", "t.tsx", "K.kt", "g.go", "r.md", "Makefile")] == [
        *["python", "c", "javascript", "java", "go", None, None]
    ]


CASES = [
    ("python", "v1/pkg/sub/a.py", Import(".b", ("f",)), ["v1/pkg/sub/b.py"]),
    ("python", "v1/pkg/sub/a.py", Import(".", ("b", "c")), ["v1/pkg/sub/b.py", "v1/pkg/sub/c.py"]),
    ("python", "v1/pkg/sub/a.py", Import(".", ("b", "f")), ["v1/pkg/sub/__init__.py", "v1/pkg/sub/b.py"]),
    ("python", "v1/pkg/sub/a.py", Import("..top"), ["v1/pkg/top.py"]),
    ("python", "v1/pkg/sub/a.py", Import("pkg.sub.b"), ["v1/pkg/sub/b.py"]),
    ("python", "v1/pkg/sub/a.py", Import("pkg", ("top",)), ["v1/pkg/top.py"]),
    ("python", "v1/pkg/sub/a.py", Import("os"), []),
    ("python", "v1/pkg/sub/a.py", Import("b"), []),
    ("python", "v1/scripts/run.py", Import("helper"), ["v1/scripts/helper.py"]),
    ("python", "v1/scripts/run.py", Import("pkg", ("top",)), ["v1/pkg/top.py"]),
    ("python", "v1/scripts/run.py", Import("pkg.sub.b"), ["v1/pkg/sub/b.py"]),
    ("python", "v1/pkg/sub/a.py", Import(".a"), []),
    ("c", "v1/src/main.c", Import("util.h"), ["v1/src/util.h"]),
    ("c", "v1/src/main.c", Import("../include/lib/util.h"), ["v1/include/lib/util.h"]),
    ("c", "v1/src/main.c", Import("lib/util.h"), ["v1/include/lib/util.h"]),
    ("c", "v1/include/lib/x.c", Import("util.h"), ["v1/include/lib/util.h"]),
    ("c", "v1/src/main.c", Import("stdio.h"), []),
    ("javascript", "v1/web/a.ts", Import("./b"), ["v1/web/b.ts"]),
    ("javascript", "v1/web/a.ts", Import("./b.js"), ["v1/web/b.ts"]),
    ("javascript", "v1/web/a.ts", Import("./dir"), ["v1/web/dir/index.js"]),
    ("javascript", "v1/web/dir/index.js", Import("../b"), ["v1/web/b.ts"]),
    ("javascript", "v1/web/a.ts", Import("react"), []),
    ("java", "v1/java/a/b/C.java", Import("a.b.D"), ["v1/java/a/b/D.java"]),
    ("java", "v1/java/a/b/C.java", Import("a.b.D.member"), ["v1/java/a/b/D.java"]),
    ("java", "v1/java/a/b/C.java", Import("a.b.*"), ["v1/java/a/b/D.java"]),
    ("java", "v1/java/a/b/C.java", Import("java.util.List"), []),
    ("go", "v1/cmd/main.go", Import("example.org/m/pkg/q"), ["v1/pkg/q/q.go"]),
    ("go", "v1/cmd/main.go", Import("pkg/q"), []),
]
PATHS = [
    *["v1/pkg/__init__.py", "v1/pkg/top.py", "v1/pkg/sub/__init__.py", "v1/pkg/sub/a.py", "v1/pkg/sub/b.py"],
    *["v1/pkg/sub/c.py", "v1/scripts/run.py", "v1/scripts/helper.py", "v1/src/main.c", "v1/src/util.h"],
    *["v1/include/lib/util.h", "v1/include/lib/x.c", "v1/web/a.ts", "v1/web/b.ts", "v1/web/dir/index.js"],
    *["v1/java/a/b/C.java", "v1/java/a/b/D.java", "v1/cmd/main.go", "v1/pkg/q/q.go", "v1/pkg/q/q_test.go"],
]


@pytest.mark.parametrize(("language", "importer", "imported", "expected"), CASES)
def test_imports_resolve(language: str, importer: str, imported: Import, expected: list[str]) -> None:
    found = Files(PATHS).targets(importer, language, imported)
    assert [PATHS[number] for number in found] == expected


OLD_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>\.*[\w.]*)[ \t]+c?import[ \t]*(?P<names>\([^)]*\)|[^\n#;]*)"
    r"|c?import[ \t]+(?P<modules>[^\n#;]*))",
    re.MULTILINE,
)
OLD_GO = re.compile(r'^[ \t]*import[ \t]*(?:\(([^)]*)\)|(?:[\w.]+[ \t]+)?"([^"\n]+)")', re.MULTILINE)


def words(listing: str) -> tuple[str, ...]:
    pieces = re.sub(r"#[^\n]*", "", listing).strip("()").replace("\\", " ").split(",")
    return tuple(piece.split()[0] for piece in pieces if piece.split())


def by_one_expression(text: str, language: str) -> list[tuple[str, tuple[str, ...]]]:
    """The definition, as one expression whose time is quadratic in the worst case."""
    found: list[tuple[str, tuple[str, ...]]] = []
    if language == "go":
        for block, single in OLD_GO.findall(text):
            found += [(path, ()) for path in (re.findall(r'"([^"\n]+)"', block) if block else [single])]
        return [one for one in found if one[0]]
    for match in OLD_PYTHON.finditer(text):
        if match["modules"] is not None:
            found += [(module, ()) for module in words(match["modules"])]
        elif match["source"]:
            found.append((match["source"], words(match["names"])))
    return found


PARTS = [
    "import",
    "from",
    "cimport",
    "a",
    ".",
    "..",
    '"',
    "(",
    ")",
    "\n",
    " ",
    "\t",
    ",",
    "#",
    ";",
    "\\",
    "x.y",
]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(PARTS), max_size=40), st.sampled_from(["python", "go"]))
def test_statements_are_those_of_one_expression(parts: list[str], language: str) -> None:
    text = "".join(parts)
    assert written(text, language) == by_one_expression(text, language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("go", "import(\n" * 150_000),
        ("go", "import" + " " * 1_000_000),
        ("go", 'import ("\n' * 150_000),
        ("python", "from " + " " * 1_000_000),
        ("python", "from " + "." * 1_000_000),
        ("javascript", "import " * 150_000),
        ("javascript", "require(" + " " * 1_000_000),
        ("c", '#include "' * 100_000),
        ("java", "import static\t" * 80_000),
    ],
)
def test_crafted_files_name_few_imports(language: str, text: str) -> None:
    """A megabyte each: in time that grows with the square these would not end within an hour."""
    assert len(imports_of(text, language)) <= 1


def test_python_brackets_that_never_close() -> None:
    text = "from a import (\n" * 100_000
    assert imports_of(text, "python") == [Import("a")] * 100_000
    assert imports_of(text + "b)", "python") == [Import("a", ("from",))]


def near(paths: list[str], end: str, to: str) -> str | None:
    """`PathEnds.nearest` word for word."""
    matching = [path for path in paths if path == end or path.endswith("/" + end)]
    key = lambda path: (-len(commonprefix([path, to])), len(path), path)  # noqa: E731
    return min(matching, key=key) if matching else None


part_lists = st.lists(st.sampled_from(["a", "b", "ab", "", "\U0010ffff"]), min_size=1, max_size=4)
some_path = part_lists.map("/".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(some_path, max_size=12), some_path, some_path)
def test_nearest_path(paths: list[str], end: str, to: str) -> None:
    assert PathEnds(paths).nearest(end, to) == near(paths, end, to)


def test_many_files_of_one_name() -> None:
    """20,000 files of one name, each looked up from beside every other: 400 million pairs if compared."""
    paths = [f"r/{n % 7}/{n}/x.h" for n in range(20_000)]
    files = Files(paths)
    for number in range(20_000):
        importer = f"r/{number % 7}/{number}/main.c"
        assert files.targets(importer, "c", Import("y/../x.h")) == [number]
        assert files.targets(importer, "c", Import(f"{number}/x.h")) == [number]


def test_an_unpackaged_root_and_a_package_there() -> None:
    paths = ["__init__.py", "a.py", "b/__init__.py", "b/c.py"]
    assert Files(paths).targets("b/c.py", "python", Import("a")) == [1]
    assert Files(["/__init__.py", "/a.py"]).targets("/b.py", "python", Import("a")) == [1]


def test_names_beyond_the_bounds_are_of_no_file() -> None:
    deep = "a/" * 600
    files = Files(["m.go", deep + "x.go", "w/x.py"])
    assert files.targets("m.go", "go", Import("h.x/" + "a/" * 100_000)) == []
    assert files.targets("w/x.py", "python", Import("." * 100_000 + "x")) == []
    assert files.targets(deep + "x.go", "go", Import("h.x/w")) == []


def test_a_folder_of_very_many_files_is_no_dependency() -> None:
    files = Files(["m.go", *(f"p/{n}.go" for n in range(1024))])
    assert len(files.targets("m.go", "go", Import("h.x/p"))) == 1024
    files = Files(["m.go", *(f"p/{n}.go" for n in range(1025))])
    assert files.targets("m.go", "go", Import("h.x/p")) == []
