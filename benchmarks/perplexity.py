"""`perplexity` and `kenlm_perplexity`: MB/s on one core, and KenLM's own scores.

    python benchmarks/perplexity.py [--quick] [--json] [--data DIR]

A model is trained on passages of English encyclopedia articles, every other one, and asked of the others, of
the same with their words shuffled within each line, and of prose, mathematics and code of other corpora. Told
apart: of all pairs of a passage and a shuffled one, in how many the passage has the smaller perplexity (area
under the curve). Speed: UTF-8 bytes in a second of the process's CPU time, best of three.

KenLM (`pip install --target FOLDER ufal-kenlm`, then PYTHONPATH=FOLDER) reads an ARPA file of three words
made of the same passages, as corpusmill does; both score the same lines, and `farthest` is the largest
difference of two log10 probabilities of a line, in shares of the larger.
"""

from __future__ import annotations

import importlib
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from harness import Bench, arguments, bounded, load

from corpusmill.filters.rules.arpa import read_arpa
from corpusmill.filters.rules.examples import EXAMPLES
from corpusmill.filters.rules.ngram_model import Ready, ready
from corpusmill.filters.rules.ngram_training import NgramTraining, train_ngrams
from corpusmill.pipelines.contract.documents import Documents

TRAINING = NgramTraining(seed=14, held_out=0.0, order=3, least=2, most_bytes=2**25, fewest_words=1)
PASSAGE, LANGUAGE = 2_000, "*"


def documents(texts: Sequence[str]) -> Documents:
    columns = {"text": pa.array(texts, pa.large_string()), "lang": pa.nulls(len(texts), pa.string())}
    return Documents(pa.table(columns))


def examples(texts: Sequence[str]) -> pa.Table:
    rows = [list(range(len(texts))), [str(n) for n in range(len(texts))], [None] * len(texts), list(texts)]
    return pa.table(rows, schema=EXAMPLES)


def passages(texts: Sequence[str]) -> list[str]:
    """Runs of lines of at least PASSAGE characters."""
    found: list[str] = []
    for text in texts:
        part = ""
        for line in text.splitlines(keepends=True):
            part += line
            if len(part) >= PASSAGE:
                found.append(part)
                part = ""
    return found


def shuffled(text: str, rng: np.random.Generator) -> str:
    return "\n".join(" ".join(rng.permutation(line.split()).tolist()) for line in text.splitlines())


def values(asked: Ready, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    found, _ = asked.perplexities(documents(texts))
    return np.asarray(found.to_numpy(zero_copy_only=False), np.float64)


def told_apart(smaller: np.ndarray[Any, Any], larger: np.ndarray[Any, Any]) -> float:
    """Share of pairs of one of each in which the first is the smaller one."""
    places = np.searchsorted(np.sort(smaller), larger)
    return float(places.sum() / (len(smaller) * len(larger)))


def rate(work: Callable[[], object], size: int) -> float:
    """MB/s of the process's CPU time, best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return size / 1e6 / best


def arpa(texts: Sequence[str]) -> str:
    """An ARPA file of three words: relative frequencies, and 0.4 passed on; good to compare readers by."""
    counts: list[Counter[tuple[str, ...]]] = [Counter(), Counter(), Counter()]
    for text in texts:
        for line in text.splitlines():
            if words := line.split():
                tokens = ["<s>", *words, "</s>"]
                for n in range(3):
                    counts[n].update(zip(*(tokens[k:] for k in range(n + 1)), strict=False))
    counts[0].setdefault(("<unk>",), 1)
    total = sum(counts[0].values())
    lines = ["\\data\\", *(f"ngram {n + 1}={len(counts[n])}" for n in range(3))]
    for n in range(3):
        lines += ["", f"\\{n + 1}-grams:"]
        for gram, count in counts[n].items():
            whole = counts[n - 1][gram[:-1]] if n else total
            passed = f"\t{math.log10(0.4):.6f}" if n < 2 else ""
            lines.append(f"{math.log10(count / whole):.6f}\t{' '.join(gram)}{passed}")
    return "\n".join([*lines, "", "\\end\\", ""])


def beside_kenlm(bench: Bench, texts: Sequence[str], asked: Sequence[str], folder: Path) -> None:
    path = folder / "model.arpa"
    path.write_text(arpa(texts), "utf-8")
    model = ready(read_arpa(path, LANGUAGE))
    lines = [line for text in asked for line in text.splitlines() if line.split()]
    size, docs = sum(len(line.encode()) for line in lines), documents(lines)
    codes = [LANGUAGE] * len(lines)
    job = "scoring lines by an ARPA file"
    bench.add(job, "corpusmill", rate(lambda: model.sums(docs, codes), size), "MB/s")
    try:
        kenlm: Any = importlib.import_module("kenlm")
    except ImportError:
        bench.leave_out(job, "KenLM", "left out: not installed")
        return
    peer = kenlm.Model(str(path))
    bench.add(job, "KenLM", rate(lambda: [peer.score(line) for line in lines], size), "MB/s")
    theirs, ours = np.array([peer.score(line) for line in lines]), model.sums(docs, codes).logs
    bench.add("farthest from KenLM's log10", "corpusmill", float(np.max(np.abs(1 - ours / theirs))), "share")


def main() -> None:
    """Run, and print the table or one JSON object."""
    options = arguments(__doc__)
    bench, data, rng = Bench("perplexity"), options.data, np.random.default_rng(14)
    most = 300 if options.quick else None
    articles = passages([row["text"] for row in load(data / "text/wikitext2_valid_test.jsonl.zst")])[:most]
    trusted, others = articles[::2], articles[1::2]
    start = time.process_time()
    asked = ready(train_ngrams(examples(trusted), TRAINING)[0])
    size = sum(len(text.encode()) for text in trusted)
    bench.add("training, once", "corpusmill", size / 1e6 / (time.process_time() - start), "MB/s")
    bench.add("n-grams of the model", "corpusmill", len(asked.model.keys), "n-grams")
    own, mixed = values(asked, others), values(asked, [shuffled(text, rng) for text in others])
    bench.add("passages told apart from their words shuffled", "corpusmill", told_apart(own, mixed), "share")
    corpora = {
        "prose": "text/cc_c4_redpajama_samples",
        "mathematics": "math/gsm8k_train",
        "code": "code/code_packages",
    }
    everything = list(others)
    for name, file in corpora.items():
        texts = [row["text"] for row in load(data / f"{file}.jsonl.zst", 500 if options.quick else 3_000)]
        found = values(asked, texts)
        bench.add(f"median perplexity: {name}", "corpusmill", float(np.nanmedian(found)), "")
        everything += texts
    bench.add("median perplexity: articles it was not trained on", "corpusmill", float(np.median(own)), "")
    docs, size = documents(everything), sum(len(text.encode()) for text in everything)
    bench.add("scoring", "corpusmill", rate(lambda: asked.perplexities(docs), size), "MB/s")
    with tempfile.TemporaryDirectory() as folder:
        beside_kenlm(bench, trusted, others, Path(folder))
    bench.print(options.json)


if __name__ == "__main__":
    bounded(main)
