"""Training a byte-level BPE: corpusmill against tokenizers, rustbpe, bpeasy, gigatoken and sentencepiece.

From documents in memory to merges, on all of the data's text (about 90 MB), each trainer in a process of its
own, with every core it knows how to use. Speed in MB/s of UTF-8 text and peak resident memory, which holds
the documents too. Patterns differ: tokenizers has DeepSeek-V3's, as corpusmill; rustbpe, bpeasy and
gigatoken have GPT-4's or GPT-2's simpler ones; sentencepiece has none, so its rows are of another algorithm.

`merges that differ` compares corpusmill's list with that of tokenizers. `growth` trains on text files
installed on this machine, cut to the size, and shows whether the cost of a byte grows with the corpus;
tokenizers' time on them is not measured (it would take most of an hour).

    python benchmarks/bpe_train.py [--quick] [--json] [--growth]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
from bpe_trainers import TRAINERS
from harness import DATA, Bench, bounded, load
from installed_text import installed_texts

TEXTS = (
    "code/code_packages.jsonl.zst",
    "text/ruanyf_weekly_zh.jsonl.zst",
    "text/tldr_pages_multilang.jsonl.zst",
    "text/wikitext2_valid_test.jsonl.zst",
    "text/cc_c4_redpajama_samples.jsonl.zst",
    "math/latex_books.jsonl.zst",
    "math/gsm8k_train.jsonl.zst",
)
QUICK = ("corpusmill", "tokenizers", "rustbpe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="3 MB and three trainers, under 50 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real corpora")
    parser.add_argument("--growth", action="store_true", help="also 90 MB against 1 GB of installed text")
    parser.add_argument("--only", nargs="+", choices=sorted(TRAINERS), help="these trainers only")
    asked = parser.parse_args()
    bench = Bench("bpe_train")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tools = installed(bench, asked.only or (QUICK if asked.quick else tuple(TRAINERS)))
        sizes = {"8k": 8_000} if asked.quick else {"8k": 8_000, "32k": 32_000, "128k": 128_000}
        documents = folder / "documents.arrow"
        size = write(documents, data_texts(asked.data, 3_000_000 if asked.quick else None))
        for job, entries in sizes.items():
            found = {tool: measure(tool, entries, documents, folder) for tool in tools}
            for tool, figures in found.items():
                report(bench, job, tool, size, figures)
            if {"corpusmill", "tokenizers"} <= set(found):
                bench.add(f"{job}: merges that differ", "corpusmill", differing(folder, entries), "merges")
        if asked.growth:
            for name, most in {"90 MB": 90_000_000, "1 GB": 1_000_000_000}.items():
                documents = folder / "installed.arrow"
                size = write(documents, installed_texts(most))
                figures = measure("corpusmill", 32_000, documents, folder)
                report(bench, f"growth, 32k, {name}", "corpusmill", size, figures)
    bench.print(asked.json)


def installed(bench: Bench, tools: Sequence[str]) -> list[str]:
    """Those of `tools` that are there; each has the name of its package. Rows for the others."""
    missing = [tool for tool in tools if find_spec(tool) is None]
    for tool in missing:
        bench.leave_out("all", tool, f"{tool} not installed")
    return [tool for tool in tools if tool not in missing]


def data_texts(data: Path, most: int | None) -> Iterator[str]:
    """Texts of the data, evenly thinned to about `most` bytes."""
    texts = [row["text"] for name in TEXTS for row in load(data / name)]
    size = sum(len(text.encode()) for text in texts)
    step = 1 if most is None else max(1, round(size / most))
    yield from texts[::step]


def write(path: Path, texts: Iterator[str]) -> int:
    """Write texts as one Arrow file; returns their UTF-8 bytes."""
    schema = pa.schema([pa.field("text", pa.large_string())])
    size, held = 0, []
    with pa.ipc.new_file(path, schema) as file:
        for text in texts:
            held.append(text)
            size += len(text.encode())
            if len(held) == 1000:
                file.write_batch(pa.record_batch([pa.array(held, pa.large_string())], schema=schema))
                held = []
        file.write_batch(pa.record_batch([pa.array(held, pa.large_string())], schema=schema))
    return size


def measure(tool: str, entries: int, documents: Path, folder: Path) -> dict[str, float]:
    """Train in a process of its own; returns its seconds and peak memory."""
    out = folder / f"{tool}.{entries}.json"
    command = [sys.executable, str(Path(__file__).with_name("bpe_trainers.py")), tool, str(entries)]
    done = subprocess.run(
        [*command, str(documents), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "true"},
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{tool} failed with {done.returncode}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def report(bench: Bench, job: str, tool: str, size: int, figures: dict[str, float]) -> None:
    bench.add(job, tool, size / 1e6 / figures["seconds"], "MB/s")
    bench.add(f"{job}: peak memory", tool, figures["peak_mib"], "MiB")


def differing(folder: Path, entries: int) -> int:
    """Positions at which the merge lists of corpusmill and tokenizers differ, and entries only one has."""
    ours, theirs = (
        json.loads((folder / f"{tool}.{entries}.json").read_text()) for tool in ("corpusmill", "tokenizers")
    )
    unequal = sum(bool(a != b) for a, b in zip(ours, theirs, strict=False))
    return unequal + abs(len(ours) - len(theirs))


if __name__ == "__main__":
    bounded(main)
