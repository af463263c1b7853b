"""Files that imports mean by what `package.json`, `Cargo.toml`, `go.mod` and `go.work` say of packages."""

from __future__ import annotations

import json

import pytest

from corpusmill.mixtures.repository.languages.node_packages import _targets
from tests.mixtures.test_repository_files import needs

CORE = {
    "name": "@m/core",
    "exports": {
        ".": {"types": "./dist/index.d.ts", "import": {"node": "./dist/index.mjs"}},
        "./feat/*": {"default": ["./dist/feat/*.js"]},
        "./feat/*/deep": "./lib/deep.js",
        "./hidden": None,
    },
    "imports": {"#int/*": "./inner/*.js", "#one": {"default": "./inner/x.js"}},
}
NODE = {
    "packages/core/package.json": json.dumps(CORE),
    "packages/core/src/index.ts": "",
    "packages/core/src/feat/a.ts": "",
    "packages/core/lib/deep.js": "",
    "packages/core/inner/x.js": "",
    "packages/one/package.json": json.dumps({"name": "one", "exports": "./main.js"}),
    "packages/one/main.js": "",
    "packages/one/util.js": "",
}


@pytest.mark.parametrize(
    ("path", "specifier", "expected"),
    [
        ("app/a.ts", "@m/core", ["packages/core/src/index.ts"]),
        ("app/a.ts", "@m/core/feat/a", ["packages/core/src/feat/a.ts"]),
        ("app/a.ts", "@m/core/feat/a/deep", ["packages/core/lib/deep.js"]),
        ("app/a.ts", "@m/core/inner/x", ["packages/core/inner/x.js"]),
        ("app/a.ts", "@m/core/hidden", []),
        ("app/a.js", "one", ["packages/one/main.js"]),
        ("app/a.js", "one/util", ["packages/one/util.js"]),
        ("packages/core/src/b.ts", "#int/x", ["packages/core/inner/x.js"]),
        ("packages/core/src/b.ts", "#one", ["packages/core/inner/x.js"]),
        ("packages/core/src/b.ts", "#two", []),
        ("app/a.js", "#one", []),
    ],
)
def test_exports_and_imports_of_packages(path: str, specifier: str, expected: list[str]) -> None:
    assert needs({**NODE, path: f"import x from '{specifier}'\n"}, path) == expected


def test_targets_are_the_texts_of_an_entry() -> None:
    said = {"types": "t", "import": ["a", {"node": "b", "default": None}], "require": "c"}
    assert _targets(said) == ["a", "b", "c", "t"]
    assert _targets(["x"] * 10**5)[-1] == "x"
    assert len(_targets(["x"] * 10**5)) == 64
    assert _targets(7) == []


GO = {
    "go.work": "go 1.22\nuse (\n\t./svc\n\t./lib\n)\nreplace example.com/third v1.2.3 => ./third\n",
    "svc/go.mod": "module example.com/svc\n\nreplace (\n\texample.com/other => ../fork\n)\n",
    "lib/go.mod": "module example.com/lib/v2\n",
    "fork/go.mod": "module example.com/fork\n",
    "svc/inner/a.go": "package inner",
    "lib/a/a.go": "package a",
    "fork/b/b.go": "package b",
    "third/c.go": "package third",
}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("example.com/svc/inner", ["svc/inner/a.go"]),
        ("example.com/lib/v2/a", ["lib/a/a.go"]),
        ("example.com/other/b", ["fork/b/b.go"]),
        ("example.com/third", ["third/c.go"]),
        ("example.com/none", []),
    ],
)
def test_replaced_modules_of_go(target: str, expected: list[str]) -> None:
    files = {**GO, "svc/main.go": f'package main\nimport "{target}"\n'}
    assert needs(files, "svc/main.go") == expected


CARGO = {
    "Cargo.toml": '[workspace.dependencies]\nshort = {path = "long-name", package = "long-name"}\n',
    "long-name/Cargo.toml": '[package]\nname = "long-name"\n',
    "long-name/src/lib.rs": "pub mod inner;",
    "long-name/src/inner.rs": "",
    "odd/Cargo.toml": '[package]\nname = "odd"\n[lib]\npath = "source/root.rs"\n',
    "odd/source/root.rs": "pub mod z;",
    "odd/source/z.rs": "",
    "app/Cargo.toml": '[package]\nname = "app"\n'
    '[dependencies]\nre-named = {path = "../odd", package = "odd"}\n'
    "[target.'cfg(unix)'.dependencies]\nshort = {workspace = true}\n",
}


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ("re_named::z::F", ["odd/source/z.rs"]),
        ("odd::z::F", ["odd/source/z.rs"]),
        ("short::inner", ["long-name/src/inner.rs"]),
        ("long_name::X", ["long-name/src/lib.rs"]),
        ("serde::X", []),
    ],
)
def test_renamed_crates(used: str, expected: list[str]) -> None:
    assert needs({**CARGO, "app/src/main.rs": f"use {used};\n"}, "app/src/main.rs") == expected


@pytest.mark.parametrize(("path", "text"), [("a.py", "import z\n"), ("a.c", '#include "z.h"\n')])
def test_a_byte_order_mark_hides_no_import(path: str, text: str) -> None:
    assert needs({path: f"\ufeff{text}", "z.py": "", "z.h": ""}, path) != []
