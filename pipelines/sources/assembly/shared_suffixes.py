"""What tells languages apart that share a suffix: expressions over lines, of each language in turn.

The rules are our own; what they look for is what github-linguist documents in `lib/linguist/heuristics.yml`.
The first language one of whose expressions is found holds; the last one of a suffix stands for all other
files. No expression goes beyond a line, so that time is linear.
"""

from __future__ import annotations

_OBJECTIVE_C = (
    r"^[ \t]*@(?:interface|implementation|protocol|property|class|end|selector)\b",
    r"^[ \t]*#[ \t]*import\b",
)
_RAKU = (r"^[ \t]*use[ \t]+v6\b", r"^[ \t]*(?:unit|my)[ \t]+(?:class|module|role)\b")
_PERL = (
    r"^#!.*\bperl",
    r"^[ \t]*use[ \t]+(?:strict|warnings|v?5|Test::)",
    r"^[ \t]*(?:my|our|local)[ \t]*[($@%]",
)
_XML = (r"^[ \t]*<\?xml\b",)
RULES: dict[str, tuple[tuple[str, ...], ...]] = {
    ".cl": (
        ("opencl", r"\b__?kernel\b", r"^[ \t]*#[ \t]*(?:define|include|pragma)", r"\bget_global_id\b"),
        ("common lisp",),
    ),
    ".cls": (
        (
            "tex",
            r"^[ \t]*\\(?:NeedsTeXFormat|ProvidesClass|LoadClass|RequirePackage|def|newcommand)\b",
        ),
        (
            "visual basic",
            r"^VERSION [0-9.]+ CLASS",
            r"^Attribute VB_",
            r"^[ \t]*End (?:Sub|Function|Property)\b",
        ),
        ("objectscript", r"^Class [%\w.]+(?: Extends|[ \t]*\{|[ \t]*$)"),
        (
            "apex",
            r"(?i:^[ \t]*(?:(?:public|private|global|virtual|with(?:out)? sharing) +){0,5}class +\w+)",
        ),
        ("tex",),
    ),
    ".cs": (("smalltalk", r"^!?[\w ]{1,80} methodsFor: *'"), ("c#",)),
    ".d": (
        ("makefile", r"^[^\s:]+\.o[ \t]*:(?!=)", r"^[^\s:]+:[ \t]+.*\\$"),
        (
            "dtrace",
            r"^\w*:\w*:\w*:\w*",
            r"^(?:dtrace:::)?(?:BEGIN|END)[ \t]*$",
            r"^#pragma[ \t]+D\b",
        ),
        ("d",),
    ),
    ".f": (("forth", r"^: \S"), ("fortran",)),
    ".for": (("forth", r"^: \S"), ("fortran",)),
    ".fs": (
        ("forth", r"^: \S", r"^\\ "),
        (
            "glsl",
            r"^[ \t]*(?:#version|precision|uniform|varying|vec[234])\b",
            r"^[ \t]*void main *\(",
        ),
        ("f#",),
    ),
    ".h": (
        ("objective-c", *_OBJECTIVE_C),
        (
            "c++",
            r"^[ \t]*template[ \t]*<",
            r"^[ \t]*(?:using[ \t]+)?namespace\b",
            r"^[ \t]*(?:class[ \t]+\w|constexpr\b|enum[ \t]+class\b)",
            r"^[ \t]*(?:private|public|protected)[ \t]*:",
            r"^[ \t]*virtual[ \t]+[\w~]",
            r"std::\w",
            r"^[ \t]*#[ \t]*include[ \t]*<c(?:stdint|string|stdlib|stdio|math|stddef|assert)>",
            r"^[ \t]*#[ \t]*include[ \t]*<(?:algorithm|array|functional|list|map|memory|set|string)>",
            r"^[ \t]*#[ \t]*include[ \t]*<(?:[fio]|io|s)?stream>",
            r"^[ \t]*#[ \t]*include[ \t]*<(?:unordered_\w+|utility|vector)>",
        ),
        ("c",),
    ),
    ".m": (
        (
            "objective-c",
            *_OBJECTIVE_C,
            r"^[ \t]*#[ \t]*(?:include|define|ifn?def|pragma)\b",
            r"^[ \t]*//",
        ),
        (
            "mathematica",
            r"^[ \t]*\(\*",
            r"^[ \t]*(?:BeginPackage|Begin|Needs)\[",
            r":=[ \t]*Module\[",
        ),
        ("mercury", r"^:- (?:module|interface|import_module)\b"),
        (
            "matlab",
            r"^[ \t]*(?:%|function\b|classdef\b|end[ \t]*;?[ \t]*$)",
            r"^[ \t]*(?:clc|clear|close all)\b",
            r"^[ \t]*disp *\(",
        ),
        ("objective-c",),
    ),
    ".md": (("gcc machine description", r"^\(define_\w"), ("markdown",)),
    ".ml": (
        ("standard ml", r"^[ \t]*(?:fun|structure|signature|functor|datatype)[ \t]"),
        ("ocaml",),
    ),
    ".mm": (("xml", *_XML, r"^<map version="), ("objective-c++",)),
    ".php": (("hack", r"^<\?hh\b"), ("php",)),
    ".pl": (
        ("perl", *_PERL),
        ("raku", *_RAKU),
        ("prolog", r"^[^#'\"\n]{0,200}:-"),
        ("perl",),
    ),
    ".pm": (("raku", *_RAKU), ("x pixmap", r"^[ \t]*/\* XPM \*/"), ("perl",)),
    ".pp": (
        (
            "puppet",
            r"^[ \t]+\w+[ \t]*=>",
            r"^[ \t]*(?:class|define|node)[ \t]+[\w:']+[ \t]*[({]",
        ),
        ("pascal",),
    ),
    ".pro": (
        ("prolog", r"^[^\[#'\"\n]{0,200}:-"),
        (
            "qmake",
            r"^[ \t]*(?:HEADERS|SOURCES|QT|TARGET|TEMPLATE|CONFIG|FORMS)[ \t]*[+*-]?=",
        ),
        ("proguard", r"^-(?:keep|dontwarn|dontobfuscate)"),
        ("idl", r"(?i:^[ \t]*(?:pro|function)[ \t]+\w[\w:]*[ \t]*(?:,|$))"),
        ("prolog",),
    ),
    ".r": (("rebol", r"(?i:^[ \t]*rebol[ \t]*\[)"), ("r",)),
    ".rs": (("renderscript", r"^[ \t]*#[ \t]*pragma[ \t]+(?:rs|version)\b"), ("xml", *_XML), ("rust",)),
    ".sc": (
        (
            "supercollider",
            r"^[ \t]*~\w+[ \t]*=",
            r"\bSynthDef[ \t]*\(",
            r"^[ \t]*\^(?:this|super)\.",
        ),
        ("scala",),
    ),
    ".sql": (
        (
            "plpgsql",
            r"(?i:\blanguage[ \t]+'?plpgsql\b)",
            r"(?i:\bas[ \t]+\$\w*\$)",
            r"^\\(?:i|connect)\b",
        ),
        (
            "tsql",
            r"(?i:^[ \t]*go[ \t]*;?[ \t]*$)",
            r"(?i:\bdeclare[ \t]+@)",
            r"(?i:\[dbo\])",
            r"(?i:\bbegin[ \t]+(?:try|catch)\b)",
        ),
        (
            "plsql",
            r"(?i:\bcreate[ \t]+or[ \t]+replace[ \t]+package\b)",
            r"(?i:\bvarchar2\b)",
            r"(?i:\bsystimestamp\b)",
            r"(?i:\bdbms_\w+\.)",
            r"(?i:%rowtype\b)",
        ),
        ("sql",),
    ),
    ".t": (
        ("raku", r"^[ \t]*use[ \t]+(?:v6|Test;)"),
        ("perl", *_PERL),
        ("turing", r"^[ \t]*var[ \t]+\w+[ \t]*:", r"^[ \t]*%[ \t]"),
        ("terra", r"^[ \t]*(?:terra|local)[ \t]+\w"),
        ("perl",),
    ),
    ".ts": (("xml", r"<TS\b", *_XML), ("typescript",)),
    ".tsx": (("xml", *_XML), ("typescript",)),
    ".v": (
        (
            "coq",
            r"^[ \t]*(?:Proof|Qed|Defined)\.",
            r"^[ \t]*(?:From[ \t]+\S+[ \t]+)?Require[ \t]+(?:Import|Export)\b",
            r"^[ \t]*(?:Theorem|Lemma|Fixpoint|Inductive|Definition|Corollary)[ \t]+\w",
        ),
        ("v", r"^[ \t]*(?:pub[ \t]+)?fn[ \t]+[\w(]", r"^module[ \t]+\w+[ \t]*$"),
        (
            "verilog",
            r"^[ \t]*(?:module|endmodule|always|assign|initial|wire|reg|input|output)\b",
            r"^[ \t]*`\w",
        ),
        ("verilog",),
    ),
}
