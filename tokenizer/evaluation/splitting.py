"""How numbers, white space and indentation are cut."""

from __future__ import annotations

from collections import Counter

from corpusmill.pipelines.contract.randomness import generator
from corpusmill.pipelines.records.tokenizer_figures import Digits, Grouping, WhiteSpace
from corpusmill.tokenizer.evaluation.encoding import Speller

_LENGTHS = 12  # digits of the longest number tried
_NUMBERS = 100  # of each length


def digit_grouping(speller: Speller) -> Digits:
    """How runs of digits are cut.

    `lengths` has, for numbers of 1 to 12 digits, how most are grouped (`3 3 1` for `123 456 7`) and the share
    of 100 random ones of that length that are grouped so: 1.0 where numbers of equal length always align.
    `consistent` says whether that share is 1 throughout, `largest_group` how many digits the largest token
    has, of these numbers and of the vocabulary's own runs of digits.
    """
    draw = generator(0, "tokenizer.numbers")
    numbers = [
        [str(draw.integers(10 ** (size - 1), 10**size)) for _ in range(_NUMBERS)]
        for size in range(1, _LENGTHS + 1)
    ]
    flat = speller.pieces([number for same in numbers for number in same])
    lengths: dict[str, Grouping] = {}
    runs = [entry for entry in speller.entries() if entry.isdecimal() and entry.isascii()]
    largest = max((len(piece) for pieces in speller.pieces(runs) for piece in pieces), default=0)
    for size in range(1, _LENGTHS + 1):
        group_pieces = flat[(size - 1) * _NUMBERS : size * _NUMBERS]
        groups = Counter(" ".join(str(len(piece)) for piece in pieces) for pieces in group_pieces)
        grouping, times = min(groups.items(), key=lambda item: (-item[1], item[0]))
        largest = max(largest, max(len(piece) for pieces in group_pieces for piece in pieces))
        lengths[str(size)] = Grouping(grouping, times / _NUMBERS)
    shown = ["1234567", " 1234567", "x=1234567", "3.14159", "1,000,000", "2024-01-31", "0x1F3A", "１２３４"]
    return Digits(
        lengths=lengths,
        consistent=all(one.share == 1.0 for one in lengths.values()),
        largest_group=largest,
        examples=dict(zip(shown, map(tuple, speller.pieces(shown)), strict=True)),
    )


def white_space(speller: Speller) -> WhiteSpace:
    """Tokens that white space costs.

    `indentation`: what this much indentation of the second of two lines (`a:`, `b`) adds. `runs`: tokens of
    a run of spaces alone. `line_ends`: three lines that end in LF, CRLF, and LF with a blank line between.
    `trailing`: what a final line break and a trailing space add to a line of text.
    """
    indents = {f"{n} spaces": " " * n for n in (2, 4, 8, 12, 16, 24)}
    indents |= {f"{n} tab{'s' * (n > 1)}": "\t" * n for n in (1, 2, 3, 4)}
    runs = {str(n): " " * n for n in (1, 2, 4, 8, 16, 32, 64, 128)}
    lines = ["x = 1", "y = 2", "z = 3"]
    ends = {"LF": "\n", "CRLF": "\r\n", "LF LF": "\n\n"}
    base = "return x"
    texts = {
        **{f"indent {name}": f"a:\n{indent}b" for name, indent in indents.items()},
        "indent none": "a:\nb",
        **{f"run {name}": run for name, run in runs.items()},
        **{f"end {name}": end.join(lines) + end for name, end in ends.items()},
        "base": base,
        "base newline": base + "\n",
        "base space": base + " ",
    }
    cost = dict(zip(texts, (len(ids) for ids in speller.ids(list(texts.values()))), strict=True))
    snippet = "def f(x):\n    if x:\n        return [\n            x,\n        ]\n"
    return WhiteSpace(
        indentation={name: cost[f"indent {name}"] - cost["indent none"] for name in indents},
        runs={name: cost[f"run {name}"] for name in runs},
        line_ends={name: cost[f"end {name}"] for name in ends},
        trailing={
            "line break": cost["base newline"] - cost["base"],
            "space": cost["base space"] - cost["base"],
        },
        example=tuple(speller.pieces([snippet])[0]),
    )
