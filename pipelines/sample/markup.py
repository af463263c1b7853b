"""reStructuredText docstrings as HTML, and their formulas as TeX: a small reading of a large language.

Knows paragraphs, section underlines, bullet lists, literal blocks, doctests, inline literals, emphasis
and mathematics. Unknown directives keep their text as a literal block.
"""

from __future__ import annotations

import html
import re

_INLINE_MATH = re.compile(r":math:`([^`]+)`")
_LITERAL = re.compile(r"``([^`]+)``")
_ROLE = re.compile(r"(?::[a-z:]{1,40}:)?`~?([^`<]+?)(?: <[^`>]*>)?`_{0,2}")
_STRONG = re.compile(r"\*\*(\S(?:[^*]*\S)?)\*\*")
_RULE = re.compile(r"^([=\-~^\"'`#*+])\1{2,}$")
_BULLET = re.compile(r"^[-*+•] +")


def math_as_tex(text: str) -> str:
    """`text` with `:math:` roles as `$...$` and `.. math::` blocks as `$$...$$`."""
    out = []
    for block, is_math in _blocks(text):
        out.append(f"$$\n{block}\n$$" if is_math else _INLINE_MATH.sub(r"$\1$", block))
    return "\n\n".join(out)


def to_html(text: str, mathematics: str) -> str:
    """Body HTML of a docstring. `mathematics`: `script` (MathJax 2), `katex`, or `mathml` (with alttext)."""
    out: list[str] = []
    for block, is_math in _blocks(text):
        if is_math:
            out.append(f'<p class="equation">{_formula(block, mathematics, display=True)}</p>')
        else:
            out.append(_block(block, mathematics))
    return "\n".join(out)


def _blocks(text: str) -> list[tuple[str, bool]]:
    """Paragraphs (split at blank lines, literal blocks kept whole) and whether each is a display formula."""
    blocks: list[tuple[str, bool]] = []
    lines = text.split("\n")
    i = 0
    while i < len(lines):
        if not lines[i].strip():
            i += 1
            continue
        indent = _indent(lines[i])
        if lines[i].strip().startswith(".. math::"):
            body = [lines[i].strip()[9:].strip()]
            i += 1
            while i < len(lines) and (not lines[i].strip() or _indent(lines[i]) > indent):
                if not lines[i].strip().startswith(":"):
                    body.append(lines[i].strip())
                i += 1
            tex = "\n".join(line for line in body if line)
            if tex:
                blocks.append((tex, True))
            continue
        start = i
        literal = lines[i].startswith((" ", "\t"))
        while i < len(lines) and (lines[i].strip() or (literal and _more(lines, i, indent))):
            i += 1
            if i < len(lines) and lines[i].strip() and literal and _indent(lines[i]) < indent:
                break
            if i < len(lines) and lines[i].strip().startswith(".. math::"):
                break
        blocks.append(("\n".join(lines[start:i]).rstrip(), False))
    return blocks


def _more(lines: list[str], i: int, indent: int) -> bool:
    """Whether an indented block goes on after the blank line i."""
    following = next((line for line in lines[i + 1 : i + 3] if line.strip()), "")
    return bool(following) and _indent(following) >= indent and not following.strip().startswith(".. math::")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(block: str, mathematics: str) -> str:
    lines = block.split("\n")
    parts: list[str] = []
    at = 0
    while at + 1 < len(lines) and _RULE.match(lines[at + 1].strip()):
        parts.append(f"<h3>{_inline(lines[at].strip(), mathematics)}</h3>")
        at += 2
    rest = "\n".join(lines[at:])
    if not parts or rest.strip():
        parts.append(_plain_block(rest, mathematics))
    return "\n".join(parts)


def _plain_block(block: str, mathematics: str) -> str:
    """A block without headings."""
    lines = block.split("\n")
    if lines[0].lstrip().startswith(">>>") or (lines[0].startswith("    ") and ":math:" not in block):
        return f"<pre>{html.escape(block)}</pre>"
    if all(_BULLET.match(line.lstrip()) or line.startswith("  ") for line in lines) and _BULLET.match(
        lines[0]
    ):
        items = re.split(r"\n(?=[-*+•] +)", block)
        return (
            "<ul>"
            + "".join(f"<li>{_inline(_BULLET.sub('', item), mathematics)}</li>" for item in items)
            + "</ul>"
        )
    return f"<p>{_inline(block, mathematics)}</p>"


def _inline(text: str, mathematics: str) -> str:
    out, position = [], 0
    for match in _INLINE_MATH.finditer(text):
        out += [_words(text[position : match.start()]), _formula(match[1], mathematics, display=False)]
        position = match.end()
    out.append(_words(text[position:]))
    return "".join(out)


def _words(text: str) -> str:
    escaped = html.escape(text, quote=False)
    escaped = _LITERAL.sub(r"<code>\1</code>", escaped)
    return _STRONG.sub(r"<strong>\1</strong>", _ROLE.sub(r"<em>\1</em>", escaped))


def _formula(tex: str, mathematics: str, *, display: bool) -> str:
    escaped = html.escape(" ".join(tex.split()), quote=True)
    if mathematics == "script":
        mode = "; mode=display" if display else ""
        plain = " ".join(tex.split())
        return f'<span class="MathJax_Preview"></span><script type="math/tex{mode}">{plain}</script>'
    block = ' display="block"' if display else ""
    if mathematics == "mathml":
        return f'<math alttext="{escaped}"{block}><mtext>{escaped}</mtext></math>'
    inner = (
        f'<span class="katex"><span class="katex-mathml"><math{block}><semantics>'
        f'<mrow><mtext>{escaped}</mtext></mrow><annotation encoding="application/x-tex">'
        f"{escaped}</annotation></semantics></math></span>"
        f'<span class="katex-html" aria-hidden="true">{escaped}</span></span>'
    )
    return f'<span class="katex-display">{inner}</span>' if display else inner
