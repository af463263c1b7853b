"""Formulas of a page: found in its tree, kept as TeX, put back into the extracted text.

Extractors flatten formulas into unreadable runs of symbols, print KaTeX's twice, or drop those in scripts.
So each formula is replaced by one plain word before extraction, and that word by `$...$` (inline) or
`$$...$$` (display) after it. Sources of TeX, in order of belief for one formula:

1. `annotation` of an x-tex encoding inside MathML (KaTeX, Wikipedia, MathJax 3 with semantics, LaTeXML);
2. `script type="math/tex"` (MathJax 2; `mode=display`), attributes `data-latex` (MathJax 4) and
   `data-tex` (Zhihu), `d-math` elements (Distill);
3. `alttext` of `math` (LaTeXML, Wikipedia), unless it reads as spoken words;
4. presentation MathML, converted by `mathml.to_tex` (MathJax's assistive MathML, hand-written pages);
5. `alt` of formula images (Wikipedia `mwe-math`, WordPress `latex`, MediaWiki `tex`,
   QuickLaTeX, Zhihu `eeimg`, Sphinx `math`), and of images that a server draws from TeX in their address
   (CodeCogs, mathTeX, mimeTeX, GitHub), which is read where there is no `alt`.

Then exponents and indices written by `sup` and `sub` (see `raised_text`). TeX that stands in the text
between delimiters (`\\( \\)`, `$ $`) is text already and stays as it is.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from corpusmill.pipelines.extraction.mathml import to_tex
from corpusmill.pipelines.extraction.raised_text import content_of, raised, text_before

# Elements that are one formula (the outermost match counts), and what a renderer leaves beside one.
_FORMULAS = (
    ".mwe-math-element, .katex-display, .katex, mjx-container, .MathJax_Display, .MathJax_SVG_Display, "
    ".MJXc-display, .MathJax, .MathJax_SVG, .MathJax_CHTML, .mjx-chtml, .MathJax_MathML, "
    "script[type^='math/'], math, m\\:math, mml\\:math, d-math, .ztext-math, "
    "img.mwe-math-fallback-image-inline, img.mwe-math-fallback-image-display, img[class='tex'], "
    "img.latex, img.ql-img-inline-formula, img.ql-img-displayed-equation, img[eeimg], img.math[alt], "
    "img[src*='latex.codecogs.com'], img[src*='mathtex.cgi'], img[src*='mimetex.cgi'], "
    "img[src*='/render/math?math='], img[src*='chart?cht=tx']"
)
_PREVIEWS = ".MathJax_Preview, .MathJax_Preview_Display"
_MATHML = "math, m\\:math, mml\\:math"
_ANNOTATION = re.compile(r"^(application|text)/(x-)?(la)?tex$|^(la)?tex$", re.IGNORECASE)
_MATHJAX2 = re.compile(
    r"(?:^|\s)(?:MathJax(?:_SVG|_CHTML|_MathML)?(?:_Display)?|mjx-chtml|MJXc-display)(?:\s|$)"
)
_DISPLAY = re.compile(r"display(?:ed-equation)?(?:\s|$)|(?:^|\s)tex-display", re.IGNORECASE)
_SPOKEN = re.compile(r"\s[^\W\d_]{3}|[^\W\d_]{3}\s")
_DELIMITERS = (("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False), ("$", "$", False))
# A comment and the line end that TeX passes over with it; it also matches a comment on the last line, which
# stays, so that no `%` behind the first of a line is tried.
_COMMENT = re.compile(r"(?<!\\)%[^\n]*(\n\s*)?")
_TEX_PARAMETER = re.compile(r"(?:^|&)(?:math|chl)=([^&]*)")
_SIZES = re.compile(r"\A(?:\s*\\(?:inline|dpi\s?\{\s?\d*\s?\}|(?:bg|fg)_\w+|large|small|tiny|huge)\s)+", re.I)
_WHITE = re.compile(r"\s+")
_BLANKS = re.compile(r"[ \t]+")
_LONGEST_WORD = 40  # characters of a word that stands for a formula, at most
_PREFIX = re.compile(r"texformula([0-9]{1,9})n")


class Formulas:
    """Replaces the formulas of one page by words and restores them. Holds that page's TeX only."""

    def __init__(self, html: str) -> None:
        """`html` is the page: the words are chosen so that they do not occur in it."""
        self._html = html
        self._formulas: list[str] = []
        self._blocks: list[str] = []

    def __len__(self) -> int:
        return len(self._formulas) + len(self._blocks)

    def take(self, document: Any) -> None:
        """Replace every formula of `document` (a resiliparse DocumentNode, changed in place) by its word."""
        nodes = document.query_selector_all(
            _FORMULAS
        ).values()  # a list: iterating the collection is quadratic
        if not nodes:
            return
        outermost: list[Any] = []
        scripts = 0
        for node in nodes:  # in document order: what lies inside a formula follows it
            if not outermost or not outermost[-1].contains(node):
                outermost.append(node)
                scripts += node.local_name == "script"
        # All read before any is replaced: replacing a node drops its subtree.
        found = [(node, _read(node, rendered_beside=scripts > 0)) for node in outermost]
        for node, formula in found:
            if formula is None:
                continue
            tex, display = formula
            node.outer_text = self._formula(tex, display) if tex else ""
        for node in document.query_selector_all(_PREVIEWS).values():
            node.outer_text = ""

    def take_raised(self, document: Any) -> None:
        """Replace exponents and indices by words, with their base where that is a letter or a number."""
        for node in document.query_selector_all("sub, sup").values():
            content = content_of(node)
            before, beside = text_before(node) if content else ("", None)
            if beside is None:
                continue
            taken = self._ending.search(before, max(0, len(before) - _LONGEST_WORD))
            if taken is not None:  # x_i^2: a second one behind the same base
                formula = self._formulas[int(taken[1])]
                made = raised(str(node.local_name), content or "", "X")
                if made is not None and formula.endswith("}$") and formula.count(made[0][0] + "{") == 0:
                    self._formulas[int(taken[1])] = f"{formula[:-1]}{made[0]}$"
                    node.outer_text = ""
                continue
            made = raised(str(node.local_name), content or "", before)
            if made is None:
                continue
            tex, base = made
            if base:
                beside.text = before[: -len(base)]
            node.outer_text = self._formula(f"{base}{tex}", False)

    def take_code(self, document: Any) -> None:
        """Replace the inside of every `pre` by a word, for an extractor that does not keep its layout."""
        for node in document.query_selector_all("pre").values():
            text = node.text or ""
            if text.strip():
                self._blocks.append(text.strip("\n"))
                node.text = f"{self._prefix}b{len(self._blocks) - 1}z"

    def restore(self, text: str) -> str:
        """`text` with every word replaced by its formula or code; words it lost stay lost."""
        if not len(self):
            return text
        out = []
        for line in text.split("\n"):
            if self._prefix in line:
                if "\t" in line and self._prefix + "f" in line:  # cells of an equation's layout table
                    line = _BLANKS.sub(lambda run: "\t" if "\t" in run[0] else run[0], line).strip()
                line = self._put_back(line)
            out.append(line)
        return "\n".join(out)

    @property
    def prefix(self) -> bytes:
        """How every word that stands for a formula begins."""
        return self._prefix.encode()

    @cached_property
    def _prefix(self) -> str:
        """Looked for when the first word is made: most pages hold no formula."""
        taken = set(_PREFIX.findall(self._html)) if "texformula" in self._html else set()
        number = next(n for n in range(len(taken) + 1) if str(n) not in taken)
        return f"texformula{number}n"

    @cached_property
    def _word(self) -> re.Pattern[str]:
        return re.compile(self._prefix + r"([fb])([0-9]{1,9})z")

    @cached_property
    def _ending(self) -> re.Pattern[str]:
        return re.compile(self._prefix + r"f([0-9]{1,9})z\Z")

    def _put_back(self, line: str) -> str:
        """`line` with its words replaced."""
        parts: list[str] = []
        end = -1  # of the word before
        copied = 0
        for match in self._word.finditer(line):
            words = self._formulas if match[1] == "f" else self._blocks
            index = int(match[2])
            if index < len(words):
                beside = line[copied : match.start()]
                # Two formulas side by side would run their dollar signs together; one on a line of its own
                # parts the words on its sides.
                display = match[1] == "f" and words[index].startswith("$$")
                apart = match[1] == "f" and match.start() == end
                apart = apart or (display and beside[-1:].isalnum())
                after = match.end()
                glued = display and line[after : after + 1].isalnum()
                follows = " " if glued and not line.startswith(self._prefix, after) else ""
                parts += (beside, " " if apart else "", words[index], follows)
                copied = match.end()
            end = match.end()
        parts.append(line[copied:])
        return "".join(parts)

    def _formula(self, tex: str, display: bool) -> str:
        mark = "$$" if display else "$"
        self._formulas.append(f"{mark}{tex}{mark}")
        return f"{self._prefix}f{len(self._formulas) - 1}z"


def clean_tex(tex: str) -> tuple[str, bool]:
    """TeX without its delimiters, comments and `{\\displaystyle }` wrapper, on one line; True if display.

    Wikipedia wraps every formula in `{\\displaystyle ...}`, which says nothing of its place.
    """
    tex = _COMMENT.sub(lambda comment: comment[0] if comment[1] is None else "", tex)
    tex = _WHITE.sub(" ", tex).strip()
    display = False
    for opening, closing, is_display in _DELIMITERS:
        if len(tex) > len(opening) + len(closing) and tex.startswith(opening) and tex.endswith(closing):
            tex, display = tex[len(opening) : -len(closing)].strip(), is_display
            break
    for wrapper in (r"{\displaystyle ", r"{\textstyle "):
        if tex.startswith(wrapper) and _closes_at_end(tex):
            tex = tex[len(wrapper) : -1].strip()
    return tex, display


def _closes_at_end(tex: str) -> bool:
    """Whether the brace that opens `tex` is closed by its last character."""
    level, escaped = 0, False
    for index, c in enumerate(tex):
        if escaped:
            escaped = False
        elif c == "\\":
            escaped = True
        elif c == "{":
            level += 1
        elif c == "}":
            level -= 1
            if level == 0:
                return index == len(tex) - 1
    return False


def _read(node: Any, rendered_beside: bool) -> tuple[str, bool] | None:
    """(TeX, display) of one formula element; ("", False) to drop it; None to leave it as it stands.

    `rendered_beside`: the page keeps MathJax 2 sources in scripts, so its renderings are repetitions.
    """
    name, classes = str(node.local_name).lower(), node.getattr("class") or ""
    if name.rpartition(":")[2] == "math":
        return _finish(_tex_of(node), node.getattr("display") == "block" or node.getattr("mode") == "display")
    if name == "script":
        return _read_script(node)
    if name == "img":
        tex = node.getattr("alt") or node.getattr("data-formula") or _of_address(node.getattr("src") or "")
        return _finish(tex, bool(_DISPLAY.search(classes)))
    if name == "d-math":
        return _finish(node.text, node.hasattr("block"))
    if "ztext-math" in classes:
        return _finish(node.getattr("data-tex"), False)
    math = node.query_selector(_MATHML)
    display = (
        bool(_DISPLAY.search(classes))
        or node.getattr("display") in ("true", "block")
        or node.query_selector(".mwe-math-fallback-image-display, .katex-display") is not None
        or (math is not None and (math.getattr("display") == "block" or math.getattr("mode") == "display"))
    )
    if _MATHJAX2.search(classes) and name != "mjx-container":
        if node.query_selector("script[type^='math/']") is not None:
            return _read_script(node.query_selector("script[type^='math/']"))
        if rendered_beside:
            return "", False
        source = node.getattr("data-mathml")
        if math is None and source:
            math = _parse_fragment(source)
    if math is not None:
        return _finish(_tex_of(math), display)
    image = node.query_selector("img[alt]")
    if image is not None:
        return _finish(image.getattr("alt"), display)
    inner = node.query_selector("[data-latex]")
    return _finish(
        node.getattr("data-latex") or (inner.getattr("data-latex") if inner is not None else None), display
    )


def _of_address(address: str) -> str | None:
    """The TeX in the address of an image that a server draws from it; None where there is none."""
    query = address.partition("?")[2]
    named = _TEX_PARAMETER.search(query)
    tex = unquote((named[1] if named is not None else query).replace("+", " ").replace("&space;", " "))
    return _SIZES.sub("", tex) or None


def _read_script(node: Any) -> tuple[str, bool] | None:
    kind = (node.getattr("type") or "").lower()
    display = "mode=display" in kind.replace(" ", "")
    if kind.startswith("math/tex"):
        return _finish(_without_cdata(node.text or ""), display)
    if kind.startswith("math/mml"):
        math = _parse_fragment(node.text or "")
        return _finish(_tex_of(math) if math is not None else None, display)
    return None  # math/asciimath and the like: a script is never shown


def _without_cdata(text: str) -> str:
    """`text` without the marks of CDATA sections, the white space before them and the `%` that hides one."""
    *before, last = _CDATA.split(text)
    return "".join([*(part.rstrip().removesuffix("%") for part in before), last])


_CDATA = re.compile(r"<!\[CDATA\[|\]\]>")


def _parse_fragment(source: str) -> Any:
    from resiliparse.parse.html import HTMLTree

    document = HTMLTree.parse(f"<body>{source}</body>").document
    return document.query_selector(_MATHML) if document is not None else None


def _finish(tex: str | None, display: bool) -> tuple[str, bool] | None:
    if tex is None:
        return None
    cleaned, delimited = clean_tex(tex)
    return (cleaned, display or delimited) if cleaned else None


def _tex_of(math: Any) -> str:
    """TeX of a `math` element: its annotation, its own attributes, or its presentation converted."""
    alttext = math.getattr("alttext")
    if alttext and "ltx_" in (
        math.getattr("class") or ""
    ):  # the same TeX as its annotation, without a walk into the element
        return str(alttext)
    semantics = math.first_element_child
    if semantics is not None and str(semantics.local_name).endswith("semantics"):
        for annotation in semantics.children.values():
            if (
                str(annotation.local_name).endswith("annotation")
                and _ANNOTATION.match((annotation.getattr("encoding") or "").strip())
                and (annotation.text or "").strip()
            ):
                return str(annotation.text)
    latex = math.getattr("data-latex")
    if latex:
        return str(latex)
    if alttext and not _spoken(alttext):
        return str(alttext)
    return to_tex(math)


def _spoken(alttext: str) -> bool:
    """Whether an alternative text is read aloud ("x squared plus two") rather than TeX."""
    return not any(c in alttext for c in "\\^_{") and _SPOKEN.search(alttext) is not None
