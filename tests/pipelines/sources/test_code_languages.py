"""Languages of files: by their names, shebangs, modelines, and what tells those of one suffix apart."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.sources.assembly.code_languages import CODE_LANGUAGES, suffix_of
from corpusmill.pipelines.sources.assembly.language_evidence import language_of, shebang_language
from corpusmill.pipelines.sources.assembly.shared_suffixes import RULES
from corpusmill.pipelines.sources.tree import Tree
from tests.oracles.sources_archives import read_all

CASES = {
    ("a.h", "#include <stdio.h>\nint f(void);\n"): "c",
    ("a.h", "/* class of its own, private: yes */\nstruct a;\n"): "c",
    ("a.h", "#pragma once\n#include <vector>\n"): "c++",
    ("a.h", "template <typename T>\nT f(T x);\n"): "c++",
    ("a.h", "struct A {\n private:\n  int x;\n};\n"): "c++",
    ("a.h", "@interface A : NSObject\n@end\n"): "objective-c",
    ("a.h", "#import <Foundation/Foundation.h>\n"): "objective-c",
    ("a.m", "#import <Foundation/Foundation.h>\n"): "objective-c",
    ("a.m", "function y = f(x)\n% doubles\ny = 2 * x;\nend\n"): "matlab",
    ("a.m", "(* a package *)\nBeginPackage[\"A`\"]\n"): "mathematica",
    ("a.m", "x\n"): "objective-c",
    ("a.mm", "#import <A/A.h>\n"): "objective-c++",
    ("a.pl", "use strict;\nmy $x = 1;\n"): "perl",
    ("a.pl", "parent(X, Y) :- father(X, Y).\n"): "prolog",
    ("a.pl", "use v6;\nsay 1;\n"): "raku",
    ("a.pl", "print 1;\n"): "perl",
    ("a.t", "use Test::More tests => 1;\n"): "perl",
    ("a.v", "module top(input clk);\nendmodule\n"): "verilog",
    ("a.v", "Theorem t : 1 = 1.\nProof. reflexivity. Qed.\n"): "coq",
    ("a.v", "module main\n\nfn main() {\n}\n"): "v",
    ("a.r", "x <- c(1, 2)\n"): "r",
    ("a.r", "REBOL [Title: {x}]\n"): "rebol",
    ("a.cls", "\\ProvidesClass{a}\n"): "tex",
    ("a.cls", "public with sharing class A {\n}\n"): "apex",
    ("a.cls", "VERSION 1.0 CLASS\nBEGIN\n"): "visual basic",
    ("a.sql", "SELECT 1;\n"): "sql",
    ("a.sql", "CREATE FUNCTION f() RETURNS int AS $$ BEGIN END $$ LANGUAGE plpgsql;\n"): "plpgsql",
    ("a.sql", "USE x\nGO\n"): "tsql",
    ("a.sql", "CREATE TABLE a (b VARCHAR2(10));\n"): "plsql",
    ("a.ts", "export const x: number = 1;\n"): "typescript",
    ("a.ts", "<?xml version=\"1.0\"?>\n<!DOCTYPE TS>\n<TS version=\"2.1\">\n"): "xml",
    ("a.d", "import std.stdio;\n"): "d",
    ("a.d", "main.o: main.c \\\n  main.h\n"): "makefile",
    ("a.f", "      PROGRAM A\n"): "fortran",
    ("a.f", ": square dup * ;\n"): "forth",
    ("a.fs", "module A\nlet x = 1\n"): "f#",
    ("a.pp", "file { '/a':\n  ensure => present,\n}\n"): "puppet",
    ("a.pp", "program a;\nbegin\nend.\n"): "pascal",
    ("a.pro", "QT += core\nSOURCES += main.cpp\n"): "qmake",
    ("a.ml", "let x = 1\n"): "ocaml",
    ("a.ml", "fun f x = x + 1\n"): "standard ml",
    ("a.cl", "__kernel void f() {}\n"): "opencl",
    ("a.cl", "(defun f (x) x)\n"): "common lisp",
    ("a.h", "// -*- mode: C++; tab-width: 2 -*-\nint f();\n"): "c++",
    ("a.h", "// -*-c++-*-\n"): "c++",
    ("a.m", "x\n% vim: set ft=objc :\n"): "objective-c",
    ("a.inc.pl", "x\n# vim: ft=prolog\n"): "prolog",
    ("a.h", "// -*- mode: nothing-known -*-\n"): "c",
    ("a.py", "# -*- mode: ruby -*-\n"): "python",
    ("bin/tool", "#!/usr/bin/env python3\n"): "python",
    ("bin/tool", "#!/usr/bin/env -S FOO=1 python3.11 -u\n"): "python",
    ("bin/tool", "#! /bin/bash -eu\n"): "shell",
    ("bin/tool", "#!/usr/bin/perl5.36\n"): "perl",
    ("bin/tool", "#!/usr/bin/env\n"): None,
    ("bin/tool", "#!/opt/unknown\n"): None,
    ("bin/tool", "text\n"): None,
    ("bin/tool", "# -*- mode: sh -*-\n"): "shell",
    ("bin/tool.xyz", "#!/bin/sh\n"): None,
    (".profile", "#!/bin/sh\n"): "shell",
    ("Makefile", "#!/bin/sh\n"): "makefile",
    ("x.JAVA", ""): "java",
}  # fmt: skip


@pytest.mark.parametrize(("path", "text"), CASES)
def test_languages_by_content(path: str, text: str) -> None:
    for content in (text, text.replace("\n", "\r\n")) if "ft=" not in text and "$" not in text else (text,):
        assert language_of(path, content.encode()) == CASES[path, text]


def test_every_rule_has_a_known_suffix_and_one_language_for_the_rest() -> None:
    for suffix, rules in RULES.items():
        assert suffix in CODE_LANGUAGES
        assert rules[-1] == (CODE_LANGUAGES[suffix],)
        assert all(len(rule) > 1 for rule in rules[:-1])
        for _, *patterns in rules:
            for pattern in patterns:
                re.compile(pattern)
                assert "\\s*" not in pattern, "may go beyond a line"


@given(st.sampled_from(sorted(RULES)), st.binary(max_size=200))
def test_any_bytes_have_a_language(suffix: str, content: bytes) -> None:
    assert language_of(f"a{suffix}", content) is not None
    shebang_language(content)


def test_suffixes() -> None:
    assert [suffix_of(name) for name in ("a.PY", ".profile", "a", "a.", ".a.b", "")] == [
        ".py", "", "", ".", ".b", "",
    ]  # fmt: skip


def test_programs_without_a_suffix_are_chosen_by_their_shebang(tmp_path: Path) -> None:
    for name, text in {
        "p/tool": "#!/usr/bin/env python3\nprint()\n",
        "p/LICENSE": "text",
        "p/data": "\0\1",
        "p/.hidden": "#!/bin/sh\n",
        "p/run.me": "#!/bin/sh\n",
        "p/a.h": "namespace a {}\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    tree = Tree(files=["x"])
    assert [path.name for path in tree.expand(tmp_path)] == ["a.h", "tool"]
    assert tree.expand(tmp_path / "p/tool") == [tmp_path / "p/tool"]
    assert tree.expand(tmp_path / "p/LICENSE") == []
    assert [path.name for path in Tree(files=["x"], include=[".h"]).expand(tmp_path)] == ["a.h"]
    assert [path.name for path in Tree(files=["x"], exclude=["tool"]).expand(tmp_path)] == ["a.h"]
    found = [
        json.loads(row["meta"])["code_language"]
        for path in tree.expand(tmp_path)
        for row in read_all(tree, path).rows
    ]
    assert found == ["c++", "python"]
