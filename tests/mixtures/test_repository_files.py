"""Which files imports mean, for roots and configurations of many kinds."""

from __future__ import annotations

from posixpath import commonprefix

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.repository.configuration import DEEPEST, LONGEST, read_json, read_toml
from corpusmill.mixtures.repository.dependencies import dependencies_of
from corpusmill.mixtures.repository.files import Files
from corpusmill.mixtures.repository.imports import language_of
from corpusmill.mixtures.repository.language import FIRM, IMPLIED, LATER, LEVELS, Import
from corpusmill.mixtures.repository.path_ends import PathEnds


def needs(files: dict[str, str], path: str, levels: tuple[int, ...] = (FIRM, LATER)) -> list[str]:
    """Paths of the files that a file depends on, those of packages in their places, sorted."""
    paths = sorted(files)
    found = dependencies_of(paths, [files[one] for one in paths]).levels
    targets = {one for level in levels for one in found[level][paths.index(path)]}
    while packages := {one for one in targets if one >= len(paths)}:
        targets = (targets - packages) | {one for package in packages for one in found[FIRM][package]}
    return [paths[one] for one in sorted(targets)]


def layout(*paths: str, **texts: str) -> dict[str, str]:
    return {**dict.fromkeys(paths, ""), **texts}


PYTHON = layout(
    *["v1/pkg/__init__.py", "v1/pkg/top.py", "v1/pkg/sub/__init__.py", "v1/pkg/sub/b.py", "v1/pkg/sub/c.py"],
    *["v1/scripts/helper.py", "v1/src/other/__init__.py", "v1/src/other/part.py", "v1/src/single.py"],
    *["v1/pkg/json/__init__.py", "v1/space/inner/mod.py", "v1/tests/__init__.py", "v1/pkg/sub/stub.pyi"],
)


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("v1/pkg/sub/a.py", "from .b import f", ["v1/pkg/sub/b.py"]),
        ("v1/pkg/sub/a.py", "from . import b, c", ["v1/pkg/sub/b.py", "v1/pkg/sub/c.py"]),
        ("v1/pkg/sub/a.py", "from . import b, f", ["v1/pkg/sub/__init__.py", "v1/pkg/sub/b.py"]),
        ("v1/pkg/sub/a.py", "from .. import top", ["v1/pkg/top.py"]),
        ("v1/pkg/sub/a.py", "import pkg.sub.b", ["v1/pkg/sub/b.py"]),
        ("v1/pkg/sub/a.py", "from pkg import top", ["v1/pkg/top.py"]),
        ("v1/pkg/sub/a.py", "import json", []),
        ("v1/pkg/sub/a.py", "import b", []),
        ("v1/pkg/sub/a.py", "from . import a", []),
        ("v1/pkg/sub/a.py", "from .stub import T", ["v1/pkg/sub/stub.pyi"]),
        ("v1/scripts/run.py", "import helper", ["v1/scripts/helper.py"]),
        ("v1/scripts/run.py", "import pkg.sub.b as b", ["v1/pkg/sub/b.py"]),
        ("v1/scripts/run.py", "import space.inner.mod", ["v1/space/inner/mod.py"]),
        ("v1/tests/t.py", "import other.part, single", ["v1/src/other/part.py", "v1/src/single.py"]),
    ],
)
def test_python_layouts(path: str, text: str, expected: list[str]) -> None:
    assert [one for one in needs({**PYTHON, path: text}, path) if one != path] == expected


def test_packages_above_a_python_module_are_implied() -> None:
    files = {**PYTHON, "v1/scripts/run.py": "import pkg.sub.b\n"}
    implied = needs(files, "v1/scripts/run.py", (IMPLIED,))
    assert implied == ["v1/pkg/__init__.py", "v1/pkg/sub/__init__.py"]
    assert needs({**PYTHON, "v1/pkg/a.pyi": "from . import top\n"}, "v1/pkg/a.pyi", (LATER,)) == [
        "v1/pkg/top.py"
    ]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("v1/src/main.c", '#include "util.h"', ["v1/src/util.h"]),
        ("v1/src/main.c", '#include "../include/lib/util.h"', ["v1/include/lib/util.h"]),
        ("v1/src/main.c", "#include <lib/util.h>", ["v1/include/lib/util.h"]),
        ("v1/include/lib/x.c", '#include "util.h"', ["v1/include/lib/util.h"]),
        ("v1/src/main.c", "#include <stdio.h>", []),
        ("v1/src/main.c", "#include <string.h>", []),
        ("v1/src/main.c", "#include <errno.h>", ["v1/include/errno.h"]),
        ("v1/src/main.c", '#include "string.h"', ["v1/src/string.h"]),
    ],
)
def test_c_layouts(path: str, text: str, expected: list[str]) -> None:
    files = layout("v1/src/util.h", "v1/src/string.h", "v1/include/lib/util.h", "v1/include/errno.h")
    assert needs({**files, path: text}, path) == expected


SCRIPTS = {
    **layout(
        "v1/web/b.ts", "v1/web/dir/index.js", "v1/web/src/lib/x.ts", "v1/web/src/y.tsx", "v1/web/d.d.ts"
    ),
    **layout("v1/packages/one/lib/main.mjs", "v1/packages/one/extra.js", "v1/packages/two/src/index.ts"),
    "v1/web/tsconfig.json": (
        '{// paths\n"compilerOptions": {"baseUrl": "src", "paths": {"@lib/*": ["lib/*"], "why": ["y"],},},}'
    ),
    "v1/packages/one/package.json": '{"name": "@scope/one", "main": "./lib/main"}',
    "v1/packages/two/package.json": '{"name": "two", "main": 1}',
}


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("v1/web/a.ts", "./b", ["v1/web/b.ts"]),
        ("v1/web/a.ts", "./b.js?raw", ["v1/web/b.ts"]),
        ("v1/web/a.ts", "./dir", ["v1/web/dir/index.js"]),
        ("v1/web/dir/a.js", "../b", ["v1/web/b.ts"]),
        ("v1/web/dir/a.js", ".", ["v1/web/dir/index.js"]),
        ("v1/web/a.d.ts", "./d.js", ["v1/web/d.d.ts"]),
        ("v1/web/a.ts", "react", []),
        ("v1/web/a.ts", "@lib/x", ["v1/web/src/lib/x.ts"]),
        ("v1/web/dir/a.js", "why", ["v1/web/src/y.tsx"]),
        ("v1/web/a.ts", "lib/x", ["v1/web/src/lib/x.ts"]),
        ("v1/web/a.ts", "@/y", ["v1/web/src/y.tsx"]),
        ("v1/web/a.ts", "@scope/one", ["v1/packages/one/lib/main.mjs"]),
        ("v1/web/a.ts", "@scope/one/extra", ["v1/packages/one/extra.js"]),
        ("v1/packages/one/a.js", "two", ["v1/packages/two/src/index.ts"]),
        ("v1/packages/one/a.js", "@lib/x", []),
    ],
)
def test_javascript_layouts(path: str, target: str, expected: list[str]) -> None:
    assert needs({**SCRIPTS, path: f"import x from '{target}'\n"}, path) == expected


JAVA = layout(
    "v1/main/java/a/b/D.java", "v1/main/java/a/b/E.java", "v1/test/java/a/b/F.java", "v1/main/java/a/G.kt"
)


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        ("a.b.D", ["v1/main/java/a/b/D.java"]),
        ("static a.b.D.member", ["v1/main/java/a/b/D.java"]),
        ("a.b.*", ["v1/main/java/a/b/D.java", "v1/main/java/a/b/E.java", "v1/test/java/a/b/F.java"]),
        ("static a.b.E.*", ["v1/main/java/a/b/E.java"]),
        ("a.G", ["v1/main/java/a/G.kt"]),
        ("java.util.List", []),
    ],
)
def test_java_layouts(imported: str, expected: list[str]) -> None:
    path = "v1/test/java/c/T.java"
    assert needs({**JAVA, path: f"import {imported};\n"}, path) == expected


def test_java_classes_of_the_same_package_are_implied() -> None:
    files = {**JAVA, "v1/main/java/a/b/C.java": "class C extends D { Other x; }\n"}
    assert needs(files, "v1/main/java/a/b/C.java", (IMPLIED,)) == ["v1/main/java/a/b/D.java"]


GO = layout("v1/pkg/q/q.go", "v1/pkg/q/r.go", "v1/pkg/q/q_test.go", "v1/root.go", "v1/vendor/h.x/v/v.go")


@pytest.mark.parametrize("module", ["h.x/m", None])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("h.x/m/pkg/q", ["v1/pkg/q/q.go", "v1/pkg/q/r.go"]),
        ("h.x/v", ["v1/vendor/h.x/v/v.go"]),
        ("fmt", []),
        ("pkg/q", []),
    ],
)
def test_go_layouts(module: str | None, target: str, expected: list[str]) -> None:
    files = {**GO, "v1/cmd/main.go": f'package main\nimport "{target}"\n'}
    if module is not None:
        files["v1/go.mod"] = f"// x\nmodule {module} // y\n\ngo 1.21\n"
    assert needs(files, "v1/cmd/main.go") == expected


def test_go_modules_and_roots() -> None:
    files = {
        **layout("v1/root.go", "v1/two/in/a.go", "v1/doc/x.txt"),
        "v1/go.mod": "module h.x/m\n",
        "v1/two/go.mod": 'module "h.x/m/two/v2"\n',
        "v1/cmd/main.go": 'import (\n"h.x/m"\n"h.x/m/two/v2/in"\n"h.x/m/doc"\n)\n',
    }
    assert needs(files, "v1/cmd/main.go") == ["v1/root.go", "v1/two/in/a.go"]
    for top, target in (("cobra-1.8.1", "github.com/spf13/cobra"), ("m", "h.x/m/v3")):
        files = {f"{top}/root.go": "", f"{top}/doc/d.go": f'import "{target}"\n'}
        assert needs(files, f"{top}/doc/d.go") == [f"{top}/root.go"]
    assert needs({"p/a.go": "", "p/a_test.go": ""}, "p/a_test.go", (IMPLIED,)) == ["p/a.go"]


RUST = {
    **layout("r/src/lib.rs", "r/src/main.rs", "r/src/a.rs", "r/src/a/b.rs", "r/src/c/mod.rs", "r/src/c/d.rs"),
    **layout("r/tests/it.rs", "r/other/src/lib.rs", "r/plain/src/lib.rs", "r/plain/src/e.rs"),
    "r/Cargo.toml": '[package]\nname = "my-crate"\n',
    "r/other/Cargo.toml": '[package]\nname = "x"\n[lib]\nname = "renamed"\n',
}


@pytest.mark.parametrize(
    ("path", "statement", "expected"),
    [
        ("r/src/c/d.rs", "use crate::a::b::T;", ["r/src/a/b.rs"]),
        ("r/src/c/d.rs", "use crate::a::T;", ["r/src/a.rs"]),
        ("r/src/c/d.rs", "use crate::T;", ["r/src/lib.rs"]),
        ("r/src/main.rs", "use crate::a::T;", ["r/src/a.rs"]),
        ("r/src/c/d.rs", "use super::T;", ["r/src/c/mod.rs"]),
        ("r/src/c/d.rs", "use super::super::a;", ["r/src/a.rs"]),
        ("r/src/a/b.rs", "use super::super::super::T;", []),
        ("r/src/a.rs", "use self::b::T;", ["r/src/a/b.rs"]),
        ("r/src/a.rs", "use b::T;", ["r/src/a/b.rs"]),
        ("r/src/c/mod.rs", "use {d::T, std::io};", ["r/src/c/d.rs"]),
        ("r/src/c/d.rs", "use a::b::T;", ["r/src/a/b.rs"]),
        ("r/tests/it.rs", "use my_crate::a::T;", ["r/src/a.rs"]),
        ("r/tests/it.rs", "extern crate renamed;", ["r/other/src/lib.rs"]),
        ("r/tests/it.rs", "use plain::e;", ["r/plain/src/e.rs"]),
        ("r/src/a/b.rs", "mod tests {\n    use super::*;\n    use super::super::T;\n}", ["r/src/a.rs"]),
    ],
)
def test_rust_layouts(path: str, statement: str, expected: list[str]) -> None:
    assert needs({**RUST, path: statement}, path) == expected


def test_modules_that_rust_files_declare_are_implied() -> None:
    files = {**RUST, "r/src/lib.rs": 'mod a;\nmod c;\n#[path = "a/b.rs"]\nmod x;\nmod no { mod y; }\n'}
    assert needs(files, "r/src/lib.rs", (IMPLIED,)) == ["r/src/a.rs", "r/src/a/b.rs", "r/src/c/mod.rs"]


def test_configurations_that_cannot_be_read_are_as_if_not_there() -> None:
    assert read_json('{"a": "//x", /* y */ "b": [1, 2,],}') == {"a": "//x", "b": [1, 2]}
    assert read_toml("[a]\r\nb = 1\r\n") == {"a": {"b": 1}}
    for text in ("[" * 100_000, "{", "[1]", '{"a": ' * 100_000, "", "nul", "1" * 5000):
        assert read_json(text) == read_toml(text) == {} or text in ("", "[1]")
    assert read_json(f'{{"a": "{"x" * LONGEST}"}}') == {}
    assert read_json('{"a": ' * DEEPEST + "1" + "}" * DEEPEST) != {}
    assert read_json('{"a": ' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1)) == {}


def near(paths: list[str], end: str, to: str) -> str | None:
    """`PathEnds.nearest` word for word."""
    matching = [path for path in paths if path == end or path.endswith("/" + end)]
    return (
        min(matching, key=lambda path: (-len(commonprefix([path, to])), len(path), path))
        if matching
        else None
    )


part_lists = st.lists(st.sampled_from(["a", "b", "ab", "", "\U0010ffff"]), min_size=1, max_size=4)
some_path = part_lists.map("/".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(some_path, max_size=12), some_path, some_path)
def test_nearest_path(paths: list[str], end: str, to: str) -> None:
    assert PathEnds(paths).nearest(end, to) == near(paths, end, to)
    assert PathEnds(paths).all(end) == sorted({one for one in paths if one == end or one.endswith("/" + end)})


def meant(files: Files, path: str, target: str) -> list[object]:
    language = language_of(path)
    assert language is not None
    return list(files.meant(path, language, Import(target)))


def test_many_files_of_one_name() -> None:
    """20,000 files of one name, each looked up from beside every other: 400 million pairs if compared."""
    paths = [f"r/{n % 7}/{n}/x.h" for n in range(20_000)]
    files = Files(paths)
    for number in range(20_000):
        importer = f"r/{number % 7}/{number}/main.c"
        assert meant(files, importer, "y/../x.h") == [paths[number]]
        assert meant(files, importer, f"{number}/x.h") == [paths[number]]


def test_a_package_of_many_files_imported_by_many_is_one_node() -> None:
    """2,000 files that each import a folder of 2,000 files: 4 million dependencies if each were counted."""
    files = {f"r/p/{n}.go": 'import "h.x/r/q"\n' for n in range(2000)}
    files.update({f"r/q/{n}.go": "" for n in range(2000)})
    found = dependencies_of(sorted(files), [files[path] for path in sorted(files)])
    assert sum(len(one) for level in found.levels for one in level) == 4000
    assert len(found.levels[FIRM]) == 4001


def test_names_beyond_the_bounds_are_of_no_file() -> None:
    deep = "a/" * 600
    files = Files(["m.go", deep + "x.go", "w/x.py"])
    assert meant(files, "m.go", "h.x/" + "a/" * 100_000) == []
    assert meant(files, "w/x.py", "." * 100_000 + "x") == []
    assert meant(files, deep + "x.go", "h.x/w") == []


def test_a_package_at_the_top_of_a_repository_ends_the_walk_up() -> None:
    for top in ("", "/", "a/", "/a/"):
        paths = [f"{top}__init__.py", f"{top}b.py", f"{top}c/__init__.py", f"{top}c/d.py", "__init__.py"]
        texts = ["", "import c.d\nfrom ..... import b\nfrom . import c\n", "", "import b\nimport zzz.y\n", ""]
        levels = dependencies_of(paths, texts).levels
        assert len(levels) == len(LEVELS)
        assert 2 in levels[FIRM][1], top
