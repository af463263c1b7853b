"""How languages write comments, by file name extension or name in lower case."""

from __future__ import annotations

from corpusmill.filters.kernels import comments as kernel

_NAMES = {
    kernel.SLASHES | kernel.BLOCK: """
        c h cc cpp cxx hpp hh c++ java js mjs cjs jsx javascript ts tsx typescript go rs rust cs c# kt kotlin
        swift scala dart css scss less proto groovy m objective-c
    """,
    kernel.SLASHES | kernel.BLOCK | kernel.HASH: "php",
    kernel.HASH | kernel.TRIPLE: "py pyi python",
    kernel.HASH: """
        sh bash zsh shell rb ruby pl pm perl r jl julia mk makefile cmake dockerfile toml yaml yml tcl awk nix
    """,
    kernel.DASHES: "lua sql hs haskell elm ada adb ads vhd vhdl",
    kernel.PERCENT: "tex sty latex erl erlang matlab",
    kernel.SEMICOLON: "lisp el clj scm asm s ini",
    kernel.MARKUP: "html htm xml xhtml svg vue",
}
STYLES: dict[str, int] = {name: style for style, names in _NAMES.items() for name in names.split()}
