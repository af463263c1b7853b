"""Source files, tokenizer files, recipes and what is shown, for `hostile.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hostile_shapes import Job, file_of, joined, numbered, repeated, then


def imports() -> Iterator[Job]:
    from corpusmill.mixtures.repository.imports import language_of
    from corpusmill.mixtures.repository.language import imports_of

    shapes = {
        "py": ["    def f():\n", '"""', '"', "\\\n", *("from a import (", "from a import (\n", "from "),
            *("from . ", ".", " ", "import a\n", "import a, ", "from .. import a\n", "#"),
        ],
        "go": ["import(\n", "import ", 'import "', 'import ("\n', "import a ", " ", "import (/*\n", "`"],
        "c": ["#include <", '#include "a"\n', "#", "# ", "\n#include", "x => ", "/*", 'R"(', "'"],
        "js": ["import ", "from '", "require(", "import(' ", "require( ", "'", "from\n", "/[", "`"],
        "ts": ["import type {", "import a = require(", "use a::", "case 1:", "import {/*\n", "export {"],
        "java": ["import a.", "import static ", "import a;\n", "import ", ".", '"""', "class "],
        "rs": ["use a::{", "use a::{b,\n", "mod a {\n", "use a;\n",
            *( 'r#"', "pub(crate) ", "#[path = ", "'a")],
    }  # fmt: skip
    for language, units in shapes.items():
        for unit in units:
            before = "from " if unit in (".", " ") and language == "py" else "import" if unit == " " else ""
            yield Job(
                f"imports {language}: {unit!r}",
                repeated(unit, before),
                partial(lambda lang, text: imports_of(text, lang), language_of(f"a.{language}")),
            )


def repositories() -> Iterator[Job]:
    from corpusmill.mixtures.repository.dependencies import dependencies_of
    from corpusmill.mixtures.repository.order import dependency_order

    def order(files: list[tuple[str, str]]) -> object:
        files = sorted(files)
        found = dependencies_of([name for name, _ in files], [text for _, text in files])
        return dependency_order(len(files), found.levels)

    def same_name(size: int) -> list[tuple[str, str]]:
        return [(f"r/{n}/x.h", f'#include "{n + 1}/x.h"\n#include "x.h"\n') for n in range(size // 50)]

    def packages(size: int) -> list[tuple[str, str]]:
        return [
            (f"r/p{n}/__init__.py", f"from . import a\nimport p{n + 1}, p0.x\n") for n in range(size // 60)
        ]

    def one_folder(size: int) -> list[tuple[str, str]]:
        return [(f"r/p/{n}.go", 'import "e.org/r/p"\n') for n in range(size // 40)]

    def deep(size: int) -> list[tuple[str, str]]:
        path = "a/" * 400
        return [(path + f"{n}.py", "import b.c\nfrom ..a import b\n" * 20) for n in range(size // 1500)]

    def chain(size: int) -> list[tuple[str, str]]:
        return [(f"r/m{n}.py", f"from . import m{n + 1}\n") for n in range(size // 40)]

    def ring(size: int) -> list[tuple[str, str]]:
        files = chain(size)
        return [*files, (f"r/m{len(files)}.py", "from . import m0\n")]

    def star(size: int) -> list[tuple[str, str]]:
        many = size // 40
        return [
            ("r/all.py", "".join(f"from . import m{n}\n" for n in range(many))),
            *((f"r/m{n}.py", "from . import all\n") for n in range(many)),
        ]

    def small_rings(size: int) -> list[tuple[str, str]]:
        return [
            (f"r/m{n}.py", f"from . import m{n - n % 9 + (n + 1) % 9}\n") for n in range(size // 40 // 9 * 9)
        ]

    for make in (same_name, packages, one_folder, deep, chain, ring, star, small_rings):
        yield Job(f"repository: {make.__name__.replace('_', ' ')}", make, order)


def tokenizer_files() -> Iterator[Job]:
    import base64

    from corpusmill.pipelines.contract.errors import UserError
    from corpusmill.pipelines.text.byte_characters import CHARACTERS
    from corpusmill.tokenizer.evaluation.suspicious import trace_of
    from corpusmill.tokenizer.export.one_pattern import one_pattern
    from corpusmill.tokenizer.imports.read_tokenizer import read_tokenizer
    from corpusmill.tokenizer.pretokenizer.spec import PreTokenizer

    def quietly(work: Callable[[Any], object], given: Any) -> None:
        with suppress(UserError, ValueError):  # ValueError: an expression that no engine compiles
            work(given)

    def ranks(size: int) -> bytes:
        tokens = [bytes([n]) for n in range(256)] + [
            f"{n:04}".encode() for n in range(min(size // 20, 10_000))
        ]
        return b"".join(base64.b64encode(token) + f" {rank}\n".encode() for rank, token in enumerate(tokens))

    def long_rank(size: int) -> bytes:
        tokens = [bytes([n]) for n in range(256)] + [b"ab" * 2**k for k in range(20) if 2 ** (k + 2) < size]
        return b"".join(base64.b64encode(token) + f" {rank}\n".encode() for rank, token in enumerate(tokens))

    first = CHARACTERS[ord("a")]
    files: dict[str, Callable[[int], str | bytes]] = {
        "ranks": ranks,
        "long ranks": long_rank,
        "lines of merges": repeated(f"{first} {first}\n"),
        "one merge": repeated(first, f"{first} "),
        "rank line of blanks": repeated(" ", "YQ== 1", "x"),
        "line breaks": repeated("\n"),
    }
    for shape, content in files.items():
        read = partial(read_tokenizer, pre=None)
        if "rank" in shape:
            read = partial(read_tokenizer, pre=PreTokenizer(pattern="gpt2"), form="tiktoken")
        yield Job(f"tokenizer file: {shape}", file_of(".tok", content), partial(quietly, read))
    for shape, make in {
        "braces": repeated("1", "a{", "x"),
        "flags": repeated("(?a"),
        "letters": repeated("a"),
    }.items():
        yield Job(
            f"expression for tiktoken: {shape}",
            then(lambda size: min(size, 100_000), then(make, lambda text: (text,))),
            partial(quietly, lambda regexes: one_pattern_of(one_pattern, regexes)),
        )
    for shape, make in {
        "letters": repeated("a"),
        "word characters": repeated("a-"),
        "hexadecimal": repeated("a", "", "g"),
        "digits": repeated("12 "),
        "brackets": repeated("(12)"),
        "dots": repeated("1."),
        "at signs": repeated("a@"),
        "mixed": repeated("aB1"),
    }.items():
        yield Job(f"traces in a token: {shape}", make, trace_of)


def one_pattern_of(work: Callable[[tuple[str, ...]], str], regexes: tuple[str, ...]) -> str:
    return work(regexes)


def recipes() -> Iterator[Job]:
    from corpusmill.pipelines.recipe.loader import load_recipe
    from corpusmill.pipelines.recipe.messages import InvalidRecipeError
    from corpusmill.pipelines.recipe.quantities import parse_quantity

    def load(given: tuple[Path, list[str]]) -> None:
        with suppress(InvalidRecipeError):
            load_recipe(*given)

    def load_all(given: list[tuple[Path, list[str]]]) -> None:
        for one in given:
            load(one)

    source = "name: a\nsources: {a: {read: {jsonl: a}}}\n"
    shapes: dict[str, Callable[[int], str]] = {
        "keys": numbered("key#: 1\n", source),
        "options": numbered("key#: 1, ", source + "engine: {", "}\n"),
        "sources": numbered("a#: {read: {jsonl: a}}, ", "name: a\nsources: {", "}\n"),
        "steps": numbered("step#, ", "name: a\nsources: {a: {read: {jsonl: a}, steps: [", "]}}\n"),
        "patterns": numbered("a#, ", "name: a\nsources: {a: {read: {jsonl: [", "]}}}\n"),
        "weights": numbered("a#: 1, ", source + "mixture: {weights: {", "}}\n"),
        "brackets": repeated("["),
        "braces": repeated("{a: "),
        "dashes": repeated("- "),
        "question marks": repeated("? "),
        "one text": repeated("x", source + "data: "),
        "one quoted text": repeated("\\n", source + 'data: "', '"\n'),
        "one folded text": repeated("x\n ", source + "data: >\n "),
        "open quote": repeated("x ", source + 'data: "'),
        "anchors": repeated("&a "),
        "aliases": repeated("*a "),
        "comments": repeated("# x\n", source),
        "blanks": repeated(" ", source),
        "tabs": repeated("\t", source),
        "colons": repeated(":"),
        "variables": repeated("${a:-", source + "data: '", "'\n"),
        "documents": repeated("---\n", source),
    }
    for shape, make in shapes.items():
        # A recipe is at most 1 MiB: beyond it, several are read.
        def make_all(size: int, make: Callable[[int], str] = make) -> list[tuple[Path, list[str]]]:
            part = min(size, 800_000)
            return [(file_of(".yaml", make)(part), [])] * (size // part)

        yield Job(f"recipe: {shape}", make_all, load_all)
    overrides: dict[str, Callable[[int], list[str]]] = {
        "dots": lambda size: ["." * size + "=1"],
        "parts": lambda size: ["a." * (size // 2) + "a=1"],
        "one part": lambda size: ["a" * size + "=1"],
        "a value": lambda size: ["seed=" + "[" * size],
        "a text": lambda size: ["data=" + "x" * size],
        "many": lambda size: [f"engine.k{n}=1" for n in range(size // 15)],
    }
    for shape, make_list in overrides.items():
        yield Job(
            f"--set: {shape}",
            then(make_list, lambda given: (file_of(".yaml", lambda _: source)(0), given)),
            load,
        )

    def quantity(text: str) -> None:
        with suppress(ValueError):
            parse_quantity(text)

    for unit in ("1", "_", "1_", "1."):
        yield Job(f"quantity: {unit}", repeated(unit, "1"), quantity)


def terminal_and_sample() -> Iterator[Job]:
    from corpusmill.pipelines.inspection.plain_text import printable
    from corpusmill.pipelines.inspection.run_log import read_log
    from corpusmill.pipelines.report.foreign_text import visible
    from corpusmill.pipelines.sample.docstrings import docstrings
    from corpusmill.pipelines.sample.markup import to_html

    for shape, unit in {
        "letters": "a",
        "blanks": " ",
        "escapes": "\x1b",
        "combining marks": "\u0301",
        "line breaks": "\n",
    }.items():
        yield Job(f"terminal: {shape}", repeated(unit), printable)
        yield Job(f"report: {shape}", repeated(unit), visible)
    for shape, make in {
        "backticks": repeated("`"),
        "roles": repeated(":a"),
        "open role": repeated("a <", "`"),
        "stars": repeated("*"),
        "strong": repeated("**a "),
        "headings": repeated("a\n===\n"),
        "bullets": repeated("- a\n"),
        "blanks": repeated(" ", "", "a"),
        "math": repeated(":math:`"),
        "math blocks": repeated(".. math::\n\n  x\n"),
    }.items():
        yield Job(f"sample markup: {shape}", make, lambda text: to_html(text, "mathml"))
    for shape, unit in {
        "openings": '"""\n',
        "functions": 'def a():\n    """x"""\n',
        "blanks": " ",
        "headers": "def a(\n",
    }.items():
        yield Job(f"sample docstrings: {shape}", repeated(unit), docstrings)
    for shape, make in {
        "keys": joined(numbered('"k#":1,', "{", '"z":1}\n'), 200_000),
        "one line": repeated("x"),
        "brackets": joined(repeated("[", "", "\n"), 200_000),
        "steps": numbered('{"event":"unit","step":"s#"}\n'),
    }.items():
        yield Job(f"JSON of the log: {shape}", file_of(".jsonl", make), read_log)
