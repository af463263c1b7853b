"""Which suffix means which language: the one table for readers of source code.

Names are those of github.com/github-linguist, in lower case. A suffix that several languages share
(`.h`, `.m`) is given to the one most files with it are in; `language_evidence.py` tells them apart.
"""

from __future__ import annotations

CODE_LANGUAGES: dict[str, str] = {
    suffix: language
    for language, suffixes in {
        "ada": ".ada .adb .ads",
        "assembly": ".asm .s",
        "awk": ".awk",
        "batchfile": ".bat .cmd",
        "c": ".c .h",
        "c#": ".cs",
        "c++": ".cc .cpp .cxx .hh .hpp .hxx .ino .ipp .tpp .inl",
        "clojure": ".clj .cljs .cljc",
        "cmake": ".cmake",
        "coffeescript": ".coffee",
        "common lisp": ".lisp .cl",
        "css": ".css",
        "cuda": ".cu .cuh",
        "cython": ".pyx .pxd .pxi",
        "d": ".d",
        "dart": ".dart",
        "elixir": ".ex .exs",
        "elm": ".elm",
        "emacs lisp": ".el",
        "erlang": ".erl .hrl",
        "f#": ".fs .fsi .fsx",
        "fortran": ".f .f77 .f90 .f95 .f03 .f08 .for",
        "glsl": ".glsl .vert .frag",
        "go": ".go",
        "graphql": ".graphql .gql",
        "groovy": ".groovy .gradle",
        "haskell": ".hs .lhs",
        "haxe": ".hx",
        "hcl": ".hcl .tf",
        "html": ".html .htm",
        "java": ".java",
        "javascript": ".js .mjs .cjs .jsx",
        "json": ".json",
        "julia": ".jl",
        "jupyter notebook": ".ipynb",
        "kotlin": ".kt .kts",
        "lean": ".lean",
        "less": ".less",
        "lua": ".lua",
        "makefile": ".mk .mak",
        "markdown": ".md .markdown",
        "nim": ".nim",
        "nix": ".nix",
        "objective-c": ".m",
        "objective-c++": ".mm",
        "ocaml": ".ml .mli",
        "pascal": ".pas .pp",
        "perl": ".pl .pm .t",
        "php": ".php",
        "powershell": ".ps1 .psm1 .psd1",
        "prolog": ".pro",
        "protocol buffer": ".proto",
        "python": ".py .pyi",
        "r": ".r",
        "racket": ".rkt",
        "raku": ".raku .rakumod .p6 .pm6",
        "restructuredtext": ".rst",
        "ruby": ".rb .rake .gemspec",
        "rust": ".rs",
        "scala": ".scala .sc",
        "scheme": ".scm .ss",
        "scss": ".scss .sass",
        "shell": ".sh .bash .zsh .fish .ksh",
        "solidity": ".sol",
        "standard ml": ".sml",
        "starlark": ".bzl .star",
        "sql": ".sql",
        "svelte": ".svelte",
        "swift": ".swift",
        "systemverilog": ".sv .svh",
        "tcl": ".tcl",
        "tex": ".tex .sty .cls .bib",
        "text": ".txt",
        "thrift": ".thrift",
        "toml": ".toml",
        "typescript": ".ts .tsx .mts .cts",
        "verilog": ".v .vh",
        "vhdl": ".vhd .vhdl",
        "vim script": ".vim",
        "vue": ".vue",
        "xml": ".xml",
        "yaml": ".yaml .yml",
        "zig": ".zig",
    }.items()
    for suffix in suffixes.split()
}
WHOLE_NAMES: dict[str, str] = {
    "makefile": "makefile",
    "gnumakefile": "makefile",
    "dockerfile": "dockerfile",
    "cmakelists.txt": "cmake",
    "containerfile": "dockerfile",
    "jenkinsfile": "groovy",
    "justfile": "just",
    "meson.build": "meson",
    "sconscript": "python",
    "sconstruct": "python",
    "vagrantfile": "ruby",
    "rakefile": "ruby",
    "gemfile": "ruby",
}


def code_language(path: str) -> str | None:
    """The language of a file by its name, else by its last suffix (any case); None if unknown."""
    name = path[path.rfind("/") + 1 :].lower()
    if name in WHOLE_NAMES:
        return WHOLE_NAMES[name]
    return CODE_LANGUAGES.get(suffix_of(name))


def suffix_of(name: str) -> str:
    """The last suffix of a file's name in lower case, with its dot; "" without one, as of `.profile`."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""
