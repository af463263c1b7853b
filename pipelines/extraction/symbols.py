# ruff: noqa: E501 - tables
"""Characters of mathematics as TeX commands (LaTeX with amssymb)."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

FUNCTIONS = frozenset(
    [
        "arccos",
        "arcsin",
        "arctan",
        "arg",
        "cos",
        "cosh",
        "cot",
        "coth",
        "csc",
        "deg",
        "det",
        "dim",
        "exp",
        "gcd",
        "hom",
        "inf",
        "ker",
        "lg",
        "lim",
        "liminf",
        "limsup",
        "ln",
        "log",
        "max",
        "min",
        "Pr",
        "sec",
        "sin",
        "sinh",
        "sup",
        "tan",
        "tanh",
    ]
)
MOVABLE = frozenset(
    [
        r"\sum",
        r"\prod",
        r"\coprod",
        r"\int",
        r"\iint",
        r"\iiint",
        r"\oint",
        r"\bigcup",
        r"\bigcap",
        r"\bigoplus",
        r"\bigotimes",
        r"\bigvee",
        r"\bigwedge",
        r"\bigsqcup",
        r"\lim",
        r"\liminf",
        r"\limsup",
        r"\max",
        r"\min",
        r"\sup",
        r"\inf",
        r"\det",
        r"\gcd",
        r"\Pr",
    ]
)
STYLES = {
    "normal": "mathrm",
    "bold": "mathbf",
    "bold-italic": "boldsymbol",
    "double-struck": "mathbb",
    "script": "mathcal",
    "bold-script": "mathcal",
    "fraktur": "mathfrak",
    "bold-fraktur": "mathfrak",
    "sans-serif": "mathsf",
    "monospace": "mathtt",
}
OVER = {
    "^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", r"\sim": "tilde", "¯": "overline", "ˉ": "overline",
    "‾": "overline", "_": "overline", "-": "overline", "→": "vec", r"\to": "vec", "⃗": "vec", "˙": "dot",
    ".": "dot", r"\cdot": "dot", "¨": "ddot", "..": "ddot", "ˇ": "check", "˘": "breve", "´": "acute", "`": "grave",
    "⏞": "overbrace", "︷": "overbrace", r"\leftarrow": "overleftarrow", r"\leftrightarrow": "overleftrightarrow",
    "°": "mathring", "˚": "mathring",
}  # fmt: skip
UNDER = {
    "_": "underline",
    r"\_": "underline",
    "¯": "underline",
    "‾": "underline",
    "⏟": "underbrace",
    "︸": "underbrace",
}

_OPERATORS = {
    "−": "-", "±": r"\pm", "∓": r"\mp", "×": r"\times", "÷": r"\div", "⋅": r"\cdot", "·": r"\cdot", "∗": "*",
    "∘": r"\circ", "∙": r"\bullet", "•": r"\bullet", "⊕": r"\oplus", "⊖": r"\ominus", "⊗": r"\otimes",
    "⊙": r"\odot", "⊘": r"\oslash", "∪": r"\cup", "∩": r"\cap", "⊔": r"\sqcup", "⊓": r"\sqcap", "⊎": r"\uplus",
    "∨": r"\vee", "∧": r"\wedge", "¬": r"\neg", "∖": r"\setminus", "≀": r"\wr", "†": r"\dagger", "‡": r"\ddagger",
    "≤": r"\leq", "≥": r"\geq", "⩽": r"\leqslant", "⩾": r"\geqslant", "≪": r"\ll", "≫": r"\gg", "≠": r"\neq",
    "≡": r"\equiv", "≢": r"\not\equiv", "≈": r"\approx", "≃": r"\simeq", "≅": r"\cong", "∼": r"\sim",
    "∝": r"\propto", "≺": r"\prec", "≻": r"\succ", "⪯": r"\preceq", "⪰": r"\succeq", "⊂": r"\subset",
    "⊃": r"\supset", "⊆": r"\subseteq", "⊇": r"\supseteq", "⊊": r"\subsetneq", "⊋": r"\supsetneq", "∈": r"\in",
    "∉": r"\notin", "∋": r"\ni", "∣": r"\mid", "∤": r"\nmid", "∥": r"\parallel", "‖": r"\|", "⊥": r"\perp",
    "⊢": r"\vdash", "⊨": r"\models", "⊤": r"\top", "⊲": r"\triangleleft", "⊳": r"\triangleright", "⋈": r"\bowtie",
    "←": r"\leftarrow", "→": r"\to", "↔": r"\leftrightarrow", "⇐": r"\Leftarrow", "⇒": r"\Rightarrow",
    "⇔": r"\Leftrightarrow", "↦": r"\mapsto", "⟼": r"\longmapsto", "⟶": r"\longrightarrow", "⟵": r"\longleftarrow",
    "⟹": r"\Longrightarrow", "⟺": r"\Longleftrightarrow", "↪": r"\hookrightarrow", "↩": r"\hookleftarrow",
    "↠": r"\twoheadrightarrow", "⇀": r"\rightharpoonup", "⇌": r"\rightleftharpoons", "↑": r"\uparrow",
    "↓": r"\downarrow", "↗": r"\nearrow", "↘": r"\searrow", "∀": r"\forall", "∃": r"\exists", "∄": r"\nexists",
    "∅": r"\emptyset", "∞": r"\infty", "∂": r"\partial", "∇": r"\nabla", "ℵ": r"\aleph", "ℏ": r"\hbar",
    "ℓ": r"\ell", "℘": r"\wp", "ℜ": r"\Re", "ℑ": r"\Im", "∠": r"\angle", "△": r"\triangle", "□": r"\square",
    "◻": r"\square", "■": r"\blacksquare", "⋆": r"\star", "★": r"\bigstar", "∑": r"\sum", "∏": r"\prod",
    "∐": r"\coprod", "∫": r"\int", "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint", "⋃": r"\bigcup", "⋂": r"\bigcap",
    "⨁": r"\bigoplus", "⨂": r"\bigotimes", "⋁": r"\bigvee", "⋀": r"\bigwedge", "√": r"\surd", "…": r"\ldots",
    "⋯": r"\cdots", "⋮": r"\vdots", "⋱": r"\ddots", "′": "'", "″": "''", "‴": "'''", "⟨": r"\langle",
    "⟩": r"\rangle", "〈": r"\langle", "〉": r"\rangle", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil",
    "⌉": r"\rceil", "≔": ":=", "∴": r"\therefore", "∵": r"\because", "°": r"^{\circ}", "≜": r"\triangleq",
    "{": r"\{", "}": r"\}", "%": r"\%", "#": r"\#", "&": r"\&", "$": r"\$", "_": r"\_", "\\": r"\backslash",
    "\u2061": "", "\u2062": "", "\u2063": "", "\u2064": "", "\u200b": "", "\u00a0": " ", "\u2009": " ",
}  # fmt: skip
_GREEK_VARIANTS = {
    "ϵ": r"\epsilon", "ε": r"\varepsilon", "ϑ": r"\vartheta", "ϕ": r"\phi", "φ": r"\varphi", "ϖ": r"\varpi",
    "ϱ": r"\varrho", "ς": r"\varsigma", "ϰ": r"\varkappa", "λ": r"\lambda", "Λ": r"\Lambda", "ο": "o",
}  # fmt: skip
_UPRIGHT_CAPITALS = frozenset(
    ["Gamma", "Delta", "Theta", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"]
)
_ALPHABETS = (
    ("DOUBLE-STRUCK", "mathbb"), ("FRAKTUR", "mathfrak"), ("BLACK-LETTER", "mathfrak"), ("SCRIPT", "mathcal"),
    ("SANS-SERIF", "mathsf"), ("MONOSPACE", "mathtt"), ("BOLD ITALIC", "boldsymbol"), ("BOLD", "mathbf"),
    ("ITALIC", ""),
)  # fmt: skip


@lru_cache(maxsize=4096)
def character(c: str) -> str:
    """TeX of one character: a command where LaTeX has one, else the character itself."""
    if c in _OPERATORS:
        return _OPERATORS[c]
    if c.isascii():
        return c
    if c in _GREEK_VARIANTS:
        return _GREEK_VARIANTS[c]
    name = unicodedata.name(c, "")
    if name.startswith("GREEK SMALL LETTER ") and name.count(" ") == 3:
        return "\\" + name.rpartition(" ")[2].lower()
    if name.startswith("GREEK CAPITAL LETTER ") and name.count(" ") == 3:
        letter = name.rpartition(" ")[2].capitalize()
        return "\\" + letter if letter in _UPRIGHT_CAPITALS else c
    if name.startswith(("MATHEMATICAL ", "DOUBLE-STRUCK ", "SCRIPT ", "BLACK-LETTER ", "FRAKTUR ")):
        plain = unicodedata.normalize("NFKC", c)
        if plain != c and len(plain) == 1:
            body = character(plain)
            for words, style in _ALPHABETS:
                if words in name:
                    return f"\\{style}{{{body}}}" if style else body
    return c
