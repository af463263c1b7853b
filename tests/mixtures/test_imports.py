"""Import statements as they are found and read, language by language."""

from __future__ import annotations

import ast
import email
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.mixtures.repository.imports import LANGUAGES, language_of
from corpusmill.mixtures.repository.language import FIRM, IMPLIED, LATER, Import, Read, imports_of


def read(text: str, path: str) -> Read:
    language = language_of(path)
    assert language is not None
    return imports_of(text, language)


def targets(text: str, path: str, level: int | None = None) -> list[str]:
    return [one.target for one in read(text, path).imports if level in (None, one.level)]


def test_python() -> None:
    text = (
        "import os, a.b as ab  # note\nfrom . import x\nfrom ..p.q import (\n    y,  # why\n    z as w,\n)\n"
        "if x:\n    from late import *\nimporting = 1\nfrom_ = 2\nfrom e import f; import g\n"
        "from h import i, \\\n    j\nfrom.k import(l)\nx = (yield from m)\n"
    )
    assert [(one.target, one.names) for one in read(text, "a.py").imports] == [
        *[("os", ()), ("a.b", ()), (".", ("x",)), ("..p.q", ("y", "z")), ("late", ("*",))],
        *[("e", ("f",)), ("g", ()), ("h", ("i", "j")), (".k", ("l",))],
    ]
    assert {one.level for one in read(text, "a.py").imports} == {FIRM}


def test_python_imports_that_are_needed_later() -> None:
    text = (
        "def f(x: int,\n) -> None:\n    import a\n    if x:\n        import b\n\nimport c\n"
        "if TYPE_CHECKING:\n    import d\nelse:\n    import e\nif not TYPE_CHECKING:\n    import f\n"
        "class K:\n    import g\n    async def h(self):\n        '''\nx\n'''\n        import i\n"
        "try:\n    import j\n"
    )
    assert targets(text, "a.py", LATER) == ["a", "b", "d", "i"]
    assert targets(text, "a.py", FIRM) == ["c", "e", "f", "g", "j"]


def test_c() -> None:
    text = (
        '#include <stdio.h>\n  #  include "a/b.h" // x\n#import "c.h"\n#include_next <d.h>\n#include MACRO\n'
    )
    assert [(one.target, one.names) for one in read(text, "a.hpp").imports] == [
        *[("stdio.h", ("<",)), ("a/b.h", ()), ("c.h", ()), ("d.h", ("<",))]
    ]


def test_javascript() -> None:
    text = (
        "import a, {b} from './a';\nimport './b.css'\nexport * from \"../c\";\nconst d = require('./d')\n"
        "const e = await import('./e.js');\nimport type {F} from './f'\n"
        "import {\n  g, // x\n  h\n} from './g'\n"
        "import i = require('./i')\nexport {j}\nimport k from './k' with {type: 'json'}\n"
        "export default 'no'\n"
        "const no = x.require('./no'), meta = import.meta\nexport const m = 1; export {n as o} from './n'\n"
    )
    assert targets(text, "a.ts") == [
        *["./a", "./b.css", "../c", "./d", "./e.js", "./f", "./g", "./i", "./k", "./n"]
    ]
    assert targets(text, "a.ts", LATER) == ["./e.js", "./f"]


def test_java_and_kotlin() -> None:
    text = "import a.b.C;\nimport static a.b.D.e; import a.f.*;\npublic final class X {}\nimport no.No;\n"
    assert targets(text, "a.java") == ["a.b.C", "a.b.D.e", "a.f.*"]
    assert targets(text, "a.java", LATER) == ["a.f.*"]
    found = read("import a.b.C as D\nimport a.`in`.*\nfun f() {}\n", "a.kt")
    assert ([one.target for one in found.imports], found.parsed, found.scanned) == (["a.b.C", "a.in.*"], 0, 2)


def test_go() -> None:
    text = (
        'package m\nimport "fmt"\nimport (\n\t"os" // "no"\n\tx "example.org/m/p"\n\t_ `a` /* "no" */\n)\n'
        'import . "b"\nfunc f() {}\nimport "no"\n'
    )
    assert targets(text, "a.go") == ["fmt", "os", "example.org/m/p", "a", "b"]


def test_rust() -> None:
    text = (
        "use crate::a::{self, b::{C, D as E}, f::*}; // x\npub(crate) use self::g;\nmod h;\n"
        '#[path = "x/y.rs"]\npub mod i;\nextern crate foo as bar;\nuse {l, m::n};\nuse ::std::io;\n'
        "mod tests {\n    use super::*;\n    mod inner {\n        use o;\n    }\n}\nuse r#mod::p;\n"
    )
    assert targets(text, "a.rs", FIRM) == [
        *["crate::a::self", "crate::a::b::C", "crate::a::b::D", "crate::a::f", "self::g", "foo", "l", "m::n"],
        *["::std::io", "r#mod::p"],
    ]
    assert [(one.target, one.inside) for one in read(text, "a.rs").imports if one.level == LATER] == [
        *[("super", 1), ("o", 2)]
    ]
    assert [(one.target, one.names) for one in read(text, "a.rs").imports if one.level == IMPLIED] == [
        *[("h", ("mod", "")), ("i", ("mod", "x/y.rs"))]
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "\"\"\"\nimport a\n\"\"\"\n# import b\nx = '''\nfrom c import d\n'''\n"),
        ("a.py", 's = r"\\"\nt = "a\\\nimport b"\n'),
        ("a.c", '/*\n#include "a.h"\n*/\n// #include "b.h"\nchar *s = "\\\n#include \\"c.h\\"";\n'),
        ("a.cc", 'auto s = R"x(\n#include "a.h"\n)" )x";\n'),
        (
            "a.js",
            "// import './a'\n/* require('./b') */\nx = `\nimport './c'\n`; y = \"import './d'\"; "
            "z = /import '.'/\n",
        ),
        ("a.java", '/* import a.B; */\n// x\nString s = """\nimport c.D;\n""";\n'),
        ("a.go", '/*\nimport "a"\n*/\nvar s = `\nimport "b"\n`\n'),
        ("a.rs", '/*\nuse a;\n*/\nlet s = r#"\nuse b; "\nmod c;\n"#; let t = "\nuse d;\n";\n'),
    ],
)
def test_comments_and_strings_import_nothing(path: str, text: str) -> None:
    assert read(text, path).imports == []


def test_quotes_that_are_none_hide_nothing() -> None:
    assert targets("fn f<'a>(x: &'a str) {}\nuse b;\nlet c = '\"';\nuse d;\n", "a.rs") == ["b", "d"]
    assert targets("x = /[\"'`]/; import './a'\ny = a / b; require('./c')\n", "a.js") == ["./a", "./c"]
    assert targets('int x = 1\'000\'000;\n#include "a.h"\n#error don\'t\n#include "b.h"\n', "a.cc") == [
        "a.h",
        "b.h",
    ]


def test_languages_by_suffix() -> None:
    paths = ("a/b.PY", "x.hpp", "t.tsx", "K.kt", "g.go", "m.rs", "r.md", "Makefile")
    found = [language_of(path) for path in paths]
    assert [one is not None for one in found] == [True] * 6 + [False] * 2
    assert [
        path.lower()[path.rindex(".") :] in one.suffixes
        for path, one in zip(paths, found, strict=True)
        if one
    ]


def test_what_a_grammar_cannot_read_is_scanned_and_counted() -> None:
    found = read("import a\ncimport b\nfrom c cimport d\n", "a.pyx")
    assert [(one.target, one.names) for one in found.imports] == [("a", ()), ("b", ()), ("c", ("d",))]
    assert (found.parsed, found.scanned) == (1, 2)
    many = ", ".join(f"name_{n}" for n in range(1000))
    found = read(f"from a import {many}\n", "a.py")
    assert (found.imports, found.parsed, found.scanned) == ([Import("a", tuple(many.split(", ")))], 0, 1)


def by_python(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Imports by Python's own parser, in order."""
    found: list[tuple[int, int, str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, node.col_offset, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append((node.lineno, node.col_offset, "." * node.level + (node.module or ""), names))
    return [(target, names) for *_, target, names in sorted(found, key=lambda one: one[:2])]


@pytest.mark.parametrize("package", [email, logging, ast], ids=["email", "logging", "modules"])
def test_python_files_as_python_reads_them(package: object) -> None:
    folder = Path(str(getattr(package, "__file__", None))).parent
    for path in sorted(folder.glob("*.py"))[:20]:
        text = path.read_text("utf-8")
        found = read(text, "a.py")
        assert [(one.target, one.names) for one in found.imports] == by_python(text), path
        assert found.scanned == 0


PIECES = [
    *[
        "import",
        "from",
        "export",
        "use",
        "mod",
        "require",
        "#include",
        "a",
        ".",
        "..",
        '"',
        "'",
        "`",
        "(",
        ")",
    ],
    *[
        "{",
        "}",
        "<",
        ">",
        "\n",
        "\n",
        " ",
        "\t",
        ",",
        "#",
        ";",
        "\\",
        "x.y",
        "/*",
        "*/",
        "//",
        "*",
        "::",
        "def",
    ],
    *["'''", '"""', "=>", 'R"(', ')"', 'r#"', '"#', "/", "[", "]", "class", "func"],
]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(LANGUAGES))
def test_any_text_is_read(pieces: list[str], language: object) -> None:
    text = "".join(pieces)
    path = "a" + getattr(language, "suffixes", ("",))[0]
    found = read(text, path)
    assert len(found.imports) <= len(text)
    assert read(text, path) == found


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda one: one.suffixes[0])
@pytest.mark.parametrize(
    "piece",
    [
        *[
            "import(\n",
            "import ",
            "from a import (\n",
            'import ("\n',
            "from .",
            "require(",
            '#include "',
            "use a::{\n",
        ],
        *[
            "x => ",
            "/*",
            '"',
            "'",
            "`",
            '"""',
            "'''",
            'R"(',
            'r#"',
            "import static\t",
            "mod a {\n",
            "    def f():\n",
        ],
        *[
            "export {a,\n",
            "/",
            "\\",
            " ",
            "\n",
            "use a::{b, ",
            "import a\n",
            "pub(crate) ",
            "if x TYPE_CHECKING",
        ],
        *["/[", "#[path = ", "import {\n//", "@interface "],
    ],
)
def test_crafted_files_are_read_in_linear_time(language: object, piece: str) -> None:
    """200 KB each; in time that grows with the square each of many would take minutes."""
    read(piece * (200_000 // len(piece)), "a" + getattr(language, "suffixes", ("",))[0])


def test_repeated_imports_are_all_there_and_few_objects() -> None:
    for statement, path in [
        ("import 'a';\n", "a.js"),
        ("import a.b;\n", "a.java"),
        ('#include "a"\n', "a.c"),
    ]:
        found = read(statement * 1000, path).imports
        assert len(found) == 1000
        assert len({id(one) for one in found}) == 1
