"""Plain text as Markdown: what would be read as markup is escaped, and nothing else.

By CommonMark 0.31 (spec.commonmark.org) with the tables and strikethrough of GitHub Flavored Markdown. TeX
between its delimiters stays as it is, as every reader of such pages expects.
"""

from __future__ import annotations

import re

_MARKUP = re.compile(
    r"[`*]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it is no mark of emphasis
    r"|\](?=[(\[:]|$)|~(?=~)"
    r"|<(?=[A-Za-z/!?]|$)|&(?=#?\w{1,32};)"
    r"|\\(?=[!-/:-@\[-`{-~]|$)"
)
_BRACKETS = re.compile(r"[\[\]]")
_BLOCK = re.compile(
    r"#{1,6}(?= |$)|[-+](?= |$)|>|[=~](?=[=~]*$)|~~~|-(?=[- |:]*$)|\|(?=[- |:]*$)|:(?=-[- |:]*$)"
)
_NUMBER = re.compile(r"[0-9]{1,9}(?=[.)](?: |$))")
_TEX_OPENS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$", "$": "$"}
_TEX = re.compile(r"\\[()\[\]]|\$\$?")
_TEX_SIGNS = re.compile(r"[\\^_{]")
_IN_ANGLES = re.compile(r"[<>\\]")
_LONGEST_TEX = 2000  # characters; a page may hold a lone delimiter anywhere


def escaped(text: str) -> str:
    """`text`, one line without line ends, as the inline content of a paragraph. Time is linear."""
    if "\\" not in text and "$" not in text:
        return _MARKUP.sub(_with_backslash, text)
    parts: list[str] = []
    at = 0
    for begin, end in _formulas(text):
        parts += (_MARKUP.sub(_with_backslash, text[at:begin]), text[begin:end])
        at = end
    parts.append(_MARKUP.sub(_with_backslash, text[at:]))
    return "".join(parts)


def escaped_in_link(text: str) -> str:
    """Markup (`escaped`) as the text of a link, in which brackets count."""
    return _BRACKETS.sub(_with_backslash, text.replace("\\[", "[").replace("\\]", "]"))


def at_line_start(line: str) -> str:
    """Inline markup as a line of a paragraph: what would begin another block there is escaped."""
    if _BLOCK.match(line) is not None:
        return "\\" + line
    number = _NUMBER.match(line)
    return f"{number[0]}\\{line[number.end() :]}" if number is not None else line


def heading_text(line: str) -> str:
    """Inline markup as a heading's: `#` at its end would be passed over."""
    kept = line.rstrip("#")
    return line if len(kept) == len(line) or (kept and kept[-1] != " ") else f"{kept}\\{line[len(kept) :]}"


def code_span(text: str) -> str:
    """`text` as inline code, between more backticks than stand in a row in it."""
    marks = "`" * (longest_run(text, "`") + 1)
    padded = text.startswith("`") or text.endswith("`") or (text.startswith(" ") and text.endswith(" "))
    return f"{marks} {text} {marks}" if padded and text.strip() else f"{marks}{text}{marks}"


def fence(code: str) -> str:
    """The line that opens and closes `code` as a block: at least three backticks, more than it holds."""
    return "`" * max(3, longest_run(code, "`") + 1)


def longest_run(text: str, character: str) -> int:
    """How often `character` stands in a row in `text`, at most."""
    return max((len(run) for run in re.findall(f"{re.escape(character)}+", text)), default=0)


def link_target(target: str) -> str:
    """A target without white space as the target of a link or image."""
    if not target or _IN_ANGLES.search(target) is not None or target.count("(") != target.count(")"):
        return "<" + target.replace("\\", "%5C").replace("<", "%3C").replace(">", "%3E") + ">"
    return target.replace("&", "\\&") if re.search(r"&#?\w{1,32};", target) else target


def _with_backslash(found: re.Match[str]) -> str:
    return "\\" + found[0]


def _formulas(text: str) -> list[tuple[int, int]]:
    """Where TeX begins and ends with its delimiters, in order and apart.

    One dollar sign opens where no space follows it, and closes where none precedes and no digit follows it
    (the rule of pandoc's `tex_math_dollars`); what is between must hold a sign of TeX.
    """
    spans: list[tuple[int, int]] = []
    opened: re.Match[str] | None = None
    for mark in _TEX.finditer(text):
        if opened is not None and mark[0] == _TEX_OPENS[opened[0]] and _closes(text, opened, mark):
            spans.append((opened.start(), mark.end()))
            opened = None
        elif mark[0] in _TEX_OPENS and (mark[0] != "$" or text[mark.end() : mark.end() + 1].strip()):
            opened = mark
    return spans


def _closes(text: str, opened: re.Match[str], mark: re.Match[str]) -> bool:
    begin, end = opened.end(), mark.start()
    if not 0 < end - begin <= _LONGEST_TEX:
        return False
    if mark[0] != "$":
        return True
    follows = text[mark.end() : mark.end() + 1]
    return (
        bool(text[end - 1].strip())
        and not follows.isdigit()
        and _TEX_SIGNS.search(text, begin, end) is not None
    )
