from __future__ import annotations

import pytest

from corpusmill.mixtures.repository.imports import Import, imports_of, language_of
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
