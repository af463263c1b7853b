"""What a source file says it depends on, found by regular expressions, not by parsing.

Good enough to order files: a statement inside a comment or string may be taken for an import (a needless
edge), one built at run time is missed. Languages: Python, C and C++, JavaScript and TypeScript, Java and
Kotlin, Go.

Time is linear in the text: expressions never leave a line (JavaScript's never pass a quote), and the closing
bracket of a statement over several lines is looked for apart (`_statements`), no further once there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from posixpath import splitext

LANGUAGES = {
    **dict.fromkeys((".py", ".pyi", ".pyx"), "python"),
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".inl", ".cu", ".cuh"), "c"),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"), "javascript"),
    **dict.fromkeys((".java", ".kt"), "java"),
    ".go": "go",
}


@dataclass(frozen=True)
class Import:
    """One dependency as written: `target` in the language's own spelling, `names` taken from it.

    Python: `target` "..pkg.mod" with its dots, `names` of `from target import names`. C: the included
    path, `names` empty. JavaScript: the module specifier. Java: the qualified name ("a.b.C", "a.b.*").
    Go: the import path.
    """

    target: str
    names: tuple[str, ...] = ()


# `open` and `block`: the statement goes on to a closing bracket if there is one.
_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t](?:[ \t]*(?P<source>[\w.]+))?[ \t]+c?import[ \t]*(?P<names>(?P<open>\()?[^\n#;]*)"
    r"|c?import[ \t]+(?P<modules>[^\n#;]*))",
    re.MULTILINE,
)
_C = re.compile(r'^[ \t]*#[ \t]*(?:include|import)[ \t]*[<"]([^>"\n]+)[>"]', re.MULTILINE)
_JAVASCRIPT = re.compile(
    r"""\b(?:from|import)[ \t]*["']([^"'\n]+)["']|\b(?:require|import)[ \t]*\([ \t]*["']([^"'\n]+)["']"""
)
_JAVA = re.compile(r"^[ \t]*import[ \t]+(?:static[ \t]+)?(\w+(?:\.\w+)*(?:\.\*)?)", re.MULTILINE)
_GO = re.compile(r'^[ \t]*import[ \t]*(?:(?P<open>\()|(?:[\w.]+[ \t]+)?"(?P<path>[^"\n]+)")', re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]+)"')


def language_of(path: str) -> str | None:
    """The language whose imports are understood, by suffix; null for others."""
    return LANGUAGES.get(splitext(path)[1].lower())


def imports_of(text: str, language: str) -> list[Import]:
    """The imports of a file in order, repeats included. Raises KeyError for another language."""
    return _FINDERS[language](text)


def _words(listing: str) -> list[str]:
    """`a as b, c` -> ["a", "c"]"""
    pieces = re.sub(r"#[^\n]*", "", listing).strip("()").replace("\\", " ").split(",")
    return [piece.split()[0] for piece in pieces if piece.split()]


def _statements(pattern: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str | None]]:
    """Matches of `pattern` one after the other, each with what stands between its brackets.

    Where the group `open` took part and a closing bracket follows, that is the text between the two (line
    ends included) and the search goes on behind it; else it is None. Once no bracket closes any more none
    is looked for.
    """
    at = 0
    closes = True
    while (match := pattern.search(text, at)) is not None:
        inside, at = None, match.end()
        if match["open"] is not None and closes:
            start = match.end("open")
            close = text.find(")", start)
            closes = close >= 0
            if closes:
                inside, at = text[start:close], close + 1
        yield match, inside


def _python(text: str) -> list[Import]:
    found: list[Import] = []
    for match, inside in _statements(_PYTHON, text):
        if match["modules"] is not None:
            found.extend(Import(module) for module in _words(match["modules"]))
        elif match["source"]:
            names = match["names"] if inside is None else f"({inside})"
            found.append(Import(match["source"], tuple(_words(names))))
    return found


def _of_targets(targets: Iterable[str]) -> list[Import]:
    """An import of each target; equal ones are one object, since garbage collection visits each."""
    known: dict[str, Import] = {}
    return [known.get(target) or known.setdefault(target, Import(target)) for target in targets]


def _c(text: str) -> list[Import]:
    return _of_targets(match[1] for match in _C.finditer(text))


def _javascript(text: str) -> list[Import]:
    return _of_targets(match[1] or match[2] for match in _JAVASCRIPT.finditer(text))


def _java(text: str) -> list[Import]:
    return _of_targets(match[1] for match in _JAVA.finditer(text))


def _go(text: str) -> list[Import]:
    found: list[Import] = []
    for match, inside in _statements(_GO, text):
        if inside is not None:
            found.extend(Import(path) for path in _QUOTED.findall(inside))
        elif match["path"] is not None:
            found.append(Import(match["path"]))
    return found


_FINDERS = {"python": _python, "c": _c, "javascript": _javascript, "java": _java, "go": _go}
