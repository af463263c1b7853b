"""The words by which OpenWebMath knows pages that may hold mathematics, as RE2 patterns.

After its prefilter (Paster et al. 2023, arXiv 2310.06786): a page passes with one of ten marks of software
that shows formulas, dots being any character, or with one of some commands of LaTeX. A command is found
anywhere, also at the beginning of a longer one: `\\in` in `\\int`. The lists are those that taggers after
dolma's have as `MATH_KEYWORDS` and `LATEX_MATH_COMMANDS`; OpenWebMath's own script was not compared.
"""

from __future__ import annotations

MARKS = (
    r"MathJax|mathjax|<math|math-container|katex.min.css|latex.php|codecogs|tex.cgi"
    r"""|class="tex"|class='tex'"""
)

_COMMANDS = """
    end begin ref frac label bf right left rm alpha mu def it pi sigma sum lambda beta nu partial int delta
    rho phi gamma omega over nonumber bar sqrt theta tau em rangle hat tilde cal hline item psi vec langle
    epsilon eta cdot in xi infty quad mathcal times emph mathbf prime be mathrm ee vspace pm chi ell text
    qquad noindent to varphi hspace leq cos eqref overline sin kappa hbox rightarrow varepsilon textit dagger
    big otimes equiv zeta dot ln
"""
COMMANDS = tuple(_COMMANDS.split())
WORDS = rf"{MARKS}|\\(?:{'|'.join(COMMANDS)})"

MACROS = r"(?m)^[^\n]*newcommand[^\n]*newcommand[^\n]*\n"
LAST_MACROS = r"(?:\n|\A)[^\n]*newcommand[^\n]*newcommand[^\n]*\z"
PAGE_INDICES = (r"\$\$\\PageIndex\{[^}]*\}\$\$", r"\$\\PageIndex\{[^}]*\}\$")  # no formulas, in this order
FORMULA = r"\$\$[^$]*\$\$|\$[^$]*\$"
ACCENTED = "[üïöêäâîûôèéà]"
