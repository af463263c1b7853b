"""The language of a source file by its content, where its name does not decide: shebangs, modelines of Vim
and Emacs, and the rules of `shared_suffixes.py`.

Interpreters are those that github-linguist lists in `lib/linguist/languages.yml`. What is not at either end
of a file is looked for in its first 32 KiB.
"""

from __future__ import annotations

import re
from functools import cache

from corpusmill.pipelines.sources.assembly.code_languages import (
    CODE_LANGUAGES,
    WHOLE_NAMES,
    code_language,
    suffix_of,
)
from corpusmill.pipelines.sources.assembly.shared_suffixes import RULES

LOOKED_AT = 2**15
_SHEBANG = re.compile(rb"#![ \t]*([^ \t\r\n]{1,200})((?:[ \t]+[^ \t\r\n]{1,200}){0,8})")
_INTERPRETERS = {
    name: language
    for language, names in {
        "awk": "awk gawk mawk nawk",
        "common lisp": "sbcl clisp ecl",
        "elixir": "elixir",
        "erlang": "escript",
        "groovy": "groovy",
        "haskell": "runhaskell runghc stack",
        "javascript": "node nodejs bun",
        "julia": "julia",
        "lua": "lua luajit texlua",
        "makefile": "make gmake",
        "ocaml": "ocaml ocamlrun",
        "perl": "perl",
        "php": "php",
        "powershell": "pwsh",
        "python": "python pypy",
        "r": "rscript",
        "racket": "racket",
        "raku": "raku perl6 rakudo",
        "ruby": "ruby jruby",
        "scala": "scala amm",
        "scheme": "guile csi chicken gosh",
        "shell": "sh bash dash ash zsh ksh mksh fish",
        "swift": "swift",
        "tcl": "tclsh wish expect",
        "typescript": "deno ts-node tsx",
    }.items()
    for name in names.split()
}
_VIM = re.compile(
    rb"\b(?:vim?|ex)[0-9<=>]{0,5}:.{0,200}?\b(?:ft|filetype|syntax)[ \t]*=[ \t]*([\w+#-]{1,30})"
)
_EMACS = re.compile(
    rb"-\*-[ \t]*(?:.{0,200}?\bmode[ \t]*:[ \t]*)?([\w+#-]{1,30})[ \t]*(?:;.{0,200}?)?-\*-", re.I
)
_MODELINES, _MODELINE_BYTES = 5, 500  # at either end of a file; of one line
_MODES = {
    "cperl": "perl", "cpp": "c++", "cs": "c#", "csharp": "c#", "elisp": "emacs lisp", "js": "javascript",
    "js2": "javascript", "latex": "tex", "lisp": "common lisp", "make": "makefile", "objc": "objective-c",
    "objcpp": "objective-c++", "octave": "matlab", "perl6": "raku", "py": "python", "sh": "shell",
    "bash": "shell", "zsh": "shell", "tsx": "typescript", "vim": "vim script",
}  # fmt: skip


def language_of(path: str, content: bytes) -> str | None:
    """The language of a file by its name and, where that leaves a choice or tells nothing, its content.

    In order: the whole name; for suffixes that languages share a modeline of Vim or Emacs, then rules; any
    other known suffix; without a suffix the shebang, then a modeline. None if nothing tells.
    """
    name = path[path.rfind("/") + 1 :]
    if name.lower() in WHOLE_NAMES:
        return WHOLE_NAMES[name.lower()]
    suffix = suffix_of(name)
    if suffix in RULES:
        return _of_modeline(content) or _of_rules(suffix, content[:LOOKED_AT])
    if suffix:
        return code_language(name)
    return shebang_language(content) or _of_modeline(content)


def shebang_language(content: bytes) -> str | None:
    """The language of the interpreter that a file's first line names, or None."""
    found = _SHEBANG.match(content.removeprefix(b"\xef\xbb\xbf"))
    if found is None:
        return None
    words = [found[1], *found[2].split()]
    names = [word.rsplit(b"/", 1)[-1].decode("latin-1").lower() for word in words]
    if names[0] == "env":
        names = [name for name in names[1:] if not name.startswith("-") and "=" not in name]
    program = names[0] if names else ""
    return _INTERPRETERS.get(program) or _INTERPRETERS.get(program.rstrip("0123456789.-"))


def _of_modeline(content: bytes) -> str | None:
    head = content[: _MODELINES * _MODELINE_BYTES].split(b"\n")[:_MODELINES]
    tail = content[-_MODELINES * _MODELINE_BYTES :].split(b"\n")[-_MODELINES:]
    for line in (*head, *tail):
        for pattern in (_EMACS, _VIM):
            found = pattern.search(line[:_MODELINE_BYTES])
            if found is not None:
                mode = found[1].decode("latin-1").lower()
                language = _MODES.get(mode, mode)
                if language in _languages():
                    return language
    return None


@cache
def _languages() -> frozenset[str]:
    ruled = {language for rules in RULES.values() for language, *_ in rules}
    return frozenset((*CODE_LANGUAGES.values(), *WHOLE_NAMES.values(), *_INTERPRETERS.values(), *ruled))


def _of_rules(suffix: str, content: bytes) -> str:
    lines = b"\n" + content.replace(b"\r\n", b"\n")
    for language, patterns in _compiled(suffix):
        if any(pattern.search(lines) for pattern in patterns):
            return language
    return RULES[suffix][-1][0]


@cache
def _compiled(suffix: str) -> tuple[tuple[str, tuple[re.Pattern[bytes], ...]], ...]:
    """Languages with their expressions; those for the beginning of a line as one that begins with the line
    break, which is found many times faster."""
    found = []
    for language, *patterns in RULES[suffix][:-1]:
        begin = [pattern.replace("^", "", 1) for pattern in patterns if pattern.startswith(("^", "(?i:^"))]
        rest = [pattern for pattern in patterns if not pattern.startswith(("^", "(?i:^"))]
        joined = [r"\n(?:" + "|".join(begin) + ")"] if begin else []
        found.append((language, tuple(re.compile(p.encode(), re.MULTILINE) for p in (*joined, *rest))))
    return tuple(found)
