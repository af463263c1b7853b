"""`learned_quality` beside fastText's supervised training: F1 on held-out examples, and MB/s on one core.

    python benchmarks/learned_quality.py [--quick] [--json] [--data DIR]

Four questions with examples of two kinds of real texts, cut into passages of some lines. Both tools learn
from the same passages and are judged on the same others, a fifth, chosen by id as the section does. The
project has the section's defaults but `balance: false`, as fastText knows no such option; fastText has one
thread, word bigrams, and otherwise its defaults (`fastText`), or, as its tutorial ends, small letters with
punctuation apart, a rate of 0.5 and 25 rounds (`fastText, tuned`); with `--quick` it has fewer dimensions and
buckets. F1 is that of the positives at 0.5.

Speed: UTF-8 bytes of the passages held out in a second of the process's CPU time, best of three, of the
models trained on the last question. fastText is one that trains: `pip install --target FOLDER
fasttext-community`, then PYTHONPATH=FOLDER here, since it owns the name of the module by which corpusmill
identifies languages.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from harness import Bench, arguments, bounded, load

from corpusmill.filters.kernels.word_weights import weight_means
from corpusmill.filters.rules.examples import EXAMPLES
from corpusmill.filters.rules.word_training import Training, train_and_judge
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.randomness import is_held_out

SEED, HELD_OUT, PASSAGE = 14, 0.2, 2_000  # characters of a passage, at least
PLAIN = Training(SEED, HELD_OUT, ngrams=2, bits=20, rounds=5, rate=1.0, balance=False)
PUNCTUATION = re.compile(r"([.!?,'/()\[\]{};:\"])")
SETTINGS: dict[str, tuple[bool, dict[str, float | int]]] = {
    "fastText": (False, {}),
    "fastText, tuned": (True, {"lr": 0.5, "epoch": 25}),
}
SMALL = {"dim": 8, "bucket": 50_000}  # of fastText with `--quick`; its own: 100 and 2,000,000
Flags = npt.NDArray[np.bool_]
Predict = Callable[[Sequence[str]], Flags]


@dataclass(frozen=True)
class Question:
    """`rows`: `EXAMPLES` with a column `positive`; `apart` bool[n]: those held out."""

    name: str
    rows: pa.Table
    apart: Flags

    def part(self, held_out: bool) -> tuple[list[str], Flags]:
        rows = self.rows.filter(pa.array(self.apart == held_out))
        positive = rows.column("positive").to_numpy(zero_copy_only=False)
        return rows.column("text").to_pylist(), np.asarray(positive, np.bool_)


def passages(text: str) -> Iterator[str]:
    """Runs of whole lines of at least PASSAGE characters, or of what is left."""
    part: list[str] = []
    for line in text.splitlines(keepends=True):
        part.append(line)
        if sum(map(len, part)) >= PASSAGE:
            yield "".join(part)
            part = []
    if part:
        yield "".join(part)


def question(
    name: str, positive: Sequence[tuple[str, str]], negative: Sequence[tuple[str, str]], most: int
) -> Question:
    """Of texts with their languages; at most `most` different passages of each kind, drawn."""
    columns: dict[str, list[Any]] = {field: [] for field in ("draw", "id", "lang", "text", "positive")}
    for side, texts in (("positive", positive), ("negative", negative)):
        parts = dict.fromkeys((part, lang) for text, lang in texts for part in passages(text) if part.strip())
        order = np.random.default_rng(SEED).permutation(len(parts))[:most]
        listed = list(parts)
        for number in order.tolist():
            values = (number, f"{side}-{number}", listed[number][1], listed[number][0], side == "positive")
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    rows = pa.table(columns, schema=EXAMPLES.append(pa.field("positive", pa.bool_())))
    return Question(name, rows, is_held_out(rows.column("id"), SEED, HELD_OUT))


def questions(data: Path, most: int, files: int | None) -> list[Question]:
    """`most` passages of a kind, out of so many source files (null: all)."""

    def texts(*names: str) -> list[tuple[str, str]]:
        return [(row["text"], "") for name in names for row in load(data / f"{name}.jsonl.zst")]

    prose = texts("text/wikitext2_valid_test")
    code = load(data / "code/code_packages.jsonl.zst", files)
    sources = [row for row in code if row["meta"]["path"].endswith((".py", ".c", ".js", ".java", ".go"))]
    tests = [bool(re.search(r"tests?[/_.]", row["meta"]["path"])) for row in sources]
    help_pages = load(data / "text/tldr_pages_multilang.jsonl.zst")
    pages: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for row in help_pages:
        kind = row["meta"]["path"].split("/")[-2]
        if kind in ("common", "linux"):
            pages[kind == "common"].append((row["text"], row["meta"]["lang"]))
    return [
        question(
            "mathematics against prose and code",
            texts("math/latex_books", "math/gsm8k_train"),
            [*prose, *((row["text"], "") for row in sources)],
            most,
        ),
        question(
            "tests against other source files",
            [(row["text"], "") for row, test in zip(sources, tests, strict=True) if test],
            [(row["text"], "") for row, test in zip(sources, tests, strict=True) if not test],
            most,
        ),
        question(
            "encyclopedia against crawled pages and newsletters",
            prose,
            texts("text/cc_c4_redpajama_samples", "text/ruanyf_weekly_zh"),
            most,
        ),
        question("help pages of any system against Linux's", pages[True], pages[False], most),
    ]


def ours(asked: Question) -> tuple[Predict, Flags]:
    """Training, and what it says of the passages held out."""
    model, _ = train_and_judge(asked.rows, PLAIN)

    def predict(texts: Sequence[str]) -> Flags:
        offsets, data = Documents(pa.table({"text": pa.array(texts, pa.large_string())})).utf8()
        means, _ = weight_means(offsets, data, model.weights, model.ngrams, model.bits)
        return model.chances(means) >= 0.5

    return predict, predict(asked.part(held_out=True)[0])


def prepared(text: str, apart: bool) -> str:
    """One line, as fastText reads it."""
    line = " ".join(text.split())
    return PUNCTUATION.sub(r" \1 ", line.lower()) if apart else line


def theirs(tool: Any, asked: Question, apart: bool, options: dict[str, float | int], file: Path) -> Predict:
    texts, positive = asked.part(held_out=False)
    labels = ("__label__no ", "__label__yes ")
    order = np.random.default_rng(SEED).permutation(len(texts))
    with file.open("w", encoding="utf-8") as out:
        out.writelines(labels[int(positive[n])] + prepared(texts[n], apart) + "\n" for n in order.tolist())
    model = tool.train_supervised(str(file), wordNgrams=2, thread=1, verbose=0, seed=SEED, **options)

    def predict(lines: Sequence[str]) -> Flags:
        found, _ = model.predict(list(lines))
        return np.array([one[0] == "__label__yes" for one in found])

    return predict


def f1(taken: Flags, positive: Flags) -> float:
    return 2 * float((taken & positive).sum()) / max(1, int(taken.sum() + positive.sum()))


def rate(predict: Predict, texts: Sequence[str]) -> float:
    """MB/s of the process's CPU time, best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        predict(texts)
        best = min(best, time.process_time() - start)
    return sum(len(text.encode()) for text in texts) / 1e6 / best


def add_f1(bench: Bench, asked: Question, tool: str, taken: Flags) -> None:
    """F1 in all, and by language where passages have one."""
    _, positive = asked.part(held_out=True)
    bench.add(f"F1: {asked.name}", tool, f1(taken, positive), "share")
    lang = np.array(asked.rows.filter(pa.array(asked.apart)).column("lang").to_pylist(), object)
    for code in sorted(set(lang) - {""}):
        here = lang == code
        bench.add(f"F1: {asked.name}: {code}", tool, f1(taken[here], positive[here]), "share")


def fasttext_that_trains() -> Any:
    """The module, or None."""
    try:
        import fasttext
    except ImportError:
        return None
    return fasttext if hasattr(fasttext, "train_supervised") else None


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    bench, tool = Bench("learned_quality"), fasttext_that_trains()
    most, files = (150, 3_000) if options.quick else (4_000, None)
    with tempfile.TemporaryDirectory() as folder:
        for asked in questions(options.data, most, files):
            predict, taken = ours(asked)
            add_f1(bench, asked, "corpusmill", taken)
            lines = asked.part(held_out=True)[0]
            speeds: dict[str, Callable[[], float]] = {"corpusmill": partial(rate, predict, lines)}
            for name, (apart, settings) in SETTINGS.items():
                if tool is None:
                    bench.leave_out(f"F1: {asked.name}", name, "left out: no fastText that trains")
                    continue
                small = SMALL if options.quick else {}
                answer = theirs(tool, asked, apart, {**settings, **small}, Path(folder) / "train.txt")
                ready = [prepared(line, apart) for line in lines]
                add_f1(bench, asked, name, answer(ready))
                speeds[name] = partial(rate, answer, ready)
        for name, measure in speeds.items():
            bench.add("scoring", name, measure(), "MB/s")
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
