"""Learn the shares of pairs of letters by which character sets are told apart (`letter_pairs.py`).

    python -m corpusmill.pipelines.extraction.learning.letter_pairs FOLDER ... --out letter_pairs.json

A folder has for each language a text in UTF-8 (`tr.txt`) or counts of pairs, as JSON with the key `freq`
(`tr`, `tr.json`: the profiles of the package langdetect are such). Where several folders have a language,
each counts the same. In a text each word counts once and the logarithm of its repetitions beside.
"""

from __future__ import annotations

import argparse
import json
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from corpusmill.pipelines.extraction.letter_pairs import CODECS, LEVELS, is_letter, small

LEAST_SHARE = 1e-4  # of a pair, of all pairs that hold a letter beyond ASCII
_SMOOTHED = 0.95  # share left for what was seen


def learn(folders: Sequence[Path]) -> dict[str, dict[str, dict[str, str]]]:
    """What `letter_pairs.json` holds: by script, language and level, pairs one behind the other.

    The level of a pair is `-LEVELS * ln(share)`, rounded. Languages of another script than one of `CODECS`
    are left out.
    """
    shares: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for folder in folders:
        for file in sorted(folder.iterdir()):
            counts = _counts(file)
            script = script_of(counts)
            own = {pair: count for pair, count in counts.items() if _of_script(pair, script)}
            total = sum(own.values())
            for pair, count in own.items():
                shares[file.stem][pair] += count / total
    found: dict[str, dict[str, dict[str, str]]] = {script: {} for script in CODECS}
    for language, of_pairs in sorted(shares.items()):
        script = script_of(of_pairs)
        if script in found:
            found[script][language] = _levels(of_pairs)
    return found


def script_of(counts: Mapping[str, float]) -> str:
    """The script of most letters that are not ASCII; "" for none."""
    scripts: defaultdict[str, float] = defaultdict(float)
    for pair, count in counts.items():
        for letter in pair:
            if not letter.isascii():
                scripts[_script(letter)] += count
    return max(scripts, key=lambda script: (scripts[script], script), default="")


def _script(letter: str) -> str:
    return unicodedata.name(letter, " ").split()[0].lower()


def _of_script(pair: str, script: str) -> bool:
    others = (letter for letter in pair if not letter.isascii())
    return all(_script(letter) in (script, "combining") for letter in others)


def _counts(file: Path) -> dict[str, float]:
    """Counts of pairs that hold a letter beyond ASCII; a word's edge is a space."""
    counts: defaultdict[str, float] = defaultdict(float)
    if file.suffix == ".txt":
        words = Counter("".join(c if is_letter(c) else " " for c in file.read_text("utf-8")).split())
        for word, times in words.items():
            for pair in pairwise(f" {word} "):
                counts["".join(map(small, pair))] += 1 + math.log(times)
    else:
        for grams, times in json.loads(file.read_text("utf-8"))["freq"].items():
            if len(grams) == 2:
                counts["".join(small(c) if is_letter(c) else " " for c in grams)] += times
    return {pair: count for pair, count in counts.items() if not pair.isascii()}


def _levels(shares: Mapping[str, float]) -> dict[str, str]:
    total = sum(shares.values())
    levels: defaultdict[int, str] = defaultdict(str)
    for pair in sorted(shares):
        if shares[pair] >= LEAST_SHARE * total:
            levels[round(-LEVELS * math.log(_SMOOTHED * shares[pair] / total))] += pair
    return {str(level): levels[level] for level in sorted(levels)}


def as_json(scripts: dict[str, dict[str, dict[str, str]]]) -> str:
    """The file's text, a line a language."""
    parts = []
    for script, languages in scripts.items():
        lines = (
            f"{json.dumps(name)}: {json.dumps(levels, ensure_ascii=False, separators=(',', ':'))}"
            for name, levels in languages.items()
        )
        parts.append(f"{json.dumps(script)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.write_text(as_json(learn(options.folders)), "utf-8")


if __name__ == "__main__":
    main()
